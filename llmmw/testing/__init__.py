"""For authors of policies: a virtual clock, a host, a simulated provider, and the laws.

`assert_laws(lambda: [MyPolicy()])` checks a policy, or a stack, against all laws that apply.
"""

from llmmw._tasks import open_host as open_host
from llmmw.sim import Script as Script
from llmmw.sim import Seen as Seen
from llmmw.sim import SimulatedProvider as SimulatedProvider
from llmmw.testing._check import assert_laws as assert_laws
from llmmw.testing._check import check_laws as check_laws
from llmmw.testing._trace import Trace as Trace
from llmmw.testing._virtual import run_virtual as run_virtual
from llmmw.testing._world import Caller as Caller
from llmmw.testing._world import Fault as Fault
from llmmw.testing._world import World as World
from llmmw.testing._world import run_world as run_world

__all__ = [
    "Caller",
    "Fault",
    "Script",
    "Seen",
    "SimulatedProvider",
    "Trace",
    "World",
    "assert_laws",
    "check_laws",
    "open_host",
    "run_virtual",
    "run_world",
]
