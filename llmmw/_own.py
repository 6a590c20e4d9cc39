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


@hookimpl
def llmmw_commands() -> list[Spec]:
    """The commands of `llmmw`."""
    return [
        Spec("ask", "llmmw.cli.ask:ask", "ask one question"),
        Spec("batches", "llmmw.cli.batches:batches", "list batches at providers, fetch them"),
        Spec("cache", "llmmw.cli.cache:cache", "look at kept answers, copy and clear them"),
        Spec("check", "llmmw.cli.check:check", "show a configuration and what is doubtful in it"),
        Spec("laws", "llmmw.testing._command:laws", "try the laws of policies on random stacks"),
        Spec("map", "llmmw.cli.map:map_file", "answer a file of questions"),
        Spec("plugins", "llmmw.cli.plugins:plugins", "list what is installed"),
        Spec("simulate", "llmmw.cli.simulate:simulate_stack", "try a stack in a simulated world"),
    ]
