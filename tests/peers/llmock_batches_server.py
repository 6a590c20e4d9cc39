"""llmock whose batches end soon, until the standard input closes."""

from __future__ import annotations

import os
import sys

from llmock.chaos import ChaosSettings
from llmock.routers import batch
from llmock.simulation import MockResponseSettings
from llmock.testing import LLMockServer

if __name__ == "__main__":
    batch._BATCH_DELAY = 0.2  # instead of 3 seconds
    chaos, style = ChaosSettings.from_env(), MockResponseSettings.from_env()
    print(LLMockServer(chaos=chaos, responses=style).start().url, flush=True)
    sys.stdin.read()
    os._exit(0)
