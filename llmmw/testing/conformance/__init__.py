"""Recorded traffic of hosts, played to the installed providers over real HTTP, and compared with
what a plain reading of it says.

`python -m llmmw.testing.conformance DIR` runs every case of a folder. A case is a folder with
`case.json` (where it comes from, status, headers, framing), `body.*` (the bytes that a host sent),
`expected.json` (what a right client reads in them), and perhaps `request.json` (what the recorded
client had sent). The data are no part of this library.
"""

from llmmw.testing.conformance._cases import Case as Case
from llmmw.testing.conformance._cases import cases_of as cases_of
from llmmw.testing.conformance._run import Verdict as Verdict
from llmmw.testing.conformance._run import run_cases as run_cases

__all__ = ["Case", "Verdict", "cases_of", "run_cases"]
