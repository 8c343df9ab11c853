"""Filters as Qdrant Edge reads them: the server's, in types of its own."""

from collections.abc import Sequence

import qdrant_edge as qdrant

from reidsearch.stores.base import VECTOR_NAMES, one_of
from reidsearch.types import Filter, Kind, Split


def condition(where: Filter) -> qdrant.Filter:
    """What a search considers."""
    must = [_any(key, values) for key, values in one_of(where).items()]
    if where.since is not None or where.until is not None:
        span = qdrant.RangeFloat(gte=where.since, lt=where.until)
        must.append(qdrant.FieldCondition("time", range=span))
    excluded = where.without_cameras
    return qdrant.Filter(
        must=list(must), must_not=[_any("camera_id", list(excluded))] if excluded else None
    )


def having(splits: Sequence[Split], kind: Kind | None) -> qdrant.Filter | None:
    """What is of these splits, or of any, and has a vector of that ``kind``; None for all."""
    must: list[qdrant.FieldCondition | qdrant.HasVectorCondition] = []
    if splits:
        must.append(_any("split", [str(split) for split in splits]))
    if kind is Kind.EXPANDED:
        must.append(qdrant.HasVectorCondition(VECTOR_NAMES[kind]))
    return qdrant.Filter(must=list(must)) if must else None


def among(points: Sequence[qdrant.ScoredPoint], condition: qdrant.Filter) -> qdrant.Filter:
    """What fits among these points."""
    ids = qdrant.HasIdCondition({point.id for point in points})
    return qdrant.Filter(must=[ids, condition])


def _any(key: str, values: list[str] | list[int]) -> qdrant.FieldCondition:
    if len(values) == 1:  # which takes far less than a list of one
        return qdrant.FieldCondition(key, match=qdrant.MatchValue(values[0]))
    return qdrant.FieldCondition(key, match=qdrant.MatchAny(values))
