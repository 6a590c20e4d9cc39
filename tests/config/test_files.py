"""Files become what programs would write; wrong ones are answered with file, key and a hint."""

from __future__ import annotations

import os
import time
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Budget,
    Client,
    Config,
    Fallback,
    Hedge,
    Plugins,
    Retry,
    Timeout,
    load_config,
    to_toml,
)
from llmmw._secret import Secret
from llmmw.errors import ConfigError, ContentFiltered, ContextWindowExceeded

from .conftest import Load

SECRET = "sk-planted-1234567890"

# Documents near to real ones: the known names at all places, with values of every kind.
NAMES = st.sampled_from(
    """model stack providers use timeout total attempts retry retries fallback targets on budget
    policies plain size mode names limits opaque thing maker word host base_url api_key slots
    headers Authorization RateLimited wrong""".split()  # noqa: SIM905 (a list would be a page)
)
VALUES = st.sampled_from(
    """1 -1 0 2.5 nan inf true "" "host:a" "timeout" "RateLimited" [] {} [[]] ["host:a"] [1,"a"]
    {use="retry"} [{use="retry"}] {RateLimited=["host:a"]} {model="host:a"} [{model=1}] 07:32:00
    1979-05-27 "\\u0000" "env:X" "file:~nobody/x" """.split()  # noqa: SIM905
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
LINES = st.one_of(
    st.builds("{} = {}".format, PATHS, VALUES),
    st.builds("[{}]".format, PATHS),
    st.builds("[[{}]]".format, PATHS),
    st.builds('use = "{}"'.format, NAMES),
    st.builds(
        '[[stack]]\nuse = "{}"\n{} = {}'.format,
        st.sampled_from(["timeout", "retry", "fallback", "attempts", "plain", "opaque", "maker"]),
        st.sampled_from(["total", "retries", "targets", "size", "thing", "retry", "budget"]),
        VALUES,
    ),
    st.just(f'[providers.host]\napi_key = "{SECRET}"'),
    st.just(f'providers.host = "{SECRET}"'),
)
DOCUMENTS = st.lists(LINES, max_size=5, unique=True).map("\n".join).map(str.encode)


def test_a_stack_is_what_a_program_would_write(load: Load) -> None:
    config = load(
        """
        # outermost first
        model = "host:small"
        [[stack]]
        use = "timeout"
        total = 60
        [[stack]]
        use = "attempts"
        max_attempts = 4
        [stack.retry]
        retries = 3
        base = 1
        [stack.fallback]
        targets = ["host:large", { model = "host:other", temperature = 0.5 }]
        order = "per-target"
        [stack.fallback.on]
        ContextWindowExceeded = ["host:long"]
        ContentFiltered = "host:free"
        [stack.budget]
        ratio = 0.5
        [[stack]]
        use = "timeout"
        first_token = 2.5
        stream = true
        [providers.host]
        slots = 4
        """
    )
    on = {ContextWindowExceeded: ["host:long"], ContentFiltered: "host:free"}
    patch = {"model": "host:other", "temperature": 0.5}
    plan = Attempts(
        Retry(3, base=1),
        Fallback("host:large", patch, on=on, order="per-target"),
        max_attempts=4,
    )
    stack = (Timeout(total=60), plan, Timeout(first_token=2.5, stream=True))
    assert config == Config(model="host:small", stack=stack, options={"host": {"slots": 4}})
    assert config.path == Path("f.toml")
    assert config.stack is not None
    budget = config.stack[1].budget  # type: ignore[attr-defined]
    assert (budget.ratio, budget.cap, budget.floor) == (0.5, 10.0, 0.1)


def test_a_policy_alone_takes_the_same_keys(load: Load) -> None:
    config = load(
        """
        [[stack]]
        use = "fallback"
        targets = ["host:b"]
        [[stack]]
        use = "retry"
        retries = 0
        budget = { cap = 1 }
        """
    )
    assert config.stack == (Fallback("host:b"), Retry(0))
    assert config.stack[1].budget.cap == 1  # type: ignore[attr-defined]


def test_policies_of_one_kind_stand_in_a_list(load: Load) -> None:
    config = load(
        """
        [[stack]]
        use = "attempts"
        [[stack.policies]]
        use = "fallback"
        targets = ["host:b"]
        [[stack.policies]]
        use = "fallback"
        targets = ["host:c"]
        """
    )
    assert config.stack == (Attempts(Fallback("host:b"), Fallback("host:c")),)


def test_nothing_and_an_empty_stack_differ(load: Load) -> None:
    assert load("").stack is None
    assert load("stack = []").stack == ()
    assert load("\ufeff").stack is None


def test_a_plain_class_of_a_plugin_needs_nothing_more(load: Load) -> None:
    config = load(
        """
        [[stack]]
        use = "plain"
        size = 3
        mode = "fast"
        names = ["a", "b"]
        tags = ["t", "t"]
        limits = { x = 1, y = 0.5 }
        budget = { floor = 0 }
        [[stack]]
        use = "opaque"
        thing = [1, "two"]
        [[stack]]
        use = "maker"
        word = "y"
        anything = 1
        """
    )
    assert config.stack is not None
    plain, opaque, made = config.stack
    assert (plain.size, plain.mode, plain.names, plain.tags) == (  # type: ignore[attr-defined]
        3,
        "fast",
        ("a", "b"),
        frozenset({"t"}),
    )
    assert plain.limits == {"x": 1, "y": 0.5}  # type: ignore[attr-defined]
    assert isinstance(plain.budget, Budget)  # type: ignore[attr-defined]
    assert opaque.thing == [1, "two"]  # type: ignore[attr-defined]
    assert callable(made)


STACK = "[[stack]]\nuse = "
WRONG = [
    ('modle = "a:b"', "f.toml: unknown key 'modle'; did you mean 'model'?"),
    (
        "xyzzy = 1",
        "f.toml: unknown key 'xyzzy'; known are model, stack, capabilities, prices, providers",
    ),
    ('model = "gpt"', 'f.toml: model = "gpt": expected "provider:model"'),
    ("model = 5", 'f.toml: model = 5: expected "provider:model"'),
    ("stack = 5", "f.toml: stack = 5: expected tables: [[stack]], each with its use"),
    ('stack = ["retry"]', 'f.toml: stack = ["retry"]: expected tables: [[stack]], each with'),
    ("[[stack]]\ntotal = 1", "f.toml: stack[0]: use is missing: which middleware is it? There is"),
    ("[[stack]]\nuse = 1", "f.toml: stack[0].use = 1: expected text"),
    (
        STACK + '"retyr"',
        "f.toml: stack[0].use: no middleware is named 'retyr'; did you mean 'retry'? there is "
        "attempts, balance, batch, batch_api, breaker, cache, coalesce, concurrency, fallback, "
        "guard, hedge, instrument, maker, opaque, plain, rate_limit, retry, timeout",
    ),
    (
        STACK + '"retry"\nretires = 2',
        "f.toml: unknown key 'stack[0].retires'; did you mean 'retries'?",
    ),
    (
        f'{STACK}"timeout"\ntotal=1\n{STACK}"attempts"\n[stack.retry]\nretires = 2',
        "f.toml: unknown key 'stack[1].retry.retires'; did you mean 'retries'?",
    ),
    (
        STACK + '"attempts"\n[stack.retyr]',
        "f.toml: unknown key 'stack[0].retyr'; did you mean 'retry'?",
    ),
    (STACK + '"attempts"\nretry = 2', "f.toml: stack[0].retry = 2: expected a table"),
    (
        STACK + '"attempts"\n[stack.timeout]\ntotal = 1',
        "f.toml: stack[0]: Attempts(Timeout(total=1",
    ),
    (
        STACK + '"attempts"\n[stack.retry]\n[[stack.policies]]\nuse = "retry"',
        "f.toml: stack[0].retry: write it into policies, or each as a table of its own",
    ),
    (STACK + '"timeout"\ntotal = "60"', 'f.toml: stack[0].total = "60": expected a number'),
    (STACK + '"timeout"\ntotal = true', "f.toml: stack[0].total = true: expected a number"),
    (
        STACK + '"timeout"\ntotal = -1\nidle = 2',
        "f.toml: stack[0].total: Timeout(total=-1): expected seconds, a number from 0 on",
    ),
    (STACK + '"timeout"\ntotal = nan', "f.toml: stack[0].total: Timeout(total=nan): expected"),
    (STACK + '"timeout"\nstream = 1', "f.toml: stack[0].stream = 1: expected true or false"),
    (
        STACK + '"timeout"',
        "f.toml: stack[0]: Timeout() needs at least one of total, first_token and idle",
    ),
    (
        STACK + '"retry"\nretries = 2.5',
        "f.toml: stack[0].retries = 2.5: expected a whole number",
    ),
    (
        STACK + '"retry"\nbudget = 3',
        "f.toml: stack[0].budget = 3: expected a table",
    ),
    (
        STACK + '"retry"\nbudget = { caps = 3 }',
        "f.toml: unknown key 'stack[0].budget.caps'; did you mean 'cap'?",
    ),
    (
        STACK + '"retry"\nbudget = { cap = -3 }',
        "f.toml: stack[0].budget.cap: Budget(cap=-3): expected a number from 0 on",
    ),
    (
        STACK + '"fallback"\ntargets = "host:b"',
        'f.toml: stack[0].targets = "host:b": expected a list',
    ),
    (
        STACK + '"fallback"\ntargets = ["host:b", 5]',
        "f.toml: stack[0].targets[1] = 5: expected text or a table",
    ),
    (
        STACK + '"fallback"\ntargets = ["b"]',
        "f.toml: stack[0].targets: Fallback('b'): expected a model as \"provider:model\"",
    ),
    (
        STACK + '"fallback"\ntargets = [{ model = "a:b", temprature = 1 }]',
        "a request has no field 'temprature'",
    ),
    (
        STACK + '"fallback"\ntargets = ["a:b"]\norder = "random"',
        "f.toml: stack[0].order: Fallback(order='random'): expected one of 'per-round', 'per-",
    ),
    (
        STACK + '"fallback"\n[stack.on]\nContextWindowExeeded = ["a:b"]',
        "f.toml: stack[0].on.ContextWindowExeeded: no error is named 'ContextWindowExeeded'; did "
        "you mean 'ContextWindowExceeded'?",
    ),
    (STACK + '"fallback"', "f.toml: stack[0]: Fallback() needs at least one target, or on={…}"),
    (STACK + '"plain"', "f.toml: stack[0]: size is missing: expected a whole number"),
    (
        STACK + '"plain"\nsize = 1\nmode = "slow"',
        "f.toml: stack[0].mode = \"slow\": expected one of 'fast', 'safe'",
    ),
    (
        STACK + '"plain"\nsize = 1\nnames = ["a", 1]',
        "f.toml: stack[0].names[1] = 1: expected text",
    ),
    (
        STACK + '"plain"\nsize = 1\nlimits = { "x y" = "no" }',
        'f.toml: stack[0].limits."x y" = "no": expected a number',
    ),
    (STACK + '"plain"\nsize = 1\nratio = 3.0', "f.toml: stack[0].ratio: stranger:Plain can't be"),
    (STACK + '"plain"\nsize = 1\n[stack.retry]', "f.toml: unknown key 'stack[0].retry'; known are"),
    ("providers = 1", "f.toml: providers: expected tables, each [providers.NAME]"),
    ("[providers]\nhost = 1", "f.toml: providers.host = 1: expected a table"),
    (
        "[providers.hots]",
        "f.toml: providers.hots: no provider is named 'hots'; an account of your own needs its "
        "use = \"…\"; did you mean 'host'?",
    ),
    (
        '[providers.mine]\nuse = "hots"',
        "f.toml: providers.mine.use: no provider is named 'hots'; did you mean 'host'?",
    ),
    ("[providers.mine]\nuse = 1", "f.toml: providers.mine.use = 1: expected text"),
    (
        "[providers.host]\nslot = 1",
        "f.toml: unknown key 'providers.host.slot'; did you mean 'slots'",
    ),
    ('[providers.host]\nname = "x"', "f.toml: unknown key 'providers.host.name'; known are"),
    (
        "[providers.host]\nbase_url = 1",
        "f.toml: providers.host.base_url = 1: expected text",
    ),
    (
        '[providers.host]\nheaders = "Bearer sk-1"',
        "f.toml: providers.host.headers = …: expected a table",
    ),
    ("[providers.host]\napi_key_token = 1", "f.toml: unknown key 'providers.host.api_key_token'"),
    (
        '[providers.host]\nbase_url = "x"\nslots = 0',
        "f.toml: providers.host.slots: host: slots=0: expected a whole number from 1",
    ),
    ("model = ", "the configuration f.toml is no TOML: Invalid value (at "),
    (f"x = {'9' * 5000}", "the configuration f.toml is no TOML: "),
    (f"x = '{'y' * 1_000_000}'", "the configuration f.toml is larger than 1000000 bytes"),
    (f"{STACK}'retry'\n" * 101, "f.toml: stack: 101 layers: expected 100 at most"),
    (f"model = {'[' * 5000}{']' * 5000}", "f.toml"),
    (
        f"{STACK}'opaque'\nthing = {'[' * 40}{']' * 40}",
        "f.toml: stack[0].thing" + "[0]" * 30 + ": nests deeper than 32 levels",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[said[:60] for _, said in WRONG])
def test_a_wrong_file_is_told(load: Load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't read the configuration .*/none.toml: No such"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"bytes.toml is no UTF-8 text"):
        load_config(tmp_path / "bytes.toml")


def test_what_is_no_file_is_told_at_once(tmp_path: Path) -> None:
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    for path in (tmp_path, loop, "a\0b", ""):
        with pytest.raises(ConfigError, match="can't read the configuration"):
            load_config(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe is a pipe that nobody writes to"):
        load_config(tmp_path / "pipe")
    receive, send = os.pipe()
    with os.fdopen(send, "w") as file:
        file.write('model = "host:a"')
    assert load_config(f"/dev/fd/{receive}").model == "host:a"
    os.close(receive)


@pytest.mark.parametrize("begin", [b"\xef\xbb\xbf", b""])
def test_files_of_other_systems_are_read(tmp_path: Path, begin: bytes) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(begin + b'# one\r\nmodel = "host:a"\r\n')
    assert load_config(path).model == "host:a"


def test_a_home_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMMW_CONFIG", "~nobody-of-this-name/llmmw.toml")
    with pytest.raises(ConfigError, match="can't read the configuration ~nobody-of-this-name"):
        load_config()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_says_it_is_read_or_refused(
    data: st.DataObject, tmp_path: Path, plugins: Plugins
) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(data.draw(DOCUMENTS | st.binary(max_size=200)))
    told, begun = "", time.monotonic()
    with suppress(ConfigError):
        told = repr(load_config(path, plugins=plugins))
    if not told:
        with pytest.raises(ConfigError) as caught:
            load_config(path, plugins=plugins)
        told = str(caught.value)
        assert "f.toml" in told
    assert SECRET not in told
    assert len(told) < 5_000
    assert time.monotonic() - begun < 5


def test_what_a_provider_lacks_on_this_machine_is_told_when_it_is_asked(load: Load) -> None:
    config = load('[providers.host]\nbase_url = "https://closed.example"')
    assert config.options == {"host": {"base_url": "https://closed.example"}}


def test_the_place_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: Plugins
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("LLMMW_CONFIG", raising=False)
    for name in ("llmmw.toml", "named.toml", "given.toml", "user/llmmw/config.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'model = "host:{path.stem}"')

    def model(path: str | None = None) -> str | None:
        return load_config(path, plugins=plugins).model

    assert model() == "host:config"
    monkeypatch.setenv("LLMMW_CONFIG", "named.toml")
    assert model() == "host:named"
    assert model("given.toml") == "host:given"
    monkeypatch.delenv("LLMMW_CONFIG")
    (tmp_path / "user/llmmw/config.toml").unlink()
    assert model() is None
    assert model("llmmw.toml") == "host:llmmw"


def test_a_client_from_a_configuration(load: Load, plugins: Plugins) -> None:
    config = load('model = "host:a"\n[[stack]]\nuse = "retry"\n[providers.host]\nslots = 2')
    for source in (config, "f.toml", Path("f.toml")):
        client = Client.from_config(source, plugins=plugins)
        assert client.targets == ("host:a",)
        assert client.stack == (Retry(),)
    assert Client.from_config(config, "host:b").targets == ("host:b",)
    assert Client.from_config(config, "host:b").stack == (Retry(),)
    several = Client.from_config(config, "host:b", "host:c")
    assert several.stack[1] == Attempts(Retry(2), Fallback("host:c"), Hedge("p95"))
    assert Client.from_config(config, stack=[]).stack == ()
    assert len(Client.from_config(Config()).stack) == 3


@pytest.mark.parametrize("name", ["ratio", "cap", "floor"])
@pytest.mark.parametrize("given", [-0.1, float("inf"), float("nan"), "1", None, True])
def test_a_budget_has_finite_numbers_from_zero(name: str, given: object) -> None:
    with pytest.raises(ConfigError, match=rf"Budget\({name}=.*\): expected a number from 0 on"):
        Budget(**{name: given})  # type: ignore[arg-type]
    assert Budget(**{name: 0})


def test_a_literal_key_is_never_shown(load: Load) -> None:
    config = load(f'[providers.host]\napi_key = "{SECRET}"')
    assert config.options["host"]["api_key"] == Secret(SECRET)
    assert SECRET not in repr(config)
    assert SECRET not in repr(Config(options={"host": {"api_key": SECRET}}))
    with pytest.raises(ConfigError, match=r"providers.host.api_key: a secret is never written"):
        to_toml(config)


@pytest.mark.parametrize(
    "text",
    [
        f'[providers.host]\napi_key = "{SECRET}"\nslot = 1',
        f'[providers.host]\napi_key = "{SECRET}"\nslots = 0',
        f'[providers.host]\napi_key = "{SECRET}"\nslots = "many"',
        f'[providers.hots]\napi_key = "{SECRET}"',
        f'[providers.host]\napi_key = "{SECRET}"\n[[stack]]\nuse = "nothing"',
        f'[providers.host]\napi_key = "{SECRET}"\nbroken',
        f'[providers.host]\nbase_url = 1\napi_key = "{SECRET}"',
        f'[providers]\nhost = "{SECRET}"',
        f'[model]\napi_key = "{SECRET}"',
        f'[model]\nproviders.host = "{SECRET}"',
        f'[[model]]\nhost = "{SECRET}"',
        f'[providers.host]\nslots = "{SECRET}"',
    ],
)
def test_no_error_and_no_frame_of_ours_shows_a_key(load: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    error: BaseException | None = caught.value
    while error is not None:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame for frame in told.stack if "/tests/" not in frame.filename]
        assert frames
        assert SECRET not in str(error)
        assert all(SECRET not in str(frame.locals) for frame in frames)
        error = error.__cause__ or error.__context__
