"""The environments of the peers, which are made when they are first needed.

LiteLLM has one of its own, since it pins an older `openai`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

__all__ = ["HERE", "NAMED", "Missing", "Peers"]

HERE = "here"
"""The environment of this interpreter, for what is ours."""
_PACKAGES = {
    "clients": [
        "openai>=3",
        "anthropic>=0.80",
        "langchain-openai>=1",
        "aiohttp>=3.12",
        "httpx>=0.28",
        "trio>=0.30",
        "httptools>=0.6.4",
        "orjson>=3.10",
        "uvloop>=0.21",
        "trustme>=1.2",
        "matplotlib>=3.9",
    ],
    "litellm": ["litellm>=1.80"],
}
NAMED = {
    "clients": ["openai", "httpx2", "anthropic", "langchain-openai", "aiohttp", "httpx", "uvloop"],
    "litellm": ["litellm", "openai"],
    HERE: ["llmmw", "trio", "httptools", "httpx", "orjson"],
}
"""The packages of each environment whose versions are told."""
_VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


class Missing(Exception):
    """Something that a part needs is not installed here."""


class Peers:
    """Virtual environments in a folder. One that was made there before is used again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._failed: set[str] = set()

    def python(self, name: str) -> str:
        """The interpreter of an environment.

        Raises:
            Missing: if it can't be made.
        """
        if name == HERE:
            return sys.executable
        home = self.folder.resolve() / name
        made = home / "made.json"
        if not made.exists() or json.loads(made.read_text()) != _PACKAGES[name]:
            self._make(name, home)
            made.write_text(json.dumps(_PACKAGES[name]))
        return str(home / "bin" / "python")

    def _make(self, name: str, home: Path) -> None:
        reason = f"the environment {name} can't be made"
        if name in self._failed:
            raise Missing(reason)
        print(f"      making the environment {name} in {home} …", flush=True)
        self._failed.add(name)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        install = [home / "bin" / "python", "-m", "pip", "install", "--quiet", *_PACKAGES[name]]
        done = subprocess.run(install, check=False, capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"{reason}: {done.stderr.strip().splitlines()[-1]}")
        self._failed.remove(name)

    def versions(self, name: str) -> dict[str, str]:
        """What is installed in an environment; nothing, if it can't be made."""
        try:
            command = [self.python(name), "-c", _VERSIONS, *NAMED[name]]
        except Missing as error:
            print(f"      {error}")
            return {}
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout))
