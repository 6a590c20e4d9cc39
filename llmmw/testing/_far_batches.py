"""A host that has batches, in virtual time, and what those who ask it want.

It outlives the program that asks, which takes its steps by a `Power` and may lose that.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import attrs
import trio

from llmmw._administration import Batches, BatchInfo, BatchLimits, Line, Outcome, Page
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._messages import Message
from llmmw._parts import TextPart
from llmmw._provider import Provider
from llmmw._request import Generate
from llmmw._response import Generation, Response
from llmmw.errors import (
    BadRequest,
    CallShed,
    ConnectionFailed,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    ProtocolError,
)
from llmmw.policies._batch_piles import size_of

__all__ = ["FarHost", "Job", "JobWorld", "Power", "Sleeper", "Taken"]


@attrs.frozen(kw_only=True)
class Sleeper:
    """Someone who asks, in each run of the program.

    Args:
        question: its number; several may ask the same.
        arrive: when.
        patience: seconds until it gives up.
        by_hand: it gives up by cancelling, which nobody can foresee, not by a deadline.
    """

    question: int = 0
    arrive: float = 0.0
    patience: float = math.inf
    by_hand: bool = False


@attrs.frozen(kw_only=True)
class JobWorld:
    """Callers, what the host does, and when the program is killed.

    Args:
        sleepers: who asks.
        kinds: by question, what comes of it, where that is not an answer: `busy` the first time or
            `always`, `bad`, `expired` or `vanished` the first time.
        kills: of each run but the last, before which of its steps it is killed.
        takes: seconds that a batch takes, if nobody cancels it.
        lines: how many questions a batch may hold.
        bytes: how long they may be together.
        labels: the host keeps labels of batches.
        lost: the creations, by number from 0, that the host takes and whose answer is lost.
        late: seconds after which a batch stands in the host's list whose program was killed.
        stumbles: the other requests, by number from 0, that fail for now.
        options: of the `BatchApi`.
    """

    sleepers: tuple[Sleeper, ...] = attrs.field(converter=tuple)
    kinds: Mapping[int, str] = attrs.field(factory=dict)
    kills: tuple[int, ...] = attrs.field(default=(), converter=tuple)
    takes: float = 600.0
    lines: int = 100
    bytes: int = 100_000
    labels: bool = True
    lost: frozenset[int] = frozenset()
    late: float = 0.0
    stumbles: frozenset[int] = frozenset()
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def kind(self, question: int) -> str:
        """What comes of a question."""
        return self.kinds.get(question, "fine")


@attrs.define(eq=False)
class Taken:
    """A batch that the host has taken."""

    id: str
    lines: dict[str, Line]
    labels: Mapping[str, str]
    order: int
    at: float
    listed: float
    """From when on the host's list has it."""
    made: float
    run: int
    ends: float
    cancelled: bool = False
    awaited: frozenset[int] = frozenset()
    """The questions in it that somebody waited for when it was cancelled."""
    outcomes: dict[str, str] = attrs.field(factory=dict)
    """What came of each of its names, once it has ended."""
    ended: int = 1 << 60

    @property
    def questions(self) -> list[int]:
        """What it asks."""
        return [int(line.body["q"]) for line in self.lines.values()]

    def came(self, question: int) -> str:
        """What came of a question, if it has ended."""
        names = [name for name, line in self.lines.items() if line.body["q"] == question]
        return self.outcomes.get(names[0], "")

    @property
    def bytes(self) -> int:
        """How long it is, at most."""
        return sum(size_of(name, line) for name, line in self.lines.items())


@attrs.define(eq=False)
class Job:
    """What became of someone who asked, in one run."""

    sleeper: Sleeper
    run: int
    outcome: str = "killed"
    text: str = ""
    error: Exception | None = None
    began: float = math.inf
    began_order: int = 1 << 60
    done: float = math.inf
    done_order: int = 1 << 60
    live: float = math.inf
    """When it went live."""
    live_order: int = 1 << 60
    why: str = ""


@attrs.define(eq=False)
class Power:
    """Lets a program take its steps, and kills it before one of them."""

    kill: int
    steps: int = 0
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def step(self) -> None:
        """Take a step; others may take some before."""
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
        self.steps += 1
        if self.steps == self.kill:
            self.scope.cancel()
        await self.check()

    async def check(self) -> None:
        """Go no further once it is killed, not even where that is shielded."""
        if self.scope.cancel_called:
            await trio.sleep_forever()


