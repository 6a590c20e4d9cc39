"""For tests: a virtual clock, a simulated provider, faults of the wire as data, and an HTTP server
that answers as a test says. For authors of policies: worlds, and the laws.

`assert_laws(my_policy)` checks a policy, or a stack, against all laws that apply.
"""

from llmmw._tasks import open_host as open_host
from llmmw.sim import Fault as Fault
from llmmw.sim import Script as Script
from llmmw.sim import Scripted as Scripted
from llmmw.sim import Seen as Seen
from llmmw.sim import SimulatedProvider as SimulatedProvider
from llmmw.sim import WireFault as WireFault
from llmmw.sim import wire_faults as wire_faults
from llmmw.testing._cassette import Cassette as Cassette
from llmmw.testing._cassette import NotRecorded as NotRecorded
from llmmw.testing._cassette import cassette as cassette
from llmmw.testing._chat import ChatHost as ChatHost
from llmmw.testing._check import assert_laws as assert_laws
from llmmw.testing._exchange import Exchange as Exchange
from llmmw.testing._provider_check import check_provider as check_provider
from llmmw.testing._server import Answer as Answer
from llmmw.testing._server import Received as Received
from llmmw.testing._server import Server as Server
from llmmw.testing._server import open_server as open_server
from llmmw.testing._table import check_laws as check_laws
from llmmw.testing._trace import Trace as Trace
from llmmw.testing._virtual import run_virtual as run_virtual
from llmmw.testing._virtual import seed_schedule as seed_schedule
from llmmw.testing._world import Caller as Caller
from llmmw.testing._world import World as World
from llmmw.testing._world import run_world as run_world

__all__ = [
    "Answer",
    "Caller",
    "Cassette",
    "ChatHost",
    "Exchange",
    "Fault",
    "NotRecorded",
    "Received",
    "Script",
    "Scripted",
    "Seen",
    "Server",
    "SimulatedProvider",
    "Trace",
    "WireFault",
    "World",
    "assert_laws",
    "cassette",
    "check_laws",
    "check_provider",
    "open_host",
    "open_server",
    "run_virtual",
    "run_world",
    "seed_schedule",
    "wire_faults",
]
