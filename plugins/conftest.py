"""Async tests run under trio."""

from llmmw.testing.pytest import pytest_configure, pytest_pyfunc_call

__all__ = ["pytest_configure", "pytest_pyfunc_call"]
