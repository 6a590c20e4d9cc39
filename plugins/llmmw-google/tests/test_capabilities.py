"""What a model is said to be able to do is what it is sent."""

from __future__ import annotations

import pytest

from llmmw import MediaPart, Message, ServerTool
from llmmw.errors import UnsupportedFeature

pytestmark = pytest.mark.plugins

ALL = {"image", "audio", "video", "document"}
FORMS = {"json", "schema", "choice"}


@pytest.mark.parametrize("host", ["google", "vertex"])
@pytest.mark.parametrize(
    ("model", "media", "forms", "prefill", "most_in", "most_out"),
    [
        ("gemini-3-pro-preview", ALL, FORMS, False, 1_048_576, 65_536),
        ("gemini-3.6-flash", ALL, FORMS, False, 1_048_576, 65_536),
        ("gemini-3-pro-image", {"image", "document"}, FORMS, False, 65_536, 32_768),
        ("gemini-3.1-flash-image", ALL - {"audio"}, FORMS, False, 131_072, 32_768),
        ("gemini-2.5-flash-image", {"image", "document"}, set(), False, 65_536, 32_768),
        ("gemini-2.5-flash-preview-tts", set(), set(), False, 8_192, None),
        ("gemini-2.5-flash-lite", ALL, FORMS, True, 1_048_576, 65_536),
        ("gemini-2.0-flash", ALL, FORMS, True, 1_048_576, 8_192),
        ("gemma-3-27b-it", {"image"}, set(), False, 131_072, 8_192),
        ("unheard-of", None, FORMS, False, None, None),
    ],
)
def test_the_table(wire, host, model, media, forms, prefill, most_in, most_out):
    can = wire.provider("http://nowhere", host).capabilities(model)
    assert (can.media, can.outputs) == (media, forms)
    assert can.prefill is prefill
    assert can.bills_on_cancel is True
    assert (can.input_limit, can.output_limit) == (most_in, most_out)
    assert ("logprobs" in can.parameters) is (host == "vertex")
    assert ("output" in can.parameters) is bool(forms)


@pytest.mark.parametrize("host", ["google", "vertex"])
def test_vectors(wire, host):
    can = wire.provider("http://nowhere", host).capabilities("gemini-embedding-001")
    assert (can.parameters, can.outputs, can.media) == (set(), set(), None)
    assert (can.input_limit, can.bills_on_cancel) == (2_048, None)


async def test_media_that_a_model_does_not_take_are_refused_unsent(wire):
    sound = Message("user", MediaPart(media_type="audio/wav", data=b"x"))
    answer = wire.whole(wire.piece("x", finish="STOP"))
    async with wire.client(answer, model="gemma-3-4b-it") as (client, server):
        with pytest.raises(UnsupportedFeature, match="audio"):
            await client.ask(sound)
        assert server.requests == []
    await wire.sent(sound)


async def test_a_model_of_images_may_search(wire):
    search = ServerTool("google_search", "google")
    for model in ("gemini-3-pro-image", "gemini-3.1-flash-image"):
        body, warnings = await wire.sent("a map of today's weather", model=model, tools=[search])
        assert (body["tools"], warnings) == ([{"google_search": {}}], ())


@pytest.mark.parametrize(
    ("model", "level"), [("gemini-3.7-flash", "LOW"), ("gemini-3.6-flash", "MINIMAL")]
)
async def test_the_least_thinking_is_a_level_that_the_model_has(wire, model, level):
    body, _ = await wire.sent(model=model, reasoning="minimal")
    assert body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == level
