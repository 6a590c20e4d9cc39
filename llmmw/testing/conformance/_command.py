"""The command: which cases, how often, and what is printed."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import click
import orjson
import trio
import trio.testing

from llmmw.testing.conformance._cases import Case, cases_of
from llmmw.testing.conformance._run import Status, Verdict, run_cases

__all__ = ["conformance"]


@click.command(short_help="Play recorded traffic of hosts to the installed providers.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--cuts",
    default=3,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many times each body is cut at random places.",
)
@click.option("--seed", default=0, show_default=True, help="Which places, which mutations.")
@click.option(
    "--only", default="*", metavar="PATTERN", help="Run these cases: a part of the id, or *."
)
@click.option(
    "--strict",
    is_flag=True,
    help="A case fails too if a request, or an answer that goes back, is in another form.",
)
@click.option(
    "--mutate",
    default=0,
    metavar="N",
    help="Instead, damage the bodies in N ways, and look what the providers make of them.",
)
def conformance(
    folder: Path, as_json: bool, cuts: int, seed: int, only: str, strict: bool, mutate: int
) -> None:
    """Run every case below FOLDER: serve the recorded bodies over HTTP on this machine, whole,
    byte by byte and cut at random places, ask the installed providers, and compare text,
    reasoning, tool calls, finish reason, usage and errors with the case's expected.json; and
    note where what is sent differs from its request.json, and the answer, sent back as history,
    from what its host wants.

    Exit status: 1 if a case fails.
    """
    try:
        cases = cases_of(folder)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from error
    if mutate:
        _mutate(cases, mutate, seed, only, as_json)
        return
    verdicts = trio.run(_verdicts, cases, cuts, seed, only, strict)
    if not verdicts:
        raise click.UsageError(f"--only {only}: no case has such an id")
    click.echo(_json(verdicts) if as_json else _page(verdicts), nl=False)
    if any(one.status == "failed" for one in verdicts):
        raise click.exceptions.Exit(1)


async def _verdicts(
    cases: list[Case], cuts: int, seed: int, only: str, strict: bool
) -> list[Verdict]:
    shows = sys.stderr.isatty()
    done = itertools.count(1)

    def told(verdict: Verdict) -> None:
        if shows:
            click.echo(f"\r{next(done)} of {len(cases)} cases", err=True, nl=False)

    found = await run_cases(cases, cuts=cuts, seed=seed, only=only, strict=strict, told=told)
    if shows:
        click.echo(err=True)
    return found


def _json(verdicts: list[Verdict]) -> str:
    data = {
        "cases": [
            {
                "id": one.case.id,
                "status": one.status,
                "why": one.why,
                "notes": one.notes,
                "provider": one.case.provider,
                "wire": one.case.wire,
                "servings": one.servings,
                "request": one.request,
                "refused": one.refused,
                "replays": one.replays,
            }
            for one in verdicts
        ]
    }
    return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _page(verdicts: list[Verdict]) -> str:
    """A table by wire and host, then what failed, and why."""
    statuses = get_args(Status)
    rows: dict[tuple[str, str], Counter[str]] = {}
    for one in verdicts:
        row = rows.setdefault((one.case.wire, one.case.provider), Counter())
        row[one.status] += 1
        row["servings"] += one.servings
    heads = "".join(f"{status:>13}" for status in (*statuses, "servings"))
    lines = [f"{'wire':<26}{'host':<20}{heads}"]
    for (wire, host), row in sorted(rows.items()):
        lines.append(f"{wire:<26}{host:<20}" + _numbers(row))
    total = sum(rows.values(), Counter[str]())
    lines += [f"{'all':<46}" + _numbers(total), "", _requests(verdicts)]
    for status in ("failed", "excepted"):
        for one in verdicts:
            if one.status == status:
                lines += ["", f"{status} {one.case.id}", f"    {one.why}"]
    lines += [
        f"\nnote on {one.case.id}\n    {one.notes}"
        for one in verdicts
        if one.notes and one.status == "passed"
    ]
    lines += [
        f"\nrefused request of {one.case.id}\n    {one.refused}" for one in verdicts if one.refused
    ]
    return "\n".join([*lines, ""])


def _numbers(row: Counter[str]) -> str:
    return "".join(f"{row[status]:>13}" for status in (*get_args(Status), "servings"))


def _requests(verdicts: list[Verdict]) -> str:
    told = Counter(one.request for one in verdicts if one.status != "unsupported")
    return (
        f"requests: of {told.total() - told['none']} recorded, {told['same']} are sent as they "
        f"were, {told['equal']} in another form of the same, {told['other']} otherwise, "
        f"{told['refused']} are refused, {told['unread']} are not read\n"
        f"replays: {sum(one.replays for one in verdicts)} requests with an answer in their history"
    )


def _mutate(cases: list[Case], count: int, seed: int, only: str, as_json: bool) -> None:
    from llmmw.testing.conformance._mutate import mutate

    # Nothing is waited for on a line: the pauses between attempts pass at once.
    clock = trio.testing.MockClock(autojump_threshold=0.02)
    report = trio.run(mutate, cases, count, seed, only, clock=clock)
    if as_json:
        click.echo(orjson.dumps(report.plain(), option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo(report.page(), nl=False)
    if report.defects:
        raise click.exceptions.Exit(1)
