"""The thread under both faces: what is posted is done, once, in order; the end is always told."""

import asyncio
import queue
import threading
from collections.abc import Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import aio, sync
from llmmw._mailbox import Ended, Mailbox
from llmmw._portal import Work
from llmmw._portal_thread import ThreadPortal
from llmmw.testing import Script


@given(st.lists(st.sampled_from(["post", "wake", "interrupt"])))
def test_whatever_is_posted_is_called_once_and_in_order(steps: list[str]) -> None:
    """Even if posts are interrupted on their way, a later wake-up finds what they left."""
    wakes: list = []
    interrupted = False

    def wake(empty) -> None:
        if interrupted:
            raise KeyboardInterrupt
        wakes.append(empty)

    mailbox = Mailbox(wake)
    called: list[int] = []
    posted = 0
    for step in steps:
        if step == "wake" and wakes:
            wakes.pop(0)()
        elif step != "wake":
            interrupted = step == "interrupt"
            try:
                mailbox.post(called.append, posted)
            except KeyboardInterrupt:
                pass
            posted += 1
    interrupted = False
    mailbox.post(called.append, posted)
    while wakes:
        wakes.pop(0)()
    assert called == list(range(posted + 1))


def test_a_mailbox_wakes_once_for_many() -> None:
    wakes: list = []
    mailbox = Mailbox(wakes.append)
    for _ in range(100):
        mailbox.post(int)
    assert len(wakes) == 1
    wakes.pop()()
    mailbox.post(int)
    assert len(wakes) == 1


def test_many_threads_lose_nothing() -> None:
    woken: queue.SimpleQueue = queue.SimpleQueue()
    mailbox = Mailbox(woken.put)
    called: list[tuple[int, int]] = []
    done = threading.Semaphore(0)

    def empty() -> None:
        while (function := woken.get()) is not None:
            function()

    def post(thread: int) -> None:
        for number in range(2000):
            mailbox.post(called.append, (thread, number))
        mailbox.post(done.release)

    threads = [threading.Thread(target=post, args=(n,)) for n in range(4)]
    threads.append(threading.Thread(target=empty))
    for thread in threads:
        thread.start()
    for _ in range(4):
        assert done.acquire(timeout=30)
    woken.put(None)
    for thread in threads:
        thread.join(30)
    for thread in range(4):
        assert [number for who, number in called if who == thread] == list(range(2000))


def ended(work: Work, messages: queue.SimpleQueue) -> Ended:
    while not isinstance(message := messages.get(timeout=30), Ended):
        pass
    assert work.ended
    return message


def test_the_end_is_told_whenever_the_portal_stops() -> None:
    """Work that runs, that has not begun, and that comes too late."""
    portal = ThreadPortal()
    begun, messages = threading.Event(), [queue.SimpleQueue() for _ in range(3)]

    async def do(tell) -> None:
        begun.set()
        await trio.sleep_forever()

    early, running, late = (Work(portal, do, one.put) for one in messages)
    early.start()  # before there is a thread
    portal.thread.start()
    assert begun.wait(30)
    begun.clear()
    running.start()
    assert begun.wait(30)
    portal.stop("the test is over")
    late.start()
    portal.thread.join(30)
    for work, queue_ in zip((early, running, late), messages, strict=True):
        with pytest.raises(RuntimeError, match="the client is closed: the test is over"):
            ended(work, queue_).result()


def test_a_crash_of_the_thread_is_told_and_the_next_client_has_a_new_one(
    world, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed = []
    monkeypatch.setattr(threading, "excepthook", crashed.append)
    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        portal = client._home.portal

        def crash() -> None:
            raise MemoryError

        portal.post(crash)
        portal.thread.join(30)
        with pytest.raises(RuntimeError, match="has crashed"):
            client.ask("hi")
    assert len(crashed) == 1
    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        assert client.ask("hi").text == "ok"


def test_both_faces_share_one_thread(hold) -> None:
    async def main() -> None:
        async with aio.Client("hold:a", providers=[hold]) as client:
            await client.ask("aio")

    hold.call("aio").answer.set()
    hold.call("sync").answer.set()
    with sync.Client("hold:a", providers=[hold]) as client:
        client.ask("sync")
        asyncio.run(main())
        names = [thread.name for thread in threading.enumerate()]
    assert names.count("llmmw portal") == 1


def test_an_interrupt_in_a_mailbox_leaves_the_others_their_turn() -> None:
    woken: list[Callable[[], None]] = []
    seen: list[int] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    mailbox = Mailbox(woken.append)
    mailbox.post(interrupt)
    mailbox.post(seen.append, 1)
    with pytest.raises(KeyboardInterrupt):
        woken.pop()()
    woken.pop()()
    assert seen == [1]
