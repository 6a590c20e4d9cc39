"""Write docs/reference/ from the code: signatures, docstrings, fields, hooks and commands.

    python docs/make_reference.py            writes the pages
    python docs/make_reference.py --check    fails where a page is not what would be written

Sources are read, not run, so that a page shows what stands in the code; only the commands are
imported, for their help, and the policies, for what a file may say of them. The page of llmmw-local
needs that plugin and is left alone without it.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from _sources import (
    WIDTH,
    block,
    bullets,
    docstring,
    entry,
    function_stub,
    named,
    names_of,
    prose,
    told,
    tree_of,
)

from llmmw._config._advice import RULES
from llmmw._config._signature import Option, is_value, options_of, words
from llmmw._config._toml import text as toml_text
from llmmw._plugins import Named, Plugins, installed, resolve
from llmmw.cli import main as llmmw_command
from llmmw.errors import LLMError

HERE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/make_reference.py: change the code, then run it. -->"

PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "client.md": (
        "The client",
        "What programs hold. All names are imported from `llmmw`.",
        (
            "Client",
            "default_stack",
            "Stream",
            "Items",
            "Item",
            "Progress",
            "Journal",
            "Capabilities",
            "Plugins",
            "Listing",
            "Instrument",
        ),
    ),
    "administration.md": (
        "Administration",
        "The models, files, fine-tunes and batches at providers: `client.models`, `client.files`, "
        "`client.fine_tunes` and `client.batches`, and what they tell. All names are imported from "
        "`llmmw`. How to: [administer](../how-to/administer.md).",
        (
            "ClientModels",
            "ClientFiles",
            "ClientFineTunes",
            "ClientBatches",
            "Pages",
            "Transfer",
            "ModelInfo",
            "FileInfo",
            "FineTuneInfo",
            "FineTuneEvent",
            "Checkpoint",
            "BatchInfo",
            "BatchItem",
        ),
    ),
    "requests.md": (
        "Requests",
        "What is asked: frozen values that say nothing of time, retries or streaming. "
        "All names are imported from `llmmw`.",
        (
            "Request",
            "Generate",
            "Embed",
            "Score",
            "CountTokens",
            "Tokenize",
            "Detokenize",
            "Together",
            "JsonObject",
            "JsonSchema",
            "Grammar",
            "Choice",
            "Reasoning",
            "Tool",
            "ServerTool",
            "ToolNames",
        ),
    ),
    "messages.md": (
        "Messages and parts",
        "What is said to a model and by it. All names are imported from `llmmw`.",
        (
            "Message",
            "Part",
            "TextPart",
            "ReasoningPart",
            "MediaPart",
            "ToolCallPart",
            "ToolResultPart",
            "CachePoint",
            "OpaquePart",
            "Citation",
            "TokenLogprob",
        ),
    ),
    "responses.md": (
        "Responses",
        "What comes back. Two responses are equal when their answers are: ledger, warnings, raw "
        "data and HTTP details stay out. All names are imported from `llmmw`.",
        (
            "Response",
            "Generation",
            "Candidate",
            "Finish",
            "FinishReason",
            "Usage",
            "Spent",
            "price_of",
            "Prices",
            "Price",
            "Embeddings",
            "Scores",
            "TokenCount",
            "Tokens",
            "Detokenized",
            "Answers",
        ),
    ),
    "deltas.md": (
        "Deltas",
        "The pieces of an answer, as listeners and streams get them. "
        "All names are imported from `llmmw`.",
        ("Delta", "ResponseStart", "PartStart", "PartDelta", "PartEnd", "Restarted"),
    ),
    "chain.md": (
        "Calls and chains",
        "What middleware is made of. All names are imported from `llmmw`.",
        (
            "Call",
            "Listener",
            "OnInterrupt",
            "Handler",
            "Middleware",
            "MapText",
            "chain",
            "describe",
            "Layer",
        ),
    ),
}

VARIABLES = {
    "LLMMW_BLOCK": "Names of plugins to leave out, with commas between them: "
    "`[distribution/][kind:]name`, for example `llmmw-echo/provider:echo`.",
    "LLMMW_CACHE": "The folder for what is fetched; the models of llmmw-local lie in its "
    "`models`. Default: `llmmw` in the user's cache folder.",
    "LLMMW_CONFIG": "The configuration file to read, in place of the user's.",
    "LLMMW_EXAMPLES": "A factor on the number of worlds that `llmmw.testing.assert_laws` draws.",
    "LLMMW_INDEX_URL": "Package indexes, with spaces between them, where llmmw-local looks for the "
    "model's wheel, in place of those that pip is configured with.",
    "LLMMW_MODEL": "The target that the commands ask when `-m` names none.",
}


def page(title: str, text: str, *parts: str) -> str:
    """A whole page."""
    body = [f"# {title}", NOTE, text, *parts]
    return "\n\n".join(part for part in body if part) + "\n"


def value_pages() -> Iterator[tuple[str, str]]:
    """The pages of the door `llmmw`, but for policies and errors."""
    for file, (title, text, names) in PAGES.items():
        yield file, page(title, text, *(entry(named("llmmw", name)) for name in names))


def policies_page() -> str:
    """The policies, by the names that `llmmw plugins` shows, and what they are made with."""
    plugins = core_plugins()
    parts, made = [], set()
    for name in plugins.names("middleware"):
        spec = plugins.spec("middleware", name)
        kind = spec.factory.partition(":")[2]
        made.add(kind)
        found = named("llmmw.policies", kind)
        parts.append(entry(found, title=name, law=law_of(found.module)))
    rest = [name for name in names_of("llmmw.policies") if name not in made]
    parts.extend(entry(named("llmmw.policies", name)) for name in rest)
    text = (
        "Middleware about failure and time, by the names that `llmmw plugins` shows. The classes "
        "are imported from `llmmw` or `llmmw.policies`."
    )
    return page("Policies", text, *parts)


def law_of(module: str) -> str:
    """How a policy's file opens: its law, its diagram, its source."""
    return quoted(prose(docstring(module)))


