"""L103: a configuration written to TOML and read back is the same."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Budget,
    Config,
    Fallback,
    JsonObject,
    Plugins,
    Retry,
    Timeout,
    default_stack,
    errors,
    load_config,
    to_toml,
)
from llmmw._config._signature import choices, options_of
from llmmw._config._toml import lines
from llmmw._plugins import resolve
from llmmw._secret import Secret, guarded
from llmmw.errors import ConfigError, ContentFiltered, LLMError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXTS.filter(lambda name: not isinstance(guarded({name: "?"})[name], Secret))
"""Keys whose values are not taken for secrets, which are never written."""
NUMBERS = st.floats(0, 1e6) | st.integers(0, 10**6)
SCALARS = (
    TEXTS
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.dates()
    | st.times()
)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)
MODELS = st.builds(
    "{}:{}".format, st.sampled_from(["host", "other"]), st.text("ab/-.:é\n", min_size=1)
)
PATCHES = st.fixed_dictionaries(
    {"model": MODELS},
    optional={
        "temperature": NUMBERS,
        "stop_sequences": st.lists(TEXTS, max_size=2),
        "metadata": st.dictionaries(TEXTS, DATA, max_size=2),
    },
)
TARGETS = st.lists(MODELS | PATCHES, min_size=1, max_size=3)
KINDS = [k for name in errors.__all__ if issubclass(k := getattr(errors, name), LLMError)]
BUDGETS = st.builds(Budget, ratio=NUMBERS, cap=NUMBERS, floor=NUMBERS)
# By the options' names, where the type is not enough; by type for all others.
NAMED = {
    "targets": TARGETS,
    "on": st.dictionaries(st.sampled_from(KINDS), TARGETS, max_size=2),
    "order": st.sampled_from(["per-round", "per-target"]),
    "mode": st.sampled_from(["fast", "safe"]),
    "budget": BUDGETS,
    "max_attempts": st.integers(1, 9),
    "only": st.lists(TEXTS, max_size=2),
    "drop": st.lists(st.sampled_from(["seed", "n", "nothing"]), max_size=2),
    "check": st.none(),
    "estimate": st.none(),
    "priority": st.none(),
    "prices": st.just({"a:b": {"input": "0.25", "output": 2}}),
    "ratio": st.floats(0, 2),
    "share": st.floats(0, 1),
    "factor": st.floats(0, 1),
    "thing": DATA,
    "limits": st.dictionaries(TEXTS, NUMBERS, max_size=2),
    "journal": TEXTS,
}
WORDS = st.lists(st.sampled_from(["tools", "image", "schema"]), max_size=2)
ABLE = st.fixed_dictionaries(
    {},
    optional={
        "can": WORDS,
        "cannot": st.just(["n"]),
        "output_limit": st.integers(1, 9),
        "bills_on_cancel": st.booleans(),
    },
)
PRICED = st.fixed_dictionaries(
    {"input": st.just("0.25") | st.integers(0, 9)},
    optional={"output": st.floats(0, 9), "source": TEXTS, "read": st.dates()},
)
TYPED: dict[Any, st.SearchStrategy[Any]] = {
    float: NUMBERS,
    int: st.integers(0, 9),
    bool: st.booleans(),
    str: TEXTS,
}


@st.composite
def layers(draw: st.DrawFn, plugins: Plugins, use: str) -> Any:
    """A layer of any registered class, with any of its options."""
    factory = resolve(plugins.spec("middleware", use))
    options: dict[str, Any] = {}
    items: list[Any] = []
    for name, option in options_of(factory)[0].items():
        if not option.is_needed and draw(st.booleans()):
            continue
        if option.holds_layers:
            policies = st.sampled_from(["retry", "fallback"])
            items = draw(st.lists(policies.flatmap(lambda p: layers(plugins, p)), max_size=3))
        elif option.is_many:
            items = draw(NAMED[name])
        elif name in NAMED:
            options[name] = draw(NAMED[name])
        else:
            hint = choices(option.hint)[0]
            options[name] = draw(TYPED[hint] if hint in TYPED else st.from_type(hint))
    try:
        return factory(*items, **options)
    except (ConfigError, ValueError):
        reject()


def stacks(plugins: Plugins, *names: str) -> st.SearchStrategy[list[Any]]:
    """Stacks of layers of these names."""
    some = st.sampled_from(names).flatmap(lambda use: layers(plugins, use))
    return st.lists(some, min_size=1, max_size=3)


def configs(stack: st.SearchStrategy[Any]) -> st.SearchStrategy[Config]:
    """Any configuration that a file can say, with one of these stacks."""
    host = {
        "base_url": TEXTS,
        "api_key": st.sampled_from(["env:A_KEY", "file:~/key"]),
        "slots": st.integers(1, 9),
        "headers": st.dictionaries(NAMES, TEXTS, max_size=2),
    }
    account = st.fixed_dictionaries({}, optional=host)
    other = st.fixed_dictionaries({"use": st.just("host")}, optional=host)
    options = st.fixed_dictionaries({}, optional={"host": account, "é .1": other, "two": other})
    return st.builds(
        Config,
        model=st.none() | MODELS,
        stack=stack,
        options=options,
        capabilities=st.dictionaries(MODELS, ABLE, max_size=2),
        prices=st.just({}) | st.dictionaries(MODELS, PRICED, max_size=2),
    )


def shape(item: Any) -> Any:
    """All that a value is made of; budgets too, which are equal to themselves only."""
    if attrs.has(type(item)):
        fields = [f for f in attrs.fields(type(item)) if f.init and f.name != "path"]
        return type(item), {f.name: shape(getattr(item, f.name)) for f in fields}
    if isinstance(item, dict):
        return {name: shape(one) for name, one in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item), [shape(one) for one in item]
    return item


EXAMPLES = 60


def assert_round_trip(stack: st.SearchStrategy[Any], plugins: Plugins, path: Path) -> None:
    """Write and read configurations with such stacks."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(configs(stack))
    def check(config: Config) -> None:
        path.write_text(to_toml(config, plugins=plugins), "utf-8", newline="")
        back = load_config(path, plugins=plugins)
        assert back == config
        assert shape(back) == shape(config)
        assert to_toml(back, plugins=plugins) == path.read_text("utf-8")

    check()


