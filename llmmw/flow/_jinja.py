"""Jinja in a sandbox that counts. Loaded when the first template is; it needs Jinja.

Each round of a loop, each call of a macro and each include calls `tick`, `enter` or `leave`; that
counts them, and lets other tasks, deadlines and cancellation have their turn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from time import perf_counter
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import jinja2
import trio
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmmw.errors import BadRequest
from llmmw.flow._held import Holder
from llmmw.flow._reach import reachable
from llmmw.flow._syntax import Blocks, Code, Counted
from llmmw.flow._widths import check_method, check_operator, narrowed, room

if TYPE_CHECKING:
    from llmmw.flow._templates import Environment, Loader

__all__ = ["Hooks", "Sandbox"]

_KEPT = 400
_PAUSE = 0.01
"""Seconds after which a template lets others have their turn."""
_GENERATING = ("map", "reject", "rejectattr", "select", "selectattr")
"""Filters that are asynchronous generators."""
_TAGS = "sections and roles belong to the templates of compositions, as c.j(…) takes them"


class Hooks(Protocol):
    """What the block tags of a template do."""

    def section_start(self, name: str, hidden: bool = False) -> None:
        """`{% section name, hidden=… %}`."""

    def section_end(self) -> None:
        """`{% endsection %}`."""

    def role_start(self, role: str) -> None:
        """`{% role name %}`."""

    def role_end(self) -> None:
        """`{% endrole %}`."""


@attrs.define(eq=False)
class _Rendering:
    """One template at work."""

    hooks: Hooks | None
    holder: Holder = attrs.field(factory=Holder)
    steps: int = 0
    depth: int = 0
    paused: float = attrs.field(factory=perf_counter)


_at_work: ContextVar[_Rendering] = ContextVar("llmmw_rendering")


def _held(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose generators are closed at last."""

    @wraps(function)
    def made(*args: Any, **kwargs: Any) -> Any:
        holder, value = _at_work.get().holder, function(*args, **kwargs)
        return holder.hold(value) if hasattr(value, "__anext__") else _later(holder, value)

    return made


async def _later(holder: Holder, value: Any) -> Any:
    return holder.hold(await value)


