"""The laws of calls that ride the batches of their provider: nothing is asked twice and nobody is
forgotten, whenever the program is killed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from llmmw.errors import ConnectionFailed, Overloaded
from llmmw.testing._batch_jobs import JobTrace
from llmmw.testing._far_batches import Job, Taken
from llmmw.testing._laws import demand

__all__ = ["BATCH_API_LAWS"]

_LIVE = 1.0
"""Seconds that a live answer takes."""
_PASSES = frozenset({"busy", "expired", "vanished"})
"""What comes of a question the first time, and not the second."""


def _left(job: Job) -> float:
    """When it no longer waited for a batch."""
    return min(job.done, job.live)


def law_118(trace: JobTrace) -> None:
    """Each call is told one thing: the answer to its own question, or the error that came of it,
    unless it has left."""
    retries = trace.layer.retries
    unsent = retries < 2 and bool(trace.world.lost and trace.world.stumbles)
    for job in trace.last():
        kind = trace.world.kind(job.sleeper.question)
        demand("L118", job.outcome != "killed", "nobody has told it anything")
        if job.outcome == "left":
            demand("L118", job.done >= job.began + job.sleeper.patience, "cut short")
        if job.outcome == "ok":
            demand("L118", job.text == f"answer {job.sleeper.question}", "the answer of another")
            demand("L118", kind != "bad", "a bad question was answered")
        if job.outcome == "error":
            due = kind in {"bad", "always"} or (kind in _PASSES and not retries)
            due = due or (unsent and isinstance(job.error, (ConnectionFailed, Overloaded)))
            demand("L118", due, f"a {kind} question ended with {job.error!r}")


def law_119(trace: JobTrace) -> None:
    """Nothing is asked twice, whenever the program was killed: no question goes in a batch that
    is in another one, or was answered; nor live, once somebody was told the answer."""
    told: dict[int, int] = {}
    for job in trace.jobs:
        if job.outcome == "ok":
            question = job.sleeper.question
            told[question] = min(told.get(question, job.done_order), job.done_order)
    for job in trace.jobs:
        late = job.live < math.inf and job.live_order > told.get(job.sleeper.question, 1 << 60)
        demand("L119", not late, "asked live though it was answered")
    held: dict[int, Taken] = {}
    for batch in trace.taken:
        for question in batch.questions:
            demand("L119", told.get(question, 1 << 60) > batch.order, "asked though answered")
            before = held.get(question)
            if before is not None:
                demand("L119", before.ended < batch.order, "in two batches at once")
                demand("L119", before.came(question) != "fine", "its answer was there")
            held[question] = batch


def law_120(trace: JobTrace) -> None:
    """Only what has failed is asked again, and only where its error may pass and so often as was
    said."""
    most = {"fine": 0, "bad": 0, "always": trace.layer.retries}
    for job in trace.jobs:
        question = job.sleeper.question
        again = min(most.get(trace.world.kind(question), 1), trace.layer.retries)
        rode = [
            batch
            for batch in trace.of(question)
            if job.run == batch.run
            and job.began_order < batch.order < job.done_order
            and not batch.cancelled
        ]
        demand("L120", len(rode) <= 1 + again, f"asked in {len(rode)} batches for one call")


def law_121(trace: JobTrace) -> None:
    """No call waits for a batch longer than `live_after`, nor at all if its deadline is near."""
    layer = trace.layer
    for job in trace.jobs:
        patience = math.inf if job.sleeper.by_hand else job.sleeper.patience
        most = math.inf if layer.live_after is None else layer.live_after
        most = 0.0 if patience < layer.least_time else most
        if job.outcome != "killed":
            demand("L121", job.done <= job.began + most + _LIVE, "waited too long for a batch")
        if job.live < math.inf and job.outcome in {"ok", "error"}:
            demand("L121", job.live == job.began + most, f"went live, {job.why}, at another time")
        demand("L121", job.done <= job.began + patience or math.isinf(job.done), "is too late")


def law_122(trace: JobTrace) -> None:
    """No batch is larger than its host takes, and each question is in it once."""
    for batch in trace.taken:
        demand("L122", len(batch.lines) <= trace.world.lines, f"{len(batch.lines)} in one batch")
        demand("L122", batch.bytes <= trace.world.bytes, f"{batch.bytes} bytes in one batch")
        twice = [one for one, times in Counter(batch.questions).items() if times > 1]
        demand("L122", not twice, f"{twice} are in one batch twice")


def law_123(trace: JobTrace) -> None:
    """Who leaves takes nothing from the others: a batch is cancelled when all of its calls went
    live, and not while somebody waits for it. What nobody wants any more is not sent."""
    for batch in trace.taken:
        demand("L123", not batch.awaited, f"cancelled while {set(batch.awaited)} were awaited")
        if trace.world.stumbles or trace.world.lost:
            continue  # it may have taken a while
        waited = {
            question: [
                j for j in trace.jobs if j.run == batch.run and j.sleeper.question == question
            ]
            for question in batch.questions
        }
        now = batch.at - trace.begins[batch.run]
        for jobs in waited.values():
            wanted = any(job.began <= now <= _left(job) for job in jobs)
            demand("L123", wanted, "a question was sent that nobody waited for")
        gone = [job for jobs in waited.values() for job in jobs]
        if all(job.outcome == "ok" and now < job.live < math.inf for job in gone):
            last = max(job.live for job in gone)
            over = batch.cancelled or batch.ends <= trace.begins[batch.run] + last
            demand("L123", over, "goes on though all have gone live")


BATCH_API_LAWS: tuple[Callable[[JobTrace], None], ...] = (
    law_118, law_119, law_120, law_121, law_122, law_123,
)  # fmt: skip
