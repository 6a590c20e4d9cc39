"""A simulated provider: scripted answers in trio's time, virtual or real, without Hypothesis."""

from llmmw.sim._provider import Script as Script
from llmmw.sim._provider import Seen as Seen
from llmmw.sim._provider import SimulatedProvider as SimulatedProvider

__all__ = ["Script", "Seen", "SimulatedProvider"]
