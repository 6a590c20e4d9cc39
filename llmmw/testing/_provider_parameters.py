"""A value for each parameter that a provider may declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw._tools import Tool

__all__ = ["SAMPLES"]

_TOOLS = {"tools": [Tool("weather", "How it is outside.", {"type": "object", "properties": {}})]}

SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "max_output_tokens": {"max_output_tokens": 77},
    "temperature": {"temperature": 0.375},
    "top_p": {"top_p": 0.625},
    "top_k": {"top_k": 13},
    "min_p": {"min_p": 0.125},
    "stop_sequences": {"stop_sequences": ["halt"]},
    "seed": {"seed": 4711},
    "frequency_penalty": {"frequency_penalty": 0.25},
    "presence_penalty": {"presence_penalty": 0.25},
    "repetition_penalty": {"repetition_penalty": 1.25},
    "logit_bias": {"logit_bias": {"17": 3.0}},
    "logprobs": {"logprobs": 2},
    "n": {"n": 2},
    "output": {"output": {"type": "object", "properties": {"a": {"type": "string"}}}},
    "reasoning": {"reasoning": "low"},
    "tools": _TOOLS,
}
"""By the parameter's name, what a request with it has beside its messages. Those that mean
something only beside others are left out."""
