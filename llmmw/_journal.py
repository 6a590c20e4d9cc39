"""What makes a job of many requests: a journal that survives the program.

::

    row ──▶ in the journal? ──yes──▶ its item, as it was
                 │ no
                 ▼
            ask ──▶ item ──▶ what waits ──▶ one thread, every 10 ms ──▶ the file

A killed program asks again what was in flight or waited to be written, and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import orjson
import trio

from llmmw import errors
from llmmw._explain import Spent
from llmmw._job_file import JobFile, JobRow, open_job_file
from llmmw._record import Record, RecordError, write_record
from llmmw._request import Request
from llmmw._response import Response
from llmmw._store import StoreError
from llmmw._tasks import open_nursery
from llmmw.errors import ConfigError, LLMError

__all__ = ["AnotherInput", "Journal", "LiveJournal", "live", "plus", "spent_of"]

T = TypeVar("T")

_INTERVAL = 0.01
"""Seconds for which rows gather before they are written; with the writing, below 0.05."""
_MOST_WAITING = 2000
_SUMS = ("input_tokens", "output_tokens", "cost")


def plus(one: Spent, other: Spent) -> Spent:
    """What both have used."""
    unknown = {name for name in _SUMS if name in one.unknown or name in other.unknown}
    return Spent(
        input_tokens=(one.input_tokens or 0) + (other.input_tokens or 0),
        output_tokens=(one.output_tokens or 0) + (other.output_tokens or 0),
        cost=(one.cost or Decimal(0)) + (other.cost or Decimal(0)),
        unknown=tuple(sorted(unknown)),
    )


class AnotherInput(ConfigError):
    """A journal has the answer of a row that asks something else now."""


@attrs.define(eq=False)
class Journal:
    """Where `Client.map` keeps what came of each row, so that a killed program goes on.

    A row is known by its place in the input and by its request: a row that has an answer must
    ask the same when the job goes on. Rows may be added at the end of the input, and a row that
    failed may be changed; it is then asked anew.

    Args:
        path: a file of SQLite, for its owner alone to read; it is made if it is not there.
        retry_failed: ask the rows again that ended with an error.
    """

    path: Path = attrs.field(converter=Path)
    retry_failed: bool = attrs.field(default=False, kw_only=True)


@attrs.define(eq=False)
class LiveJournal(Journal):
    """A journal at work: opened, read by a map, and written behind."""

    _file: JobFile | None = attrs.field(default=None, init=False, repr=False)
    _waiting: dict[int, JobRow] = attrs.field(factory=dict, init=False, repr=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _written: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _thread: trio.CapacityLimiter = attrs.field(init=False, repr=False)
    _reading: trio.Lock = attrs.field(factory=trio.Lock, init=False, repr=False)
    _busy: bool = attrs.field(default=False, init=False, repr=False)
    _page: dict[int, JobRow] = attrs.field(factory=dict, init=False, repr=False)
    _read: int = attrs.field(default=0, init=False, repr=False)
    _end: int = attrs.field(default=0, init=False, repr=False)
    _spent: Spent = attrs.field(factory=Spent, init=False, repr=False)

    @contextmanager
    def held(self) -> Iterator[JobFile]:
        """Open the file for longer than one map; what it gives blocks.

        Raises:
            ConfigError: if another program has it, or it is no journal.
        """
        if self._file is not None:
            raise ConfigError(f"the journal {self.path} is in use already")
        self._file = open_job_file(self.path)
        try:
            yield self._file
        finally:
            self._file.close()
            self._file = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The lifetime of a map: what is kept is written behind.

        Raises:
            ConfigError: as `held`.
            StoreError: if something could not be written.
        """
        if self._busy:
            raise ConfigError(f"the journal {self.path} is in use already")
        held, self._busy = self._file, True
        try:
            self._thread = trio.CapacityLimiter(1)
            if held is None:
                self._file = await trio.to_thread.run_sync(open_job_file, self.path)
            async with self._opened():
                yield
        finally:
            if held is None and self._file is not None:
                with trio.CancelScope(shield=True):
                    await self._in_thread(JobFile.close)
                self._file = None
            self._busy = False

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        self._page, self._read = {}, 0
        *_, self._end = await self._in_thread(JobFile.counts)
        self._spent = spent_of(await self._in_thread(JobFile.about))
        whole = False
        try:
            async with open_nursery() as nursery:
                nursery.start_soon(self._write_behind)
                try:
                    yield
                    whole = True
                finally:
                    nursery.cancel_scope.cancel()
        finally:
            try:
                await self._write()
            except StoreError:
                self._waiting = {}
                if whole:
                    raise  # else the same is on its way already

    @property
    def spent(self) -> Spent:
        """What all runs of the job have used, retried rows included; while a map goes on."""
        return self._spent

    async def look(self, place: int, request: Request | None) -> JobRow | None:
        """What is known of a row; `None` if it is to be asked.

        Raises:
            ConfigError: if it was another row that has the answer.
        """
        if place >= self._end:
            return None
        while place >= self._read:
            async with self._reading:
                if place >= self._read:
                    read = partial(JobFile.page, first=self._read)
                    rows, self._read = await self._in_thread(read)
                    self._page.update({row.place: row for row in rows})
        row = self._page.pop(place, None)
        if row is None:
            return None
        same = row.key == _key(request)
        if row.failed:
            return row if same and not self.retry_failed else None
        if not same:
            raise AnotherInput(
                f"row {place} of the input (the first is 0) asks something else than when it was "
                f"answered in the journal {self.path}: go on with the input, the model and the "
                "parameters that it was begun with, or begin a new journal (llmmw map: --fresh)"
            )
        return row

    async def keep(
        self,
        place: int,
        name: object,
        request: Request | None,
        answer: Response | LLMError,
        seconds: float | None,
        spent: Spent,
    ) -> None:
        """Keep what came of a row; it is written within 50 ms or so.

        Raises:
            StoreError: if it has no form in which it could be kept.
        """
        try:
            record = _record(_plain(answer))
        except RecordError as error:
            raise StoreError(f"the answer of row {place} can't be kept: {error}") from error
        failed = isinstance(answer, LLMError)
        told = orjson.dumps(name, default=str).decode(errors="replace")
        row = JobRow(place, _key(request), failed, told, seconds, record)
        self._waiting[place] = row
        self._spent = plus(self._spent, spent)
        self._news.set()
        if len(self._waiting) > _MOST_WAITING:
            await self._written.wait()

    async def _write_behind(self) -> None:
        while True:
            await self._news.wait()
            await trio.sleep(_INTERVAL)
            await self._write()

    async def _write(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        rows, self._waiting, self._news = self._waiting, {}, trio.Event()
        about = _about(self._spent)
        with trio.CancelScope(shield=True):  # half of it can't be taken back
            await self._in_thread(lambda file: file.write([*rows.values()], about))
        self._written.set()
        self._written = trio.Event()

    async def _in_thread(self, work: Callable[[JobFile], T]) -> T:
        assert self._file is not None
        return await trio.to_thread.run_sync(work, self._file, limiter=self._thread)


def live(journal: str | Path | Journal | None) -> LiveJournal | None:
    """What `Client.map` is given, ready to be opened."""
    if journal is None or isinstance(journal, LiveJournal):
        return journal
    if isinstance(journal, Journal):
        return LiveJournal(journal.path, retry_failed=journal.retry_failed)
    return LiveJournal(journal)


def _key(request: Request | None) -> bytes:
    return b"" if request is None else bytes.fromhex(request.key())


def _record(answer: Response | LLMError) -> bytes:
    try:
        return write_record(Record(answer))
    except RecordError:
        # Half of a surrogate pair, as some models write it, is no valid UTF-8.
        return write_record(Record(_valid(answer)))


def _valid(item: Any) -> Any:
    if isinstance(item, str):
        return item.encode(errors="replace").decode()
    if isinstance(item, (tuple, list)):
        return type(item)(_valid(one) for one in item)
    if isinstance(item, dict):
        return {_valid(name): _valid(one) for name, one in item.items()}
    if attrs.has(type(item)):
        fields = (field for field in attrs.fields(type(item)) if field.init and field.eq)
        return attrs.evolve(item, **{f.alias: _valid(getattr(item, f.name)) for f in fields})
    if isinstance(item, LLMError):
        item.message = _valid(item.message)
    return item


def _plain(answer: Response | LLMError) -> Response | LLMError:
    """An answer as it can be kept; an error of a class of somebody's own as the next of ours."""
    if not isinstance(answer, LLMError) or type(answer).__name__ in errors.__all__:
        return answer
    kind = next(one for one in type(answer).__mro__ if one.__name__ in errors.__all__)
    told = (answer.provider, answer.model, answer.status, answer.code)
    fields: dict[str, Any] = dict(zip(("provider", "model", "status", "code"), told, strict=True))
    plain: LLMError = kind(f"{type(answer).__name__}: {answer.message}", **fields)
    return plain


def _about(spent: Spent) -> Mapping[str, Any]:
    return {
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost": str(spent.cost),
        "unknown": " ".join(spent.unknown),
        "made": "",
    }


def spent_of(about: Mapping[str, Any]) -> Spent:
    """What a job has used, out of what is known of it."""
    return Spent(
        input_tokens=about.get("input_tokens", 0),
        output_tokens=about.get("output_tokens", 0),
        cost=Decimal(about.get("cost", "0")),
        unknown=tuple(about.get("unknown", "").split()),
    )
