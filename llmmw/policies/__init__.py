"""Policies: middleware about failure, time, cost or load, one idea a file."""

from llmmw._budget import Budget as Budget
from llmmw._history import FallbackTarget as FallbackTarget
from llmmw.policies._batched import batched as batched
from llmmw.policies.attempts import Attempts as Attempts
from llmmw.policies.balance import Balance as Balance
from llmmw.policies.batch import Batch as Batch
from llmmw.policies.batch_api import BatchApi as BatchApi
from llmmw.policies.breaker import Breaker as Breaker
from llmmw.policies.cache import Cache as Cache
from llmmw.policies.cache import CacheMode as CacheMode
from llmmw.policies.cache import cache_mode as cache_mode
from llmmw.policies.coalesce import Coalesce as Coalesce
from llmmw.policies.concurrency import Concurrency as Concurrency
from llmmw.policies.fallback import Fallback as Fallback
from llmmw.policies.guard import Guard as Guard
from llmmw.policies.hedge import Hedge as Hedge
from llmmw.policies.instrument import Instrumentation as Instrumentation
from llmmw.policies.rate_limit import RateLimit as RateLimit
from llmmw.policies.retry import Retry as Retry
from llmmw.policies.timeout import Timeout as Timeout

__all__ = [
    "Attempts",
    "Balance",
    "Batch",
    "BatchApi",
    "Breaker",
    "Budget",
    "Cache",
    "CacheMode",
    "Coalesce",
    "Concurrency",
    "Fallback",
    "FallbackTarget",
    "Guard",
    "Hedge",
    "Instrumentation",
    "RateLimit",
    "Retry",
    "Timeout",
    "batched",
    "cache_mode",
]
