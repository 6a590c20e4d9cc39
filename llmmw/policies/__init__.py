"""Policies: middleware about failure, time, cost or load, one idea a file."""

from llmmw._attempts import Budget as Budget
from llmmw.policies.attempts import Attempts as Attempts
from llmmw.policies.fallback import Fallback as Fallback
from llmmw.policies.fallback import FallbackTarget as FallbackTarget
from llmmw.policies.retry import Retry as Retry
from llmmw.policies.timeout import Timeout as Timeout

__all__ = ["Attempts", "Budget", "Fallback", "FallbackTarget", "Retry", "Timeout"]
