"""What the parts of a run share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from tests.benchmarks._children import Children, children
from tests.benchmarks._machine import open_many
from tests.benchmarks._measure import say
from tests.benchmarks._peers import Peers
from tests.benchmarks._rivals import Rival
from tests.benchmarks._servers import Servers

__all__ = ["Bench", "Row", "opened", "ratio"]

Row = dict[str, str | float]
"""One line of a table: first what it is of, then what was measured."""


@attrs.frozen
class Bench:
    """A run.

    Args:
        peers: their environments.
        servers: who is asked.
        rounds: how often each rival has its turn.
        seconds: how long each turn takes.
        calls: of the parts that watch memory, how many.
        streams: how many are held at once.
    """

    peers: Peers
    servers: Servers
    rounds: int
    seconds: float
    calls: int
    streams: int

    @contextmanager
    def clients(
        self, rivals: Sequence[Rival], environ: Mapping[str, str] | None = None
    ) -> Iterator[Children]:
        """Client programs, for a block."""
        with children(self.peers, rivals, environ) as found:
            yield found


@contextmanager
def opened(folder: Path | None, *, quick: bool, calls: int | None) -> Iterator[Bench]:
    """A run, for a block; its servers end with it.

    Args:
        folder: where the peers' environments are kept; `None`: they are thrown away.
        quick: whether numbers may be rough.
        calls: as of `Bench`.
    """
    with ExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="bench")))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        peers = Peers(folder or work / "peers")
        servers = Servers(work, peers, stack)
        streams = min(10_000, open_many() - 500)
        if quick:
            yield Bench(peers, servers, 1, 0.4, calls or 20_000, min(2_000, streams))
        else:
            yield Bench(peers, servers, 5, 1.0, calls or 100_000, streams)


def ratio(
    name: str,
    parts: tuple[float | None, float | None],
    limit: float,
    *,
    most: bool = True,
) -> None:
    """Say one measure as a multiple of another; a missing one is said too."""
    above, below = parts
    if above is None or not below:
        print(f"MISS  {name}: not measured")
    else:
        say(name, above / below, limit, "x", most=most)
