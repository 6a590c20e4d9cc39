"""Runs cases: serves their bodies on the loopback, asks the providers, and compares."""

from __future__ import annotations

import fnmatch
import random
import tomllib
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Literal, TypeAlias

import attrs
import trio

from llmmw._client import Client
from llmmw._deltas import Delta
from llmmw._plugins import Plugins
from llmmw._request import Generate
from llmmw.errors import LLMError, UnsupportedFeature
from llmmw.testing._server import Answer, Received, Server, open_server
from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._cuts import cuttings, every_cut
from llmmw.testing.conformance._events import event_differences
from llmmw.testing.conformance._reading import Outcome, differences
from llmmw.testing.conformance._requests import canonical, request_of
from llmmw.testing.conformance._targets import Target, target_of
from llmmw.wire import Http

__all__ = ["Asker", "Verdict", "exceptions", "run_cases"]

Status: TypeAlias = Literal["passed", "failed", "unsupported", "excepted"]
Compared: TypeAlias = Literal["same", "equal", "other", "refused", "unread", "none"]
"""The request that we send for the recorded one: the same JSON; another form of the same content;
other content; a parameter of it is refused, as the host has it not by our table; or the recorded
one holds what is not compared; or there is none."""

_PATIENCE = 60.0
"""Seconds that one serving may take."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What became of one case."""

    case: Case
    status: Status
    why: str = ""
    servings: int = 0
    """How many times its body was served."""
    request: Compared = "none"


def exceptions() -> Mapping[str, str]:
    """The cases that are judged wrong, with the reasons."""
    text = files(__package__).joinpath("exceptions.toml").read_text(encoding="utf-8")
    return {row["id"]: row["reason"] for row in tomllib.loads(text).get("case", [])}


async def run_cases(
    cases: Iterable[Case], *, cuts: int = 3, seed: int = 0, only: str = "*"
) -> AsyncGenerator[Verdict, None]:
    """Run cases one after another, each over real HTTP on this machine. Close it if you leave
    early.

    Args:
        cases: of `cases_of`.
        cuts: how many times each body is cut at random places.
        seed: which places.
        only: a pattern as of file names, or a part of the ids of the cases to run.
    """
    plugins = Plugins()
    known = plugins.names("provider")
    judged = exceptions()
    for case in cases:
        if only not in case.id and not fnmatch.fnmatch(case.id, only):
            continue
        target = target_of(case, known)
        if isinstance(target, str):
            yield Verdict(case=case, status="unsupported", why=target)
            continue
        draw = random.Random(f"{seed} {case.id}")  # noqa: S311 (no secret)
        verdict = await _verdict(case, target, plugins, draw, cuts)
        if verdict.status == "failed" and case.id in judged:
            verdict = attrs.evolve(verdict, status="excepted", why=judged[case.id])
        yield verdict


async def _verdict(
    case: Case, target: Target, plugins: Plugins, draw: random.Random, cuts: int
) -> Verdict:
    servings = 0
    try:
        async with open_asker(case, target, plugins) as asker:
            for pieces in _servings(case, target, cuts, draw):
                servings += 1
                with trio.move_on_after(_PATIENCE) as scope:
                    found = await asker.ask(pieces)
                if scope.cancelled_caught:
                    found = [f"no end after {_PATIENCE:g} s"]
                if found:
                    how = "" if servings == 1 else f"in {sum(map(len, pieces))} pieces: "
                    return Verdict(
                        case=case,
                        status="failed",
                        why=how + "; ".join(found),
                        servings=servings,
                        request=asker.compared,
                    )
    except UnsupportedFeature as error:
        status: Status = "unsupported" if target.kind in {"embed", "count"} else "failed"
        return Verdict(case=case, status=status, why=error.message)
    return Verdict(case=case, status="passed", servings=servings, request=asker.compared)


def _servings(
    case: Case, target: Target, cuts: int, draw: random.Random
) -> Iterable[list[list[bytes]]]:
    """Per serving, the pieces of each answer of the case."""
    ways = [cuttings(body, cuts, draw) for body in case.answers]
    yield from (list(pieces) for pieces in zip(*ways, strict=True))
    if case.chunks:
        yield [list(case.chunks)]
    if target.kind == "events":
        yield from ([pieces] for pieces in every_cut(case.body))


