"""What a map has done so far, counted, and as one line of words."""

from __future__ import annotations

import attrs

from llmmw._explain import Spent
from llmmw._ledger import DownloadProgress, Event
from llmmw._map import Item, Progress
from llmmw._response import Generation

__all__ = ["Meter", "several"]


@attrs.define(eq=False)
class Meter:
    """Counts the answers of one run.

    Args:
        total: how many rows there are, if that is known.
        before: how many of them earlier runs have answered.
        failed: how many of them earlier runs have failed at, and are left at that.

    `begun` and `ended` are set by whoever runs; a model's download moves the begin, since it is
    no part of the speed.
    """

    total: int | None = None
    before: int = 0
    failed: int = 0
    answers: int = 0
    errors: int = 0
    cut: int = 0
    hits: int = 0
    spent: Spent = attrs.field(factory=Spent)
    begun: float = 0.0
    ended: float = 0.0

    def hear(self, event: Event) -> None:
        """An instrument: a download comes before the first row, so the clock starts after it."""
        if isinstance(event, DownloadProgress) and not self.answers:
            self.begun = event.time

    def see(self, progress: Progress) -> None:
        """What the calls have used, as soon as it is known."""
        self.hits, self.spent = progress.hits, progress.spent

    def count(self, item: Item) -> None:
        """A row is finished."""
        if item.journaled:
            return
        if isinstance(item.response, Generation):
            self.answers += 1
            self.cut += item.response.finish_reason == "length"
        else:
            self.errors += 1

    @property
    def done(self) -> int:
        """Rows that are finished, those of an earlier run too."""
        return self.before + self.failed + self.answers + self.errors

    def line(self, now: float) -> str:
        """`120/500 answered, 2 errors, 34.1 rows/s, 512 tokens/s, 9 hits, $0.0031, 0:11 left`."""
        of = f"/{self.total}" if self.total is not None else ""
        words = [f"{self.before + self.answers}{of} answered"]
        if self.errors:
            words.append(several(self.errors, "error"))
        rate = (self.answers + self.errors) / max(now - self.begun, 1e-9)
        if rate:
            words.append(f"{rate:.1f} rows/s")
            if self.spent.output_tokens:
                words.append(f"{self._speed(now):.0f} tokens/s")
            words += self._hits_and_money()
            if self.total is not None:
                words.append(f"{_clock(max(0, self.total - self.done) / rate)} left")
        return ", ".join(words)

    def summary(self) -> str:
        """What the whole run was."""
        words = [several(self.answers, "answer"), several(self.errors, "error")]
        if self.cut:
            words.append(f"{self.cut} cut at their limit of tokens")
        given, made = self.spent.input_tokens or 0, self.spent.output_tokens or 0
        if given or made:
            words.append(f"{given:,} tokens in, {made:,} out")
        words += self._hits_and_money()
        words.append(f"{self.ended - self.begun:.1f} s")
        if made:
            words.append(f"{self._speed(self.ended):.1f} tokens/s")
        return ", ".join(words)

    def _hits_and_money(self) -> list[str]:
        words = [several(self.hits, "hit")] if self.hits else []
        if self.spent.cost:
            words.append(f"${self.spent.cost:.4f}")
        return words

    def _speed(self, now: float) -> float:
        return (self.spent.output_tokens or 0) / max(now - self.begun, 1e-9)


def several(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
