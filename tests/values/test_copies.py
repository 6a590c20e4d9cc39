"""Values once more with some fields set, as requests to another target are."""

import pickle
import weakref
from typing import Any

import attrs
import pytest

from llmmw import Embed, Generate, Generation, Message, Usage
from llmmw._plain import copied


class Named(Generate):
    """As users make one: it has a `__dict__`."""


@attrs.frozen
class Further(Generate):
    note: str = attrs.field(default="", kw_only=True)


@attrs.frozen(slots=False)
class Loose:
    a: int = 1
    b: tuple[int, ...] = ()


VALUES: list[tuple[Any, dict[str, Any]]] = [
    (Generate(model="x:y", messages=[Message("user", "hi")], temperature=0.5), {"model": "p:q"}),
    (Embed(inputs=["a", "b"]), {"model": "p:q", "inputs": ("c",)}),
    (Generation(message=Message("assistant", "hi"), id="1"), {"usage": Usage(input_tokens=3)}),
    (Usage(input_tokens=1), {}),
    (Named(messages=[Message("user", "hi")]), {"model": "p:q"}),
    (Further(messages=[Message("user", "hi")], note="mine"), {"model": "p:q"}),
    (Loose(2, (3,)), {"a": 5}),
]


@pytest.mark.parametrize(("item", "changes"), VALUES, ids=lambda one: type(one).__name__)
def test_a_copy_is_the_same_but_for_what_is_set(item: Any, changes: dict[str, Any]) -> None:
    before = attrs.asdict(item, recurse=False)
    other = copied(item, **changes)
    assert type(other) is type(item)
    assert other is not item
    assert attrs.asdict(other, recurse=False) == before | changes
    assert attrs.asdict(item, recurse=False) == before
    assert other == attrs.evolve(item, **changes)
    assert pickle.loads(pickle.dumps(other)) == other
    assert weakref.ref(other)() is other


@pytest.mark.parametrize(("item", "changes"), VALUES, ids=lambda one: type(one).__name__)
def test_a_copy_is_frozen(item: Any, changes: dict[str, Any]) -> None:
    other = copied(item, **changes)
    name = attrs.fields(type(item))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(other, name, None)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        delattr(other, name)


def test_a_field_that_there_is_not_can_not_be_set() -> None:
    with pytest.raises(AttributeError, match="temprature"):
        copied(Generate(messages=[Message("user", "hi")]), temprature=1)
