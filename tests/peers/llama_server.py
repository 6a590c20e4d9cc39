"""Run as `llama_server.py MODEL KEY SLOTS CONTEXT`: llama.cpp's own HTTP server with a real model,
until the standard input closes."""

from __future__ import annotations

import os
import sys

import xllamacpp


def main() -> None:
    """Serve."""
    model, key, slots, context = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_parallel = int(slots)
    params.n_ctx = int(slots) * int(context)
    params.kv_unified = False
    params.n_batch = params.n_ubatch = 64
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.cache_prompt = False  # so that the same request has the same answer
    params.ctx_shift = True  # an answer that ignores its end has none
    params.cache_ram_mib = 0
    params.n_threads_http = 32  # each connection that is kept alive holds one of them
    params.endpoint_slots = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # its own end would wait for connections that are kept alive


if __name__ == "__main__":
    main()
