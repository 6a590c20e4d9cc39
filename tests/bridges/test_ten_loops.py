"""Ten loops in ten threads at once: on the one background thread, and each with its own guest."""

import asyncio
import threading
from contextlib import AsyncExitStack

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Call, Finish, Response, aio
from llmmw._portal_thread import current_portal
from llmmw.plugin import Provider, ResponseBuilder

LOOPS = 10
STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "cancel", "turn"]), st.integers(0, 3)), max_size=12
)


@attrs.define(eq=False)
class Repeating(Provider):
    """Says the prompt again after as many turns as it is told to take."""

    begun: int = 0
    over: int = 0

    async def __call__(self, call: Call) -> Response:
        text = call.request.messages[-1].text
        self.begun += 1
        try:
            for _ in range(int(text[-1])):
                await trio.lowlevel.checkpoint()
            builder = ResponseBuilder(call, self.name)
            await builder.text(text)
            return await builder.finish(Finish("stop"))
        finally:
            self.over += 1


async def follow(thread: int, steps: list[tuple[str, int]], as_guest: bool) -> int:
    """Ask and cancel as it is said; how many answers came."""
    provider = Repeating(name="repeat")
    asked: list[tuple[str, asyncio.Task]] = []
    cancelled = set()
    async with AsyncExitStack() as stack:
        if as_guest:
            await stack.enter_async_context(aio.guest())
        client = await stack.enter_async_context(aio.Client("repeat:a", providers=[provider]))
        for what, number in [*steps, ("ask", 3)]:
            if what == "ask":
                prompt = f"{thread} {len(asked)} {number}"
                asked.append((prompt, asyncio.create_task(client.ask(prompt))))
            elif what == "turn":
                await asyncio.sleep(0)
            elif number < len(asked):
                asked[number][1].cancel()
                cancelled.add(number)
        ends = await asyncio.gather(*(task for _, task in asked), return_exceptions=True)
        assert provider.begun == provider.over
        for number, ((prompt, _), end) in enumerate(zip(asked, ends, strict=True)):
            if isinstance(end, BaseException):
                assert isinstance(end, asyncio.CancelledError)
                assert number in cancelled
            else:
                assert end.text == prompt
    return sum(not isinstance(end, BaseException) for end in ends)


@pytest.mark.parametrize("guests", [0, 5, LOOPS])
@settings(max_examples=10)
@given(scripts=st.lists(STEPS, min_size=LOOPS, max_size=LOOPS))
def test_nothing_is_lost_and_nothing_left(guests: int, scripts: list) -> None:
    answers: dict[int, int] = {}
    together = threading.Barrier(LOOPS)

    def run(thread: int) -> None:
        async def main() -> int:
            return await follow(thread, scripts[thread], thread < guests)

        together.wait(30)
        answers[thread] = asyncio.run(asyncio.wait_for(main(), 60))
        if trio.lowlevel.in_trio_run():
            del answers[thread]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(LOOPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(answers) == set(range(LOOPS))
    assert all(count >= 1 for count in answers.values())
    assert not current_portal().works
