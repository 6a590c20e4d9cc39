"""The engine: one llama.cpp in this process for a file and its options, and the threads in it.

What is known of xllamacpp, and what follows (measured; `README.md` has the numbers):

- A request blocks its thread; a callback hears the pieces and ends the request by returning
  true. So each call has a thread and a flag. The callback comes with every token, and while a
  prompt is read after every batch; hence the small batch.
- The interpreter must not end, and no fork may use or free an engine, while threads are in it.
- Its HTTP listener can't be switched off. It gets a random port and a key that stays here, and
  counts and tells tokens for us.
"""

from __future__ import annotations

import ctypes
import http.client
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import attrs
import orjson
import trio

from llmmw.errors import BadRequest, NotFound, ServerError
from llmmw_local._models import check_gguf
from llmmw_local._server import EngineOptions, make_server
from llmmw_local._slots import Slots

__all__ = ["Engine", "Job", "Verb", "never_free"]

_CLOSED = "the engine was closed while the call waited for it"
_EXIT_WAIT = 10.0
_HTTP_WAIT = 60.0


Verb: TypeAlias = Literal["chat", "complete", "embed"]
"""What an engine is asked to do with a body."""


@attrs.define(eq=False)
class Job:
    """Requests inside an engine, one after another: the pieces that came, told to trio in
    batches."""

    bodies: Iterable[bytes] = attrs.field(repr=False)
    verb: Verb
    listening: bool
    """Whether pieces are wanted as they come; otherwise trio is woken once, at the end."""
    token: trio.lowlevel.TrioToken
    pieces: deque[bytes] = attrs.field(factory=deque, repr=False)
    server: Any = None
    stop: bool = False
    """Set from anywhere: the engine leaves the request at its next callback."""
    ended: bool = False
    error: BaseException | None = None
    _news: trio.Event = attrs.field(factory=trio.Event, repr=False)
    _waking: bool = False

    def run(self) -> None:
        """Be inside the engine until the requests are over; in a thread. Keeps nothing of the
        engine afterwards, so that whoever closes it also frees it."""
        server, self.server = self.server, None
        handle = _handler(server, self.verb)
        del server
        try:
            for body in self.bodies:
                if self.stop:
                    break
                handle(body, self.hear)
        finally:
            del handle

    def hear(self, piece: bytes) -> bool:
        """The engine's callback, in its thread: whether to stop."""
        self.pieces.append(piece)
        if self.listening and not self._waking:
            self._wake()
        return self.stop

    def end(self, error: BaseException | None) -> None:
        """The engine is done with the request; in its thread."""
        self.error = error
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self._waking = True
        try:
            self.token.run_sync_soon(self._tell)
        except trio.RunFinishedError:
            self.stop = True  # nobody is left to hear it

    def _tell(self) -> None:
        self._news.set()

    async def next_pieces(self) -> list[bytes]:
        """The pieces that came since the last time; empty at the end.

        Raises:
            BaseException: what the engine raised.
        """
        while not self.pieces and not self.ended:
            await self._news.wait()
            self._news = trio.Event()
            self._waking = False
        ended = self.ended  # before taking: what comes after it is for the next time
        pieces = [self.pieces.popleft() for _ in range(len(self.pieces))]
        if not pieces and ended and self.error is not None:
            raise self.error
        return pieces


def _handler(server: Any, verb: Verb) -> Callable[[bytes, Callable[[bytes], bool]], Any]:
    if verb == "embed":  # it has no callback
        return lambda body, hear: hear(server.handle_embeddings(body))
    handle: Callable[[bytes, Callable[[bytes], bool]], Any]
    handle = server.handle_chat_completions if verb == "chat" else server.handle_completions
    return handle