@attrs.define(eq=False)
class FarHost(Provider):
    """The host of a world, which outlives the program."""

    world: JobWorld = attrs.field(kw_only=True)
    power: Power = attrs.field(init=False)
    taken: list[Taken] = attrs.field(factory=list, init=False)
    waiting: list[Job] = attrs.field(factory=list, init=False)
    run: int = 0
    count: int = 0
    creations: int = 0
    requests: int = 0
    before: float = 0.0
    """Seconds of the runs before this."""

    @property
    def batches(self) -> FarBatches:
        limits = BatchLimits(lines=self.world.lines, bytes=self.world.bytes)
        return FarBatches(name=self.name, limits=limits, host=self)

    def now(self) -> float:
        return self.before + trio.current_time()

    def next_order(self) -> int:
        self.count += 1
        return self.count

    async def __call__(self, call: Call) -> Response:
        await self.power.step()
        await trio.sleep(1.0)
        question = _question(call)
        await self.power.step()
        if self.world.kind(question) == "bad":
            raise BadRequest("a bad question", status=400)
        return _answer(question)

    async def request(self) -> None:
        await self.power.step()
        number, self.requests = self.requests, self.requests + 1
        if number in self.world.stumbles:
            raise Overloaded("for now", status=503)

    def info(self, one: Taken) -> BatchInfo:
        if self.now() >= one.ends and not one.outcomes:
            one.ended = self.next_order()
            one.outcomes = {name: self._came(one, line) for name, line in one.lines.items()}
        return BatchInfo(
            id=one.id,
            provider=self.name,
            status="cancelled" if one.cancelled else "completed" if one.outcomes else "running",
            ended=bool(one.outcomes),
            total=len(one.lines),
            created=one.made,
            metadata=one.labels if self.world.labels else None,
        )

    def _came(self, one: Taken, line: Line) -> str:
        if one.cancelled:
            return "cancelled"
        question = int(line.body["q"])
        kind = self.world.kind(question)
        first = all(question not in other.questions for other in self.taken if other.at < one.at)
        return kind if first or kind in {"always", "bad"} else "fine"


@attrs.frozen(kw_only=True)
class FarBatches(Batches):
    """The verbs of that host."""

    host: FarHost = attrs.field(repr=False)

    async def write(self, ask: Handler, call: Call) -> Line:
        await trio.lowlevel.checkpoint()
        question = _question(call)
        return Line("/chat", {"q": question, "pad": "x" * (question % 5) * 100})

    async def read(self, ask: Handler, call: Call, outcome: Outcome) -> Response:
        if outcome.ending == "expired":
            raise DeadlineExceeded("it expired", limit="window", after=1.0, layer="far")
        if outcome.ending == "cancelled":
            raise CallShed("it was cancelled")
        if outcome.ending != "answered":
            raise ProtocolError("nothing was said of it")
        if outcome.status == 503:
            raise Overloaded("too busy", status=503)
        if outcome.status != 200:
            raise BadRequest("a bad question", status=400)
        return _answer(int(outcome.body))

    async def create(
        self, lines: Mapping[str, Line], metadata: Mapping[str, str] | None = None
    ) -> BatchInfo:
        number, self.host.creations = self.host.creations, self.host.creations + 1
        await self.host.power.step()
        now, made = self.host.now(), time.time()
        one = Taken(
            f"b{number}", dict(lines), dict(metadata or {}), self.host.next_order(), now,
            now, made, self.host.run, now + self.host.world.takes,
        )  # fmt: skip
        self.host.taken.append(one)
        try:
            await self.host.power.step()
        except trio.Cancelled:
            one.listed = now + self.host.world.late
            raise
        if number in self.host.world.lost:
            raise ConnectionFailed("the line broke")
        return self.host.info(one)

    async def get(self, id: str) -> BatchInfo:
        await self.host.request()
        found = [one for one in self.host.taken if one.id == id]
        if not found:
            raise NotFound(f"no batch {id}")
        await self.host.power.step()
        return self.host.info(found[0])

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        await self.host.request()
        rows = [one for one in reversed(self.host.taken) if one.listed <= self.host.now()]
        return Page([self.host.info(one) for one in rows])

    async def cancel(self, id: str) -> BatchInfo:
        (one,) = (one for one in self.host.taken if one.id == id)
        waiting = {job.sleeper.question for job in self.host.waiting if job.live == math.inf}
        awaited = waiting.intersection(one.questions)
        await self.host.request()
        if not one.outcomes:
            one.cancelled, one.awaited = True, one.awaited | awaited
            one.ends = min(one.ends, self.host.now() + 1)
        await self.host.power.step()
        return self.host.info(one)

    async def results(self, batch: BatchInfo) -> AsyncGenerator[Outcome, None]:
        await self.host.request()
        (one,) = (one for one in self.host.taken if one.id == batch.id)
        for name, line in reversed(one.lines.items()):
            await self.host.power.step()
            came = one.outcomes[name]
            if came != "vanished":
                ending = came if came in {"expired", "cancelled"} else "answered"
                status = {"busy": 503, "always": 503, "bad": 400}.get(came, 200)
                body = str(line.body["q"]).encode()
                yield Outcome(id=name, ending=ending, status=status, body=body)


def _question(call: Call) -> int:
    request = call.request
    assert isinstance(request, Generate)
    (part,) = request.messages[-1].parts
    assert isinstance(part, TextPart)
    return int(part.text)


def _answer(question: int) -> Generation:
    return Generation(message=Message("assistant", (TextPart(f"answer {question}"),)))
