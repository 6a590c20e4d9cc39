"""The client for asyncio programs: web handlers, bots, notebooks.

::

    from llmmw import aio

    async with aio.Client("local:smollm2") as client:
        response = await client.ask("hi")

All calls of the process are made in one background thread, which runs trio; the loop goes on
meanwhile. Middleware, providers and instruments run there too, in a copy of the caller's context;
listeners, `progress` and the input of `map` are the caller's and run in the caller's loop.
"""

from llmmw.aio._client import Client as Client
from llmmw.aio._flows import FlowStream as FlowStream
from llmmw.aio._flows import NodeStream as NodeStream
from llmmw.aio._flows import Reader as Reader
from llmmw.aio._guest import guest as guest
from llmmw.aio._reading import Items as Items
from llmmw.aio._reading import Stream as Stream

__all__ = ["Client", "FlowStream", "Items", "NodeStream", "Reader", "Stream", "guest"]