def test_what_is_written_is_read_as_the_same(plugins: Plugins, tmp_path: Path) -> None:
    names = [name for name in plugins.names("middleware") if name != "maker"]
    assert {"attempts", "fallback", "retry", "timeout", "plain", "opaque"} <= set(names)
    for name in names:  # each by itself, since chance may pass one over
        assert_round_trip(stacks(plugins, name), plugins, tmp_path / "f.toml")
    mixed = stacks(plugins, *names) | st.none() | st.just([])
    assert_round_trip(mixed, plugins, tmp_path / "f.toml")


@given(st.dictionaries(TEXTS, DATA, max_size=5))
@settings(deadline=None, database=None)
def test_any_table_is_written_as_itself(table: dict[str, Any]) -> None:
    assert tomllib.loads("\n".join(lines(table))) == table


def test_a_field_of_a_request_is_no_secret_by_its_name(plugins: Plugins, tmp_path: Path) -> None:
    extra = {"host": {"prompt_cache_key": "greetings"}}
    config = Config(stack=(Fallback({"model": "host:b", "extra": extra}),))
    path = tmp_path / "f.toml"
    path.write_text(to_toml(config, plugins=plugins), "utf-8")
    (layer,) = load_config(path, plugins=plugins).stack or ()
    assert layer.targets[0]["extra"] == extra


