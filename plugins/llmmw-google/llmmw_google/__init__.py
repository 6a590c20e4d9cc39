"""Google's wire: Gemini by API key, and on Vertex AI by token.

This module is light: it names the providers. They are imported when a call needs them.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl

__all__ = ["llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """Two ways to the same models."""
    return [
        Spec(
            "google",
            "llmmw_google._provider:Google",
            "Google's Gemini API, with an API key: https://generativelanguage.googleapis.com",
        ),
        Spec(
            "vertex",
            "llmmw_google._vertex:Vertex",
            "Gemini on Google's Vertex AI, with a token: https://aiplatform.googleapis.com",
        ),
    ]
