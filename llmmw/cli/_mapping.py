"""The work of `llmmw map`: rows in, calls, rows out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Protocol

import attrs
import click
import trio

from llmmw._map import Item, Requests
from llmmw._response import Generation
from llmmw.cli._journal import Journal, open_journal
from llmmw.cli._lines import PipedLines, count_lines, is_piped, lines_of, spooled
from llmmw.cli._meter import Meter
from llmmw.cli._model import Setup
from llmmw.cli._out import Output
from llmmw.cli._progress import Display, downloads, open_display
from llmmw.cli._rows import Feed, PipedFeed, Reader, answer_of, encode, error_of
from llmmw.cli._run import Failed, Interrupted, reason_of

__all__ = ["Wanted", "map_into_file", "map_straight"]

_TICK = 0.5


@attrs.frozen(kw_only=True)
class Wanted:
    """What the options say."""

    setup: Setup
    defaults: Mapping[str, Any]
    concurrency: int
    timeout: float | None
    fresh: bool
    quiet: bool

    def feed(self, file: IO[bytes], reader: Reader) -> Feed:
        """The requests of an input."""
        known: set[object] = set()

        def check(target: object) -> None:
            if target not in known:
                self.setup.check_target(target)
                known.add(target)

        return Feed(lines_of(file), reader, self.defaults, check)

    def say(self, text: str) -> None:
        """Tell the user, unless nothing shall be told."""
        if not self.quiet:
            click.echo(text, err=True)


class Sink(Protocol):
    """Where finished rows go."""

    async def write(self, place: int, line: bytes, *, is_answer: bool) -> None:
        """Write a finished row; it is out when this returns."""


@attrs.define(eq=False)
class Straight:
    """A sink that is written in the order of the input and never read."""

    output: Output
    rows: int = 0

    async def write(self, place: int, line: bytes, *, is_answer: bool) -> None:
        """Write a row."""
        try:
            await self.output.write(line)
        except BrokenPipeError:
            raise
        except OSError as error:
            kept = f"{self.rows} rows are safe"
            raise Failed(f"can't write the output: {reason_of(error)}; {kept}") from error
        self.rows += 1


@attrs.define(eq=False)
class Run:
    """Answers the rows of a feed into a sink."""

    wanted: Wanted
    feed: Feed
    sink: Sink
    meter: Meter
    ordered: bool
    display: Display

    async def all(self, requests: Requests) -> None:
        """Answer every row."""
        self.meter.begun = trio.current_time()
        wanted = self.wanted
        hears = [downloads(self.display), self.meter.hear]
        client = wanted.setup.client(hears)
        answers = client.map(
            requests,
            concurrency=wanted.concurrency,
            ordered=self.ordered,
            errors="yield",
            timeout=wanted.timeout,
        )
        async with client, answers as items:
            client.host.start(self._tick)
            async for item in items:
                await self._finished(item)
        self.meter.ended = trio.current_time()

    async def _tick(self) -> None:
        """Shows how far it is even while nothing comes."""
        meter = self.meter
        while True:
            await trio.sleep(_TICK)
            now = trio.current_time()
            self.display.show(now, "rows", meter.done, meter.total, meter.line(now))

    async def _finished(self, item: Item) -> None:
        row = self.feed.waiting.pop(item.index)
        response = item.response if isinstance(item.response, Generation) else None
        told = error_of(row, item.error) if response is None else answer_of(response)
        line = encode({"id": row.id, **told})
        await self.sink.write(row.place, line, is_answer=response is not None)
        self.meter.count(response)


def map_straight(wanted: Wanted, file: IO[bytes], output: Output) -> Meter:
    """Answer the rows into the standard output or a device, in order."""
    feed, sink = wanted.feed(file, Reader()), Straight(output)
    piped = is_piped(file)
    requests: Requests = PipedFeed(PipedLines(file.fileno()), feed) if piped else feed
    meter = Meter(total=count_lines(file) if file.seekable() else None)
    with open_display(quiet=wanted.quiet, bars=not output.is_terminal) as display:
        run = Run(wanted, feed, sink, meter, ordered=True, display=display)
        trio.run(run.all, requests)
    wanted.say(meter.summary())
    return meter


def map_into_file(wanted: Wanted, source: IO[bytes], path: Path) -> Meter:
    """Answer the rows that `path` does not answer yet, into it."""
    descriptor = open_journal(path, source, fresh=wanted.fresh)
    with closing(spooled(source)) as file:
        reader = Reader()
        for line in lines_of(file):
            reader.row(line)
        file.seek(0)
        journal = Journal(path, reader.ids, reader.count, descriptor)
        journal.load()
        before = journal.answered
        if before:
            wanted.say(f"{before} answered before, {journal.count - before} to go")
        feed = wanted.feed(file, Reader(reader.ids))
        feed.skip = journal.is_answered
        meter = Meter(total=journal.count, before=before)
        _answer(wanted, feed, journal, meter)
    return meter


def _answer(wanted: Wanted, feed: Feed, journal: Journal, meter: Meter) -> None:
    """Ask what is to be asked; whatever happens, what came of it is put in order."""
    problem = ""
    try:
        with open_display(quiet=wanted.quiet) as display:
            run = Run(wanted, feed, journal, meter, ordered=False, display=display)
            if journal.answered < journal.count:
                trio.run(run.all, feed)
    except KeyboardInterrupt:
        problem = journal.finish()
        raise Interrupted("; ".join(filter(None, [journal.kept(), problem]))) from None
    except Failed:
        journal.finish()  # the message that is on its way says what is safe
        raise
    except BaseException:
        problem = journal.finish()
        wanted.say("; ".join(filter(None, [journal.kept(), problem])))
        raise
    problem = journal.finish()
    if meter.done > meter.before:
        wanted.say(f"{meter.summary()}: {journal.path}")
    if problem:
        raise Failed(problem)
