"""A process that hammers one account: hammer.py URL CALLS RATE BURST SEED [HINT]; prints what it
did. With a hint, its host says after ten calls that nothing may start for so many seconds."""

import contextvars
import json
import random
import sys

import trio
from llmmw_redis import RedisStore

from llmmw import Call, Generate, Generation, RateLimit, chain
from llmmw._ledger import StoreFailed
from llmmw.errors import Overloaded, RateLimited
from llmmw.testing import open_host

url, calls, rate, burst, seed = sys.argv[1], *map(float, sys.argv[2:5]), int(sys.argv[5])
hint = float(sys.argv[6]) if len(sys.argv) > 6 else 0.0
chance = random.Random(seed)
# The last is over while the server is asked, so that some are cancelled there.
limits = [100, 100, 100, 0.02] if hint else [100, 100, 100, 100, 0.02, 0.0005]
starts, failed, frozen, cancelled, spent = [], [], [], 0, 0
granted = contextvars.ContextVar("granted")


class Noted(RedisStore):
    """Notes by the server's clock when a call was let through: ours may come to it much later."""

    async def _ask(self, *commands):
        replies = await super()._ask(*commands)
        if "settle" in commands[0] and hint and not frozen and spent == 10:
            ((seconds, micros),) = await super()._ask(("TIME",))
            frozen.append(int(seconds) + int(micros) / 1e6)
        if "take" in commands[0] and replies[0][0] == 1:
            granted.set(float(replies[0][1]))
        return replies


async def provider(call):
    global spent
    call.attempt.mark_sent(call.ledger)
    starts.append(granted.get())
    spent += 1
    if hint and spent == 10:
        raise RateLimited("slow down", retry_after=hint)
    await trio.sleep(chance.random() / 50)
    if chance.random() < 0.2:
        raise Overloaded("busy")
    return Generation(model="a", provider="sim")


async def one(handler, host):
    global cancelled
    request = Generate(model="sim:a", messages=["hello"])
    call = Call(request, host=host)
    with trio.move_on_after(chance.choice(limits)) as scope:
        try:
            await handler(call)
        except (Overloaded, RateLimited):
            pass
        except Exception as error:
            if type(error).__name__ != "CallShed":
                raise
    cancelled += scope.cancelled_caught
    failed.extend(event for event in call.ledger.events if isinstance(event, StoreFailed))


async def main():
    limit = RateLimit(requests=rate, per=1.0, burst=burst, store=Noted(url, timeout=20))
    handler = chain(limit, provider=provider)
    async with open_host() as host:
        async with trio.open_nursery() as nursery:
            for _ in range(int(calls)):
                nursery.start_soon(one, handler, host)
                await trio.sleep(chance.random() / 100)
    charged = limit.statistics()["sim"]["charged"]["requests"]
    told = {
        "starts": starts,
        "frozen": frozen,
        "sent": len(starts),
        "spent": spent,
        "charged": charged,
    }
    print(json.dumps({**told, "failed": len(failed), "cancelled": cancelled}))


trio.run(main)
