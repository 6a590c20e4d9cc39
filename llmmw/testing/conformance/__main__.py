"""`python -m llmmw.testing.conformance`."""

from llmmw.testing.conformance._command import conformance

conformance(prog_name="python -m llmmw.testing.conformance")
