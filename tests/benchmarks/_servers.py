"""The servers: nginx, which always answers the same, and one that streams. They have a core of
their own, and start when they are first needed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from tests.benchmarks._machine import SERVER, pinned
from tests.benchmarks._peers import Missing, Peers

__all__ = ["Servers"]

_FOLDER = Path(__file__).parent / "servers"
_TEXT = "x" * 1200
_CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1758144046,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": _TEXT, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
}
_MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": _TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 20},
}


class Servers:
    """Both servers, in a folder.

    Args:
        folder: for configuration, certificates and logs.
        peers: whose environment has what the servers are made of.
        stack: ends them.
    """

    def __init__(self, folder: Path, peers: Peers, stack: ExitStack) -> None:
        self._folder, self._peers, self._stack = folder, peers, stack

    @property
    def fixed(self) -> str:
        """The address of the one that always answers the same."""
        return f"http://127.0.0.1:{self._nginx[0]}/v1"

    @property
    def secure(self) -> str:
        """The same with TLS; `authority` has who signed its certificate."""
        return f"https://localhost:{self._nginx[1]}/v1"

    @property
    def authority(self) -> Path:
        """A file with the certificate of who signed the server's."""
        return self._folder / "client.pem"

    def streaming(self, chunks: int, pause_ms: int) -> str:
        """The address of a stream of so many pieces of text, so many milliseconds apart."""
        return f"http://127.0.0.1:{self._sse}/{chunks}/{pause_ms}/v1"

    @property
    def silent(self) -> str:
        """The address where no answer comes."""
        return f"http://127.0.0.1:{self._sse}/never/v1"

    @cached_property
    def _nginx(self) -> tuple[int, int]:
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise Missing("nginx is not installed: install it (`apt install nginx-light`)")
        folder = self._folder
        made = [self._peers.python("clients"), "-m", "trustme", "-q", "-d", str(folder)]
        subprocess.run([*made, "-i", "localhost", "127.0.0.1"], check=True)
        plain, secure = _free_port(), _free_port()
        text = (_FOLDER / "nginx.conf").read_text()
        words = {"FOLDER": str(folder), "PLAIN": str(plain), "SECURE": str(secure)}
        words |= {"CHAT": json.dumps(_CHAT), "MESSAGE": json.dumps(_MESSAGE)}
        for word, meant in words.items():
            text = text.replace(word, meant)
        (folder / "nginx.conf").write_text(text)
        log = str(folder / "nginx.log")
        self._start(
            [program, "-e", log, "-p", str(folder), "-c", str(folder / "nginx.conf")], plain
        )
        return plain, secure

    @cached_property
    def _sse(self) -> int:
        port = _free_port()
        self._start([self._peers.python("clients"), str(_FOLDER / "sse.py"), str(port)], port)
        return port

    def _start(self, command: list[str], port: int) -> None:
        process = subprocess.Popen(command, **pinned(SERVER))
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        for _ in range(500):
            if process.poll() is not None:
                raise RuntimeError(f"a server has ended at once: {command}")
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"a server does not listen: {command}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