def quoted(text: str) -> str:
    """Markdown as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def errors_page() -> str:
    """The tree, what helps for each class, and each class."""
    kinds = [getattr(importlib.import_module("llmmw.errors"), n) for n in names_of("llmmw.errors")]
    rows = ["| error | the same target again | another target |", "|---|---|---|"]
    rows += [
        f"| `{kind.__name__}` | {_yes(kind.retryable)} | {_yes(kind.elsewhere)} |"
        for kind in kinds
        if issubclass(kind, LLMError) and kind is not LLMError
    ]
    entries = [entry(named("llmmw.errors", name)) for name in names_of("llmmw.errors")]
    return page("Errors", prose(docstring("llmmw.errors")), "\n".join(rows), *entries)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def plugin_page() -> str:
    """The door for authors, without what has its place on another page."""
    elsewhere = {name: file for file, (*_, names) in PAGES.items() for name in names}
    elsewhere |= {"Event": "events.md", "DownloadProgress": "events.md", "Spec": "hooks.md"}
    elsewhere["hookimpl"] = "hooks.md"
    names = names_of("llmmw.plugin")
    linked = [f"[`{n}`]({elsewhere[n]}#{n.lower()})" for n in names if n in elsewhere]
    text = (
        f"{docstring('llmmw.plugin')} All names are imported from `llmmw.plugin`; "
        f"on other pages are {', '.join(linked)}."
    )
    entries = (entry(named("llmmw.plugin", name)) for name in names if name not in elsewhere)
    return page("For authors of plugins", text, *entries)


def testing_page() -> str:
    """The door for tests, with the plugin of pytest."""
    names = names_of("llmmw.testing")
    entries = (entry(named("llmmw.testing", name)) for name in names)
    text = f"{docstring('llmmw.testing')}\n\nAll names are imported from `llmmw.testing`."
    plugin = [f"## llmmw.testing.pytest\n\n{docstring('llmmw.testing.pytest')}"]
    plugin += [named("llmmw.testing.pytest", "pytest_pyfunc_call").text]
    for name in ("simulated_client", "simulated_provider"):
        plugin.append(entry(named("llmmw.testing.pytest", name), level=3))
    return page("For tests and authors of policies", text, *plugin, *entries)


def sim_page() -> str:
    """Simulations: what is run, and what a world is made of. The rest of the door is for tests."""
    door = ("simulate", "Report", "Percentiles", "load_world", "WorldModel")
    entries = [entry(named("llmmw.sim", name)) for name in door]
    models = ("CallerModel", "TargetModel", "RateModel", "FaultModel")
    entries += [entry(named("llmmw.sim._world", name)) for name in models]
    file = prose(docstring("llmmw.sim._world_file")).replace("```text", "```toml")
    kinds = (
        "A time or a number of tokens is a number, which is always the same; a table with `kind`: "
        "`constant` (`value`), `lognormal` (`median`, and `sigma`, the deviation of the "
        "logarithm), `pareto` (`least`, `alpha`), `measured` (`values`); or a list of such tables, "
        "each with its `share`."
    )
    text = "`simulate` and what belongs to it; all that is exported is imported from `llmmw.sim`."
    return page("For simulations", text, "## The file of a world", file, kinds, *entries)


def door_page(door: str, title: str) -> str:
    """A door whose names have their places on no other page."""
    entries = (entry(named(door, name)) for name in names_of(door))
    text = f"{prose(docstring(door))}\n\nAll names are imported from `{door}`."
    return page(title, text, *entries)


def bridge_page(door: str, title: str) -> str:
    """A face for other programs, with what both faces inherit."""
    shared = [entry(named(f"{door}._flows", "Flowing"), title="Client, what it has for flows")]
    shared += [
        entry(named("llmmw._bridge", base), title=f"{name}, what it has of all faces")
        for name, base in (("Client", "Bridge"), ("Stream", "Reading"))
    ]
    return door_page(door, title) + "\n" + "\n\n".join(shared) + "\n"


def events_page() -> str:
    """What a ledger holds and instruments hear."""
    names = [name for name in names_of("llmmw._ledger") if name != "Ledger"]
    names.sort(key=lambda name: (name != "Event", name))
    entries = (entry(named("llmmw._ledger", name)) for name in names)
    return page("Events", prose(docstring("llmmw._ledger")), *entries)


def hooks_page() -> str:
    """The hooks with their signatures, and the entry-point groups they belong to."""
    tree = tree_of("llmmw._hookspecs")
    hooks = importlib.import_module("llmmw._hookspecs").HOOKS
    groups = {hook: f"llmmw.{kind}" for kind, hook in hooks.items()}
    parts = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in groups:
            text = "\n\n".join(told(ast.get_docstring(node) or ""))
            group = f"Entry-point group: `{groups[node.name]}`."
            parts.append(f"## {node.name}\n\n{block(function_stub(node))}\n\n{text}\n\n{group}")
    parts.append(entry(named("llmmw._hookspecs", "Spec")))
    mark = "## hookimpl\n\nThe mark of a function that answers a hook; `from llmmw.plugin import`."
    return page("Hooks", prose(docstring("llmmw._hookspecs")), *parts, mark)


def settings_page() -> str:
    """Environment variables; the file has a page of its own."""
    parts = ["## Environment variables"]
    parts += [f"### {name}\n\n{text}" for name, text in sorted(VARIABLES.items())]
    parts.append("## The configuration file\n\nSee [Configuration](configuration.md).")
    return page("Settings", "", *parts)


def configuration_page() -> str:
    """What a file may say, the order rules, and how programs read and write files."""
    parts = [prose(docstring("llmmw._config._file")).replace("```text", "```toml")]
    parts.append(
        "## What goes first\n\nAn option of a command goes before an environment variable, that "
        "before the file, and that before the default. So for the model: `-m`, `LLMMW_MODEL`, "
        "`model`, and `local:smollm2` if llmmw-local is installed. One `-m` is asked through the "
        "configured stack; several bring the default stack, with the further ones as fallbacks. "
        "`--timeout` bounds each call around the stack."
    )
    parts.append(
        "## Options of layers\n\nEach is `use` with the options below, which are those of the "
        "class. A plugin's middleware stands in a file by its name in the same way."
    )
    plugins = core_plugins()
    parts += [layer_options(name, plugins) for name in plugins.names("middleware")]
    parts.append(
        "## Options of providers\n\n`[providers.NAME]` has what `Client(options={NAME: …})` takes: "
        "the options of that provider, as `llmmw plugins` lists them. With `use`, `NAME` is an "
        "account of your own of the provider that `use` names, and targets begin with it. A key is "
        '`"env:NAME"`, `"file:PATH"` or the key itself, which no output ever shows; '
        "`llmmw check` warns when others can read a file that has one."
    )
    parts.append(
        '## Rows by targets\n\n`[capabilities."provider:model"]` and '
        '`[prices."provider:model"]` have what `Client(capabilities=…, prices=…)` take; see '
        "[Say what a target can do](../how-to/capabilities.md)."
    )
    rules = bullets(
        (f"`{name}`", " ".join((rule.__doc__ or "").split())) for name, rule in RULES.items()
    )
    parts.append(f"## Order rules\n\nWhat `llmmw check` and `advise` warn of:\n\n{rules}")
    names = ("Config", "load_config", "to_toml", "advise", "Advice")
    parts += [entry(named("llmmw", name)) for name in names]
    return page("Configuration", *parts)


def layer_options(name: str, plugins: Plugins) -> str:
    """The options of a layer, as a file gives them."""
    kind = resolve(plugins.spec("middleware", name))
    rows = [(f"`{one.name}`", _option(one)) for one in options_of(kind)[0].values()]
    return f'### use = "{name}"\n\nSee [{name}](policies.md#{name}).\n\n{bullets(rows)}'


def _option(one: Option) -> str:
    if one.holds_layers:
        return "a table for each, by its name: `[stack.retry]`; or `[[stack.policies]]` with `use`"
    what = words(one.hint)
    if one.is_needed or one.is_many or one.default is None:
        return what
    default: Any = one.default
    if is_value(type(default)):
        inside = options_of(type(default))[0].values()
        default = {option.name: getattr(default, option.attribute) for option in inside}
    return f"{what}; default `{toml_text(default)}`"


# Commands.


def core_plugins() -> Plugins:
    """A registry of what the core itself registers."""
    mine: list[Named] = [one for one in installed() if one.distribution == "llmmw"]
    return Plugins(found=mine, blocked=[])


def help_of(command: click.Command, name: str, plugins: Plugins) -> str:
    """What `--help` prints."""
    context = click.Context(
        command,
        info_name=name,
        obj=plugins,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    rows = command.get_help(context).splitlines()
    return "```text\n" + "\n".join(row.rstrip() for row in rows) + "\n```"


def command_entry(name: str, command: click.Command, plugins: Plugins, level: int = 2) -> str:
    """A command and those inside it."""
    title = name.removeprefix("llmmw ") or name
    parts = [f"{'#' * level} {title}", help_of(command, name, plugins)]
    if isinstance(command, click.Group) and command is not llmmw_command:
        for inner, below in sorted(command.commands.items()):
            parts.append(command_entry(f"{name} {inner}", below, plugins, level + 1))
    return "\n\n".join(parts)


def commands_page() -> str:
    """`llmmw` and the core's commands."""
    plugins = core_plugins()
    parts = [command_entry("llmmw", llmmw_command, plugins)]
    for name in plugins.names("command"):
        command: Any = resolve(plugins.spec("command", name))
        parts.append(command_entry(f"llmmw {name}", command, plugins))
    text = "What each prints for `--help`. Plugins add commands of their own."
    return page("Commands", text, *parts)


