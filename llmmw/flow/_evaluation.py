"""A flow over a dataset, and what metrics say of its answers."""

from __future__ import annotations

import inspect
import statistics
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import orjson
import trio

from llmmw.errors import BadRequest
from llmmw.flow._combine import map_over
from llmmw.flow._executable import executable
from llmmw.flow._items import each, once
from llmmw.flow._node import Executable

__all__ = ["Evaluated", "Evaluation", "Metric", "evaluate", "exact_match"]

Metric: TypeAlias = Callable[..., Any]
"""Of `(target, prediction)`, or of these and the example: a value, `None` where it says nothing,
a pair of a value and a dict of further facts, or an Executable or awaitable of one of these."""

Aggregate: TypeAlias = Callable[[Sequence[Any]], Any]


@attrs.frozen(kw_only=True)
class Evaluated:
    """One example, and what came of it."""

    key: str | int
    inputs: Any = None
    target: Any = None
    prediction: Any = None
    error: str | None = None
    """What the flow, or reading the example, has raised."""
    metrics: Mapping[str, Any] = attrs.field(factory=dict)
    info: Mapping[str, Any] = attrs.field(factory=dict)
    """Further facts that metrics told, by the name of the metric."""
    failures: Mapping[str, str] = attrs.field(factory=dict)
    """What metrics have raised, by the name of the metric."""
    seconds: float = 0.0


