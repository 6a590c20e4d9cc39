"""Fine-tunes: models trained further on a table of prompts and responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from llmmw.errors import BadRequest, ServerError
from llmmw.plugin import FineTuneEvent, FineTuneInfo, FineTunes, Page, Source
from llmmw.wire import Http, dumps
from llmmw_llm_engine._address import in_path
from llmmw_llm_engine._csv import check_source
from llmmw_llm_engine._told import id_in, object_of, rows_in, seconds_of, text_of, told_in

__all__ = ["EngineFineTunes"]

Json = Mapping[str, Any]

_PATH = "/v1/llm/fine-tunes"
_ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELLED", "TIMEOUT"})
_NEEDED = ("model", "training_file")
_FIELDS = (*_NEEDED, "validation_file", "hyperparameters", "wandb_config", "suffix")
_SUFFIX = re.compile("[A-Za-z0-9-]{1,28}")


@attrs.frozen(kw_only=True)
class EngineFineTunes(FineTunes):
    """The verbs for fine-tunes; see `llmmw.plugin.FineTunes`.

    Args:
        http: the way to the host.
    """

    http: Http = attrs.field(repr=False)

    async def check(self, source: Source) -> None:
        """Look through a table as `check_training_csv` does.

        Raises:
            BadRequest: if it is none to train on, with the lines at fault.
        """
        report = await check_source(source)
        if not report.ok:
            raise BadRequest(str(report))

    async def create(self, fields: Json) -> FineTuneInfo:
        """Begin one. Files are ids of files at the host, or addresses that anybody can read."""
        asked: dict[str, Any] = {"hyperparameters": {}}  # the host wants them, if none are
        asked |= {name: one for name, one in fields.items() if one is not None}
        _check(asked)
        self._hide(asked)
        async with self.http.post(_PATH, dumps(asked)) as reply:
            told = await told_in(reply)
        return attrs.evolve(
            self._info(told),
            model=text_of(asked["model"]),
            training_file=text_of(asked["training_file"]),
            validation_file=text_of(asked.get("validation_file")),
            hyperparameters=dict(object_of(asked.get("hyperparameters"))),
        )

    async def get(self, id: str) -> FineTuneInfo:
        """How far it is."""
        async with self.http.get(f"{_PATH}/{in_path(id)}") as reply:
            return self._info(await told_in(reply))

    async def list(self, after: str | None = None) -> Page[FineTuneInfo]:
        """All fine-tunes: the host has one page."""
        async with self.http.get(_PATH) as reply:
            told = await told_in(reply)
        return Page([self._info(row) for row in rows_in(told, "jobs")])

    async def cancel(self, id: str) -> FineTuneInfo:
        """Have it stopped."""
        async with self.http.request("PUT", f"{_PATH}/{in_path(id)}/cancel") as reply:
            told = await told_in(reply)
        info = await self.get(id)
        if told.get("success") is False and not info.ended:
            raise ServerError(f"the host did not cancel the fine-tune {id}")
        return info

    async def delete(self, id: str) -> None:
        """The host deletes none, but the models that they made."""
        raise self.lacks("delete", "delete the model that it made")

    async def events(self, id: str, after: str | None = None) -> Page[FineTuneEvent]:
        """All that the host has said, in one page; it numbers nothing."""
        async with self.http.get(f"{_PATH}/{in_path(id)}/events") as reply:
            told = await told_in(reply)
        return Page([_event(row) for row in rows_in(told, "events")])

    def _hide(self, asked: Json) -> None:
        """Keep the key of Weights & Biases out of what the host may say of it."""
        key = object_of(asked.get("wandb_config")).get("api_key")
        if isinstance(key, str):
            self.http.scrub.add(key)

    def _info(self, told: Json) -> FineTuneInfo:
        status = text_of(told.get("status"))
        return FineTuneInfo(
            id=id_in(told, "id", "fine_tune_id"),
            provider=self.name,
            status=status,
            ended=status in _ENDED,
            succeeded=status == "SUCCESS",
            fine_tuned_model=text_of(told.get("fine_tuned_model")) or None,
            raw=dict(told),
        )


def _check(asked: Json) -> None:
    """Raise `BadRequest` for what the host would refuse, or drop without a word."""
    unknown = [name for name in asked if name not in _FIELDS]
    if unknown:
        raise BadRequest(
            f"a fine-tune of llm-engine has no {', '.join(unknown)}: only {', '.join(_FIELDS)}"
        )
    missing = [name for name in _NEEDED if not asked.get(name)]
    if missing:
        raise BadRequest(f"a fine-tune needs {' and '.join(missing)}")
    suffix = asked.get("suffix")
    if suffix is not None and not (isinstance(suffix, str) and _SUFFIX.fullmatch(suffix)):
        raise BadRequest(f"suffix={suffix!r}: expected 1 to 28 letters, digits and -")


def _event(told: Json) -> FineTuneEvent:
    return FineTuneEvent(
        message=text_of(told.get("message")),
        level=text_of(told.get("level")),
        at=seconds_of(told.get("timestamp")),
        raw=dict(told),
    )