class Sandbox(ImmutableSandboxedEnvironment):
    """Strict, asynchronous, and bounded."""

    code_generator_class: type[Code] = Code
    held: Callable[[Callable[..., Any]], Callable[..., Any]] = staticmethod(_held)
    intercepted_binops: frozenset[str] = frozenset({"+", "*", "**", "%"})

    def __init__(self, limits: Environment) -> None:
        super().__init__(
            undefined=_Missing,
            enable_async=True,
            finalize=self.given,
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols", Blocks],
            loader=_loader_of(limits.loader),
            auto_reload=False,
        )
        self.limits = limits
        del self.globals["lipsum"]  # it writes without end, and by chance
        self.globals.update(zip=zip)
        self.globals.update(limits.globals)
        self.own: dict[tuple[str, str | None], jinja2.Template] = {}
        self.filters.update(narrowed(self.filters, limits.max_output, self.check_size))
        for name in _GENERATING:
            self.filters[name] = _held(self.filters[name])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may take an attribute."""
        return super().is_safe_attribute(obj, attr, value) and reachable(obj, attr)

    def read(self, source: str, filename: str | None = None) -> jinja2.Template:
        """A template, which is kept for the next time.

        Raises:
            BadRequest: if it is none, or too long.
        """
        if not isinstance(source, str):
            raise BadRequest(f"a template is a text, not {source!r}")
        key = source, filename
        found = self.own.get(key)
        if found is None:
            with _told(filename):
                code = self.compile(source, None, filename)
                found = self.template_class.from_code(self, code, self.make_globals(None))
            if len(self.own) >= _KEPT:
                self.own.clear()
            self.own[key] = found
        return found

    def undeclared(self, source: str) -> frozenset[str]:
        """The variables that a template needs."""
        with _told(None):
            found = meta.find_undeclared_variables(self.parse(source))
        return frozenset(found - set(self.globals))

    async def render(
        self,
        template: jinja2.Template,
        variables: Mapping[str, Any],
        write: Callable[[str], object],
        hooks: Hooks | None = None,
    ) -> dict[str, Any]:
        """Give what a template says, piece by piece; the variables that it sets.

        Raises:
            BadRequest: if something is missing or forbidden, or a limit is reached.
        """
        context = template.new_context(dict(variables))
        work = _Rendering(hooks)
        outer = _at_work.set(work)
        size = 0
        try:
            with _told(template.filename):
                pieces: AsyncGenerator[str, None] = template.root_render_func(context)  # type: ignore[assignment]
                async with aclosing(pieces):
                    async for piece in pieces:
                        size += len(piece)
                        self.check_size(size)
                        write(piece)
        finally:
            _at_work.reset(outer)
            await work.holder.close()
        return {name: context.vars[name] for name in context.exported_vars}

    def check_size(self, size: int) -> None:
        """Refuse what is longer than a template may write."""
        if size > self.limits.max_output:
            raise BadRequest(f"a template wrote more than {self.limits.max_output} characters")

    # What the compiled templates call.

    async def tick(self) -> None:
        """A round of a loop, or a call of a macro."""
        work = _at_work.get()
        work.steps += 1
        if work.steps > self.limits.max_steps:
            raise BadRequest(f"a template took more than {self.limits.max_steps} steps")
        if work.holder.left:
            await work.holder.close_left()
        if perf_counter() - work.paused > _PAUSE:
            await trio.lowlevel.checkpoint()
            work.paused = perf_counter()

    async def enter(self) -> None:
        """An include begins."""
        await self.tick()
        work = _at_work.get()
        work.depth += 1
        if work.depth > self.limits.max_includes:
            most = self.limits.max_includes
            raise BadRequest(f"templates include each other more than {most} deep")

    def leave(self) -> None:
        """An include ends."""
        _at_work.get().depth -= 1

    def joined(self, *items: Any) -> str:
        """`a ~ b`."""
        texts = [str(self.given(item)) for item in items]
        self.check_size(sum(map(len, texts)))
        return "".join(texts)

    def given(self, value: Any) -> Any:
        """What a template writes of a value."""
        if isinstance(value, (list, tuple, dict, set, frozenset)):
            self.check_size(room(value, self.limits.max_output))
        return "" if value is None else value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        check_operator(operator, left, right, self.check_size)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        text = getattr(__obj, "__self__", getattr(__obj, "__wrapped__", None))
        text = getattr(text, "__self__", text)  # format comes wrapped
        if isinstance(text, (str, bytes, int)):
            given = (*args, *kwargs.values())
            check_method(text, __obj.__name__, given, __self.check_size)
        return super().call(__context, __obj, *args, **kwargs)

    def section_start(self, name: str, hidden: bool = False) -> None:
        _hooks().section_start(name, hidden)

    def section_end(self) -> None:
        _hooks().section_end()

    def role_start(self, role: str) -> None:
        _hooks().role_start(role)

    def role_end(self) -> None:
        _hooks().role_end()

    def concat(self, pieces: Iterable[str]) -> str:
        """What is gathered before it is used: in `{% set %}`, filters and macros."""
        several = list(pieces)
        self.check_size(sum(map(len, several)))
        return "".join(several)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > self.limits.max_template:
            most = self.limits.max_template
            raise BadRequest(f"a template is longer than {most} characters")
        parsed = super()._parse(source, name, filename)
        counted: nodes.Template = Counted().visit(parsed)
        counted.set_environment(self)
        return counted


def _hooks() -> Hooks:
    hooks = _at_work.get().hooks
    if hooks is None:
        raise BadRequest(_TAGS)
    return hooks


@contextmanager
def _told(filename: str | None) -> Iterator[None]:
    """Tell Jinja's errors in our words, and where all others came from."""
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        raise BadRequest(f"{_place(filename, error.lineno)}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        why = f"there is no template {error.name!r}"
        raise BadRequest(f"{_place(filename, _line(error))}: {why}") from error
    except jinja2.TemplateError as error:
        raise BadRequest(f"{_place(filename, _line(error))}: {error.message}") from error
    except OverflowError as error:
        raise BadRequest(f"{_place(filename, _line(error))}: {error}") from error
    except RecursionError as error:
        raise BadRequest(f"{_place(filename, None)} calls itself without end") from error
    except Exception as error:
        error.add_note(f"in {_place(filename, _line(error))}")
        raise


def _place(filename: str | None, line: int | None) -> str:
    where = "" if filename in (None, "<template>") else f" {filename}"
    return f"the template{where}" + ("" if line is None else f", line {line}")


def _line(error: Exception) -> int | None:
    """The line of the outermost template that an error came through."""
    for frame, number in walk_tb(error.__traceback__):
        template: jinja2.Template | None = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return template.get_corresponding_lineno(number)
    return None


def _loader_of(loader: Loader | None) -> jinja2.BaseLoader | None:
    if loader is None:
        return _NoLoader()
    if isinstance(loader, (str, Path)):
        return jinja2.FileSystemLoader(loader)
    if isinstance(loader, Mapping):
        return jinja2.DictLoader(dict(loader))
    return jinja2.FunctionLoader(loader)


class _Missing(jinja2.StrictUndefined):
    """A variable that is missing; also a loop over it is an error, which it is not in Jinja."""

    __slots__ = ()

    def __aiter__(self) -> Any:
        return iter(self)


class _NoLoader(jinja2.BaseLoader):
    def get_source(self, environment: jinja2.Environment, template: str) -> Any:
        raise jinja2.TemplateError(
            f"it includes {template!r}, and no loader says where that is: Environment(loader=…)"
        )
