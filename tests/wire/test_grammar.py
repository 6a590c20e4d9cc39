"""A choice of texts as a grammar."""

import pytest

from llmmw.errors import BadRequest
from llmmw.wire import choice_grammar


def test_each_sign_stands_for_itself() -> None:
    assert choice_grammar(("yes", "é 1")) == 'root ::= "yes" | "é 1"'
    assert choice_grammar(('a"b\\',)) == r'root ::= "a\x22b\x5C"'
    assert choice_grammar(("\n\u200b\U000e0001",)) == r'root ::= "\x0A\U0000200B\U000E0001"'


@pytest.mark.parametrize("options", [(), ("",), ("a", "")])
def test_a_choice_that_is_none(options: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="at least one option, and none may be empty"):
        choice_grammar(options)
