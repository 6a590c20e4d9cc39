"""Ctrl-C, exit and fork, in real processes that tell on a pipe what happens to them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

PRELUDE = """
import asyncio, os, signal, sys, threading
from contextlib import asynccontextmanager
import trio
from llmmw import Finish, aio, sync
from llmmw.plugin import Provider, ResponseBuilder

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

class Slow(Provider):
    @asynccontextmanager
    async def open(self, host):
        try:
            yield
        finally:
            say("closed")

    async def __call__(self, call):
        builder = ResponseBuilder(call, self.name)
        if call.request.messages[-1].text == "wait":
            try:
                await builder.text("so far")
                say("begun")
                await trio.sleep_forever()
            finally:
                say("cancelled")
        await builder.text("ok")
        return await builder.finish(Finish("stop"))

def providers():
    return [Slow(name="slow")]

"""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")


class Child:
    """A script that runs; a line it should say and does not is an error."""

    def __init__(self, script: str) -> None:
        command = [sys.executable, "-W", "error", "-c", PRELUDE + script]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def hear(self, *lines: str) -> None:
        assert self.process.stdout is not None
        for line in lines:
            said = self.process.stdout.readline().strip()
            assert said == line, self.process.communicate(timeout=30)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, list[str], str]:
        """Its status, the lines it still said, and its errors."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out.split("\n")[:-1], err


@pytest.fixture
def child() -> Iterator[type[Child]]:
    children: list[Child] = []

    class Started(Child):
        def __init__(self, script: str) -> None:
            super().__init__(script)
            children.append(self)

    yield Started
    for one in children:
        one.process.kill()
        one.process.communicate()


def test_an_interrupted_call_is_over_before_the_interrupt_goes_on(child) -> None:
    run = child("""
with sync.Client("slow:a", providers=providers()) as client:
    try:
        client.ask("wait")
    except KeyboardInterrupt:
        say("interrupted")
    say(client.ask("hi").text)
""")
    run.hear("begun")
    run.interrupt()
    assert run.end() == (0, ["cancelled", "interrupted", "ok", "closed"], "")


def test_an_interrupt_in_a_stream_keeps_what_came(child) -> None:
    run = child("""
with sync.Client("slow:a", providers=providers()) as client:
    with client.stream("wait") as stream:
        try:
            for piece in stream.text:
                say(piece)
        except KeyboardInterrupt:
            say("interrupted with", stream.partial.text)
    say("left")
""")
    run.hear("begun", "so far")
    run.interrupt()
    assert run.end() == (0, ["interrupted with so far", "cancelled", "left", "closed"], "")


def test_an_interrupt_that_nobody_catches_ends_the_program(child) -> None:
    run = child("""
client = sync.Client("slow:a", providers=providers()).open()
client.ask("wait")
""")
    run.hear("begun")
    run.interrupt()
    status, said, errors = run.end()
    assert (status, said) == (-signal.SIGINT, ["cancelled", "closed"])
    assert errors.strip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1


def test_an_interrupt_cancels_the_tasks_of_asyncio(child) -> None:
    run = child("""
async def main():
    async with aio.Client("slow:a", providers=providers()) as client:
        try:
            await client.ask("wait")
        except asyncio.CancelledError:
            say("task cancelled")
            raise

try:
    asyncio.run(main())
except KeyboardInterrupt:
    say("interrupted")
""")
    run.hear("begun")
    run.interrupt()
    said = ["cancelled", "task cancelled", "closed", "interrupted"]
    assert run.end() == (0, said, "")


@pytest.mark.parametrize(
    ("leave", "status"), [("", 0), ("sys.exit(3)", 3), ("raise SystemExit(4)", 4)]
)
def test_open_clients_are_closed_when_the_interpreter_exits(child, leave, status) -> None:
    run = child(f"""
client = sync.Client("slow:a", providers=providers()).open()
say(client.ask("hi").text)

async def main():
    other = await aio.Client("slow:a", providers=providers()).open()
    say((await other.ask("hi")).text)

asyncio.run(main())
{leave}
""")
    assert run.end() == (status, ["ok", "ok", "closed", "closed"], "")


def test_a_call_that_runs_at_the_exit_is_cancelled_and_told(child) -> None:
    run = child("""
import atexit

def ask():
    try:
        client.ask("wait")
    except RuntimeError as error:
        say(error)
        told.set()

told = threading.Event()
atexit.register(told.wait, 30)  # handlers run in reverse: after that of the client
client = sync.Client("slow:a", providers=providers()).open()
threading.Thread(target=ask, daemon=True).start()
sys.stdin.readline()
""")
    run.hear("begun")
    run.process.stdin.write("go\n")
    run.process.stdin.flush()
    told = "the client is closed: the interpreter is exiting"
    status, said, errors = run.end()
    assert (status, errors) == (0, "")
    assert sorted(said) == ["cancelled", "closed", told]


def test_nothing_is_opened_by_an_exiting_interpreter(child) -> None:
    run = child("""
import atexit

def late():
    for what in (lambda: client.ask("hi"), sync.Client("slow:a").open):
        try:
            what()
        except RuntimeError as error:
            say(error)

atexit.register(late)
client = sync.Client("slow:a", providers=providers()).open()
""")
    told = [
        "the client is closed: the interpreter is exiting",
        "no client can be opened: the interpreter is exiting",
    ]
    assert run.end() == (0, told, "")


FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork with threads

def child_of(act):
    pid = os.fork()
    if pid == 0:
        act()
        sys.exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@forks
def test_a_forked_child_has_a_thread_of_its_own(child) -> None:
    run = child(
        FORK
        + """
def act():
    try:
        client.ask("hi")
    except RuntimeError as error:
        say(error)
    client.close()
    fresh = sync.Client("slow:a", providers=providers()).open()
    say("child", fresh.ask("hi").text)

client = sync.Client("slow:a", providers=providers()).open()
client.ask("hi")
unopened = sync.Client("slow:a", providers=providers())
say("status", child_of(act))
say("status", child_of(lambda: say("unopened", unopened.open().ask("hi").text)))
say("parent", client.ask("hi").text)
"""
    )
    refused = "the client is closed: it was opened before the process forked: "
    assert run.end() == (
        0,
        [
            refused + "open a new client in the child",
            "child ok",
            "closed",
            "status 7",
            "unopened ok",
            "closed",
            "status 7",
            "parent ok",
            "closed",
        ],
        "",
    )


@forks
def test_a_forked_child_may_leave_the_blocks_of_its_parent(child) -> None:
    run = child(
        FORK
        + """
with sync.Client("slow:a", providers=providers()) as client:
    with client.stream("wait") as stream:
        next(stream)
        pid = os.fork()
        if pid == 0:
            try:
                list(stream)
            except RuntimeError as error:
                say(error)
if pid == 0:
    say("child left")
    sys.exit(7)
say("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    )
    status, said, errors = run.end()
    assert (status, errors) == (0, "")
    refused = "the client is closed: it was opened before the process forked: "
    told = [refused + "open a new client in the child", "child left", "status 7"]
    assert sorted(said) == sorted([*told, "begun", "cancelled", "closed"])


@forks
def test_workers_of_multiprocessing_open_their_own(child) -> None:
    run = child(
        FORK
        + """
import multiprocessing

def work(number):
    with sync.Client("slow:a", providers=providers()) as mine:
        return mine.ask("hi").text

client = sync.Client("slow:a", providers=providers()).open()
client.ask("hi")
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(2)), flush=True)
"""
    )
    status, said, errors = run.end()
    assert (status, errors) == (0, "")
    assert "['ok', 'ok']" in said
    assert said.count("closed") == 3


@forks
def test_threads_of_a_forked_child_are_told_the_same(child) -> None:
    """The system gives the first of them the number of the thread that stayed in the parent."""
    run = child(
        FORK
        + """
def ask():
    try:
        client.ask("hi")
    except RuntimeError as error:
        say(error)

async def ask_aio():
    try:
        await other.ask("hi")
    except RuntimeError as error:
        say(error)

def act():
    for target in (ask, lambda: asyncio.run(ask_aio())):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

client = sync.Client("slow:a", providers=providers()).open()
other = aio.Client("slow:a", providers=providers())
asyncio.run(other.open())
say("status", child_of(act))
"""
    )
    status, said, errors = run.end()
    refused = "the client is closed: it was opened before the process forked: "
    assert (status, errors) == (0, "")
    told = [refused + "open a new client in the child"] * 2
    assert said == [*told, "status 7"]


@forks
def test_workers_that_are_forked_in_a_guest_use_the_background_thread(child) -> None:
    run = child(
        FORK
        + """
import multiprocessing

async def ask():
    async with aio.Client("slow:a", providers=providers()) as client:
        return (await client.ask("hi")).text

def work(number):
    return asyncio.run(ask())

async def main():
    async with aio.guest():
        say(await ask())
        with multiprocessing.get_context("fork").Pool(1) as pool:
            say(pool.map(work, range(2)))
        say(await ask())

asyncio.run(main())
"""
    )
    status, said, errors = run.end()
    assert (status, errors) == (0, "")
    assert [line for line in said if line != "closed"] == ["ok", "['ok', 'ok']", "ok"]


@pytest.mark.parametrize("new_loop", ["asyncio.new_event_loop", "uvloop.new_event_loop"])
@pytest.mark.parametrize("runner", [True, False])
def test_an_interrupt_ends_a_guest(child, new_loop: str, runner: bool) -> None:
    """By asyncio.run, which cancels the task; and where trio's own handler is in force."""
    run = child(f"""
import uvloop

async def main():
    try:
        async with aio.guest(), aio.Client("slow:a", providers=providers()) as client:
            await client.ask("wait")
    finally:
        say("left", trio.lowlevel.in_trio_run())

def by_hand():
    loop = {new_loop}()
    task = loop.create_task(main())
    try:
        loop.run_until_complete(task)
    finally:
        if task.cancel():  # else the interrupt came to it
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                pass
        loop.close()

def by_runner():
    with asyncio.Runner(loop_factory={new_loop}) as runner:
        runner.run(main())

try:
    {"by_runner" if runner else "by_hand"}()
except KeyboardInterrupt:
    say("interrupted")
""")
    run.hear("begun")
    run.interrupt()
    status, said, errors = run.end()
    assert (status, errors) == (0, "")
    assert sorted(said[:2]) == ["cancelled", "closed"]  # trio cancels both at once
    assert said[2:] == ["left False", "interrupted"]
