"""llmock, a server that fails as it is told, until the standard input closes. Its settings come
from its environment variables, `LLMOCK_…`."""

from __future__ import annotations

import os
import sys

from llmock.chaos import ChaosSettings
from llmock.simulation import MockResponseSettings
from llmock.testing import LLMockServer

if __name__ == "__main__":
    chaos, style = ChaosSettings.from_env(), MockResponseSettings.from_env()
    print(LLMockServer(chaos=chaos, responses=style).start().url, flush=True)
    sys.stdin.read()
    os._exit(0)  # its own end would wait for answers that it delays
