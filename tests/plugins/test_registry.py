"""Finding, loading, blocking and listing plugins; none of it may harm a neighbour."""

import sys
import textwrap

import pytest

from llmmw import Client, Plugins
from llmmw._plugins import Named, installed
from llmmw.errors import ConfigError, NotFound, PluginError


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Writes a module that registers the given specs, and forgets it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def write(module: str, body: str) -> None:
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(body))

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


PLUGIN = """
    import attrs
    from llmmw.plugin import Provider, ResponseBuilder, Spec, hookimpl

    @attrs.define(eq=False)
    class {name}(Provider):
        name: str = attrs.field(default="x", kw_only=True)
        colour: str = "red"
        async def __call__(self, call):
            builder = ResponseBuilder(call, self.name)
            await builder.text("{name} " + self.colour)
            return await builder.finish(None)

    @hookimpl
    def llmmw_providers():
        return [Spec("x", "{module}:{name}", "a test", preset={preset})]
"""


def write_plugin(make, module: str, preset: bool = False) -> Named:
    make(module, PLUGIN.format(module=module, name=module.title(), preset=preset))
    return Named("provider", "x", module, f"dist-{module}", "1.0")


async def ask(plugins: Plugins, **options: object) -> str:
    async with Client("x:y", plugins=plugins, stack=[], options={"x": options}) as client:
        return (await client.ask("hi")).text


async def test_a_plugin_is_imported_when_its_name_is_asked_for(make) -> None:
    one = write_plugin(make, "alpha")
    plugins = Plugins([one], [])
    assert plugins.names("provider") == ["x"]
    assert "alpha" not in sys.modules
    assert await ask(plugins) == "Alpha red"
    assert await ask(plugins, colour="blue") == "Alpha blue"


async def test_a_wrong_option_names_the_provider(make) -> None:
    with pytest.raises(ConfigError, match=r"provider 'x'.*smell"):
        await ask(Plugins([write_plugin(make, "alpha")], []), smell="sweet")


def test_equal_names_are_an_error_that_names_both_and_the_way_out(make) -> None:
    rivals = [write_plugin(make, "alpha"), write_plugin(make, "beta")]
    with pytest.raises(PluginError) as caught:
        Plugins(rivals, []).spec("provider", "x")
    said = str(caught.value)
    assert "dist-alpha 1.0 and dist-beta 1.0 both offer the provider 'x'" in said
    assert "LLMMW_BLOCK=dist-beta/provider:x" in said
    states = [listing.state for listing in Plugins(rivals, []).listing()]
    assert states == ["broken", "broken"]


@pytest.mark.parametrize("block", ["dist-beta/provider:x", "dist-beta/x"])
def test_the_way_out_works(make, block: str) -> None:
    rivals = [write_plugin(make, "alpha"), write_plugin(make, "beta")]
    plugins = Plugins(rivals, [block])
    assert plugins.spec("provider", "x").factory == "alpha:Alpha"
    assert [listing.state for listing in plugins.listing()] == ["ready", "blocked"]


@pytest.mark.parametrize("block", ["x", "provider:x"])
def test_blocked_names_say_that_they_are(make, block: str, monkeypatch) -> None:
    monkeypatch.setenv("LLMMW_BLOCK", f" other , {block} ")
    plugins = Plugins([write_plugin(make, "alpha")])
    assert plugins.names("provider") == []
    with pytest.raises(PluginError, match="switched off by LLMMW_BLOCK"):
        plugins.spec("provider", "x")
    assert "alpha" not in sys.modules


def test_a_preset_gives_way_to_a_plugin_made_for_the_name(make) -> None:
    rivals = [write_plugin(make, "alpha", preset=True), write_plugin(make, "beta")]
    plugins = Plugins(rivals, [])
    assert plugins.spec("provider", "x").factory == "beta:Beta"
    listed = {listing.distribution: listing for listing in plugins.listing()}
    assert listed["dist-alpha"].state == "gives way"
    assert listed["dist-alpha"].reason == "to dist-beta"
    assert listed["dist-beta"].options == {"colour": "red"}


def test_a_broken_plugin_is_listed_and_harms_no_other(make) -> None:
    make("broken", "1 / 0")
    make("empty", "")
    make("wrong", "from llmmw.plugin import hookimpl\n@hookimpl\ndef llmmw_nothing(): ...\n")
    make("raises", "from llmmw.plugin import hookimpl\n@hookimpl\ndef llmmw_providers(): 1 / 0\n")
    make(
        "nothing",
        "from llmmw.plugin import hookimpl\n@hookimpl\ndef llmmw_providers(): return [7]\n",
    )
    good = write_plugin(make, "alpha")
    names = ("broken", "empty", "raises", "nothing", "wrong")
    bad = [Named("provider", name, name, f"dist-{name}", "") for name in names]
    plugins = Plugins([good, *bad], [])
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        plugins.spec("provider", "broken")
    with pytest.raises(PluginError, match=r"promises the provider 'empty', but"):
        plugins.spec("provider", "empty")
    states = {listing.name: listing.state for listing in plugins.listing()}
    assert states == {**dict.fromkeys(names, "broken"), "x": "ready"}


def test_a_factory_that_cannot_be_imported_is_listed_as_broken(make) -> None:
    make(
        "lost",
        """
        from llmmw.plugin import Spec, hookimpl
        @hookimpl
        def llmmw_providers():
            return [Spec("x", "lost:Gone")]
        """,
    )
    plugins = Plugins([Named("provider", "x", "lost", "dist-lost", "1")], [])
    (listing,) = plugins.listing()
    assert listing.state == "broken"
    assert "lost:Gone can't be imported" in listing.reason


async def test_a_provider_that_is_none_is_refused(make) -> None:
    make(
        "odd",
        """
        from llmmw.plugin import Spec, hookimpl
        @hookimpl
        def llmmw_providers():
            return [Spec("x", "builtins:dict")]
        """,
    )
    with pytest.raises(PluginError, match="made a dict"):
        await ask(Plugins([Named("provider", "x", "odd", "dist-odd", "1")], []))


async def test_unknown_names_say_what_exists_and_what_was_meant(make) -> None:
    plugins = Plugins([write_plugin(make, "alpha")], [])
    async with Client("xx:y", plugins=plugins, stack=[]) as client:
        with pytest.raises(NotFound, match="did you mean 'x'\\? there is x"):
            await client.ask("hi")
    with pytest.raises(PluginError, match="none is installed"):
        plugins.spec("store", "redis")


def test_a_module_with_several_names_is_registered_once(make) -> None:
    make(
        "many",
        """
        from llmmw.plugin import Spec, hookimpl
        @hookimpl
        def llmmw_providers():
            return [Spec(n, "builtins:dict", options={"n": n}) for n in ("a", "b")]
        """,
    )
    both = [Named("provider", n, "many", "dist-many", "1") for n in ("a", "b")]
    plugins = Plugins(both, [])
    assert plugins.make("provider", "a", {}) == {"n": "a"}
    assert plugins.make("provider", "b", {"m": 1}) == {"n": "b", "m": 1}


def test_the_core_registers_its_own_like_any_plugin() -> None:
    core = {(one.kind, one.name) for one in installed() if one.distribution == "llmmw"}
    plugins = Plugins([one for one in installed() if one.distribution == "llmmw"], [])
    listed = {(one.kind, one.name): one for one in plugins.listing()}
    assert set(listed) == core
    assert all(one.state == "ready" for one in listed.values()), listed
    assert listed["middleware", "timeout"].options["total"] is None
