"""What each model can do, as all providers say it."""

from __future__ import annotations

import pytest

from llmmw import CountTokens, Detokenize, Embed, Generate, Score, Tokenize

pytestmark = pytest.mark.plugins

TOOLS = {"tools", "tool_choice", "parallel_tool_calls"}
CHAT = {Generate, CountTokens, Tokenize, Detokenize}


@pytest.mark.parametrize(
    ("model", "kinds", "media", "without"),
    [
        ("command-a-reasoning-08-2025", CHAT, {"document"}, set()),
        ("command-a-plus-05-2026", CHAT, {"document", "image"}, set()),
        ("command-a-vision-07-2025", CHAT, {"document", "image"}, {"reasoning", *TOOLS}),
        ("command-r7b-12-2024", CHAT, {"document"}, {"reasoning"}),
        ("command-r-08-2024", CHAT, {"document"}, {"reasoning", "tool_choice"}),
        ("command-r-plus", CHAT, {"document"}, {"reasoning", "tool_choice"}),
        ("my-tune-ft", CHAT | {Embed, Score}, {"document", "image"}, set()),
    ],
)
def test_chats(wire, model, kinds, media, without):
    can = wire.provider("http://x").capabilities(model)
    assert (can.kinds, can.media) == (kinds, media)
    whole = wire.provider("http://x").capabilities("command-a-reasoning").parameters
    assert whole - can.parameters == without
    assert {"n", "min_p", "logit_bias", "repetition_penalty", "prompt"}.isdisjoint(whole)
    assert can.outputs == {"json", "schema"}
    assert can.prefill is False


@pytest.mark.parametrize(
    ("model", "kind"),
    [("embed-v4.0", Embed), ("embed-english-v3.0", Embed), ("rerank-v3.5", Score)],
)
def test_others(wire, model, kind):
    can = wire.provider("http://x").capabilities(model)
    assert can.kinds == {kind, Tokenize, Detokenize}
    assert can.parameters == set()
