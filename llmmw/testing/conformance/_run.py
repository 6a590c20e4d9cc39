"""Runs cases: serves their bodies on the loopback, asks the providers, and compares."""

from __future__ import annotations

import fnmatch
import random
import tomllib
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Literal, TypeAlias

import attrs
import trio

from llmmw._deltas import Delta
from llmmw._plugins import Plugins
from llmmw._request import Generate
from llmmw._response import Generation
from llmmw._session import Client
from llmmw.errors import LLMError, UnsupportedFeature
from llmmw.testing.conformance._administered import after, before, verb_differences
from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._cuts import cuttings, every_cut
from llmmw.testing.conformance._events import event_differences
from llmmw.testing.conformance._reading import Outcome, differences
from llmmw.testing.conformance._replay import histories, replay_differences
from llmmw.testing.conformance._requests import ODD, request_differences, request_of
from llmmw.testing.conformance._stage import Stage, open_stage
from llmmw.testing.conformance._targets import Target, target_of
from llmmw.testing.conformance._vectors import frame_differences, signature_differences

__all__ = ["Compared", "Status", "Verdict", "exceptions", "run_cases"]

Status: TypeAlias = Literal["passed", "failed", "unsupported", "excepted"]
Compared: TypeAlias = Literal["same", "equal", "other", "refused", "unread", "none"]
"""The request that we send for the recorded one: the same JSON; another form of the same content;
other content; something in it is refused, as the host has it not by our table; or the recorded one
is not read; or there is none."""

_PATIENCE = 60.0
"""Seconds that one serving may take."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What became of one case."""

    case: Case
    status: Status
    why: str = ""
    notes: str = ""
    """What of the request, or of the answer as it goes back, is otherwise than was recorded. That
    may be a form which is as good, so only a strict run fails for it."""
    servings: int = 0
    """How many times its body was served."""
    request: Compared = "none"
    refused: str = ""
    """What of the recorded request was refused."""
    replays: int = 0
    """How many requests with the answer in their history were looked at."""


def exceptions() -> Mapping[str, str]:
    """The cases that are judged wrong, with the reasons."""
    text = files(__package__).joinpath("exceptions.toml").read_text(encoding="utf-8")
    return {row["id"]: row["reason"] for row in tomllib.loads(text).get("case", [])}


