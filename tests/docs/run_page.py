"""Runs the blocks of one page in their order: `python run_page.py JOB RESULT`, both JSON files.

The Python blocks share one namespace, as one program would; shell blocks run in between. It ends
at the first block that fails. What each printed, and why it failed, is written to RESULT.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path


def main(job: Path, result: Path) -> None:
    """Run a job."""
    page = json.loads(job.read_text(encoding="utf-8"))
    sys.path[0] = ""  # as for a program that lies in the working directory
    namespace = {"__name__": "__main__"}
    told = []
    for block in page["blocks"]:
        run = _python if block["kind"] == "python" else _shell
        printed, error = run(block["code"], f"{page['name']}:{block['line']}", namespace)
        told.append({"line": block["line"], "printed": printed, "error": error})
        if error:
            break
    result.write_text(json.dumps(told), encoding="utf-8")


def _python(code: str, place: str, namespace: dict) -> tuple[str, str]:
    out = io.StringIO()
    try:
        with redirect_stdout(out):
            exec(compile(code, place, "exec"), namespace)
    except BaseException:
        return out.getvalue(), traceback.format_exc()
    return out.getvalue(), ""


def _shell(code: str, place: str, namespace: dict) -> tuple[str, str]:
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    failed = f"exit status {done.returncode}\n{done.stderr}" if done.returncode else ""
    return done.stdout, failed


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
