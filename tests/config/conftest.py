"""A registry with the core's own policies, and a stranger's plugin that knows nothing of files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmmw import Config, Plugins, load_config
from llmmw._plugins import Named, installed

_STRANGER = '''
from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TYPE_CHECKING

import attrs
from llmmw import Budget
from llmmw.errors import AuthenticationFailed, ConfigError
from llmmw.plugin import Provider, ResponseBuilder, Spec, hookimpl

if TYPE_CHECKING:
    from nowhere import Unseen


@attrs.frozen
class Plain:
    """An attrs class and nothing more."""

    size: int
    mode: Literal["fast", "safe"] = "safe"
    names: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    limits: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    budget: Budget | None = attrs.field(default=None, eq=False)
    ratio: float = attrs.field(default=1.0, validator=attrs.validators.le(2.0))

    async def __call__(self, call, next):
        return await next(call)


@attrs.frozen
class Opaque:
    """Its hints can't be resolved, so its options are not looked at."""

    thing: Unseen = None

    async def __call__(self, call, next):
        return await next(call)


def made_by_function(word: str = "x", **others):
    async def layer(call, next):
        return await next(call)
    return layer


@attrs.define(eq=False)
class Host(Provider):
    """A provider with a key."""

    name: str = attrs.field(default="host", kw_only=True)
    base_url: str = "https://host.example"
    api_key: object = attrs.field(default=None, repr=False)
    slots: int = 1
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self):
        if self.slots < 1:
            raise ConfigError(f"host: slots={self.slots}: expected a whole number from 1")
        if self.base_url == "https://closed.example":
            raise AuthenticationFailed("closed")

    async def __call__(self, call):
        answer = ResponseBuilder(call, self.name)
        await answer.text(f"{self.name} at {self.base_url} with {self.api_key}")
        return await answer.finish(None)


@hookimpl
def llmmw_middleware():
    return [
        Spec("plain", "stranger:Plain"),
        Spec("opaque", "stranger:Opaque"),
        Spec("maker", "stranger:made_by_function"),
    ]


@hookimpl
def llmmw_providers():
    return [Spec("host", "stranger:Host")]
'''


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugins]:
    """What the core registers, and the stranger's."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "stranger.py").write_text(_STRANGER)
    sys.path.insert(0, str(folder))
    mine = [one for one in installed() if one.distribution == "llmmw"]
    theirs = [
        Named(kind, name, "stranger", "stranger", "2.0")
        for kind, name in [
            ("middleware", "plain"),
            ("middleware", "opaque"),
            ("middleware", "maker"),
            ("provider", "host"),
        ]
    ]
    yield Plugins([*mine, *theirs], [])
    sys.path.remove(str(folder))
    del sys.modules["stranger"]


Load = Callable[[str], Config]


@pytest.fixture
def load(tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Reads a text as the configuration `f.toml`."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> Config:
        Path("f.toml").write_text(text)
        return load_config("f.toml", plugins=plugins)

    return read
