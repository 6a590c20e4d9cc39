"""What a map has done so far, counted, and as one line of words."""

from __future__ import annotations

import attrs

from llmmw._ledger import DownloadProgress, Event
from llmmw._response import Generation, Usage

__all__ = ["Meter"]

_NOTHING = Usage()


@attrs.define(eq=False)
class Meter:
    """Counts the answers of one run.

    Args:
        total: how many rows there are, if that is known.
        before: how many of them an earlier run has answered.

    `begun` and `ended` are set by whoever runs; a model's download moves the begin, since it is
    no part of the speed.
    """

    total: int | None = None
    before: int = 0
    answers: int = 0
    errors: int = 0
    cut: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    begun: float = 0.0
    ended: float = 0.0

    def hear(self, event: Event) -> None:
        """An instrument: a download comes before the first row, so the clock starts after it."""
        if isinstance(event, DownloadProgress) and not self.answers:
            self.begun = event.time

    def count(self, response: Generation | None) -> None:
        """A row is finished; `None` stands for an error."""
        if response is None:
            self.errors += 1
            return
        self.answers += 1
        self.cut += response.finish_reason == "length"
        usage = response.usage or _NOTHING
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0

    @property
    def done(self) -> int:
        """Rows that are finished, those of an earlier run too."""
        return self.before + self.answers + self.errors

    def line(self, now: float) -> str:
        """`120/500 answered, 2 errors, 34.1 rows/s, 512 tokens/s, 0:11 left`."""
        of = f"/{self.total}" if self.total is not None else ""
        words = [f"{self.before + self.answers}{of} answered"]
        if self.errors:
            words.append(_several(self.errors, "error"))
        rate = (self.answers + self.errors) / max(now - self.begun, 1e-9)
        if rate:
            words.append(f"{rate:.1f} rows/s")
            if self.output_tokens:
                words.append(f"{self._speed(now):.0f} tokens/s")
            if self.total is not None:
                words.append(f"{_clock((self.total - self.done) / rate)} left")
        return ", ".join(words)

    def summary(self) -> str:
        """What the whole run was."""
        words = [_several(self.answers, "answer"), _several(self.errors, "error")]
        if self.cut:
            words.append(f"{self.cut} cut at their limit of tokens")
        if self.input_tokens or self.output_tokens:
            words.append(f"{self.input_tokens:,} tokens in, {self.output_tokens:,} out")
        words.append(f"{self.ended - self.begun:.1f} s")
        if self.output_tokens:
            words.append(f"{self._speed(self.ended):.1f} tokens/s")
        return ", ".join(words)

    def _speed(self, now: float) -> float:
        return self.output_tokens / max(now - self.begun, 1e-9)


def _several(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
