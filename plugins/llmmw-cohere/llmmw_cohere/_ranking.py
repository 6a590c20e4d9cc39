"""Rerank: documents scored by how well each answers a query. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmmw import Score
from llmmw.errors import BadRequest, ProtocolError
from llmmw_cohere._request import with_extra
from llmmw_cohere._values import number, objects, real

__all__ = ["MOST_DOCUMENTS", "rank_body", "scores_of"]

MOST_DOCUMENTS = 1_000
"""What the host advises to send at once. Each document is scored by itself, and a search that is
paid for holds 100, so several requests find and cost the same."""


def rank_body(request: Score, documents: Sequence[str], *, extra: Sequence[str]) -> dict[str, Any]:
    """The body of a rerank: the prompt is the query, the options are the documents.

    Args:
        request: what is asked.
        documents: the options of it that this body is for.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        BadRequest: if only some of them are to be scored.
    """
    body: dict[str, Any] = {
        "model": request.model_name,
        "query": request.prompt,
        "documents": list(documents),
    }
    body = with_extra(body, request, extra)
    if "top_n" in body:
        raise BadRequest("top_n: each option is scored; leave it out, and take the best yourself")
    return body


def scores_of(told: Mapping[str, Any], count: int) -> list[float]:
    """A score for each document, in the order in which they were given.

    Raises:
        ProtocolError: if there is not one for each of `count`.
    """
    rows = objects(told.get("results"))
    found = {number(row.get("index")): _score(row.get("relevance_score")) for row in rows}
    if len(rows) != count or found.keys() != set(range(count)):
        raise ProtocolError(f"the host sent {len(rows)} scores for {count} documents, or misplaced")
    return [found[place] for place in range(count)]


def _score(told: Any) -> float:
    found = real(told)
    if found is None:
        raise ProtocolError(f"the host sent {str(told)[:60]!r} where a score belongs")
    return found