def local_page() -> str:
    """The plugin llmmw-local: options of the provider, and its command."""
    plugins = Plugins(blocked=[])
    command: Any = resolve(plugins.spec("command", "local"))
    provider = named("llmmw_local._provider", "Local")
    text = (
        f"{prose(docstring('llmmw_local'))}\n\nThe options of the provider are given to the "
        'client: `Client("local:smollm2", options={"local": {"slots": 2}})`.'
    )
    shown = command_entry("llmmw local", command, plugins)
    return page("llmmw-local", text, entry(provider), shown)


def openai_page() -> str:
    """The plugin llmmw-openai: options of the provider, and its hosts."""
    presets = importlib.import_module("llmmw_openai._presets").PRESETS.values()
    rows = ["| name | host | address | key |", "|---|---|---|---|"]
    for row in presets:
        key = " or ".join(f"`{name}`" for name in row.keys)
        needed = "" if row.key_needed else ", if it wants one"
        rows.append(f"| `{row.name}` | {row.title} | `{row.base_url}` | {key}{needed} |")
    text = (
        f"{prose(docstring('llmmw_openai'))}\n\nThe options of the provider are given to the "
        'client: `Client("openai:gpt-4o-mini", options={"openai": {"api_key": "env:MY_KEY"}})`, '
        "or stand in a configuration under `[providers.openai]`."
    )
    provider = entry(named("llmmw_openai._provider", "OpenAI"))
    return page("llmmw-openai", text, "## Hosts", "\n".join(rows), provider)


