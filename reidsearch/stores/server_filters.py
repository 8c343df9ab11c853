"""Filters as a Qdrant server reads them."""

from collections.abc import Sequence

from qdrant_client import models

from reidsearch.stores.base import VECTOR_NAMES, one_of
from reidsearch.types import Filter, Kind, Split


def condition(where: Filter) -> models.Filter:
    """What a search considers."""
    must: list[models.Condition] = [_any(key, values) for key, values in one_of(where).items()]
    if where.since is not None or where.until is not None:
        span = models.Range(gte=where.since, lt=where.until)
        must.append(models.FieldCondition(key="time", range=span))
    excluded = where.without_cameras
    return models.Filter(
        must=must, must_not=[_any("camera_id", list(excluded))] if excluded else None
    )


def having(splits: Sequence[Split], kind: Kind | None) -> models.Filter | None:
    """What is of these splits, or of any, and has a vector of that ``kind``; None for all."""
    must: list[models.Condition] = []
    if splits:
        must.append(_any("split", [str(split) for split in splits]))
    if kind is Kind.EXPANDED:
        must.append(models.HasVectorCondition(has_vector=VECTOR_NAMES[kind]))
    return models.Filter(must=must) if must else None


def _any(key: str, values: list[str] | list[int]) -> models.FieldCondition:
    if len(values) == 1:  # which takes far less than a list of one
        return models.FieldCondition(key=key, match=models.MatchValue(value=values[0]))
    return models.FieldCondition(key=key, match=models.MatchAny(any=values))
