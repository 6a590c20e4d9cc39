"""What calls cost: the table that comes along, the user's own, and what nobody knows."""

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmmw
from llmmw import Client, Price, Prices, Usage, price_of
from llmmw._prices import built_in_prices, prices_of
from llmmw._response import Generation
from llmmw._router import Router
from llmmw._tasks import Host
from llmmw.errors import ConfigError
from llmmw.plugin import Provider

OWN = {
    "x:*": {"input": "1", "output": 2.5},
    "x:small-*": {"input": "0.10", "output": "0.20", "cache_read": "0.05", "cache_write": "0.4"},
    "x:small-best": {"input": 3, "output": 4},
    "local:*": {"input": 0, "output": 0},
    "x:embed": {"input": "0.02"},
}


def used(**fields):
    return Usage(**{"input_tokens": 1000, "output_tokens": 100, **fields})


@pytest.mark.parametrize(
    ("target", "usage", "cost"),
    [
        ("x:large", used(), "0.00125"),
        ("x:small-one", used(), "0.00012"),
        ("x:small-best", used(), "0.0034"),
        ("x:small-one", used(cache_read_tokens=400, cache_write_tokens=100), "0.00013"),
        ("x:large", used(cache_read_tokens=0), "0.00125"),
        ("x:large", used(cache_read_tokens=1), None),
        ("x:large", used(input_tokens=None), None),
        ("x:large", used(output_tokens=None), None),
        ("x:embed", used(output_tokens=None), "0.00002"),
        ("x:embed", used(), None),
        ("x:large", used(input_audio_tokens=5), None),
        ("x:large", used(server_tool_calls={"search": 1}), None),
        ("x:large", used(server_tool_calls={"search": 0}), "0.00125"),
        ("y:large", used(), None),
        ("local:any", used(), "0"),
        ("", used(), None),
        ("x:large", None, None),
        ("y:large", used(cost=Decimal("0.5")), "0.5"),
        ("x:large", used(cost=Decimal(0)), "0"),
    ],
)
def test_what_a_call_costs(target, usage, cost):
    found = price_of(target, usage, prices_of(OWN))
    assert found == (None if cost is None else Decimal(cost))


def test_every_row_that_comes_along_has_its_day_and_the_page_of_its_vendor():
    pages = {
        "anthropic": "https://platform.claude.com/",
        "openai": "https://developers.openai.com/",
    }
    rows = built_in_prices().rows
    assert len({row.model for row in rows}) == len(rows) > 10
    for row in rows:
        assert row.source.startswith(pages[row.model.partition(":")[0]]), row
        assert row.read is not None
        assert date(2026, 1, 1) <= row.read, row
        assert row.output is not None
        assert 0 < row.input < row.output, row
        assert row.cache_read is None or row.cache_read < row.input, row
    path = Path(llmmw.__file__).with_name("prices.toml")
    assert len(tomllib.loads(path.read_text("utf-8"))["price"]) == len(rows)


def test_the_table_that_comes_along():
    assert price_of("openai:gpt-5-mini", used(cache_read_tokens=1000)) == Decimal("0.000225")
    assert price_of("anthropic:claude-opus-4-6", used()) == Decimal("0.0075")
    assert price_of("anthropic:claude-opus-4-1", used()) is None
    assert price_of("local:smollm2", used()) is None


def test_the_user_s_prices_take_the_place_of_those(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodel = "openai:*"\ninput = "7"\noutput = 7\nread = 2026-01-02\n')
    prices = prices_of(path)
    assert prices.cost("openai:gpt-5-mini", used(output_tokens=0)) == Decimal("0.007")
    assert prices.cost("anthropic:claude-opus-5", used()) == Decimal("0.0075")
    assert prices.row("openai:gpt-4") == Price(
        "openai:*", Decimal(7), Decimal(7), read=date(2026, 1, 2)
    )
    assert prices_of(None) is built_in_prices()


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"a:b": {}}, "says nothing of input"),
        ({"a:b": {"input": -1}}, "input=-1: expected dollars"),
        ({"a:b": {"input": True}}, "input=True"),
        ({"a:b": {"input": "nan"}}, "input='nan'"),
        ({"a:b": {"input": float("inf")}}, "input=inf"),
        ({"a:b": {"input": "1,5"}}, "input='1,5'"),
        ({"a:b": {"input": 1, "out": 2}}, "no field 'out'; known are input, output"),
        ({"a:b": {"input": 1, "read": "today"}}, "read='today'"),
        ({"ab": {"input": 1}}, 'expected "provider:model"'),
        ({"a:b": 3}, "expected a table"),
        ("/no/such/file.toml", "can't read the prices in /no/such/file.toml"),
    ],
)
def test_what_is_no_table_of_prices_is_said(given_, said):
    with pytest.raises(ConfigError) as caught:
        prices_of(given_)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["price = 3", "[[price]]\ninput = 1", "[[price", "x = 1", "\xff"])
def test_a_file_that_is_none_is_said(text, tmp_path):
    path = tmp_path / "p.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"p\.toml"):
        prices_of(path)


NUMBERS = st.none() | st.integers(0, 2**53)


@given(
    st.text(max_size=9),
    st.builds(
        Usage,
        input_tokens=NUMBERS,
        output_tokens=NUMBERS,
        cache_read_tokens=NUMBERS,
        cache_write_tokens=NUMBERS,
    ),
)
def test_whatever_was_used_has_a_price_or_none(model, usage):
    for prices in (prices_of(OWN), Prices(())):
        cost = prices.cost(f"x:{model}", usage)
        assert cost is None or cost >= 0
        priced = prices.priced(f"x:{model}", usage)
        assert priced == usage
        assert priced.cost == cost


class Told(Provider):
    async def __call__(self, call):
        return Generation(model=call.request.model_name, provider="openai", usage=used())


async def test_an_answer_says_what_it_cost():
    async with Client("openai:gpt-5-mini", providers=[Told(name="openai")]) as client:
        answer = await client.ask("hello")
        assert answer.usage.cost == Decimal("0.00045")
        assert answer.spent == (1000, 100, Decimal("0.00045"))
        said = answer.explain().splitlines()
        assert said[-1].endswith("ended: ok, 1000 tokens in, 100 out, $0.00045")
        assert sum("$0.00045" in line for line in said) == 2  # of its one attempt, and of the call
        free = await client.ask("hello", model="openai:nobody-knows")
        assert free.usage.cost is None
        assert "$" not in free.explain()


class Seller(Told):
    def price(self, model):
        return Price(f"{self.name}:{model}", Decimal(1), Decimal(1)) if model == "own" else None


async def test_a_client_has_prices_of_its_own_and_its_providers_have_theirs():
    prices = {"shop:dear": {"input": 3, "output": 0}}
    async with Client("shop:own", providers=[Seller(name="shop")], prices=prices) as client:
        for model, cost in (("own", "0.0011"), ("dear", "0.003"), ("other", None)):
            answer = await client.ask("hello", model=f"shop:{model}")
            assert answer.usage.cost == (None if cost is None else Decimal(cost)), model
            assert answer.spent[2] == answer.usage.cost
        assert client.host.price("shop:own").input == 1
    with pytest.raises(ConfigError, match="says nothing of input"):
        Client("shop:own", prices={"shop:own": {}})


async def test_another_account_of_a_provider_has_its_prices():
    host = Host(None)
    router = Router(host, [Told(name="second")], options={"second": {"use": "openai"}})
    assert router.price("second:gpt-5-mini") == built_in_prices().row("openai:gpt-5-mini")
    assert host.price("second:nobody-knows") is None
