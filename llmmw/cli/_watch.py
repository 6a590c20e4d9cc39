"""`-v`: what is decided for a call, as it happens."""

from __future__ import annotations

import attrs
import click

from llmmw._explain import timeline
from llmmw._ledger import AttemptFirst, AttemptSent, DownloadProgress, Event, Ledger
from llmmw._response import Generation
from llmmw.cli._run import tame

__all__ = ["Watch"]


@attrs.define(eq=False)
class Watch:
    """An instrument for a single call that prints what `explain()` would say when it is true.

    `hold`: keep the lines back, since an answer is being written to the same terminal.
    """

    hold: bool = False
    _ledger: Ledger = attrs.field(factory=Ledger)
    _shown: int = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, DownloadProgress):
            return
        self._ledger.add(event)
        if not self.hold:
            self.show()

    def show(self) -> None:
        """Print what was not printed yet."""
        lines = timeline(self._ledger.events)
        for line in lines[self._shown :]:
            click.echo(tame(line), err=True)
        self._shown = len(lines)

    def close(self, response: Generation) -> None:
        """Print the rest, and the speed of the answer."""
        self.show()
        click.echo(self._speed(response), err=True)

    def _speed(self, response: Generation) -> str:
        seconds = self._ledger.seconds or 0.0
        words = [f"{response.provider}:{response.model}", f"{seconds:.2f} s"]
        first, sent = self._last(AttemptFirst), self._last(AttemptSent)
        if first is not None and sent is not None:
            words.append(f"first content after {first - sent:.2f} s")
        tokens = response.usage.output_tokens if response.usage else None
        if tokens is not None:
            words.append(f"{tokens} tokens")
            if seconds:
                words.append(f"{tokens / seconds:.1f} tokens/s")
        return ", ".join(words)

    def _last(self, kind: type[Event]) -> float | None:
        times = [event.time for event in self._ledger.events if isinstance(event, kind)]
        return times[-1] if times else None
