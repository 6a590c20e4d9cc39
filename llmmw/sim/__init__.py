"""A simulated provider: scripted answers and faults in trio's time, virtual or real, without
Hypothesis; and `simulate`, which puts a stack through a world of them."""

from llmmw.sim._faults import Fault as Fault
from llmmw.sim._faults import WireFault as WireFault
from llmmw.sim._faults import wire_faults as wire_faults
from llmmw.sim._provider import Seen as Seen
from llmmw.sim._provider import SimulatedProvider as SimulatedProvider
from llmmw.sim._report import Percentiles as Percentiles
from llmmw.sim._report import Report as Report
from llmmw.sim._script import Script as Script
from llmmw.sim._script import Scripted as Scripted
from llmmw.sim._simulate import simulate as simulate
from llmmw.sim._world import WorldModel as WorldModel
from llmmw.sim._world_file import load_world as load_world

__all__ = [
    "Fault",
    "Percentiles",
    "Report",
    "Script",
    "Scripted",
    "Seen",
    "SimulatedProvider",
    "WireFault",
    "WorldModel",
    "load_world",
    "simulate",
    "wire_faults",
]
