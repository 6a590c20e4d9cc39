"""The client for plain programs: scripts, threads, notebooks, handlers that are no coroutines.

::

    from llmmw import sync

    with sync.Client("local:smollm2") as client:
        print(client.ask("hi").text)

All calls of the process are made in one background thread, which runs trio; the caller's thread
waits. Middleware, providers and instruments run there too, in a copy of the caller's context;
listeners, `progress` and the input of `map` are the caller's and run in the caller's thread.
"""

from llmmw.sync._client import Client as Client
from llmmw.sync._client import Listener as Listener
from llmmw.sync._client import run as run
from llmmw.sync._flows import FlowStream as FlowStream
from llmmw.sync._flows import NodeStream as NodeStream
from llmmw.sync._flows import Reader as Reader
from llmmw.sync._reading import Items as Items
from llmmw.sync._reading import Stream as Stream

__all__ = [
    "Client",
    "FlowStream",
    "Items",
    "Listener",
    "NodeStream",
    "Reader",
    "Stream",
    "run",
]