@attrs.define(eq=False)
class Asker:
    """Asks one provider what one case asks, of a server that answers as the case says."""

    case: Case
    target: Target
    server: Server
    client: Client | None
    http: Http | None
    coming: list[list[bytes]] = attrs.field(factory=list)
    compared: Compared = "none"

    async def ask(self, answers: Sequence[list[bytes]]) -> list[str]:
        """What is otherwise than expected if these answers are served."""
        self.coming[:] = answers
        if self.http is not None:
            return await event_differences(self.case, self.http)
        assert self.client is not None
        found: list[str] = []
        outcomes: list[Outcome] = []
        for _ in answers:
            try:
                outcomes.append(await self._outcome(self.client))
            except UnsupportedFeature:
                raise
            except Exception as error:  # whatever it is, it is the provider's defect
                frame = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
                return [f"{type(error).__name__} at {where}: {error}"]
        found += differences(self.case, outcomes)
        if self.compared == "none":
            found += self._compare()
        return found

    async def _outcome(self, client: Client) -> Outcome:
        heard = len(self.server.requests)
        deltas: list[Delta] = []
        try:
            return await self._asked(client, deltas)
        except LLMError as error:
            if not isinstance(error, UnsupportedFeature) or len(self.server.requests) > heard:
                return Outcome(error=error, deltas=deltas)
            if self.target.kind != "chat" or self.compared == "refused":
                raise
        self.compared = "refused"
        return await self._outcome(client)

    async def _asked(self, client: Client, deltas: list[Delta]) -> Outcome:
        if self.target.kind == "embed":
            return Outcome(await client.embed(["hello"] * int(self.case.expected.get("n") or 1)))
        if self.target.kind == "count":
            return Outcome(await client.count_tokens("hello"))
        request = self._request()
        if not self.case.streams:
            return Outcome(await client.ask(request))
        async with client.stream(request) as stream:
            async for delta in stream:
                deltas.append(delta)  # noqa: PERF401 (what came counts if it breaks)
        return Outcome(stream.response, deltas=deltas)

    def _request(self) -> Generate:
        if self.target.kind == "prompt":
            return Generate(prompt="hello")
        recorded = None
        if self.compared != "refused":
            recorded = request_of(self.case.wire, self.case.request)
        return Generate(messages=["hello"]) if recorded is None else recorded

    def _compare(self) -> list[str]:
        """Whether we send what the recorded client sent, where that is simple enough to tell."""
        if self.case.request is None or self.target.kind != "chat":
            return []
        recorded = canonical(self.case.wire, self.case.request)
        if recorded is None:
            self.compared = "unread"
            return []
        sent = self.server.requests[-1].json()
        ours = canonical(self.case.wire, sent)
        if ours == recorded:
            self.compared = "same" if sent == self.case.request else "equal"
            return []
        self.compared = "other"
        return [f"request: we send {sent!r}, the recorded one says {dict(self.case.request)!r}"]


@asynccontextmanager
async def open_asker(case: Case, target: Target, plugins: Plugins) -> AsyncIterator[Asker]:
    """A server and a client for one case, as long as the block runs."""
    coming: list[list[bytes]] = []

    async def answer(received: Received) -> Answer:
        pieces = coming.pop(0) if coming else [b""]
        if len(pieces) == 1 and not case.streams:
            return Answer(status=case.status, headers=case.headers, body=pieces[0])
        return Answer(status=case.status, headers=case.headers, pieces=pieces)

    async with open_server(answer) as server:
        if target.kind == "events":
            http = Http(base_url=server.url)
            async with http.open():
                yield Asker(case, target, server, None, http, coming)
            return
        options = {target.name: {"base_url": server.url, **target.options}}
        model = f"{target.name}:{case.model}"
        async with Client(model, stack=[], plugins=plugins, options=options) as client:
            yield Asker(case, target, server, client, None, coming)
