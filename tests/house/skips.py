"""Prints which tests were skipped and why, from the reports that pytest left in a folder.

    python tests/house/skips.py FOLDER

Exits with 1 if there are any and `LLMMW_NO_SKIPS` is set, as it is where everything is installed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from xml.etree import ElementTree


def skips(folder: Path) -> list[tuple[str, str, str]]:
    """Environment, test and reason of each skipped test."""
    found = []
    for report in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            for skipped in case.iter("skipped"):
                name = f"{case.get('classname', '')}::{case.get('name', '')}".strip(":")
                found.append((report.stem, name, skipped.get("message", "")))
    return found


def main() -> int:
    """Print the list; the exit status says whether skips are allowed here."""
    found = skips(Path(sys.argv[1]))
    if not found:
        print("nothing was skipped")
        return 0
    print(f"{len(found)} tests were skipped:")
    for environment, name, reason in found:
        print(f"  [{environment}] {name}: {reason}")
    return 1 if os.environ.get("LLMMW_NO_SKIPS") else 0


if __name__ == "__main__":
    sys.exit(main())
