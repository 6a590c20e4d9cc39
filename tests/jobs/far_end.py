"""A server on loopback that answers chats as OpenAI's does, and remembers when it was asked what.

It has a thread of its own, so that a test may wait for processes that talk to it.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from types import TracebackType
from typing import Any

import attrs


@attrs.define(eq=False)
class Asked:
    """One call."""

    prompt: str
    answered: float | None = None
    """By the clock of `time.monotonic`; `None` while it is in flight."""


@attrs.define(eq=False)
class FarEnd:
    """A context manager. A prompt with `bad` in it is refused until `healed` is set."""

    delay: float = 0.005
    healed: bool = False
    calls: list[Asked] = attrs.field(factory=list)
    port: int = 0
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    def __enter__(self) -> FarEnd:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,))
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join()
        self._loop.close()

    def config(self) -> str:
        """A configuration file of clients that ask this server as `openai:x`."""
        return (
            f'[providers.openai]\nbase_url = "http://127.0.0.1:{self.port}/v1"\n'
            'api_key = "sk-of-a-test"\n\n'
            '[prices."openai:x"]\ninput = "10"\noutput = "20"\n'
        )

    def prompts(self) -> list[str]:
        """What was asked, in its order."""
        return [one.prompt for one in self.calls]

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        )
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class _Connection(asyncio.Protocol):
    def __init__(self, far: FarEnd) -> None:
        self.far = far
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, mark, body = self.data.partition(b"\r\n\r\n")
        if not mark:
            return
        fields = dict(
            line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line
        )
        length = int(fields.get(b"content-length", b"0"))
        if len(body) < length:
            return
        self.data = body[length:]
        prompt = json.loads(body[:length])["messages"][-1]["content"]
        if not isinstance(prompt, str):
            prompt = prompt[0]["text"]
        asked = Asked(prompt)
        self.far.calls.append(asked)
        asyncio.get_running_loop().call_later(self.far.delay, self._answer, asked)

    def _answer(self, asked: Asked) -> None:
        refused = "bad" in asked.prompt and not self.far.healed
        body = json.dumps(_REFUSAL if refused else _answer_to(asked.prompt)).encode()
        status = b"400 Bad Request" if refused else b"200 OK"
        head = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        asked.answered = time.monotonic()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + head + body)


_REFUSAL = {"error": {"message": "not this", "type": "invalid_request_error", "code": "no"}}


def _answer_to(prompt: str) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "x",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"re: {prompt}"},
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
