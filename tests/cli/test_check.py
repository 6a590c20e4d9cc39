"""`llmmw check`, and the configuration that `ask` and `map` go by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmmw import load_config

from .conftest import Run, distribution, rows_of, write_rows

STACK = """\
model = "t:small"

[[stack]]
use = "timeout"
total = 60

[[stack]]
use = "attempts"

[stack.retry]
retries = 3

[stack.fallback]
targets = ["t:large"]

[providers.second]
use = "t"
"""
PLAN = {
    "use": "attempts",
    "retry": {"retries": 3},
    "fallback": {"targets": ["t:large"]},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "llmmw.toml"
    path.write_text(STACK)
    return path


def test_it_shows_what_targets_can_do(run: Run, file: Path) -> None:
    file.write_text(STACK + '[capabilities."t:*"]\ncannot = ["image"]\noutput_limit = 7\n')
    done = run("check", "llmmw.toml")
    assert "targets\n  t:small  can't image; output limit 7\n  t:large  can't" in done.stdout
    rows = json.loads(run("check", "llmmw.toml", "--json").stdout)["capabilities"]
    can = {"can": ["audio", "document", "video"], "cannot": ["image"], "output_limit": 7}
    assert rows == {"t:small": can, "t:large": can}
    file.write_text('[capabilities."t:*"]\ncannot = ["images"]\n')
    done = run("check", "llmmw.toml")
    assert done.returncode == 2
    assert "llmmw.toml: the capabilities of 't:*': cannot: 'images' is none of" in done.stderr


def test_it_shows_the_stack_and_the_providers(run: Run, file: Path) -> None:
    done = run("check", "llmmw.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "file       llmmw.toml\n"
        "model      t:small\n"
        "stack      outermost first\n"
        "  0   timeout    total = 60\n"
        "  1   attempts   at most 5 attempts\n"
        "        retry      retries = 3\n"
        '        fallback   targets = ["t:large"]\n'
        "providers\n"
        "  t          llmmw_t 1.0; ready\n"
        "  second (uses t) llmmw_t 1.0; ready\n"
    )
    assert run("check", "--config", "llmmw.toml").stdout == done.stdout
    assert run("check", env={"LLMMW_CONFIG": "llmmw.toml"}).stdout == done.stdout


def test_a_file_in_the_working_directory_is_not_read_by_itself(run: Run, file: Path) -> None:
    done = run("check")
    assert done.stdout.startswith("file       none: this is the default\nmodel      none: ")
    assert "first_token = 120" in done.stdout
    assert "t:small" not in done.stdout


def test_json_has_all_of_it(run: Run, file: Path) -> None:
    file.write_text(STACK.replace("total = 60", "total = 60\nidle = 2"))
    done = run("check", "llmmw.toml", "--json")
    data = json.loads(done.stdout)
    assert (data["file"], data["model"]) == ("llmmw.toml", "t:small")
    assert data["stack"] == [{"use": "timeout", "total": 60, "idle": 2}, PLAN]
    assert [(one["name"], one["provider"], one["state"]) for one in data["providers"]] == [
        ("t", "t", "ready"),
        ("second", "t", "ready"),
    ]
    (warning,) = data["warnings"]
    assert warning["rule"] == "limit-of-attempt-outside"
    assert warning["places"] == ["stack[0]", "stack[1]"]
    assert done.stderr == ""


def test_toml_is_a_file_to_begin_with(run: Run, file: Path, tmp_path: Path) -> None:
    assert run("check", "llmmw.toml", "--toml").stdout == STACK
    default = run("check", "--toml").stdout
    (tmp_path / "other.toml").write_text(default)
    assert run("check", "other.toml", "--toml").stdout == default
    assert default.count("[[stack]]") == 3


def test_warnings_are_told_and_strictness_makes_them_count(run: Run, file: Path) -> None:
    file.write_text(STACK.replace("t:large", "t:small").replace("total", "idle"))
    done = run("check", "llmmw.toml")
    assert done.returncode == 0
    rules = [line.split(": ")[:2] for line in done.stderr.splitlines()]
    assert rules == [
        ["warning", "no-total"],
        ["warning", "limit-of-attempt-outside"],
        ["warning", "same-target"],
    ]
    assert run("check", "llmmw.toml", "--strict").returncode == 1
    file.write_text(STACK)
    assert run("check", "llmmw.toml", "--strict").returncode == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            "retires = 2",
            "llmmw.toml: unknown key 'stack[1].retry.retires'; did you mean 'retries'?",
        ),
        ('retries = "2"', 'llmmw.toml: stack[1].retry.retries = "2": expected a whole number'),
    ],
)
def test_what_is_wrong_ends_with_2(run: Run, file: Path, wrong: str, message: str) -> None:
    file.write_text(STACK.replace("retries = 3", wrong))
    for words in (["check", "llmmw.toml"], ["ask", "say hi", "--config", "llmmw.toml"]):
        done = run(*words)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {message}\n")


def test_two_files_or_two_forms_are_too_many(run: Run, file: Path) -> None:
    done = run("check", "llmmw.toml", "--config", "llmmw.toml")
    assert done.returncode == 2
    assert "both name the configuration" in done.stderr
    assert "not both" in run("check", "--json", "--toml").stderr
    none = run("check", "none.toml")
    assert none.returncode == 2
    assert none.stderr == (
        "Error: can't read the configuration none.toml: No such file or directory\n"
    )


def test_no_key_is_shown(run: Run, file: Path) -> None:
    key = "sk-planted-0123456789"
    text = STACK + f'api_key = "{key}"\n'
    site = file.parent / "site"
    code = (site / "llmmw_t.py").read_text()
    (site / "llmmw_t.py").write_text(
        code.replace(
            "    async def __call__",
            "    api_key = attrs.field(default=None)\n\n    async def __call__",
            1,
        )
    )
    file.write_text(text)
    file.chmod(0o644)
    for form in ([], ["--json"]):
        done = run("check", "llmmw.toml", *form)
        assert done.returncode == 0
        assert "api_key in the configuration" in done.stdout
        assert key not in done.stdout + done.stderr
    assert (
        "warning: readable-key: llmmw.toml has the key of second" in run("check", file.name).stderr
    )
    done = run("check", "llmmw.toml", "--toml")
    assert done.returncode == 2
    assert "providers.second.api_key: a secret is never written" in done.stderr
    assert key not in done.stdout + done.stderr


def test_ask_goes_by_the_configured_stack(
    run: Run, file: Path, asked: Callable[[], list[str]]
) -> None:
    file.write_text(STACK.replace("retries = 3", "retries = 1\nbase = 0"))
    done = run("ask", "fail", "--config", "llmmw.toml")
    assert done.returncode == 1
    assert "(after 3 attempts)" in done.stderr
    assert asked() == ["fail"] * 3
    done = run("ask", "say hi", "--config", "llmmw.toml", "-m", "second:x", "--json")
    assert json.loads(done.stdout)["model"] == "second:x"


@pytest.mark.parametrize(
    ("words", "env", "model"),
    [
        ([], {}, "t:small"),
        ([], {"LLMMW_MODEL": "t:set"}, "t:set"),
        (["-m", "t:named"], {"LLMMW_MODEL": "t:set"}, "t:named"),
        (["-m", "t:named", "-m", "t:other"], {}, "t:named"),
        (["--config", "empty.toml", "-m", "t:named"], {}, "t:named"),
    ],
)
def test_options_go_before_the_environment_and_that_before_the_file(
    run: Run, file: Path, words: list[str], env: dict[str, str], model: str
) -> None:
    (file.parent / "empty.toml").write_text("")
    done = run("ask", "say hi", "--json", *words, env={"LLMMW_CONFIG": "llmmw.toml", **env})
    assert json.loads(done.stdout)["model"] == model


def test_several_models_have_the_default_stack(
    run: Run, file: Path, asked: Callable[[], list[str]]
) -> None:
    file.write_text(STACK.replace("retries = 3", "retries = 0"))
    run("ask", "fail", "--config", "llmmw.toml")
    assert asked() == ["fail"] * 2
    run("ask", "fail", "--config", "llmmw.toml", "-m", "t:a", "-m", "t:b")
    assert len(asked()) == 4


def test_map_goes_by_the_configuration(run: Run, file: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", {"prompt": "say a"}, {"prompt": "say b", "model": "second:y"})
    done = run("map", "in.jsonl", "-o", "out.jsonl", "--config", "llmmw.toml")
    assert done.returncode == 0
    assert [row["model"] for row in rows_of(tmp_path / "out.jsonl")] == ["t:small", "second:y"]


LAYER = """
from llmmw.plugin import Spec, hookimpl

