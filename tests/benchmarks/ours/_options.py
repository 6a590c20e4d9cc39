"""The client under test: one target, and the stack that a client has by default, or none."""

from __future__ import annotations

from typing import Any

from _load import KEY, Job


def options_of(job: Job) -> dict[str, Any]:
    """Arguments of a client for a job. Its variant names a host; `bare` means no stack."""
    host = "anthropic" if "anthropic" in job.variant else "openai"
    account = {"base_url": job.url, "api_key": KEY}
    stack: dict[str, Any] = {"stack": []} if "bare" in job.variant else {}
    return {"options": {host: account}, **stack}


def target_of(job: Job) -> str:
    """The target of a job."""
    return "anthropic:m" if "anthropic" in job.variant else "openai:m"


def asked_of(job: Job) -> dict[str, Any]:
    """Arguments of a call."""
    return {"max_output_tokens": 1000} if "anthropic" in job.variant else {}
