"""`llmmw map -o`: a job. Its journal stands beside the output, which is made of it whenever a run
ends, and so are the dead letters: what failed, with its error and its row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import attrs
import click
import orjson
import trio

from llmmw._job_file import JobFile
from llmmw._journal import AnotherInput, LiveJournal
from llmmw._store import StoreError
from llmmw.cli._mapping import Run, Wanted, told
from llmmw.cli._meter import Meter, several
from llmmw.cli._progress import open_display
from llmmw.cli._rows import encode
from llmmw.cli._run import FAILED, LIMITED, Failed, Interrupted, Misused, reason_of
from llmmw.cli._tables import Table, format_of, pyarrow
from llmmw.cli._writers import replace_file, write_rows

__all__ = ["map_into_file"]


def map_into_file(wanted: Wanted, name: str, source: IO[bytes], path: Path) -> int:
    """Answer the rows that have no answer yet, and write them all; the exit status."""
    journal = LiveJournal(f"{path}.journal", retry_failed=wanted.retry_failed)
    letters = wanted.dead_letters or path.parent / f"{path.stem}.dead.jsonl"
    _check(wanted, source, journal.path, path, letters)
    table = wanted.table(name, source)
    total = table.count()
    with journal.held() as file:
        if wanted.fresh:
            file.clear()
        job = Job(wanted, table, total, journal, file, path, letters)
        return job.run()


def _check(wanted: Wanted, source: IO[bytes], journal: Path, path: Path, letters: Path) -> None:
    """Refuse what would write over something else."""
    if format_of(path) == "parquet":
        pyarrow()
    for one in (path, letters):
        if one.is_dir():
            raise Misused(f"can't write {one}: Is a directory")
        if not one.parent.is_dir():
            raise Misused(f"can't write {one}: No such file or directory")
        if one.exists() and os.path.samestat(one.stat(), os.fstat(source.fileno())):
            raise click.UsageError(f"{one} is the input; the output must be another file")
        if one.exists() and one.stat().st_size and not journal.exists() and not wanted.fresh:
            raise click.UsageError(
                f"{one} is there, and no journal of it: the wrong file? (--fresh writes it anew)"
            )
    if path.resolve() == letters.resolve():
        raise click.UsageError("the output and the dead letters must be two files")


@attrs.define(eq=False)
class Job:
    """A job whose journal is open."""

    wanted: Wanted
    table: Table
    total: int
    journal: LiveJournal
    file: JobFile
    path: Path
    letters: Path

    def run(self) -> int:
        """Ask what is to be asked; whatever happens, what is there is written."""
        wanted = self.wanted
        answered, failed, end = self.file.counts()
        if end > self.total:
            raise click.UsageError(
                f"{self.journal.path} knows {end} rows, and the input has {self.total}: the wrong "
                "input? (--fresh begins anew)"
            )
        if answered or failed:
            left = self.total - answered - (0 if wanted.retry_failed else failed)
            wanted.say(f"{answered} answered before, {left} to go")
        old = 0 if wanted.retry_failed else failed
        meter = Meter(total=self.total, before=answered, failed=old)
        try:
            self._ask(meter)
        except KeyboardInterrupt:
            self._write()
            raise Interrupted(self._kept()) from None
        except AnotherInput:
            raise  # the dead letters would have its rows
        except BaseException:
            self._write()
            wanted.say(self._kept())
            raise
        failed = self._write()
        if meter.answers or meter.errors:
            wanted.say(f"{meter.summary()}: {self.path}")
        return self._status(failed)

    def _ask(self, meter: Meter) -> None:
        wanted = self.wanted
        wanted.limit.spent = lambda: self.journal.spent
        feed = wanted.feed(self.table.rows(), self.table.unit)
        with open_display(quiet=wanted.quiet) as display:
            run = Run(wanted, meter, display, journal=self.journal)
            try:
                trio.run(run.all, feed)
            except StoreError as error:
                raise Failed(str(error)) from error

    def _status(self, failed: int) -> int:
        if failed:
            self.wanted.say(
                f"{several(failed, 'row')} failed, see {self.letters}; --retry-failed asks again"
            )
        if self.wanted.limit.reason:
            click.echo(f"Stopped: {self.wanted.limit.reason}; {self._kept()}", err=True)
            return LIMITED
        return FAILED if failed else 0

    def _kept(self) -> str:
        """How far the whole is, and how to go on."""
        answered, *_ = self.file.counts()
        have = f"{answered} of {self.total} rows are answered in {self.path}"
        return f"{have}; run the same command again to go on"

    def _write(self) -> int:
        """Make the output and the dead letters, unless they are as they should be; how many rows
        have failed.

        Raises:
            Failed: if they can't be written.
        """
        _, failed, _ = self.file.counts()
        if self.file.about().get("made") == self._made():
            return failed
        try:
            write_rows(self.path, self._rows(), numbered=self.file.is_numbered())
            if failed:
                replace_file(self.letters, lambda file: file.writelines(self._dead()))
            else:
                self.letters.unlink(missing_ok=True)
        except OSError as error:
            raise Failed(
                f"can't write {self.path}: {reason_of(error)}; all rows are safe in "
                f"{self.journal.path}, run again to write them"
            ) from error
        with suppress(StoreError):  # of a full disk: the next run makes them once more
            self.file.write([], {"made": self._made()})
        return failed

    def _made(self) -> str:
        """What tells the files of this moment from those of another."""
        stats = [one.stat() if one.exists() else None for one in (self.path, self.letters)]
        return " ".join(f"{s.st_ino} {s.st_size} {s.st_mtime_ns}" if s else "-" for s in stats)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for row in self.file.rows():
            yield {"id": orjson.loads(row.id), **told(row.answer, row.seconds)}

    def _dead(self) -> Iterator[bytes]:
        """What failed, as lines of JSON."""
        failed = self.file.failed()
        for place, (number, data) in enumerate(self.table.rows()):
            row = failed.get(place)
            if row is not None:
                where = "number" if self.table.unit == "row" else self.table.unit
                letter = {"id": orjson.loads(row.id), where: number}
                letter |= told(row.answer)
                try:
                    yield encode(letter | {"row": data if isinstance(data, dict) else None})
                except RecursionError:  # it nests too deeply for a line of ours
                    yield encode(letter | {"row": None})