@attrs.frozen(kw_only=True)
class Evaluation:
    """What came of all examples, in their order. Two may be added, and are what the evaluation of
    both datasets would be."""

    results: tuple[Evaluated, ...] = ()
    aggregates: Mapping[str, Aggregate] = attrs.field(factory=dict, repr=False)

    @property
    def metrics(self) -> dict[str, Any]:
        """Each metric over the examples that have it: its aggregate, else its mean."""
        values: dict[str, list[Any]] = {}
        for one in self.results:
            for name, value in one.metrics.items():
                values.setdefault(name, []).append(value)
        return {name: self._aggregated(name, many) for name, many in values.items()}

    def _aggregated(self, name: str, values: Sequence[Any]) -> Any:
        aggregate = self.aggregates.get(name)
        if aggregate is not None:
            return aggregate(values)
        try:
            return statistics.fmean(values)
        except TypeError as error:
            raise BadRequest(
                f"the metric {name!r} has values that have no mean ({error}): "
                f"give aggregates={{{name!r}: …}}"
            ) from error

    @property
    def counters(self) -> dict[str, int]:
        """How many examples there were, how many failed, and how many each metric has."""
        counts = {"examples": len(self.results), "errors": 0}
        for one in self.results:
            counts["errors"] += one.error is not None
            for name in one.metrics:
                counts[name] = counts.get(name, 0) + 1
            for name in one.failures:
                counts[f"{name}_errors"] = counts.get(f"{name}_errors", 0) + 1
        return counts

    def __add__(self, other: Evaluation) -> Evaluation:
        if not isinstance(other, Evaluation):
            return NotImplemented
        return Evaluation(
            results=(*self.results, *other.results),
            aggregates={**self.aggregates, **other.aggregates},
        )

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.counters.items())
        lines = [f"{name}: {_short(value)}" for name, value in self.metrics.items()]
        return "\n".join([*lines, f"({counts})"])

    def save(self, folder: str | Path) -> None:
        """Write `summary.json` and `results.jsonl` into a folder, which is made where needed."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        summary = {"metrics": self.metrics, "counters": self.counters}
        (place / "summary.json").write_bytes(_json(summary, orjson.OPT_INDENT_2))
        with (place / "results.jsonl").open("wb") as file:
            for one in self.results:
                row = {field.name: getattr(one, field.name) for field in attrs.fields(Evaluated)}
                file.write(_json(row, orjson.OPT_APPEND_NEWLINE))

    @classmethod
    def load(
        cls, folder: str | Path, aggregates: Mapping[str, Aggregate] | None = None
    ) -> Evaluation:
        """What `save` has written. Values that JSON has no form for have come back as text.

        Raises:
            BadRequest: if a line can't be read; the message has its number.
        """
        results = []
        with (Path(folder) / "results.jsonl").open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    results.append(Evaluated(**orjson.loads(line)))
                except (orjson.JSONDecodeError, TypeError) as error:
                    raise BadRequest(f"{folder}/results.jsonl, line {number}: {error}") from error
        return cls(results=tuple(results), aggregates=aggregates or {})


def evaluate(
    flow: Callable[[Any], Any],
    dataset: Iterable[Any] | AsyncIterable[Any],
    metrics: Mapping[str, Metric],
    *,
    inputs: Callable[[Any], Any] = itemgetter("question"),
    target: Callable[[Any], Any] = itemgetter("answer"),
    key: Callable[[Any], str | int] | None = None,
    aggregates: Mapping[str, Aggregate] | None = None,
    limit: int | None = None,
    progress: Callable[[int, Evaluated], None] | None = None,
) -> Executable[Evaluation]:
    """Run a flow on each example of a dataset and measure what it gives.

    ::

        summary = await client.run(evaluate(answer, examples, {"exact": exact_match}))
        print(summary.metrics["exact"], summary.counters["errors"])

    An example that fails is counted and goes on record; the others go on.

    Args:
        flow: of an example's inputs: an Executable, an awaitable, or the prediction itself.
        dataset: the examples; read no faster than they are done. An iterator is good for one
            run.
        metrics: by their names; see `llmmw.flow.Metric`.
        inputs: what of an example the flow is given; default: its `"question"`.
        target: what of an example metrics compare with; default: its `"answer"`.
        key: what an example is called; default: its number.
        aggregates: by the name of a metric: what becomes of its values; default: their mean.
        limit: how many at once at most; default: as many as the run allows.
        progress: called with how many are done, and the one that is.

    Raises:
        BadRequest: for a metric that takes neither two nor three arguments.
    """
    arities = {name: _arity(name, metric) for name, metric in metrics.items()}
    unknown = sorted(set(aggregates or {}) - set(metrics))
    if unknown:
        raise BadRequest(f"aggregates has {unknown[0]!r}, which is no metric")
    readers = (inputs, target, key)

    @executable(name="evaluate")
    async def evaluation(examples: Any) -> Evaluation:
        done = 0

        async def one(numbered: tuple[int, Any]) -> Evaluated:
            nonlocal done
            came = await _example(flow, metrics, arities, readers, *numbered)
            done += 1
            if progress is not None:
                progress(done, came)
            return came

        results = await map_over(one, _numbered(examples), limit=limit)
        return Evaluation(results=tuple(results), aggregates=dict(aggregates or {}))

    return evaluation(once(dataset))


async def _numbered(examples: Any) -> AsyncIterator[tuple[int, Any]]:
    number = 0
    async with aclosing(each(examples)) as several:
        async for example in several:
            yield number, example
            number += 1


async def _example(
    flow: Callable[[Any], Any],
    metrics: Mapping[str, Metric],
    arities: Mapping[str, int],
    readers: tuple[Any, Any, Any],
    number: int,
    example: Any,
) -> Evaluated:
    inputs, target, key = readers
    began = trio.current_time()
    told: dict[str, Any] = {"key": number}
    try:
        if key is not None:
            told["key"] = key(example)
        told["inputs"] = inputs(example)
        told["target"] = target(example)
        told["prediction"] = await _value(flow(told["inputs"]))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        return Evaluated(**told, error=what, seconds=trio.current_time() - began)
    seconds = trio.current_time() - began
    values, info, failures = {}, {}, {}
    for name, metric in metrics.items():
        given = (told["target"], told["prediction"], example)[: arities[name]]
        try:
            value = await _value(metric(*given))
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}"
            continue
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
            value, info[name] = value[0], dict(value[1])
        if value is not None:
            values[name] = value
    return Evaluated(**told, metrics=values, info=info, failures=failures, seconds=seconds)


async def _value(value: Any) -> Any:
    while inspect.isawaitable(value):
        value = await value
    return value


def _arity(name: str, metric: Metric) -> int:
    try:
        known = inspect.signature(metric).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(one.kind is one.VAR_POSITIONAL for one in known):
        return 3
    places = [one for one in known if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = sum(one.default is one.empty for one in places)
    if needed > 3 or len(places) < 2:
        raise BadRequest(
            f"the metric {name!r} takes {len(places)} arguments: "
            "write it for (target, prediction) or (target, prediction, example)"
        )
    return 3 if needed == 3 else 2


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(value: object, option: int) -> bytes:
    return orjson.dumps(value, default=_plain, option=option | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, Mapping):
        return dict(value)
    return attrs.asdict(value) if attrs.has(type(value)) else repr(value)


def exact_match(target: Any, prediction: Any) -> float:
    """1 if the prediction is the target, but for case and space around it; else 0."""
    if isinstance(target, str) and isinstance(prediction, str):
        return float(target.strip().casefold() == prediction.strip().casefold())
    return float(target == prediction)
