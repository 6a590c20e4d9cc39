"""For authors of policies: a virtual clock, a host, a simulated provider, and the laws."""

from llmmw._tasks import open_host as open_host
from llmmw.sim import Script as Script
from llmmw.sim import Seen as Seen
from llmmw.sim import SimulatedProvider as SimulatedProvider
from llmmw.testing._virtual import run_virtual as run_virtual

__all__ = ["Script", "Seen", "SimulatedProvider", "open_host", "run_virtual"]
