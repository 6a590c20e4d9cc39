"""A real Redis, as the tests want it: started, stopped in its tracks, killed and started again."""

import shutil
import signal
import subprocess
from pathlib import Path

import attrs
import pytest

PROGRAM = shutil.which("redis-server")


@attrs.define(eq=False)
class Server:
    folder: Path
    more: tuple[str, ...] = ()
    process: subprocess.Popen | None = None

    @property
    def socket(self):
        return self.folder / "s"

    @property
    def url(self):
        return f"unix://{self.socket}"

    def start(self):
        command = [PROGRAM, "--port", "0", "--unixsocket", self.socket, "--save", "", *self.more]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, text=True, cwd=self.folder
        )
        said = ""
        for line in self.process.stdout:
            said += line
            if "eady to accept connections" in line:
                return self
        raise AssertionError(said)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def halt(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def cli(self, *words):
        """What `redis-cli` says."""
        command = ["redis-cli", "-s", str(self.socket), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def start_redis(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("redis-server is not installed")
    running = []

    def start(*more):
        server = Server(tmp_path_factory.mktemp("r"), more)
        running.append(server)
        return server.start()

    yield start
    for server in running:
        server.kill()


@pytest.fixture
def redis(start_redis):
    return start_redis()
