"""Prompts: templates that are called, and give lazy texts."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import attrs

from llmmw.errors import BadRequest
from llmmw.flow._node import Executable, Operation, node
from llmmw.flow._templates import PLAIN, Environment

__all__ = ["LanguageMismatch", "Prompt"]


class LanguageMismatch(UserWarning):
    """Prompts in different languages were put together."""


@attrs.frozen(repr=False)
class Prompt:
    r"""A Jinja template whose calls are Executables of the text.

    ::

        question = Prompt("Answer in rhymes.\nQuestion: {{question}}\nAnswer:")
        await client.run(generate_text(question(question="What if it rains?")))

    Args:
        template: the template; every variable that it uses must be given when it is called.
        language: the ISO 639 code of the language that it is in.
        environment: what it shares with others; see `Environment`.
    """

    __reachable__: ClassVar[frozenset[str]] = frozenset({"language", "template"})
    template: str
    language: str = attrs.field(default="en", kw_only=True)
    environment: Environment = attrs.field(default=PLAIN, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.template, str):
            raise BadRequest(f"a template is a text, not {self.template!r}")
        code = self.language
        if not isinstance(code, str) or not (code.isascii() and code.isalpha() and code.islower()):
            raise BadRequest(f"language={code!r}: expected a code of ISO 639, such as 'en'")
        if len(code) not in (2, 3):
            raise BadRequest(f"language={code!r}: codes of ISO 639 have two or three letters")

    @classmethod
    def from_file(cls, path: str | PathLike[str], **options: Any) -> Prompt:
        """A prompt whose template is in a file, as UTF-8; `options` are those of `Prompt`.

        Raises:
            BadRequest: if the file can't be read.
        """
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"can't read the template {path}: {error}") from error
        return cls(text, **options)

    def __call__(self, /, **variables: object) -> Executable[str]:
        """The text with values in the places of its variables; they may be Executables."""
        return node(_PROMPT, self, **variables)

    def variables(self) -> set[str]:
        """The names that must be given.

        Raises:
            BadRequest: if the template is wrong.
            ConfigError: if Jinja is not installed.
        """
        return set(self.environment.sandbox.undeclared(self.template))

    def __add__(self, other: object) -> Prompt:
        """Both, in the left one's language and environment."""
        if isinstance(other, str):
            return attrs.evolve(self, template=self.template + other)
        if not isinstance(other, Prompt):
            return NotImplemented
        if other.language != self.language:
            warnings.warn(
                f"a prompt in {other.language!r} is added to one in {self.language!r}",
                LanguageMismatch,
                stacklevel=2,
            )
        return attrs.evolve(self, template=self.template + other.template)

    def __radd__(self, other: object) -> Prompt:
        if isinstance(other, str):
            return attrs.evolve(self, template=other + self.template)
        return NotImplemented

    def __len__(self) -> int:
        """How many characters the template has."""
        return len(self.template)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        text = self.template if len(self.template) <= 60 else self.template[:57] + "..."
        return f"Prompt({text!r}, language={self.language!r})"


async def _render(prompt: Prompt, /, **variables: Any) -> str:
    return await prompt.environment.render(prompt.template, variables)


_PROMPT = Operation(name="prompt", function=_render, kind="prompt")
