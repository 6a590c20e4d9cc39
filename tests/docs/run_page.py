"""Runs the blocks of one page in their order: `python run_page.py JOB RESULT`, both JSON files.
`python run_page.py --install FOLDER` plays the editable installation of a distribution.

The Python blocks share one namespace, as one program would; shell blocks run in between. It ends
at the first block that fails. What each printed, and why it failed, is written to RESULT.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
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
            exec(compile(code, place, "exec", dont_inherit=True), namespace)
    except BaseException:
        return out.getvalue(), traceback.format_exc()
    return out.getvalue(), ""


def _shell(code: str, place: str, namespace: dict) -> tuple[str, str]:
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    failed = f"exit status {done.returncode}\n{done.stderr}" if done.returncode else ""
    return done.stdout, failed


def install(project: Path, site: Path) -> None:
    """What an editable installation leaves in `site`: a way to the package, and its metadata."""
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = about["name"].replace("-", "_")
    (site / package).symlink_to(project.resolve() / package, target_is_directory=True)
    info = site / f"{package}-{about['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    rows = []
    for group, names in about["entry-points"].items():
        rows += [f"[{group}]", *(f"{name} = {module}" for name, module in names.items())]
    (info / "entry_points.txt").write_text("\n".join(rows), encoding="utf-8")


if __name__ == "__main__" and sys.argv[1] == "--install":
    install(Path(sys.argv[2]), Path(os.environ["PYTHONPATH"]))
elif __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
