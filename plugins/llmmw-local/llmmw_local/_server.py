"""llama.cpp's server object, and what it is built with for each purpose.

- A context shared by slots fails *all* of them when it overflows. So each slot has its own.
- What a token's numbers are depends, in the last bits, on which tokens it is computed together
  with, and the last bits grow: log-probabilities differ by 0.1. So scores come from an engine
  that computes one token at a time, for one call at a time; they are the same bit for bit,
  whatever was cached, and whatever else was asked.
- A mean over a text needs all its tokens in one batch, whose memory and time grow with the square
  of its size. So vectors come from an engine of their own, with a small context.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

__all__ = ["EngineOptions", "Purpose", "make_server"]

_BATCH = 64
"""Tokens of a prompt between two looks at the stop flag; with 128 it reads 9 % faster."""
_SCORE_BATCH = 8
"""The same, where tokens are computed one by one; with 1 the engine does not start."""

Purpose: TypeAlias = Literal["generate", "score", "embed"]


@attrs.frozen(kw_only=True)
class EngineOptions:
    """What an engine is built with; together with the file it tells engines apart."""

    slots: int = 4
    context: int = 4096
    threads: int | None = None
    gpu_layers: int = 0
    purpose: Purpose = "generate"


def make_server(path: Path, options: EngineOptions, key: str) -> Any:
    """A running llama.cpp server object. Blocks while it loads."""
    xllamacpp = _import_engine()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = options.slots
    params.n_ctx = options.context * options.slots
    params.kv_unified = False
    _fit(params, options, xllamacpp)
    params.n_gpu_layers = options.gpu_layers
    if options.threads is not None:
        params.cpuparams.n_threads = options.threads
        params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = 0  # its default copies prompts into up to 8 GiB
    params.cache_idle_slots = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.verbosity = -1
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)
    # Its loop answers this. Freed before that has begun, it would wait for the loop's end for ever,
    # and hold the lock of the interpreter meanwhile.
    server.handle_metrics()
    return server


def _fit(params: Any, options: EngineOptions, xllamacpp: Any) -> None:
    """Batches as the purpose wants them."""
    if options.purpose == "generate":
        params.n_batch = params.n_ubatch = _BATCH
    elif options.purpose == "score":
        params.n_batch, params.n_ubatch = _SCORE_BATCH, 1
    else:
        params.n_batch = params.n_ubatch = options.context
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN


def _import_engine() -> Any:
    """The engine's module, whose threads wait for each other almost without spinning.

    By default they spin through hundreds of thousands of rounds; on cores that others use too
    that made the engine up to twenty times slower, and on idle ones it gained nothing. OpenMP
    reads the setting when it is loaded; the user's own comes first.
    """
    name = "GOMP_SPINCOUNT"
    ours = not {name, "OMP_WAIT_POLICY"} & set(os.environ)
    if ours:
        os.environ[name] = "1000"
    try:
        import xllamacpp  # type: ignore[import-untyped]
    finally:
        if ours:
            os.environ.pop(name, None)
    return xllamacpp
