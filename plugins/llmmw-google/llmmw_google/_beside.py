"""What stands beside the parts of a candidate: log-probabilities, citations, grounding. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmmw import Citation, TokenLogprob

__all__ = ["citations_of", "logprobs_of", "sources_of"]

Json = Mapping[str, Any]

_LEAST = -9999.0


def logprobs_of(told: Any, asked: int | None) -> tuple[TokenLogprob, ...]:
    """The log-probabilities of a candidate, with as many alternatives as were asked for."""
    if asked is None or not isinstance(told, Mapping):
        return ()
    tops = [_objects(one.get("candidates")) for one in _objects(told.get("topCandidates"))]
    rows = []
    for place, chosen in enumerate(_objects(told.get("chosenCandidates"))):
        top = tops[place][:asked] if place < len(tops) else []
        rows.append(TokenLogprob(*_pair(chosen), tuple(_pair(one) for one in top)))
    return tuple(rows)


def _pair(one: Json) -> tuple[str, float]:
    told = one.get("logProbability", 0.0)  # a probability of 1 is left out
    known = isinstance(told, (int, float)) and told > _LEAST
    return str(one.get("token", "")), float(min(told, 0)) if known else _LEAST


def citations_of(told: Any, name: str) -> Iterator[Citation]:
    """The sources that an answer repeats. Google counts places in bytes of the answer."""
    told = told if isinstance(told, Mapping) else {}
    for one in _objects(told.get("citations") or told.get("citationSources")):
        known = {"uri", "title", "startIndex", "endIndex"}
        rest = {k: v for k, v in one.items() if k not in known}
        yield Citation(
            url=_text(one.get("uri")),
            title=_text(one.get("title")),
            start=_place(one.get("startIndex", 0)),
            end=_place(one.get("endIndex")),
            extra={name: rest} if rest else {},
        )


def sources_of(told: Any) -> Iterator[Citation]:
    """What an answer is grounded on: each piece of it with each of its sources, else the sources
    alone."""
    told = told if isinstance(told, Mapping) else {}
    chunks = told.get("groundingChunks")
    sources = [_source(one) for one in chunks] if isinstance(chunks, list) else []
    supports = _objects(told.get("groundingSupports"))
    for support in supports:
        segment = support.get("segment")
        segment = segment if isinstance(segment, Mapping) else {}
        places = support.get("groundingChunkIndices")
        for place in places if isinstance(places, list) else []:
            if isinstance(place, int) and 0 <= place < len(sources):
                yield Citation(
                    url=_text(sources[place].get("uri")),
                    title=_text(sources[place].get("title")),
                    text=_text(segment.get("text")),
                    start=_place(segment.get("startIndex", 0)),
                    end=_place(segment.get("endIndex")),
                )
    for source in sources if not supports else ():
        yield Citation(url=_text(source.get("uri")), title=_text(source.get("title")))


def _source(chunk: Any) -> Json:
    """The page, map or document that a chunk is of."""
    kinds = chunk.values() if isinstance(chunk, Mapping) else ()
    return next((one for one in kinds if isinstance(one, Mapping)), {})


def _objects(items: Any) -> list[Json]:
    return [one for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []


def _text(told: Any) -> str | None:
    return told if isinstance(told, str) and told else None


def _place(told: Any) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) else None
