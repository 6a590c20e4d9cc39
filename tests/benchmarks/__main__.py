"""Compare llmmw with others, and with the floor below.

python -m tests.benchmarks                            all parts (about 20 minutes)
python -m tests.benchmarks requests stream            some
python -m tests.benchmarks --quick                    rough numbers, in a few minutes
python -m tests.benchmarks memory --calls 1000000     a million calls
python -m tests.benchmarks cache flow                 scripts that stand alone
python -m tests.benchmarks table FILE                 a report as Markdown
python -m tests.benchmarks plots FILE FOLDER          a report as drawings
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.benchmarks._bench import opened
from tests.benchmarks._machine import CLIENT, describe
from tests.benchmarks._measure import SAID
from tests.benchmarks._parts import PARTS, SCRIPTS, part, run_script
from tests.benchmarks._peers import NAMED, Missing, Peers
from tests.benchmarks._tables import markdown, plain


def _arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks", description=__doc__, formatter_class=raw
    )
    parser.add_argument("names", nargs="*", help="parts and scripts (--list shows them)")
    parser.add_argument("--list", action="store_true", help="show what can be named")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a report")
    parser.add_argument("--calls", type=int, help="how many the part `memory` makes")
    parser.add_argument(
        "--peers-in", type=Path, metavar="FOLDER", help="keep the peers' environments there"
    )
    return parser.parse_args()


def _listed() -> str:
    lines = [f"{name:14} {about}" for name, about in PARTS.items()]
    for name, path in SCRIPTS.items():
        about = path.read_text().removeprefix('"""').partition("\n")[0]
        lines.append(f"{name:14} {about}")
    return "\n".join(lines)


def _measured(names: list[str], asked: argparse.Namespace) -> None:
    """Run parts. The report is written after each."""
    report: dict[str, Any] = {"machine": describe(), "versions": {}, "parts": {}, "checks": SAID}
    print("\n".join(f"      {key}: {value}" for key, value in report["machine"].items()))
    if CLIENT is None:
        print("      one core only: clients and servers take it from each other")
    with opened(asked.peers_in, quick=asked.quick, calls=asked.calls) as bench:
        report["versions"] = {env: bench.peers.versions(env) for env in NAMED}
        for name in names:
            print(f"\n{name}: {PARTS[name]}", flush=True)
            started = time.perf_counter()
            try:
                rows = part(name)(bench)
            except Missing as error:
                print(f"      left out: {error}")
                continue
            except Exception:  # what others have measured is not lost
                traceback.print_exc()
                continue
            report["parts"][name] = rows
            print(plain(rows))
            print(f"      ({time.perf_counter() - started:.0f} s)", flush=True)
            if asked.json is not None:
                asked.json.write_text(json.dumps(report, indent=1) + "\n")


def _of_report(command: str, file: str, *folder: str, peers: Path | None) -> int:
    if command == "table":
        print(markdown(json.loads(Path(file).read_text())))
        return 0
    program = Path(__file__).with_name("plots.py")
    python = sys.executable if peers is None else Peers(peers).python("clients")
    return subprocess.run([python, str(program), file, *folder], check=False).returncode


def main() -> int:
    """Do what was asked; the exit status."""
    asked = _arguments()
    if asked.list:
        print(_listed())
        return 0
    if asked.names[:1] in (["table"], ["plots"]):
        return _of_report(*asked.names, peers=asked.peers_in)
    unknown = [name for name in asked.names if name not in PARTS | SCRIPTS]
    if unknown:
        print(f"{', '.join(unknown)}: no such part or script (--list shows them)", file=sys.stderr)
        return 2
    failed = [name for name in asked.names if name in SCRIPTS and run_script(name)]
    names = [name for name in asked.names if name in PARTS] if asked.names else list(PARTS)
    if names:
        _measured(names, asked)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
