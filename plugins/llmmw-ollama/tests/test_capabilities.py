"""What is claimed of a model, and what it costs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from llmmw_ollama._request import PARAMETERS

from llmmw import Embed, Generate, Price, Tokenize, Usage
from llmmw.errors import UnsupportedFeature

pytestmark = pytest.mark.plugins


def test_what_the_wire_carries(wire):
    can = wire.provider("").capabilities("llama3.2")
    assert can.kinds == {Generate, Embed}
    assert can.parameters == PARAMETERS
    assert can.outputs == {"json", "schema"}
    assert can.media == {"image"}
    assert can.prefill
    assert can.input_limit is None


@pytest.mark.parametrize(
    ("url", "model", "paid"),
    [
        ("", "llama3.2", False),
        ("http://gpu-box:11434", "qwen3:8b", False),
        ("", "gpt-oss:120b-cloud", True),
        ("", "deepseek-v4:cloud", True),
        ("https://ollama.com", "gpt-oss:120b", True),
    ],
)
def test_prices(wire, url, model, paid):
    """One's own server costs nothing; ollama.com does not sell by the token."""
    provider = wire.provider(url)
    assert (provider.price(model) is None) == paid
    assert provider.capabilities(model).bills_on_cancel == (None if paid else False)
    if not paid:
        free = provider.price(model)
        assert isinstance(free, Price)
        assert (free.input, free.output, free.cache_read) == (Decimal(0),) * 3


async def test_a_cost_is_told(wire):
    told = await wire.ask(wire.whole(wire.end(content="x")))
    assert told.usage == Usage(input_tokens=26, output_tokens=298)
    assert told.usage.cost == 0


async def test_other_kinds(wire):
    async with wire.client(wire.whole({})) as (client, server):
        with pytest.raises(UnsupportedFeature, match="Tokenize"):
            await client.tokenize("hello")
    assert server.requests == []
    assert Tokenize(text="x").text == "x"
