"""AWS Bedrock: Converse, vectors, models and batches, and the signatures of AWS.

This module is light: it names what there is. What it names is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmmw.plugin import Spec, hookimpl

if TYPE_CHECKING:
    from llmmw_bedrock._sign import AwsCredentials as AwsCredentials
    from llmmw_bedrock._sign import signed as signed

__all__ = ["AwsCredentials", "llmmw_providers", "signed"]

_SIGNS = ("AwsCredentials", "signed")


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `bedrock`."""
    return [
        Spec(
            "bedrock",
            "llmmw_bedrock._provider:Bedrock",
            "AWS Bedrock: https://bedrock-runtime.{region}.amazonaws.com",
        )
    ]


def __getattr__(name: str) -> object:
    if name not in _SIGNS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llmmw_bedrock import _sign

    return getattr(_sign, name)