def anthropic_page() -> str:
    """The plugin llmmw-anthropic: options of the provider."""
    text = prose(docstring("llmmw_anthropic"))
    return page("llmmw-anthropic", text, entry(named("llmmw_anthropic._provider", "Anthropic")))


def bedrock_page() -> str:
    """The plugin llmmw-bedrock: options of the provider, and the signer."""
    text = prose(docstring("llmmw_bedrock"))
    names = (("llmmw_bedrock._provider", "Bedrock"), ("llmmw_bedrock._sign", "signed"))
    three = (*names, ("llmmw_bedrock._sign", "AwsCredentials"))
    return page("llmmw-bedrock", text, *(entry(named(*one)) for one in three))


def cohere_page() -> str:
    """The plugin llmmw-cohere: options of the provider."""
    text = prose(docstring("llmmw_cohere"))
    return page("llmmw-cohere", text, entry(named("llmmw_cohere._provider", "Cohere")))


def google_page() -> str:
    """The plugin llmmw-google: options of its two providers."""
    two = (("llmmw_google._provider", "Google"), ("llmmw_google._vertex", "Vertex"))
    text = prose(docstring("llmmw_google"))
    return page("llmmw-google", text, *(entry(named(*one)) for one in two))


def llm_engine_page() -> str:
    """The plugin llmmw-llm-engine: options of the provider, and the check of tables."""
    names = (
        ("llmmw_llm_engine._provider", "LLMEngine"),
        ("llmmw_llm_engine", "check_training_csv"),
        ("llmmw_llm_engine", "CsvReport"),
        ("llmmw_llm_engine", "CsvProblem"),
    )
    text = prose(docstring("llmmw_llm_engine"))
    return page("llmmw-llm-engine", text, *(entry(named(*one)) for one in names))


