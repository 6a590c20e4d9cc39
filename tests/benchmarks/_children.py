"""The client programs, each a process of its own on the core of the clients."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.benchmarks._machine import CLIENT, pinned, stolen
from tests.benchmarks._peers import HERE, Missing, Peers
from tests.benchmarks._rivals import Rival

__all__ = ["Children", "Results", "children"]

_FOLDER = Path(__file__).parent
_PATIENCE = 900.0
"""Seconds that a job may take, besides those of the calls that it has to make."""
_SLOWEST = 200
"""Of these a second."""
_TURNS, _DISTURBED = 3, 0.05
"""How often a turn is taken at most, if more than this part of a core was stolen in each."""
Results = dict[str, dict[str, float]]
"""The medians of what each rival measured, by its name."""


class _Child:
    def __init__(self, rival: Rival, python: str, environ: Mapping[str, str]) -> None:
        self._rival = rival
        self._errors = TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, str(_FOLDER / rival.program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(environ),
            text=True,
            **pinned(CLIENT),
        )

    def ask(self, job: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Have a job done; without one, wait until it is ready."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        least = (job or {}).get("least", 0)
        patience = threading.Timer(_PATIENCE + least / _SLOWEST, self._process.kill)
        patience.start()
        try:
            if job is not None:
                into.write(json.dumps({**job, "variant": self._rival.variant}) + "\n")
                into.flush()
            answer = out.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            patience.cancel()
        if answer:
            return dict(json.loads(answer))
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace").strip().splitlines()
        return {"error": told[-1] if told else "the program has ended"}

    def end(self) -> None:
        """Let it end."""
        self._process.communicate()
        self._errors.close()


class Children:
    """Programs that wait for jobs. One that fails is left out from then on, with its reason."""

    def __init__(self, found: dict[Rival, _Child]) -> None:
        self._found = found

    def measure(
        self, job: Mapping[str, Any], url: str, rounds: int, rivals: Sequence[Rival] | None = None
    ) -> Results:
        """The medians of a job over rounds in which each has its turn.

        Args:
            job: what is done.
            url: where it is done.
            rounds: how many.
            rivals: which; default: all.
        """
        told: dict[Rival, list[dict[str, float]]] = {}
        for _ in range(rounds):
            for rival in rivals or list(self._found):
                if rival not in self._found or job.get("in_flight", 1) > rival.most:
                    continue
                asked = {**job, "url": url}
                answer = self._undisturbed(rival, asked, _TURNS if rounds > 1 else 1)
                if "error" in answer:
                    self._drop(rival, answer["error"])
                    told.pop(rival, None)
                else:
                    told.setdefault(rival, []).append(answer)
        return {rival.name: _median(answers) for rival, answers in told.items()}

    def _undisturbed(self, rival: Rival, job: Mapping[str, Any], turns: int) -> dict[str, Any]:
        """What a turn gives in which other machines took no part of a core that counts; else that
        of the one in which they took the least."""
        found: list[tuple[float, dict[str, Any]]] = []
        for _ in range(turns):
            before, begun = stolen(), time.monotonic()
            answer = self._found[rival].ask(job)
            taken = (stolen() - before) / (time.monotonic() - begun)
            found.append((taken, answer))
            if taken <= _DISTURBED or "error" in answer:
                return answer
        return min(found, key=lambda one: one[0])[1]

    def await_ready(self) -> None:
        """Wait until all have imported what they need: they share a core with who measures."""
        for rival, child in list(self._found.items()):
            answer = child.ask()
            if "error" in answer:
                self._drop(rival, answer["error"])

    def _drop(self, rival: Rival, reason: str) -> None:
        print(f"      {rival.name} is left out: {reason}", flush=True)
        self._found.pop(rival).end()

    def end(self) -> None:
        """Let all end."""
        for child in self._found.values():
            child.end()


def _median(answers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in answers) for key in answers[0]}


@contextmanager
def children(
    peers: Peers, rivals: Sequence[Rival], environ: Mapping[str, str] | None = None
) -> Iterator[Children]:
    """The programs of rivals, for a block."""
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    kept |= dict(environ or {})
    before = kept.pop("PYTHONPATH", None)
    found: dict[Rival, _Child] = {}
    try:
        for rival in rivals:
            path = {"PYTHONPATH": _path(before if rival.env == HERE else None)}
            try:
                found[rival] = _Child(rival, peers.python(rival.env), kept | path)
            except Missing as error:
                print(f"      {rival.name} is left out: {error}", flush=True)
        all_of_them = Children(found)
        all_of_them.await_ready()
        yield all_of_them
    finally:
        Children(found).end()


def _path(before: str | None) -> str:
    """Where ours find what all programs share."""
    return os.pathsep.join([str(_FOLDER / "peers"), *([before] if before else [])])
