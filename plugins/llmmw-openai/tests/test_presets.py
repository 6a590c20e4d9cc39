"""The table of hosts."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from llmmw_openai._presets import PRESETS, Preset
from llmmw_openai._provider import OpenAI

from llmmw import Client, Plugins
from llmmw._plugins import Named, installed
from llmmw.errors import ConfigError

pytestmark = pytest.mark.plugins

HOSTS = [
    *("openai", "azure", "together", "groq", "fireworks", "deepseek", "openrouter"),
    "mistral-openai",
    *("xai", "perplexity", "cerebras", "moonshot", "alibaba", "zai", "huggingface", "crusoe"),
    *("snowflake", "bedrock-mantle", "vllm", "llama.cpp", "ollama-openai", "lmstudio", "voyage"),
    *("google-openai", "openai-compatible", "open-responses", "openai-responses"),
]


def test_the_rows():
    assert list(PRESETS) == HOSTS
    for name, row in PRESETS.items():
        assert row.name == name
        assert row.title
        assert len(row.keys) == 1
        assert re.match(r"https://|http://localhost:|\{AZURE|\{OPEN", row.base_url)
        assert row.key_needed != row.base_url.startswith(("http://localhost:", "{OPEN"))
        assert name in {row.host, f"{row.host}-responses", f"{row.host}-openai"}
        assert row.responses or row.api == "chat"
        assert not row.base_url.endswith("/")
        assert set(row.renamed) <= row.parameters | {"dimensions"}
        assert (row.grammar is None) or "output" in row.parameters


def test_the_distribution_promises_each_row():
    mine = {
        point.name
        for point in entry_points(group="llmmw.provider")
        if point.dist is not None and point.dist.name == "llmmw-openai"
    }
    assert mine == set(HOSTS)


def test_the_listing_shows_each_row():
    listed = {one.name: one for one in Plugins().listing() if one.distribution == "llmmw-openai"}
    assert set(listed) == set(HOSTS)
    for name, one in listed.items():
        assert (one.state, one.kind) == ("ready", "provider")
        assert one.options["preset"] == name
        assert one.summary == f"{PRESETS[name].title}: {PRESETS[name].base_url}"
        assert not {"api_key", "headers", "http"} & set(one.options)  # they may hold secrets


@pytest.mark.parametrize("name", HOSTS)
async def test_each_is_made_by_its_name(wire, name, monkeypatch):
    for variable in re.findall(r"\{(\w+)\}", PRESETS[name].base_url):
        whole = variable.endswith(("ENDPOINT", "_URL"))
        monkeypatch.setenv(variable, "https://x.invalid" if whole else "x")
    monkeypatch.setenv(PRESETS[name].keys[0], wire.key)
    made = Plugins().make("provider", name, {"name": name})
    assert isinstance(made, OpenAI)
    assert made.preset is PRESETS[name]
    assert wire.key not in repr(made)
    plugins = Plugins()
    assert plugins.spec("provider", name).preset == (name != "openai")


async def test_a_host_by_its_name_alone(wire):
    from llmmw.testing import open_server

    async with open_server(wire.whole(wire.chat({"content": "x"}))) as server:
        options = {"vllm": {"base_url": server.url}}
        async with Client("vllm:some/model:tag", options=options, stack=[]) as client:
            response = await client.ask("hi")
    assert (response.text, response.provider) == ("x", "vllm")
    assert server.requests[0].json()["model"] == "some/model:tag"


async def test_several_accounts_of_one_host(wire):
    from llmmw.testing import open_server

    async with open_server(wire.whole(wire.chat({"content": "x"}))) as server:
        hosts = [wire.provider(server.url, name=name) for name in ("openai", "mine")]
        async with Client("mine:m", providers=hosts, stack=[]) as client:
            response = await client.ask("hi", extra={"openai": {"a": 1}, "mine": {"b": 2}})
    assert response.provider == "mine"
    assert server.requests[0].json() | {"a": 1, "b": 2} == server.requests[0].json()


def test_a_row_of_your_own():
    row = Preset(name="x", title="X", base_url="http://x/v1", keys=(), key_needed=False)
    assert OpenAI(name="x", preset=row)._http.base_url == "http://x/v1"
    with pytest.raises(ConfigError, match="preset='opanai': expected one of openai"):
        OpenAI(name="x", preset="opanai")


PLUGIN = """
from llmmw.plugin import Provider, Spec, hookimpl

class Mine(Provider):
    pass

@hookimpl
def llmmw_providers():
    return [Spec("{name}", "{module}:Mine", "a test")]
"""


def test_a_row_gives_way_to_a_distribution_made_for_its_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, module in (("groq", "rival_groq"), ("openai", "rival_openai")):
        (tmp_path / f"{module}.py").write_text(PLUGIN.format(name=name, module=module))
        rival = Named("provider", name, module, f"llmmw-{module}", "1.0")
        plugins = Plugins([*installed(), rival], [])
        states = {o.distribution: o.state for o in plugins.listing() if o.name == name}
        if name == "groq":
            assert states == {"llmmw-openai": "gives way", "llmmw-rival_groq": "ready"}
            assert type(plugins.make("provider", name, {"name": name})).__name__ == "Mine"
        else:
            assert set(states.values()) == {"broken"}


def test_the_readme_has_each_row():
    text = Path(__file__).parents[1].joinpath("README.md").read_text("utf-8")
    for name, row in PRESETS.items():
        assert f"| `{name}` | `{row.base_url}` | `{row.keys[0]}` |" in text


def test_prices_go_by_the_host_and_servers_of_ones_own_cost_nothing() -> None:
    known = OpenAI(name="openai-responses", preset="openai-responses").price("gpt-5-mini")
    assert known == OpenAI(name="work").price("gpt-5-mini") is not None
    free = OpenAI(name="mine", preset="vllm").price("llama")
    assert free is not None
    assert (free.input, free.output) == (0, 0)
    assert OpenAI(name="x", preset="openai-compatible", base_url="http://x").price("y") is None
