"""Batch jobs as the wire has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw.errors import BadRequest
from llmmw.plugin import BatchInfo, Refusal
from llmmw_llm_engine._told import id_in, object_of, seconds_of, text_of

__all__ = ["info_of", "job_body", "merged"]

Json = Mapping[str, Any]

_ENDED = frozenset({"completed", "failed", "cancelled"})
_BOUNDS = {"data_parallelism": (1, 64), "max_runtime_sec": (1, 172_800)}
_FIELDS = frozenset(
    {
        *("input_data_path", "output_data_path", "content", "model_config", "labels", "priority"),
        *("data_parallelism", "max_runtime_sec", "tool_config"),
        *("cpus", "gpus", "memory", "gpu_type", "storage", "nodes_per_worker"),
    }
)


def merged(defaults: Json, fields: Json) -> dict[str, Any]:
    """Fields of a batch over those of all batches; `model_config` and `labels` are merged by
    themselves. A `model` beside stands for that in the first."""
    given = {name: one for name, one in fields.items() if one is not None}
    both = {**defaults, **given}
    for name in ("model_config", "labels"):
        if isinstance(defaults.get(name), Mapping) and isinstance(given.get(name), Mapping):
            both[name] = {**defaults[name], **given[name]}
    if "model" in both:
        both["model_config"] = {**object_of(both.get("model_config")), "model": both.pop("model")}
    return both


def job_body(fields: Json, api: str) -> dict[str, Any]:
    """The body that begins a job.

    Args:
        fields: what it says, without what is not given.
        api: `v1` or `v2`.

    Raises:
        BadRequest: for what the host would refuse, or drop without a word.
    """
    body = {name: one for name, one in fields.items() if one is not None}
    unknown = sorted(body.keys() - _FIELDS)
    if unknown:
        raise BadRequest(f"a batch of llm-engine has no {', '.join(unknown)}")
    if not body.get("input_data_path") and not body.get("content"):
        raise BadRequest("a batch needs questions: a file of them, or content")
    if not body.get("output_data_path"):
        raise BadRequest(
            "a batch needs output_data_path, where the host writes what comes of it; "
            "or the option batch_output, for all"
        )
    config = dict(object_of(body.get("model_config")))
    if not config.get("model"):
        raise BadRequest("a batch needs a model, in model_config")
    _check_values(body)
    labels = body.get("labels") or config.get("labels")
    if labels:
        body["labels"] = dict(labels)
        if api == "v1":  # which reads them there alone
            config["labels"] = dict(labels)
    if api == "v2":
        config.pop("labels", None)
    return body | {"model_config": config}


def _check_values(body: Json) -> None:
    for name, (low, high) in _BOUNDS.items():
        number = body.get(name)
        if number is not None and (type(number) is not int or not low <= number <= high):
            raise BadRequest(f"{name}={number!r}: expected a whole number from {low} to {high}")
    tool = body.get("tool_config")
    if tool is not None and not object_of(tool).get("name"):
        raise BadRequest("tool_config needs the name of the tool")
    if not isinstance(body.get("labels", {}), Mapping):
        raise BadRequest(f"labels={body['labels']!r}: expected an object of texts")


def info_of(told: Json, provider: str) -> BatchInfo:
    """A job as the host tells it: by itself, or as the member of an object. The first API tells no
    more than its id."""
    job = object_of(told.get("job")) or told
    status = text_of(job.get("status"))
    labels = job.get("metadata")
    failed = status.lower() == "failed"
    return BatchInfo(
        id=id_in(job, "job_id"),
        provider=provider,
        status=status,
        ended=status.lower() in _ENDED,
        created=seconds_of(job.get("created_at")),
        expires=seconds_of(job.get("expires_at")),
        metadata={str(k): text_of(one) for k, one in labels.items()}
        if isinstance(labels, Mapping)
        else None,
        refusals=(Refusal("the batch failed, and the host does not say why"),) if failed else (),
        raw=dict(job),
    )
