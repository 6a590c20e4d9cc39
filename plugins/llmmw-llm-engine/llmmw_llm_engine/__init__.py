"""Scale's LLM Engine: prompts, chats, models, files, fine-tunes and batches, at the hosted one or
at a server of your own.

This module is light: the provider is imported when a call needs it.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl
from llmmw_llm_engine._csv import CsvProblem, CsvReport, check_training_csv

__all__ = ["CsvProblem", "CsvReport", "check_training_csv", "llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `llm-engine`."""
    return [
        Spec(
            "llm-engine",
            "llmmw_llm_engine._provider:LLMEngine",
            "LLM Engine: https://api.spellbook.scale.com/llm-engine, or a server of your own",
        )
    ]
