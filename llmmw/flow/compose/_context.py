"""What a composition has come to: its text so far, with roles, variables and sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Any, cast, get_args

import attrs

from llmmw._messages import Message, Role
from llmmw._parts import MediaPart, Part, TextPart, content_parts
from llmmw.errors import BadRequest
from llmmw.flow._events import Appended, Piece, Replaced
from llmmw.flow._node import Executable
from llmmw.flow._text import as_text

__all__ = ["Asked", "Context", "are_parts"]

_MOST = 10_000_000
"""Characters that a context may hold."""
_PARTS = get_args(Part)


@attrs.frozen
class Asked:
    """A call that a dry run would have made."""

    name: str
    """The builtin."""
    prompt: str | tuple[Message, ...]
    """What it would have seen."""
    parameters: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class _Section:
    name: str
    hidden: bool
    start: int
    """How many pieces there were before it."""


@attrs.define(eq=False, repr=False)
class Context:
    """The text of a composition so far, and what was stored on the way.

    The steps of a composition write it. `await client.run(composition.context())` gives the one
    at the end: `context["city"]` is a variable, `text`, `messages` and `sections` the rest.
    """

    variables: dict[str, Any] = attrs.field(factory=dict)
    """What was given, stored, and the text of each section, by name."""
    sections: dict[str, str] = attrs.field(factory=dict)
    """The text of each section that has ended."""
    _pieces: list[tuple[Role | None, Part]] = attrs.field(factory=list)
    _open: list[_Section] = attrs.field(factory=list)
    _floor: int = 0
    """How many open sections belong to those around the steps that run."""
    _roles: list[Role] = attrs.field(factory=list)
    _size: int = 0
    calls: list[Asked] | None = None
    """What models would have been asked, in a dry run."""
    _tell: Callable[[Piece], None] | None = None

    # What it holds.

    @property
    def text(self) -> str:
        """All text; media stand in it as `<image/png>`."""
        return self.text_from(0)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts."""
        return _joined(part for _, part in self._pieces)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The same as messages: one for parts of the same role that follow each other. What has
        no role is the user's."""
        grouped = groupby(self._pieces, key=_role)
        return tuple(Message(role, _joined(part for _, part in some)) for role, some in grouped)

    @property
    def prompt(self) -> str | tuple[Message, ...]:
        """What a model is asked with: text where there is nothing else, and no role; else
        messages."""
        if all(role is None and isinstance(part, TextPart) for role, part in self._pieces):
            return self.text
        return self.messages

    def __getitem__(self, name: str) -> Any:
        try:
            return self.variables[name]
        except KeyError:
            known = ", ".join(sorted(map(str, self.variables))) or "none"
            raise KeyError(f"no variable {name!r} was stored; there are: {known}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.variables[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.variables

    def get(self, name: str, default: Any = None) -> Any:
        """A variable, or the default."""
        return self.variables.get(name, default)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return f"<context {text!r} with {', '.join(map(str, self.variables)) or 'no variables'}>"

    # What steps do with it.

    def append(self, content: object, role: Role | None = None) -> None:
        """Add to the text.

        Args:
            content: a text, a part, a message, or a list of these; other values as text, and
                `None` as nothing.
            role: who says it; default: the role in force.

        Raises:
            BadRequest: if it gets longer than ten million characters.
        """
        if isinstance(content, Message):
            self._add(content.parts, content.role)
        elif are_parts(content):
            for one in cast("Iterable[Any]", content):
                self.append(one, role)
        elif isinstance(content, (str, *_PARTS)):
            self._add(content_parts(content), role)
        elif content is not None:
            self._add((TextPart(as_text(content)),), role)

    async def run(self, content: object) -> Any:
        """Run steps here, one after another, each with what was before as its prompt; what the
        step gave, if it is one, else the text that they added.

        Args:
            content: a composition, or anything that one can be made of.
        """
        # It stands above us, and runs on contexts.
        from llmmw.flow.compose._composition import run_on

        return await run_on(self, content)

    def copy(self) -> Context:
        """A context of its own that begins with what is here."""
        return Context(
            dict(self.variables),
            dict(self.sections),
            list(self._pieces),
            list(self._open),
            self._floor,
            list(self._roles),
            self._size,
            self.calls,
        )

    def take_over(self, other: Context) -> None:
        """Become what another one is, that was copied from this one."""
        before, now = self.text, other.text
        for name in ("variables", "sections", "_pieces", "_open", "_roles", "_size"):
            setattr(self, name, getattr(other, name))
        self.tell_change(before, now)

    @contextmanager
    def section(self, name: str, *, hidden: bool = False) -> Iterator[None]:
        """What is added in the block is a section: its text is the variable `name` then.

        Args:
            name: the variable.
            hidden: what was added is taken away from the text at the end of the block.
        """
        self.section_start(name, hidden)
        outer = len(self._open) - 1
        try:
            yield
        except BaseException:
            self._leave(outer)
            raise
        self.section_end()

    def section_start(self, name: str, hidden: bool = False) -> None:
        """Begin a section."""
        if not isinstance(name, str) or not name:
            raise BadRequest(f"a section has a name, not {name!r}")
        self._open.append(_Section(name, bool(hidden), len(self._pieces)))

    def section_end(self) -> None:
        """End the section that was begun last.

        Raises:
            BadRequest: if none is open.
        """
        if len(self._open) <= self._floor:
            raise BadRequest("a section ends here that was not begun")
        section = self._open.pop()
        text = self.text_from(section.start)
        self.sections[section.name] = self.variables[section.name] = text
        if section.hidden:
            self._take_away(section.start)

    def role_start(self, role: str) -> None:
        """What is added from here on has a role.

        Raises:
            BadRequest: if there is no such role.
        """
        self._roles.append(_checked(role))

    def role_end(self) -> None:
        """What is added from here on has the role that it had before."""
        self._roles.pop()

    @property
    def reply_role(self) -> Role | None:
        """The role of what a model answers here: none where nobody has one."""
        return "assistant" if self._roles or any(role for role, _ in self._pieces) else None

    def mark(self) -> int:
        """A place in the text, for `text_from`."""
        return len(self._pieces)

    def text_from(self, mark: int) -> str:
        """The text that was added since a place."""
        return "".join([_shown(part) for _, part in self._pieces[mark:]])

    def tell(self, piece: Piece) -> None:
        """Tell who reads the composition's stream what became of its text. What is in a hidden
        section is not told."""
        if self._tell is not None and not self._hides:
            self._tell(piece)

    def unseen(self, node: Executable[Any]) -> Executable[Any]:
        """What runs here: in a hidden section, a node that readers of the stream are spared."""
        return node.with_options(id=node.id, hidden=True) if self._hides else node

    @property
    def _hides(self) -> bool:
        return any(one.hidden for one in self._open)

    def tell_change(self, before: str, now: str) -> None:
        """Tell that the text is another than it was told to be."""
        if not now.startswith(before):
            self.tell(Replaced(now))
        elif len(now) > len(before):
            self.tell(Appended(now[len(before) :]))

    def listen(self, tell: Callable[[Piece], None] | None) -> Callable[[Piece], None] | None:
        """Have another one told from here on; the one before."""
        before, self._tell = self._tell, tell
        return before

    @contextmanager
    def enclosed(self) -> Iterator[None]:
        """What runs in the block ends the sections that it begins, and no others.

        Raises:
            BadRequest: if it leaves one open.
        """
        outer, self._floor, roles = self._floor, len(self._open), len(self._roles)
        try:
            yield
            if len(self._open) > self._floor:
                raise BadRequest(f"the section {self._open[-1].name!r} has no end")
        finally:
            self._leave(self._floor)
            del self._roles[roles:]
            self._floor = outer

    def _leave(self, outer: int) -> None:
        """Leave sections that have failed; what is hidden stays so."""
        starts = [one.start for one in self._open[outer:] if one.hidden]
        del self._open[outer:]
        if starts:
            self._take_away(starts[0])

    def _take_away(self, start: int) -> None:
        self._size -= len(self.text_from(start))
        del self._pieces[start:]

    def _add(self, parts: tuple[Part, ...], role: Role | None) -> None:
        role = role or (self._roles[-1] if self._roles else None)
        if role is not None:
            _checked(role)
        text = "".join(map(_shown, parts))
        if parts == (TextPart(""),):
            return
        self._size += len(text)
        if self._size > _MOST:
            raise BadRequest(f"a composition has more than {_MOST} characters")
        self._pieces += [(role, part) for part in parts]
        if text:
            self.tell(Appended(text))


def _checked(role: str) -> Role:
    if role not in get_args(Role):
        raise BadRequest(f"unknown role {role!r}; roles are {', '.join(get_args(Role))}")
    return cast("Role", role)


def are_parts(several: object) -> bool:
    """Whether this is a list of parts and messages, maybe with texts among them."""
    return (
        isinstance(several, (list, tuple))
        and any(isinstance(one, (Message, *_PARTS)) for one in several)
        and all(isinstance(one, (str, Message, *_PARTS)) for one in several)
    )


def _shown(part: Part) -> str:
    if isinstance(part, TextPart):
        return "" if part.refusal else part.text
    return f"<{part.media_type}>" if isinstance(part, MediaPart) else ""


def _joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts with neighbouring texts as one."""
    joined: list[Part] = []
    for is_plain, some in groupby(parts, key=_is_plain):
        joined.extend([TextPart("".join(map(_shown, some)))] if is_plain else some)  # noqa: B031
    return tuple(joined)


def _role(piece: tuple[Role | None, Part]) -> Role:
    return piece[0] or "user"


def _is_plain(part: Part) -> bool:
    return isinstance(part, TextPart) and part == TextPart(part.text)