def test_the_text_is_one_that_people_would_write(plugins: Plugins) -> None:
    on = {ContentFiltered: ["c:d"]}
    plan = Attempts(Retry(3), Fallback("a:b", on=on), budget=Budget(cap=2))
    config = Config(
        model="a:b", stack=(Timeout(total=60), plan), options={"x": {"use": "host", "slots": 2}}
    )
    assert (
        to_toml(config, plugins=plugins)
        == """\
model = "a:b"

[[stack]]
use = "timeout"
total = 60

[[stack]]
use = "attempts"

[stack.retry]
retries = 3

[stack.fallback]
targets = ["a:b"]

[stack.fallback.on]
ContentFiltered = ["c:d"]

[stack.budget]
cap = 2

[providers.x]
use = "host"
slots = 2
"""
    )
    assert to_toml([Retry()], plugins=plugins) == '[[stack]]\nuse = "retry"\n'
    assert to_toml(Config(), plugins=plugins) == ""


def test_the_default_stack_can_be_written_and_read(plugins: Plugins, tmp_path: Path) -> None:
    stack = default_stack("a:b", "c:d")
    (tmp_path / "f.toml").write_text(to_toml(stack, plugins=plugins))
    assert load_config(tmp_path / "f.toml", plugins=plugins).stack == tuple(stack)


async def passes(call: Any, next: Any) -> Any:
    return await next(call)


class Odd(StrEnum):
    ONE = "one"


class Foreign(LLMError):
    """No error that a file could name."""


SHARED = Budget()
LOOP: list[Any] = []
LOOP.append(LOOP)

REFUSED: list[tuple[Any, str]] = [
    ([Retry(), passes], "stack[1]: passes is no registered middleware"),
    ([Fallback("a:b", lambda r: r)], "stack[0].targets[1]: TOML can't say"),
    (
        [Fallback({"model": "a:b", "output": JsonObject()})],
        "targets[0].output: TOML can't say Json",
    ),
    (
        [Fallback({"model": "a:b", "seed": None})],
        "stack[0].targets[0].seed: TOML can't say NoneType",
    ),
    ([Fallback({"model": "a:\ud800"})], "targets[0].model: TOML can't say a text with half a"),
    ([Fallback(on={Foreign: ["a:b"]})], "stack[0].on: TOML can't say Foreign"),
    (
        [Attempts(Fallback("a:b", lambda r: r))],
        "stack[0].policies[0].targets[1]: TOML can't say",
    ),
    (
        [Retry(budget=SHARED), Attempts(budget=SHARED)],
        "stack[1].budget: shares its budget with stack[0].budget: no file can say so",
    ),
    (Config(options={"host": {"api_key": "sk-1"}}), "providers.host.api_key: a secret is never"),
    (Config(options={"host": {"api_key": print}}), "providers.host.api_key: TOML can't say print"),
    (Config(options={"host": {"x": {1: 2}}}), "providers.host.x: TOML can't have the key 1"),
    (Config(options={"host": {"x": Odd.ONE}}), "providers.host.x: TOML can't say Odd"),
    (Config(options={"host": {"x": LOOP}}), "a value that holds itself can't be written"),
]


@pytest.mark.parametrize(("configured", "message"), REFUSED, ids=[said[:50] for _, said in REFUSED])
def test_what_no_file_can_say_is_refused(configured: Any, message: str, plugins: Plugins) -> None:
    with pytest.raises(ConfigError) as caught:
        to_toml(configured, plugins=plugins)
    assert message in str(caught.value)
    assert "sk-1" not in str(caught.value)


def test_dates_and_sets_are_written(plugins: Plugins) -> None:
    given = {
        "at": datetime(2026, 1, 2, 3),
        "day": date(2026, 1, 2),
        "hour": time(3),
        "s": {"b", "a"},
    }
    text = to_toml(Config(options={"host": given}), plugins=plugins)
    assert tomllib.loads(text)["providers"]["host"] == given | {"s": ["a", "b"]}
