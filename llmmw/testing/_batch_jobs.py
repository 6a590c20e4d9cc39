"""A program whose calls go in batches, killed before any of its steps and begun again.

A step is a write to the journal, before and after it is on disk, or a verb of the host, before and
after the host has heard it. What the dead program would have done after that, nobody sees.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from llmmw._call import Call
from llmmw._ledger import WentLive
from llmmw._provider import Provider
from llmmw._request import Generate, conversation
from llmmw._response import Generation, Response
from llmmw._tasks import Host, open_host
from llmmw.errors import LLMError
from llmmw.policies._batch_desk import Desk
from llmmw.policies._batch_journal import open_journal
from llmmw.policies.batch_api import BatchApi
from llmmw.testing._far_batches import FarHost, Job, JobWorld, Power, Taken
from llmmw.testing._virtual import run_virtual

__all__ = ["JobTrace", "run_job"]

T = TypeVar("T")


@attrs.define(eq=False)
class JobTrace:
    """Everything that was seen in all runs."""

    world: JobWorld
    layer: BatchApi
    jobs: list[Job]
    taken: list[Taken]
    steps: tuple[int, ...]
    """How many steps each run has made."""
    begins: tuple[float, ...]
    """When each has begun, by the clock of the host."""

    def last(self) -> list[Job]:
        """Those of the run that was not killed."""
        return [job for job in self.jobs if job.run == len(self.world.kills)]

    def of(self, question: int) -> list[Taken]:
        """The batches that held a question."""
        return [one for one in self.taken if question in one.questions]


@attrs.define(eq=False)
class _Desk(Desk):
    """Writes in the loop, as threads have no virtual time."""

    power: Power = attrs.field(kw_only=True)

    async def live(self) -> None:
        """The journal is closed when the program has ended, as all open files are."""

    async def _in_thread(self, work: Callable[[], T]) -> T:
        await self.power.step()
        done = work()
        await self.power.step()
        return done


@attrs.frozen
class _Layer(BatchApi):
    power: Power = attrs.field(kw_only=True, eq=False)
    files: ExitStack = attrs.field(kw_only=True, eq=False)

    async def _open(self, host: Host) -> Desk:
        journal = open_journal(self.journal)
        self.files.callback(journal.close)
        return _Desk(
            host, journal, self.max_wait, self.poll, self.retries, self._counts, power=self.power
        )


@attrs.define(eq=False)
class _Runs:
    world: JobWorld
    journal: Path
    far: FarHost = attrs.field(init=False)
    layers: list[BatchApi] = attrs.field(factory=list)
    jobs: list[Job] = attrs.field(factory=list)
    steps: list[int] = attrs.field(factory=list)
    begins: list[float] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.far = FarHost(name="far", world=self.world)

    async def live(self, kill: int) -> None:
        """One run of the program."""
        far = self.far
        far.power = power = Power(kill)
        far.waiting = []
        self.begins.append(far.before)
        with ExitStack() as files, power.scope:
            layer = _Layer(self.journal, power=power, files=files, **self.world.options)
            self.layers.append(layer)
            async with open_host() as host:
                host.provider, host.ask = self.provider, far
                host.random = random.Random(far.run)  # noqa: S311 (jitter)
                async with trio.open_nursery() as nursery:
                    for sleeper in self.world.sleepers:
                        job = Job(sleeper, far.run)
                        self.jobs.append(job)
                        nursery.start_soon(self.ask, layer, host, job)
        self.steps.append(power.steps)
        far.before, far.run = far.now(), far.run + 1

    async def provider(self, target: str) -> Provider:
        await trio.lowlevel.checkpoint()
        return self.far

    async def ask(self, layer: BatchApi, host: Host, job: Job) -> None:
        sleeper, far = job.sleeper, self.far
        await trio.sleep(sleeper.arrive)
        request = Generate(model="far:m", messages=conversation(str(sleeper.question)))
        call = Call(request, host=host)
        job.began, job.began_order = trio.current_time(), far.next_order()
        far.waiting.append(job)
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            if sleeper.by_hand:
                nursery.start_soon(_cancel_after, sleeper.patience, scope)
            else:
                scope.deadline = job.began + sleeper.patience
            with scope:
                await self.told(job, lambda: layer(call, lambda call: self.go_live(call, job)))
            if not far.power.scope.cancel_called:
                if scope.cancelled_caught:
                    job.outcome = "left"
                job.done, job.done_order = trio.current_time(), far.next_order()
                far.waiting.remove(job)
            nursery.cancel_scope.cancel()

    async def go_live(self, call: Call, job: Job) -> Response:
        await self.far.power.check()
        job.live, job.live_order = trio.current_time(), self.far.next_order()
        job.why = next(e.why for e in call.ledger.events if isinstance(e, WentLive))
        return await self.far(call)

    async def told(self, job: Job, ask: Callable[[], Awaitable[Response]]) -> None:
        try:
            response = await ask()
        except LLMError as error:
            job.outcome, job.error = "error", error
        else:
            assert isinstance(response, Generation)
            job.outcome, job.text = "ok", response.text


async def _cancel_after(seconds: float, scope: trio.CancelScope) -> None:
    await trio.sleep(seconds)
    scope.cancel()


def run_job(world: JobWorld) -> JobTrace:
    """Run a program until it is done, killed as often as the world says, on a virtual clock."""
    shared = Path("/dev/shm")  # noqa: S108 (a folder in memory, where there is one)
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        runs = _Runs(world, Path(folder) / "night.db")
        for kill in (*world.kills, 0):
            run_virtual(lambda kill=kill: runs.live(kill))  # type: ignore[misc]
    layer, steps, begins = runs.layers[-1], tuple(runs.steps), tuple(runs.begins)
    return JobTrace(world, layer, runs.jobs, runs.far.taken, steps, begins)
