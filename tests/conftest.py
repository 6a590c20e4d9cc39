"""Async tests run under trio. What Hypothesis draws is the same in each run, as far as it can be,
and a busy machine fails no test."""

import signal

from hypothesis import settings
from hypothesis.internal.conjecture import providers

from llmmw.testing.pytest import pytest_configure, pytest_pyfunc_call

__all__ = ["pytest_configure", "pytest_pyfunc_call"]

# What is started in the background of a shell ignores Ctrl-C, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("house", derandomize=True, database=None, deadline=None)
settings.load_profile("house")

# Hypothesis draws constants of the modules that are loaded, which are others in each process.
if hasattr(providers, "_get_local_constants"):
    providers._get_local_constants = providers.Constants
