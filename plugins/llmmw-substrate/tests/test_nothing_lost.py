"""What is asked reaches the host, or the caller is told that it does not: for every model."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_substrate._models import _MODELS, model_of
from llmmw_substrate._request import generate_graph

from llmmw import Choice, Generate, Grammar, JsonSchema, Reasoning, ServerTool, Tool
from llmmw.errors import UnsupportedFeature
from llmmw.plugin import honour
from llmmw.wire import Losses

pytestmark = pytest.mark.plugins

# Values that stand nowhere else in a body.
VALUES = {
    "max_output_tokens": 91_517,
    "temperature": 0.317,
    "top_p": 0.733,
    "top_k": 41,
    "min_p": 0.057,
    "seed": 77123,
    "frequency_penalty": 0.411,
    "presence_penalty": 0.412,
    "repetition_penalty": 1.413,
    "n": 3,
    "stop_sequences": ("zzstop",),
    "logit_bias": {"5151": 7},
    "logprobs": 4,
    "parallel_tool_calls": False,
    "reasoning": Reasoning(effort="high"),
    "tools": (Tool("zzf"), ServerTool("zzrun", "other")),
}
OUTPUTS = [
    "json",
    JsonSchema({"type": "object", "title": "zzschema"}),
    Grammar("zzg"),
    Choice("zzc"),
]
NAMES = [*sorted(_MODELS), "of-the-future"]
TOO_MUCH = {
    "temperature": 1.25,
    "frequency_penalty": 3,
    "presence_penalty": -3,
    "repetition_penalty": 7,
    "n": 12,
}

one = st.sampled_from(
    [{name: told} for name, told in (*VALUES.items(), *TOO_MUCH.items())]
    + [{"output": told} for told in OUTPUTS]
)
several = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(told) for name, told in VALUES.items()},
        "output": st.sampled_from(OUTPUTS),
    },
)


@settings(max_examples=300)
@given(
    model=st.sampled_from(NAMES), fields=one | several, drop=st.booleans(), by_core=st.booleans()
)
def test_nothing_is_lost_in_silence(model, fields, drop, by_core):
    if not by_core:  # what the plugin is asked without the core's own check
        allowed = {"output", *model_of(model).capabilities().parameters}
        fields = {name: told for name, told in fields.items() if name in allowed or name == "n"}
    image = (
        [{"type": "image_url", "image_url": "http://h/a.png"}] if model == "Firellava13B" else []
    )
    request = Generate(
        model=f"substrate:{model}",
        messages=[("user", [{"type": "text", "text": "hi"}, *image])],
        unsupported="drop" if drop else "error",
        **fields,
    )
    warnings = ()
    try:
        if by_core:
            request, warnings = honour(request, model_of(model).capabilities(), "substrate:m")
        losses = Losses(request, "substrate", list(warnings))
        graph = generate_graph(request, model_of(model), losses, ())
    except UnsupportedFeature:
        assert not drop or model in ("jina-v2", "clip")
        return
    sent, told = json.dumps(graph), " ".join(losses.warnings)
    for name, given_ in fields.items():
        shown = "zzschema" if name == "output" else f": {given_}"
        assert shown in sent or name in told or "as output" in told, name
    assert drop or not losses.warnings