def loud():
    async def layer(call, next):
        return await next(call)
    return layer

@hookimpl
def llmmw_middleware():
    return [Spec("loud", "llmmw_loud:loud")]
"""


def test_a_layer_that_a_function_makes_is_shown_as_it_is(run: Run, file: Path, site: Path) -> None:
    distribution(site, "llmmw_loud", LAYER, "middleware:loud")
    file.write_text('[[stack]]\nuse = "timeout"\ntotal = 1\n[[stack]]\nuse = "loud"\n')
    done = run("check", "llmmw.toml")
    assert done.returncode == 0
    assert "  1   loud.<locals>.layer()\n" in done.stdout
    refused = run("check", "llmmw.toml", "--toml")
    assert refused.returncode == 2
    assert "stack[1]: loud.<locals>.layer is no registered middleware" in refused.stderr


@pytest.mark.plugins
def test_two_hosts_and_a_local_model(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "llmmw.toml"
    file.write_text("""\
# llmmw.toml — outermost first
model = "openai:gpt-4o-mini"
[[stack]]
use = "timeout"
total = 60
[[stack]]
use = "attempts"
[stack.retry]
retries = 2
[stack.fallback]
targets = ["together:meta-llama/Llama-3-70b", "local:smollm2"]
[providers.openai]
base_url = "https://host.example/v1"
""")
    ended = run("check", str(file))
    assert ended.returncode == 0
    assert "at most 5 attempts" in ended.stdout
    first = run("check", "--toml", str(file)).stdout
    (tmp_path / "again.toml").write_text(first)
    assert load_config(tmp_path / "again.toml") == load_config(file)
    assert run("check", "--toml", str(tmp_path / "again.toml")).stdout == first
