"""The files at the host that keep which questions a batch holds, since its answers have no ids.

A job whose creation got no answer, since the line broke or the program was killed, is known by this
file alone: it says when the job can have been made, and names the output that will tell.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

import attrs

from llmmw.errors import LLMError, NotFound
from llmmw.plugin import BatchInfo, FileInfo, Source
from llmmw.wire import dumps, loads
from llmmw_llm_engine._files import EngineFiles
from llmmw_llm_engine._outputs import Outputs, is_there
from llmmw_llm_engine._told import text_of

__all__ = ["KeptIds"]

_NAME = re.compile(r"llmmw-batch-(\w*)-(\d{1,12})\.json")
_LABEL = "llmmw"
"""The label by which `BatchApi` finds its batches again."""
_MOST_BYTES = 16 * 2**20
"""No file of ids is larger, by far."""
_LONGEST = 172_800 + 3600
"""Seconds after which no job runs any more, and one to spare."""


@attrs.frozen
class KeptIds:
    """These files of one account.

    Args:
        files: the account's.
        outputs: where jobs write.
    """

    files: EngineFiles
    outputs: Outputs

    async def keep(self, ids: Iterable[str], labels: Mapping[str, str] | None) -> str:
        """Keep the ids of questions, in order; the id of the file."""
        label = re.sub(r"\W", "", (labels or {}).get(_LABEL, ""))
        name = f"llmmw-batch-{label}-{int(time.time())}.json"
        source = Source.of_pieces(name, [dumps(list(ids))])
        return (await self.files.upload(source, "batch", lambda transfer: None)).id

    async def forget(self, id: str) -> None:
        """Delete the file of a job that was not made. If that fails, it is taken for one that may
        have been."""
        with suppress(LLMError):
            await self.files.delete(id)

    async def ids(self, path: str) -> list[str]:
        """The ids of the questions whose answers an output holds; none, if they were not kept, as
        of a job that somebody submitted to such an address."""
        kept = self.outputs.id_in(path)
        if kept is None:
            return []
        data = bytearray()
        with suppress(NotFound):
            async with self.files.content(kept) as content:
                while len(data) <= _MOST_BYTES and (piece := await content.next_piece()):
                    data += piece
        if not 0 < len(data) <= _MOST_BYTES:
            return []
        told = loads(bytes(data))
        return [text_of(one) for one in told] if isinstance(told, list) else []

    async def jobs(self) -> list[BatchInfo]:
        """The jobs that may have been made, the newest first, under the ids of their files."""
        rows = (await self.files.list()).rows
        found = [one for one in map(self._job, rows) if one is not None]
        return sorted(found, key=lambda info: -(info.created or 0))

    async def job(self, id: str) -> BatchInfo | None:
        """How far the job of a file is: it has ended if its output is there, or if none can run any
        more. `None`, for an id that is not one of these files."""
        if self.outputs.written is None or not id.startswith("file-"):
            return None
        info = self._job(await self.files.get(id))
        if info is None:
            return None
        if await is_there(self.outputs.address(self.outputs.path(id)), self.files.http.client):
            return attrs.evolve(info, status="completed", ended=True)
        if time.time() > (info.created or 0) + _LONGEST:
            return attrs.evolve(info, status="expired", ended=True)
        return info

    def _job(self, file: FileInfo) -> BatchInfo | None:
        found = _NAME.fullmatch(file.name)
        if found is None:
            return None
        label, made = found[1], float(found[2])
        return BatchInfo(
            id=file.id,
            provider=file.provider,
            status="unknown",
            ended=False,
            created=made,
            expires=made + _LONGEST,
            metadata={_LABEL: label} if label else {},
            raw={"output_data_path": self.outputs.path(file.id)},
        )
