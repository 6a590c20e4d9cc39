"""What the core itself registers, in the way that any plugin does."""

from __future__ import annotations

from llmmw._hookspecs import Spec, hookimpl


@hookimpl
def llmmw_middleware() -> list[Spec]:
    """The policies, by the names that configuration uses."""
    return [
        Spec("attempts", "llmmw.policies:Attempts", "retry, fallback and hedge in one plan"),
        Spec("balance", "llmmw.policies:Balance", "spread calls over accounts of a model"),
        Spec("batch", "llmmw.policies:Batch", "calls at the same time become one request"),
        Spec("batch_api", "llmmw.policies:BatchApi", "within a day, for half the price"),
        Spec("breaker", "llmmw.policies:Breaker", "leave a failing target alone for a time"),
        Spec("cache", "llmmw.policies:Cache", "what was answered once is not asked again"),
        Spec("coalesce", "llmmw.policies:Coalesce", "identical calls in flight share one"),
        Spec("concurrency", "llmmw.policies:Concurrency", "so many calls at once; others wait"),
        Spec("fallback", "llmmw.policies:Fallback", "ask other targets after a failure"),
        Spec("guard", "llmmw.policies:Guard", "reject answers that will not do"),
        Spec("hedge", "llmmw.policies:Hedge", "ask a second time when nothing comes"),
        Spec("instrument", "llmmw.policies:Instrumentation", "log calls and count them"),
        Spec("rate_limit", "llmmw.policies:RateLimit", "requests, tokens, money in a span of time"),
        Spec("retry", "llmmw.policies:Retry", "try again after an error that may pass"),
        Spec("timeout", "llmmw.policies:Timeout", "limits: total, first token, idle"),
    ]


@hookimpl
def llmmw_stores() -> list[Spec]:
    """The stores, by the names that policies use."""
    return [
        Spec("layers", "llmmw.stores:Layers", "one's own store, and others to read"),
        Spec("memory", "llmmw.stores:MemoryStore", "in memory, as long as the program runs"),
        Spec("sqlite", "llmmw.stores:SqliteStore", "in a file, for several processes"),
    ]


_BUILTINS = (
    Spec(
        "call_tools",
        "llmmw.flow.builtins.tools:call_tools",
        "run the tools that an answer asks for, at the same time",
    ),
    Spec("chat", "llmmw.flow.builtins.chat:chat", "what a model says next in a conversation"),
    Spec(
        "converse",
        "llmmw.flow.builtins.tools:converse",
        "a conversation with tools, until there is an answer",
    ),
    Spec(
        "count_tokens",
        "llmmw.flow.builtins.tokens:count_tokens",
        "how many tokens a prompt has",
    ),
    Spec("detokenize", "llmmw.flow.builtins.tokens:detokenize", "the text of tokens"),
    Spec("embed", "llmmw.flow.builtins.embed:embed", "vectors of texts"),
    Spec("generate", "llmmw.flow.builtins.text:generate", "the whole answer of a model"),
    Spec(
        "generate_content",
        "llmmw.flow.builtins.text:generate_content",
        "the parts that a model answers",
    ),
    Spec(
        "generate_object",
        "llmmw.flow.builtins.typed:generate_object",
        "a value of a type that a model answers",
    ),
    Spec(
        "generate_text",
        "llmmw.flow.builtins.text:generate_text",
        "the text that a model answers",
    ),
    Spec(
        "generate_texts",
        "llmmw.flow.builtins.text:generate_texts",
        "several texts to the same prompt",
    ),
    Spec("instruct", "llmmw.flow.builtins.chat:instruct", "what a model does as it is told"),
    Spec("rank", "llmmw.flow.builtins.choose:rank", "texts by how well they follow a prompt"),
    Spec(
        "ranking",
        "llmmw.flow.builtins.choose:ranking",
        "which texts follow a prompt best, with their scores",
    ),
    Spec(
        "run_tool",
        "llmmw.flow.builtins.tools:run_tool",
        "what a function gives that is known by its name",
    ),
    Spec(
        "score_text",
        "llmmw.flow.builtins.choose:score_text",
        "how probable texts are after a prompt",
    ),
    Spec("select", "llmmw.flow.builtins.choose:select", "the text that follows a prompt best"),
    Spec("tokenize", "llmmw.flow.builtins.tokens:tokenize", "the tokens of a text"),
    Spec(
        "use_tools",
        "llmmw.flow.builtins.tools:use_tools",
        "what a model answers that may use tools on the way",
    ),
)


@hookimpl
def llmmw_builtins() -> list[Spec]:
    """The builtins of flows, by their own names."""
    return list(_BUILTINS)


@hookimpl
def llmmw_commands() -> list[Spec]:
    """The commands of `llmmw`."""
    return [
        Spec("ask", "llmmw.cli.ask:ask", "ask one question"),
        Spec("batches", "llmmw.cli.batches:batches", "list batches at providers, fetch them"),
        Spec("cache", "llmmw.cli.cache:cache", "look at kept answers, copy and clear them"),
        Spec("check", "llmmw.cli.check:check", "show a configuration and what is doubtful in it"),
        Spec("files", "llmmw.cli.files:files", "list files at providers, send and fetch them"),
        Spec("fine-tunes", "llmmw.cli.fine_tunes:fine_tunes", "have models trained further"),
        Spec("laws", "llmmw.testing._command:laws", "try the laws of policies on random stacks"),
        Spec("map", "llmmw.cli.map:map_file", "answer a file of questions"),
        Spec("models", "llmmw.cli.models:models", "list models at providers, make and fetch them"),
        Spec("plugins", "llmmw.cli.plugins:plugins", "list what is installed"),
        Spec("simulate", "llmmw.cli.simulate:simulate_stack", "try a stack in a simulated world"),
    ]


@hookimpl
def llmmw_passes() -> list[Spec]:
    """The passes over graphs, by the names that `passes=` takes."""
    return [
        Spec("batch", "llmmw.flow._passes:batch", "independent calls of a builtin become one"),
        Spec("drop", "llmmw.flow._passes:drop", "leave out what nothing wanted needs"),
        Spec("merge", "llmmw.flow._passes:merge", "one of equal pure nodes is enough"),
    ]