@attrs.define(eq=False)
class Engine:
    """llama.cpp with one model. Made by `lease_engine`; loads when it is first used."""

    path: Path
    options: EngineOptions
    slots: Slots = attrs.field(init=False)
    leases: int = 0
    lost: bool = False
    """It belongs to the process that this one was forked from."""
    _closed: bool = False
    _server: Any = None
    _key: str = attrs.field(factory=lambda: secrets.token_urlsafe(32), repr=False)
    _jobs: set[Job] = attrs.field(factory=set, repr=False)
    _loading: threading.Lock = attrs.field(factory=threading.Lock, repr=False)
    _guard: threading.Condition = attrs.field(factory=threading.Condition, repr=False)

    live: ClassVar[set[Engine]] = set()
    """The loaded engines of this process."""
    inherited: ClassVar[bool] = False
    """Whether this process was forked from one that had an engine. llama.cpp then believes in a
    thread that is not here, and freeing any engine would wait for it for ever."""

    def __attrs_post_init__(self) -> None:
        self.slots = Slots(self.options.slots)

    async def open(self) -> None:
        """Load the model, in a thread, unless it is loaded.

        Raises:
            NotFound: if the file is no model that the engine can load.
        """
        if self._server is None:
            await trio.to_thread.run_sync(self._load, abandon_on_cancel=True)

    def _load(self) -> None:
        with self._loading:
            if self._server is not None or self._closed:
                return
            check_gguf(self.path)
            self.live.add(self)
            try:
                server = make_server(self.path, self.options, self._key)
                self._server = None if self._closed else server
            except RuntimeError as error:
                self.live.discard(self)
                raise NotFound(
                    f"the engine can't load {self.path}: the file is damaged, too large for the "
                    "memory, or of a kind that this version of llama.cpp does not know"
                ) from error

    def start(self, bodies: Iterable[bytes], verb: Verb, *, listening: bool = False) -> Job:
        """Hand requests to the engine. The caller has a place in `slots`, which is given back
        when the engine's thread ends, however long that takes.

        Raises:
            ServerError: if the engine is closed.
        """
        job = Job(bodies, verb, listening, trio.lowlevel.current_trio_token())
        with self._guard:
            if self._closed or self._server is None:
                self.slots.free_nowait()
                raise ServerError(_CLOSED)
            self._jobs.add(job)
            job.server = self._server
        trio.lowlevel.start_thread_soon(job.run, lambda end: self._end(job, end), "llmmw-local")
        return job

    def _end(self, job: Job, outcome: Any) -> None:
        """In the engine's thread: the request is over."""
        with self._guard:
            self._jobs.discard(job)
            self._guard.notify_all()
        self.slots.free_nowait()
        job.end(getattr(outcome, "error", None))

    async def ask(self, path: str, *bodies: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the engine says of each body by itself, without computing: of tokens, say.

        Raises:
            BadRequest: if the engine does not take one.
        """
        return await trio.to_thread.run_sync(self._ask, path, bodies, abandon_on_cancel=True)

    def _ask(self, path: str, bodies: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        server = self._server
        if server is None:
            raise ServerError(_CLOSED)
        place = server.listening_address.removeprefix("http://")
        del server
        return [self._post(place, path, orjson.dumps(body)) for body in bodies]

    def _post(self, place: str, path: str, body: bytes) -> dict[str, Any]:
        line = http.client.HTTPConnection(place, timeout=_HTTP_WAIT)
        # A connection kept alive would hold up the engine's end.
        headers = {"Authorization": f"Bearer {self._key}", "Connection": "close"}
        headers["Content-Type"] = "application/json"
        try:
            line.request("POST", path, body, headers)
            answer = line.getresponse()
            told: dict[str, Any] = orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            raise ServerError(f"the engine could not answer {path}: {error}") from error
        finally:
            line.close()
        if answer.status != 200:
            raise BadRequest(str(told.get("error", {}).get("message", told)))
        return told

    def close(self, wait: float = _EXIT_WAIT) -> None:
        """Stop what runs, wait up to `wait` seconds for it, and free the model. In a thread, or
        at exit."""
        until = time.monotonic() + wait
        self._closed = True
        if not self._loading.acquire(timeout=wait):
            return
        with self._guard:
            for job in self._jobs:
                job.stop = True
            while self._jobs and (left := until - time.monotonic()) > 0:
                self._guard.wait(left)
            if not self._jobs:
                if Engine.inherited:
                    never_free(self._server)
                self._server = None
                self.live.discard(self)
        self._loading.release()


def never_free(server: object) -> None:
    """Take a reference that nobody gives back."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))
