"""The order rules: each warns of what it is about, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmmw import (
    Advice,
    Attempts,
    Balance,
    Batch,
    BatchApi,
    Breaker,
    Cache,
    Client,
    Coalesce,
    Concurrency,
    Config,
    Fallback,
    Hedge,
    Plugins,
    Retry,
    Timeout,
    advise,
    default_stack,
)
from llmmw._config._accounts import accounts_of
from llmmw._config._advice import RULES
from llmmw.errors import ContextWindowExceeded, NotFound, PluginError

from .conftest import Load

TOTAL = Timeout(total=600)
BALANCE = Balance("host:a", "host:b")

DOUBTFUL: list[tuple[str, list[Any], str, tuple[str, ...]]] = [
    (
        "nested-attempts",
        [TOTAL, Attempts(Retry(2), Fallback("host:b")), Retry(3)],
        "Attempts (stack[1]) and Retry (stack[2]) multiply: up to 4 × 4 = 16 requests",
        ("stack[1]", "stack[2]"),
    ),
    (
        "nested-attempts",
        [TOTAL, Fallback("host:b"), Attempts(Retry(9), max_attempts=3)],
        "up to 2 × 3 = 6 requests",
        ("stack[1]", "stack[2]"),
    ),
    ("no-total", [], "nothing bounds the time of a call", ()),
    ("no-total", [Retry(), Timeout(idle=3)], "nothing bounds the time of a call", ()),
    (
        "no-total",
        [Retry(), Timeout(total=3)],
        "total of Timeout (stack[1]) bounds each attempt of Retry (stack[0])",
        ("stack[1]", "stack[0]"),
    ),
    (
        "limit-of-attempt-outside",
        [Timeout(total=60, first_token=2, idle=3), Retry()],
        "first_token and idle of Timeout (stack[0]) ends the call with all attempts of Retry",
        ("stack[0]", "stack[1]"),
    ),
    (
        "held-while-waiting",
        [TOTAL, Concurrency(8), Retry()],
        "a place of Concurrency (stack[1]) is held while Retry (stack[2]) waits between attempts",
        ("stack[1]", "stack[2]"),
    ),
    (
        "held-while-waiting",
        [TOTAL, Retry(), Concurrency(8), Breaker()],
        "calls queue for Concurrency (stack[2]) that Breaker (stack[3]) then refuses",
        ("stack[2]", "stack[3]"),
    ),
    (
        "breaker-outside",
        [TOTAL, Breaker(), Attempts(Retry(2), Fallback("host:b"))],
        "Breaker (stack[1]) counts all attempts of Attempts (stack[2]) as one call of its first",
        ("stack[1]", "stack[2]"),
    ),
    (
        "cache-inside",
        [TOTAL, Attempts(Retry(2)), Cache()],
        "Cache (stack[2]) keeps what each attempt of Attempts (stack[1]) gets",
        ("stack[1]", "stack[2]"),
    ),
    (
        "cache-inside",
        [TOTAL, Batch(), Cache()],
        "Cache (stack[2]) keeps answers to whole batches of Batch (stack[1])",
        ("stack[1]", "stack[2]"),
    ),
    (
        "cache-inside",
        [TOTAL, Concurrency(8), Cache()],
        "Cache (stack[2]) keeps answers that Concurrency (stack[1]) has made wait or pay for",
        ("stack[1]", "stack[2]"),
    ),
    (
        "cache-inside",
        [Coalesce(), Cache(), TOTAL],
        "Cache (stack[1]) lets identical calls share one by itself; leave Coalesce (stack[0]) out",
        ("stack[0]",),
    ),
    (
        "batch-inside",
        [TOTAL, Retry(), Concurrency(8), Batch()],
        "Concurrency (stack[2]) is met by each call before Batch (stack[3]) puts them together",
        ("stack[2]", "stack[3]"),
    ),
    (
        "batch-api-inside",
        [TOTAL, BatchApi("night.db")],
        "Timeout (stack[0]) lets no call ride a batch: total=600 is less than the least_time in",
        ("stack[0]", "stack[1]"),
    ),
    (
        "batch-api-inside",
        [Timeout(total=7200), BatchApi("night.db")],
        "Timeout (stack[0]) ends calls by total=7200 that may wait 86400 s for a batch in BatchApi",
        ("stack[0]", "stack[1]"),
    ),
    (
        "batch-api-inside",
        [Timeout(idle=60), BatchApi("night.db", live_after=600), TOTAL],
        "Timeout (stack[0]) ends calls by idle=60 that may wait 600 s for a batch in BatchApi",
        ("stack[0]", "stack[1]"),
    ),
    (
        "batch-api-inside",
        [Timeout(total=1e6), Attempts(Retry(2), Fallback("host:b")), BatchApi("night.db")],
        "Attempts (stack[1]) makes up to 4 attempts, and each waits for a batch of its own in",
        ("stack[1]", "stack[2]"),
    ),
    (
        "batch-api-inside",
        [Timeout(total=1e6), Hedge(1, targets=["host:b"]), BatchApi("night.db")],
        "Hedge (stack[1]) makes up to 2 attempts, and each waits for a batch of its own in",
        ("stack[1]", "stack[2]"),
    ),
    (
        "batch-api-inside",
        [Concurrency(8), BatchApi("night.db"), TOTAL],
        "Concurrency (stack[0]) is met by calls before they wait for their batch in BatchApi",
        ("stack[0]", "stack[1]"),
    ),
    (
        "coalesce-inside",
        [TOTAL, Attempts(Retry(2)), Coalesce()],
        "Coalesce (stack[2]) shares each attempt of Attempts (stack[1]) on its own: a hedge joins",
        ("stack[1]", "stack[2]"),
    ),
    (
        "coalesce-inside",
        [TOTAL, Concurrency(8), Coalesce()],
        "Coalesce (stack[2]) shares what holds a place of Concurrency (stack[1]) for each call",
        ("stack[1]", "stack[2]"),
    ),
    (
        "coalesce-inside",
        [Timeout(total=60, idle=3), Coalesce()],
        "Coalesce (stack[1]) shares calls whose deadlines Timeout (stack[0]) moves",
        ("stack[0]", "stack[1]"),
    ),
    (
        "balance-misplaced",
        [TOTAL, BALANCE, Attempts(Retry(2), Fallback("host:b"))],
        "Balance (stack[1]) chooses once for all attempts of Attempts (stack[2])",
        ("stack[1]", "stack[2]"),
    ),
    (
        "balance-misplaced",
        [TOTAL, Fallback("host:b"), Breaker(), BALANCE],
        "Breaker (stack[2]) is asked before Balance (stack[3]) chooses",
        ("stack[2]", "stack[3]"),
    ),
    (
        "balance-waits",
        [TOTAL, Attempts(Retry(2), Fallback("host:c")), BALANCE],
        "after a failure Attempts (stack[1]) waits, though Balance (stack[2]) has other targets",
        ("stack[1]", "stack[2]"),
    ),
    (
        "limit-never-reached",
        [Timeout(total=30), Retry(), Timeout(total=60)],
        "total=60 of Timeout (stack[2]) never runs out, since total=30 of Timeout (stack[0])",
        ("stack[2]",),
    ),
    (
        "limit-never-reached",
        [Timeout(total=30), Retry(), Timeout(total=10, idle=20)],
        "idle=20 of Timeout (stack[2]) never runs out, since total=10 of Timeout (stack[2])",
        ("stack[2]",),
    ),
    (
        "hint-beyond-total",
        [Timeout(total=30), Attempts(Retry(2, max_hint=90))],
        "max_hint=90 of Retry (stack[1].retry) has no time in total=30 of Timeout (stack[0])",
        ("stack[1].retry",),
    ),
    (
        "same-target",
        [TOTAL, Attempts(Fallback("host:b", {"model": "host:a", "seed": 1}))],
        "'host:a' of Fallback (stack[1].fallback) is the model itself",
        ("stack[1].fallback",),
    ),
    (
        "same-target",
        [TOTAL, Fallback("host:b", "host:b")],
        "'host:b' of Fallback (stack[1]) is named before: it is not asked again",
        ("stack[1]",),
    ),
    (
        "same-target",
        [TOTAL, Fallback("host:b", on={ContextWindowExceeded: "host:a"})],
        "'host:a' of Fallback (stack[1]) is the model itself",
        ("stack[1]",),
    ),
    (
        "hedge-nowhere-else",
        [TOTAL, Attempts(Retry(2), Hedge(1))],
        "Hedge (stack[1].hedge) has no other target, so it asks the one that is slow once more",
        ("stack[1].hedge",),
    ),
    (
        "layer-twice",
        [TOTAL, Retry(), Timeout(total=600)],
        "Timeout (stack[2]) is the same as Timeout (stack[0])",
        ("stack[0]", "stack[2]"),
    ),
]


@pytest.mark.parametrize(
    ("rule", "stack", "message", "places"), DOUBTFUL, ids=[one[2][:50] for one in DOUBTFUL]
)
def test_what_is_doubtful_is_told_once(
    rule: str, stack: list[Any], message: str, places: tuple[str, ...], plugins: Plugins
) -> None:
    (found,) = advise(Config(model="host:a", stack=stack), plugins=plugins)
    assert (found.rule, found.places) == (rule, places)
    assert message in found.message


@pytest.mark.parametrize(
    "stack",
    [
        default_stack(),
        default_stack("host:a", "host:b", "host:c"),
        [Timeout(total=1), Retry()],
        [Timeout(total=60, first_token=2)],
        [TOTAL, Attempts(Retry(2), max_attempts=1), Retry(2)],
        [TOTAL, Retry(), Breaker(), Concurrency(8), Timeout(idle=60)],
        [TOTAL, Breaker(), Concurrency()],
        [TOTAL, Attempts(Retry(2), Fallback("host:b")), BALANCE, Breaker(), Concurrency()],
        [TOTAL, Concurrency(8, scope="all"), BALANCE],
        [TOTAL, Coalesce(), Retry(), Breaker(), Concurrency(8), Timeout(idle=60)],
        [TOTAL, Retry(), Batch(), Breaker(), Concurrency(8)],
        [Cache(), BatchApi("night.db"), TOTAL, Retry(), Concurrency(8)],
        [Timeout(total=7200), BatchApi("night.db", live_after=3600), Retry()],
        [TOTAL, Fallback("host:b", on={ContextWindowExceeded: "host:b"})],
    ],
    ids=str,
)
def test_good_stacks_are_left_alone(stack: list[Any], plugins: Plugins) -> None:
    assert advise(stack, plugins=plugins) == ()
    assert advise(Config(model="host:a", stack=stack), plugins=plugins) == ()


def test_every_rule_is_tried_here() -> None:
    accounts = {"provider-not-ready", "no-key", "readable-key"}
    assert {one[0] for one in DOUBTFUL} | accounts == set(RULES)
    assert all(rule.__doc__ for rule in RULES.values())


def test_providers_that_cannot_be_used_are_told(plugins: Plugins) -> None:
    stack = [TOTAL, Fallback("gone:b")]
    blocked = Plugins(plugins.found, ["host"])
    config = Config(model="host:a", stack=stack)
    assert [one.rule for one in advise(config, plugins=plugins)] == ["provider-not-ready"]
    first, second = advise(config, plugins=blocked)
    assert "the provider 'host' is not ready: the provider 'host' of stranger is switched off" in (
        first.message
    )
    assert "the provider 'gone' is not installed: no provider is named 'gone'" in second.message
    assert advise(stack, plugins=plugins) == ()


def test_where_keys_come_from(
    load: Load, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-there")
    monkeypatch.delenv("B_KEY", raising=False)
    config = load(
        """
        model = "a:x"
        [providers.a]
        use = "host"
        api_key = "env:A_KEY"
        [providers.b]
        use = "host"
        api_key = "env:B_KEY"
        [providers.c]
        use = "host"
        api_key = "file:f.toml"
        [providers.d]
        use = "host"
        api_key = "file:none"
        [providers.host]
        api_key = "sk-literal"
        """
    )
    accounts = {one.name: one for one in accounts_of(config, plugins)}
    assert {name: one.keys for name, one in accounts.items()} == {
        "a": ("the variable A_KEY (there)",),
        "b": ("the variable B_KEY (not there)",),
        "c": ("the file f.toml (there)",),
        "d": ("the file none (not there)",),
        "host": ("api_key in the configuration (there)",),
    }
    assert {one.provider for one in accounts.values()} == {"host"}
    assert {one.distribution for one in accounts.values()} == {"stranger"}
    assert "sk-" not in repr(accounts)
    Path("f.toml").chmod(0o644)
    found = advise(config, plugins=plugins)
    assert [one.rule for one in found] == ["no-key", "no-key", "readable-key"]
    assert found[0] == Advice(
        "no-key", "the key of the provider 'b' is not there: the variable B_KEY"
    )
    assert "f.toml has the key of host, and others can read it: chmod 600" in found[2].message
    Path("f.toml").chmod(0o600)
    assert [one.rule for one in advise(config, plugins=plugins)] == ["no-key", "no-key"]


async def test_an_account_is_a_provider_under_another_name(plugins: Plugins) -> None:
    options = {"mine": {"use": "host", "base_url": "https://mine"}, "bad": {"use": "hots"}}
    async with Client("mine:x", stack=[], options=options, plugins=plugins) as client:
        assert (await client.ask("hi")).text == "mine at https://mine with None"
        other = await client.ask("hi", model="host:x")
        assert other.text == "host at https://host.example with None"
        with pytest.raises(PluginError, match="no provider is named 'hots'; did you mean 'host'"):
            await client.ask("hi", model="bad:x")
        with pytest.raises(NotFound):
            await client.ask("hi", model="gone:x")


async def test_a_client_holds_literal_keys_as_secrets(plugins: Plugins) -> None:
    options = {"host": {"api_key": "sk-planted"}}
    async with Client("host:x", stack=[], options=options, plugins=plugins) as client:
        assert (await client.ask("hi")).text == "host at https://host.example with Secret(…)"
        assert "sk-planted" not in repr(client._router)


@pytest.mark.plugins
def test_a_host_that_needs_no_key_lacks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    config = Config(model="llama.cpp:x", options={"groq": {}})
    local, remote = accounts_of(config, Plugins(blocked=[]))
    assert local.keys == ("the variable LLAMA_API_KEY (not there, and not needed)",)
    assert (local.lacking, remote.lacking) == ((), ("the variable GROQ_API_KEY",))