async def run_cases(
    cases: Iterable[Case],
    *,
    cuts: int = 3,
    seed: int = 0,
    only: str = "*",
    strict: bool = False,
    told: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Run cases one after another, each over real HTTP on this machine.

    Args:
        cases: of `cases_of`.
        cuts: how many times each body is cut at random places.
        seed: which places.
        only: a pattern as of file names, or a part of the ids of the cases to run.
        strict: whether a case with notes fails.
        told: is called with each verdict at once.
    """
    plugins = Plugins()
    known = plugins.names("provider")
    judged = exceptions()
    found: list[Verdict] = []
    async with open_stage(plugins) as stage:
        for case in cases:
            if only not in case.id and not fnmatch.fnmatch(case.id, only):
                continue
            target = target_of(case, known)
            if isinstance(target, str):
                verdict = Verdict(case=case, status="unsupported", why=target)
            else:
                draw = random.Random(f"{seed} {case.id}")  # noqa: S311 (no secret)
                verdict = await _verdict(case, target, stage, draw, cuts)
            if strict and verdict.notes and verdict.status == "passed":
                verdict = attrs.evolve(verdict, status="failed", why=verdict.notes)
            if verdict.status == "failed" and case.id in judged:
                verdict = attrs.evolve(verdict, status="excepted", why=judged[case.id])
            found.append(verdict)
            if told is not None:
                told(verdict)
    return found


async def _verdict(
    case: Case, target: Target, stage: Stage, draw: random.Random, cuts: int
) -> Verdict:
    asks = target.kind not in {"events", "frames", "signature"}
    client = await stage.client(target) if asks else None
    asker = Asker(case, target, stage, client)
    status: Status = "passed"
    why = ""
    try:
        for pieces in _servings(case, target, cuts, draw):
            found = await asker.ask(pieces)
            if found:
                how = "" if asker.servings == 1 else f"in {sum(map(len, pieces))} pieces: "
                status, why = "failed", how + "; ".join(found)
                break
    except UnsupportedFeature as error:
        status = "unsupported" if target.kind in {"embed", "count", "verbs"} else "failed"
        why = error.message
    return Verdict(
        case=case,
        status=status,
        why=why,
        notes="; ".join(asker.notes),
        servings=asker.servings,
        request=asker.compared,
        refused=asker.refused,
        replays=asker.replays,
    )


def _servings(
    case: Case, target: Target, cuts: int, draw: random.Random
) -> Iterable[list[list[bytes]]]:
    """Per serving, the pieces of each answer of the case."""
    if target.kind == "signature":
        yield [[case.body]]
        return
    ways = [cuttings(body, cuts, draw) for body in case.answers]
    yield from (list(pieces) for pieces in zip(*ways, strict=True))
    if case.chunks:
        yield [list(case.chunks)]
    if target.kind in {"events", "frames"}:
        yield from ([pieces] for pieces in every_cut(case.body))


@attrs.define(eq=False)
class Asker:
    """Asks one provider what one case asks, of a server that answers as the case says."""

    case: Case
    target: Target
    stage: Stage
    client: Client | None
    servings: int = 0
    compared: Compared = "none"
    refused: str = ""
    replays: int = 0
    notes: list[str] = attrs.field(factory=list)
    recorded: Generate | None = attrs.field(init=False)

    @recorded.default
    def _read(self) -> Generate | None:
        return request_of(self.case, self.target.name) if self.target.kind == "chat" else None

    async def ask(self, answers: list[list[bytes]]) -> list[str]:
        """What is otherwise than expected if these answers are served."""
        self.servings += 1
        # Of those that are cut at random the first comes with the pauses of a line.
        played = answers
        if self.target.kind == "verbs":
            first, last = before(self.case), after(self.case)
            played = [[one] for one in first] + answers + [[one] for one in last]
        self.stage.play(self.case, played, slowly=self.servings in {1, 3})
        try:
            with trio.move_on_after(_PATIENCE) as scope:
                if self.client is None:
                    return await self._vector(answers[0])
                if self.target.kind == "verbs":
                    return await verb_differences(self.case, self.client)
                return await self._found(self.client, answers)
        except UnsupportedFeature:
            raise
        except Exception as error:  # whatever it is, it is the provider's defect
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
            return [f"{type(error).__name__} at {where}: {error}"]
        assert scope.cancelled_caught
        return [f"no end after {_PATIENCE:g} s"]

    async def _vector(self, pieces: list[bytes]) -> list[str]:
        if self.target.kind == "signature":
            return signature_differences(self.case)
        if self.target.kind == "frames":
            return frame_differences(self.case, pieces)
        return await event_differences(self.case, await self.stage.http())

    async def _found(self, client: Client, answers: list[list[bytes]]) -> list[str]:
        outcomes = [await self._outcome(client) for _ in answers]
        found = differences(self.case, outcomes)
        if self.servings > 1 or self.target.kind != "chat":
            return found
        self.notes += self._compare()
        last = outcomes[-1]
        if isinstance(last.response, Generation) and last.error is None:
            self.notes += await self._replay(client, last.response, answers[-1])
        return found

    async def _outcome(self, client: Client) -> Outcome:
        deltas: list[Delta] = []
        try:
            return await self._asked(client, deltas)
        except LLMError as error:
            if not isinstance(error, UnsupportedFeature) or self.stage.server.requests:
                return Outcome(error=error, deltas=deltas)
            if self.target.kind != "chat" or self.compared == "refused":
                raise
            self.refused = error.message
        self.compared = "refused"
        return await self._outcome(client)

    async def _asked(self, client: Client, deltas: list[Delta]) -> Outcome:
        model = f"{self.target.name}:{self.case.model}"
        if self.target.kind == "embed":
            count = int(self.case.expected.get("n") or 1)
            return Outcome(await client.embed(["hello"] * count, model=model))
        if self.target.kind == "count":
            return Outcome(await client.count_tokens("hello", model=model))
        request = self._request().replace(model=model)
        if not self.case.streams:
            return Outcome(await client.ask(request))
        async with client.stream(request) as stream:
            async for delta in stream:
                deltas.append(delta)  # noqa: PERF401 (what came counts if it breaks)
        return Outcome(stream.response, deltas=deltas)

    def _request(self) -> Generate:
        if self.target.kind == "prompt":
            return Generate(prompt="hello")
        if self.recorded is None or self.compared == "refused":
            return Generate(messages=["hello"])
        return self.recorded

    def _compare(self) -> list[str]:
        """Whether we send what the recorded client sent."""
        if self.case.request is None or self.compared == "refused":
            return []
        if self.recorded is None:
            self.compared = "unread"
            return []
        sent = self.stage.heard()
        try:
            found = request_differences(self.case, sent)
        except ODD:
            self.compared = "unread"
            return []
        if found:
            self.compared = "other"
        else:
            self.compared = "same" if sent == self.case.request else "equal"
        return [f"request: {one}" for one in found]

    async def _replay(self, client: Client, response: Generation, pieces: list[bytes]) -> list[str]:
        """Whether the answer is sent back as its host wants it."""
        found: list[str] = []
        for history in histories(response):
            self.stage.play(self.case, [pieces])
            request = Generate(messages=history, model=f"{self.target.name}:{self.case.model}")
            try:
                await client.ask(request)
            except LLMError as error:
                if not self.stage.server.requests:
                    return [f"replay: the answer can't be sent back: {error}"]
            try:
                breaches = replay_differences(self.case, history, self.stage.heard())
            except ODD:
                return found  # the rules can't read what was recorded
            self.replays += 1
            found += [f"replay: {one}" for one in breaches]
        return found