def mistral_page() -> str:
    """The plugin llmmw-mistral: options of the provider."""
    text = prose(docstring("llmmw_mistral"))
    return page("llmmw-mistral", text, entry(named("llmmw_mistral._provider", "Mistral")))


def ollama_page() -> str:
    """The plugin llmmw-ollama: options of the provider."""
    text = prose(docstring("llmmw_ollama"))
    return page("llmmw-ollama", text, entry(named("llmmw_ollama._provider", "Ollama")))


def redis_page() -> str:
    """The plugin llmmw-redis: options of the store."""
    text = prose(docstring("llmmw_redis"))
    return page("llmmw-redis", text, entry(named("llmmw_redis._store", "RedisStore")))


def semantic_page() -> str:
    """The plugin llmmw-semantic: the cache, what it tells, and the provider of vectors."""
    names = (
        ("_cache", "SemanticCache"),
        ("_events", "SemanticHit"),
        ("_events", "SemanticMissed"),
        ("_guard", "difference"),
        ("_minilm", "MiniLM"),
    )
    rows = [entry(named(f"llmmw_semantic.{place}", name)) for place, name in names]
    return page("llmmw-semantic", prose(docstring("llmmw_semantic")), *rows)


def substrate_page() -> str:
    """The plugin llmmw-substrate: graphs, their results, the kinds of nodes, and the provider."""
    names = (
        ("_client", "Substrate"),
        ("_response", "GraphResponse"),
        ("_stream", "GraphStream"),
        ("_kind", "Kind"),
        ("_provider", "SubstrateProvider"),
    )
    kinds = importlib.import_module("llmmw_substrate.nodes").KINDS
    rows = ["| kind | needs | gives |", "|---|---|---|"]
    for name, kind in sorted(kinds.items()):
        needed = ", ".join(f"`{one}`" for one in kind.needed) or "nothing"
        rows.append(f"| `{name}` | {needed} | `{kind.out.__name__}` |")
    shown = [entry(named(f"llmmw_substrate.{place}", name)) for place, name in names]
    text = prose(docstring("llmmw_substrate"))
    return page("llmmw-substrate", text, *shown, "## Kinds of nodes", "\n".join(rows))


PLUGINS: dict[str, tuple[str, Callable[[], str]]] = {
    "anthropic.md": ("llmmw_anthropic", anthropic_page),
    "bedrock.md": ("llmmw_bedrock", bedrock_page),
    "cohere.md": ("llmmw_cohere", cohere_page),
    "google.md": ("llmmw_google", google_page),
    "llm-engine.md": ("llmmw_llm_engine", llm_engine_page),
    "local.md": ("llmmw_local", local_page),
    "mistral.md": ("llmmw_mistral", mistral_page),
    "ollama.md": ("llmmw_ollama", ollama_page),
    "openai.md": ("llmmw_openai", openai_page),
    "redis.md": ("llmmw_redis", redis_page),
    "semantic.md": ("llmmw_semantic", semantic_page),
    "substrate.md": ("llmmw_substrate", substrate_page),
}


