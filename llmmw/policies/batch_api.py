"""Law: a question is asked in one batch, whoever is killed meanwhile; what it has brought is found
again, and only what failed is asked anew.

::

    a ├─┐                                                  ┌─ answer of a
    b ├─┼─ a b c ─▶ sent ── poll ───── poll ─▶ results ────┼─ answer of b
    c ├─┘    journal  │ journal                  journal   └─ c failed ─▶ with the next batch
                      ╳ killed
    a, b, c again     └─▶ found by its id ── poll ─▶ …        nothing is asked twice
    d ├─ its deadline is near ─▶ live
    e ├────── live_after ──────▶ live

The answer of a batch is read by the code that reads live answers, so a call can't tell them apart
but by its ledger and its cost. (Batches at half the price are those of OpenAI and of Anthropic;
that what is planned is written down before it is done is the rule of write-ahead logs.)
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import trio

from llmmw._administration import Batches
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import deltas_of
from llmmw._ledger import BatchSubmitted, WentLive
from llmmw._record import Record, RecordError, read_record, write_record
from llmmw._request import Embed, Generate
from llmmw._response import Generation, Response
from llmmw._tasks import Host
from llmmw.errors import ConfigError, LLMError, UnsupportedFeature
from llmmw.policies import _options
from llmmw.policies._batch_desk import Desk
from llmmw.policies._batch_journal import Question, open_journal
from llmmw.policies._batch_seats import Seat
from llmmw.policies._cache_key import Keys

__all__ = ["BatchApi"]


def _path(given: str | Path) -> str:
    return str(given) if isinstance(given, Path) else given


def _check_path(item: object, field: attrs.Attribute[str], given: object) -> None:
    if not isinstance(given, str) or not given:
        raise ConfigError(f"BatchApi(journal={given!r}): expected the path of a file")


@attrs.define(eq=False)
class _Opened:
    """The desk of a client, once its journal is open."""

    lock: trio.Lock = attrs.field(factory=trio.Lock)
    desk: Desk | None = None


@attrs.frozen
class BatchApi:
    """Let generations and embeddings ride the batch API of their provider: within a day, for half
    the price at those that have one.

    Put it outside of all limits of time and all attempts: these are for calls that go live. A call
    goes live at once if its target has no batches, or if its deadline is near and the journal has
    no answer. A call that streams is told the answer at its end.

    So many questions can go together as are asked at the same time: `client.map` needs a
    `concurrency` as large as the batches shall be.

    The journal belongs to one job, and one program at a time. What it has answered it answers
    again, for 30 days; delete the file to ask anew. It holds answers, and only its owner can read
    it. Questions are in it as hashes.

    Args:
        journal: the file that remembers what was sent and what came; it is made if it is not there.
        live_after: seconds after which a call goes live that has no answer yet. A batch for which
            nobody waits any more is cancelled then.
        least_time: a call whose deadline is in fewer seconds goes live at once.
        max_wait: seconds that the first question of a batch waits for others.
        poll: seconds between two looks at a batch, at most. The looks begin with 1 second.
        retries: in how many further batches a question is asked whose error may pass.
    """

    journal: str = attrs.field(converter=_path, validator=_check_path)
    live_after: float | None = attrs.field(
        default=None, validator=_options.seconds(0), kw_only=True
    )
    least_time: float = attrs.field(default=3600.0, validator=_options.seconds(0), kw_only=True)
    max_wait: float = attrs.field(default=10.0, validator=_options.seconds(0), kw_only=True)
    poll: float = attrs.field(default=60.0, validator=_options.above_zero, kw_only=True)
    retries: int = attrs.field(default=2, validator=_options.whole(0), kw_only=True)
    _opened: WeakKeyDictionary[Host, _Opened] = attrs.field(
        factory=WeakKeyDictionary, init=False, eq=False, repr=False
    )
    _keys: Keys = attrs.field(factory=Keys, init=False, eq=False, repr=False)
    _counts: dict[str, int] = attrs.field(init=False, eq=False, repr=False)

    @_counts.default
    def _make_counts(self) -> dict[str, int]:
        return dict.fromkeys(("asked", "known", "again", "live", "sent", "found"), 0)

    async def __call__(self, call: Call, next: Handler) -> Response:
        host = call.need_host("BatchApi")
        now = trio.current_time()
        batches = await self._batches(call, host)
        if batches is None:
            return await self._live(call, next, "unsupported")
        desk = await self._desk(host)
        name = self._keys.of_sample(call.request, call.tenant, call.sample).replace(".", "-")
        until = math.inf if self.live_after is None else now + self.live_after
        if trio.current_effective_deadline() - now < self.least_time:
            until = -math.inf
        while True:
            found = await self._found(name, call, batches, desk, until)
            if isinstance(found, str):
                return await self._answered_live(name, call, next, desk, found)
            response = await self._response(found, call, batches, desk)
            if response is not None:
                return response

    async def _batches(self, call: Call, host: Host) -> Batches | None:
        """The verbs of the call's provider, where a batch can hold the call."""
        request = call.request
        if not isinstance(request, (Generate, Embed)):
            return None
        if isinstance(request, Generate) and request.unsupported == "emulate" and request.n:
            return None  # it may take several calls
        batches: Batches | None = (await host.provider(request.model)).batches
        return batches

    async def _desk(self, host: Host) -> Desk:
        opened = self._opened.setdefault(host, _Opened())
        async with opened.lock:
            if opened.desk is None:
                opened.desk = await self._open(host)
                host.start(opened.desk.live)
        return opened.desk

    async def _open(self, host: Host) -> Desk:
        journal = await trio.to_thread.run_sync(open_journal, self.journal)
        return Desk(host, journal, self.max_wait, self.poll, self.retries, self._counts)

    async def _found(
        self, name: str, call: Call, batches: Batches, desk: Desk, until: float
    ) -> Question | str:
        """What the journal knows of an answer, once it knows some; or why the call goes live."""
        seat: Seat | None = None
        known = desk.journal.look(name)
        if known is not None and known.answered:
            self._known(known, call, desk)
            return known
        if until == -math.inf:
            return "deadline"
        with trio.move_on_at(until):
            while known is None or not known.answered:
                try:
                    seat = await self._seat(name, known, call, batches, desk)
                except UnsupportedFeature:
                    seat = None
                if seat is None:
                    return "unsupported"
                known = await desk.sit(seat, call)
            if seat is not None and known.record is not None:
                desk.give_up(seat, batches)
            return known
        if seat is not None:
            desk.give_up(seat, batches)
        known = desk.journal.look(name)  # others may have had it answered live
        return known if known is not None and known.answered else "late"

    def _known(self, known: Question, call: Call, desk: Desk) -> None:
        """The answer was there when the call came."""
        self._counts["known"] += 1
        batch = None if known.tag is None else desk.journal.batch(known.tag)
        if batch is not None and batch.id is not None:
            now, number = trio.current_time(), call.attempt.number
            call.ledger.write(
                BatchSubmitted, now, batch.provider, batch.id, batch.lines, True, number
            )

    async def _seat(
        self, name: str, known: Question | None, call: Call, batches: Batches, desk: Desk
    ) -> Seat | None:
        if known is not None and known.tag is not None:
            return desk.follow(name, known.tag, batches)
        assert call.host is not None
        self._counts["asked"] += 1
        line = await batches.write(call.host.ask, call)
        now_known = desk.journal.look(name)
        if now_known is not None and now_known.tag is not None:  # others were quicker
            return desk.follow(name, now_known.tag, batches)
        return desk.collect(name, line, batches, call.request.provider_name)

    async def _response(
        self, found: Question, call: Call, batches: Batches, desk: Desk
    ) -> Response | None:
        """The answer that the journal has; `None` if it is to be asked again.

        Raises:
            LLMError: if it is an error, which is forgotten now.
        """
        if found.record is not None:
            return await self._recorded(found, call, desk)
        assert found.outcome is not None
        assert call.host is not None
        try:
            response = await batches.read(call.host.ask, call, found.outcome)
        except LLMError as error:
            error.provider = error.provider or call.request.provider_name
            error.model = error.model or call.request.model_name
            if error.retryable and found.tries < self.retries:
                self._counts["again"] += 1
                await desk.write(desk.journal.again, found)
                return None
            await desk.write(desk.journal.forget, found)
            raise
        return batches.limits.priced(response).replace(ledger=call.ledger)

    async def _recorded(self, found: Question, call: Call, desk: Desk) -> Response | None:
        try:
            answer = read_record(found.record or b"").answer
        except RecordError:  # of another version
            answer = None
        if not isinstance(answer, Response):
            await desk.write(desk.journal.forget, found)
            return None
        if call.listener is not None and isinstance(answer, Generation):
            for delta in deltas_of(answer):
                await call.listener(delta)
        return answer.replace(ledger=call.ledger, joined=True)

    async def _live(self, call: Call, next: Handler, why: str) -> Response:
        self._counts["live"] += 1
        call.ledger.write(WentLive, trio.current_time(), why, call.attempt.number)
        return await next(call)

    async def _answered_live(
        self, name: str, call: Call, next: Handler, desk: Desk, why: str
    ) -> Response:
        """Go live, and keep the answer, so that no later run asks for it."""
        response = await self._live(call, next, why)
        try:
            record = Record(response, call.request.model, call.tenant, call.sample)
            await desk.keep(name, write_record(record))
        except RecordError:  # it has no such form
            pass
        return response

    def statistics(self) -> dict[str, Any]:
        """How many questions were `asked` by batches, how many answers were `known` already, how
        often a question was asked `again`, how many calls went `live`, and how many batches were
        `sent`, and `found` as an earlier run had sent them."""
        return dict(self._counts)
