"""Async tests run under trio. What Hypothesis draws is the same in each run, as far as it can be,
and a busy machine fails no test."""

from hypothesis import settings
from hypothesis.internal.conjecture import providers

from llmmw.testing.pytest import pytest_configure, pytest_pyfunc_call

__all__ = ["pytest_configure", "pytest_pyfunc_call"]

settings.register_profile("house", derandomize=True, database=None, deadline=None)
settings.load_profile("house")

# Hypothesis draws constants of the modules that are loaded, which are others in each process.
if hasattr(providers, "_get_local_constants"):
    providers._get_local_constants = providers.Constants