def index_page(files: Iterable[str]) -> str:
    """The pages, each with its title."""
    titles = {file: (*PAGES.get(file, ()), "")[0] or TITLES[file] for file in files}
    rows = [f"- [{titles[file]}]({file})" for file in titles]
    text = "Every public name, hook, event, setting and command, written from the code."
    return page("Reference", text, "\n".join(rows))


TITLES = {
    "policies.md": "Policies",
    "stores.md": "Stores",
    "errors.md": "Errors",
    "events.md": "Events",
    "commands.md": "Commands",
    "settings.md": "Settings",
    "configuration.md": "Configuration",
    "hooks.md": "Hooks",
    "flow.md": "Flows: `llmmw.flow`",
    "compose.md": "Compositions: `llmmw.flow.compose`",
    "dag.md": "Graphs of `POST /compose`: `llmmw.flow.dag`",
    "sync.md": "For plain programs: `llmmw.sync`",
    "aio.md": "For asyncio programs: `llmmw.aio`",
    "plugin.md": "For authors of plugins: `llmmw.plugin`",
    "wire.md": "For authors of providers over HTTP: `llmmw.wire`",
    "testing.md": "For authors of policies: `llmmw.testing`",
    "sim.md": "For simulations: `llmmw.sim`",
    "anthropic.md": "The plugin llmmw-anthropic",
    "bedrock.md": "The plugin llmmw-bedrock",
    "cohere.md": "The plugin llmmw-cohere",
    "google.md": "The plugin llmmw-google",
    "llm-engine.md": "The plugin llmmw-llm-engine",
    "local.md": "The plugin llmmw-local",
    "mistral.md": "The plugin llmmw-mistral",
    "ollama.md": "The plugin llmmw-ollama",
    "openai.md": "The plugin llmmw-openai",
    "redis.md": "The plugin llmmw-redis",
    "semantic.md": "The plugin llmmw-semantic",
    "substrate.md": "The plugin llmmw-substrate",
}


def core_pages() -> dict[str, str]:
    """Every page that the core alone is enough for."""
    pages = dict(value_pages())
    pages["policies.md"] = policies_page()
    pages["stores.md"] = door_page("llmmw.stores", "Stores")
    pages["errors.md"] = errors_page()
    pages["events.md"] = events_page()
    pages["commands.md"] = commands_page()
    pages["settings.md"] = settings_page()
    pages["configuration.md"] = configuration_page()
    pages["hooks.md"] = hooks_page()
    pages["flow.md"] = door_page("llmmw.flow", "Flows")
    pages["compose.md"] = door_page("llmmw.flow.compose", "Compositions")
    pages["dag.md"] = door_page("llmmw.flow.dag", "Graphs of POST /compose")
    pages["sync.md"] = bridge_page("llmmw.sync", "For plain programs")
    pages["aio.md"] = bridge_page("llmmw.aio", "For asyncio programs")
    pages["plugin.md"] = plugin_page()
    pages["wire.md"] = door_page("llmmw.wire", "For authors of providers over HTTP")
    pages["testing.md"] = testing_page()
    pages["sim.md"] = sim_page()
    pages["index.md"] = index_page([*pages, *PLUGINS])
    return pages


def all_pages() -> dict[str, str]:
    """Every page that can be written here."""
    there = {file: write for file, (name, write) in PLUGINS.items() if find_spec(name)}
    return core_pages() | {file: write() for file, write in there.items()}


def stale(pages: dict[str, str], folder: Path) -> list[str]:
    """The pages that are not what the code says, and those that nothing writes any more."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    known = {*pages, "local.md"}
    changed = [file for file, text in pages.items() if there.get(file) != text]
    return sorted([*changed, *(file for file in there if file not in known)])


def main() -> None:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description="Write docs/reference/ from the code.")
    parser.add_argument("--check", action="store_true", help="only say which pages are stale")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the pages are")
    given = parser.parse_args()
    pages = all_pages()
    files = stale(pages, given.folder)
    if given.check:
        sys.exit(f"not what the code says: {', '.join(files)}" if files else 0)
    given.folder.mkdir(exist_ok=True)
    for file in files:
        if file in pages:
            (given.folder / file).write_text(pages[file], encoding="utf-8")
        else:
            (given.folder / file).unlink()
        print(file)


if __name__ == "__main__":
    main()
