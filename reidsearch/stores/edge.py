"""Qdrant Edge: the vector store inside this process, in a folder of the data dir."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import qdrant_edge as qdrant

from reidsearch.errors import StoreError, StoreLocked
from reidsearch.stores.base import INTEGER_FIELDS, KEYWORD_FIELDS, Match, columns, nearest
from reidsearch.types import Filter, Ids, Points, Split, Vectors

T = TypeVar("T")

LOCK_PATIENCE = 5.0  # seconds: a query that another process runs is over by then
LOCK_INTERVAL = 0.1
SCROLLED = 128  # vectors at a time: as lists of Python floats they still fit the cache


class EdgeStore:
    """A Qdrant Edge shard in the folder ``path``, made where it is missing.

    Only one process at a time can hold a shard. Another waits LOCK_PATIENCE seconds, then
    StoreLocked is raised.
    """

    def __init__(self, path: Path, *, dimension: int) -> None:
        self.path = path
        self._shard: qdrant.EdgeShard | None = _open(path, dimension)

    def upsert(self, points: Points) -> None:
        if not len(points.ids):
            return
        rows = zip(points.ids.tolist(), points.vectors.tolist(), points.payloads, strict=True)
        operation = qdrant.UpdateOperation.upsert_points([qdrant.Point(*row) for row in rows])
        self._write(operation)

    def delete(self, ids: Sequence[int]) -> None:
        self._write(qdrant.UpdateOperation.delete_points(list(ids)))

    def search(self, vectors: Vectors, *, limit: int, where: Filter) -> list[list[Match]]:
        condition = _condition(where)

        def search_one(vector: list[float], count: int) -> list[Match]:
            request = qdrant.SearchRequest(
                query=qdrant.Query.Nearest(vector),
                limit=count,
                filter=condition,
                params=qdrant.SearchParams(exact=True),
            )
            found = self._call(lambda shard: shard.search(request))
            return [Match(int(point.id), float(point.score)) for point in found]

        return [nearest(lambda n, v=v: search_one(v, n), limit) for v in vectors.tolist()]  # type: ignore[misc]

    def scroll(self, *, splits: Sequence[Split] = ()) -> Iterator[tuple[Ids, Vectors]]:
        for records in self._records(SCROLLED, with_vector=True, splits=splits):
            yield columns(records)

    def retrieve(self, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        return columns(self._call(lambda shard: shard.retrieve(list(ids), False, True)))

    def ids(self) -> set[int]:
        return {int(r.id) for block in self._records(10_000, with_vector=False) for r in block}

    def close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def _records(
        self, block: int, *, with_vector: bool, splits: Sequence[Split] = ()
    ) -> Iterator[list[qdrant.Record]]:
        offset = None
        where = None
        if splits:
            where = qdrant.Filter(must=[_any("split", [str(split) for split in splits])])
        while True:
            request = qdrant.ScrollRequest(
                offset=offset,
                limit=block,
                filter=where,
                with_vector=with_vector,
                with_payload=False,
            )
            records, offset = self._call(lambda shard, request=request: shard.scroll(request))  # type: ignore[misc]
            if records:
                yield records
            if offset is None:
                return

    def _write(self, operation: qdrant.UpdateOperation) -> None:
        def write(shard: qdrant.EdgeShard) -> None:
            shard.update(operation)
            shard.flush()  # only now is it on disk, segments included

        self._call(write)

    def _call(self, action: Callable[[qdrant.EdgeShard], T]) -> T:
        if self._shard is None:
            raise StoreError(f"the vector store {self.path} is closed")
        return _translated(self.path, lambda: action(self._shard))  # type: ignore[arg-type]


def _open(path: Path, dimension: int) -> qdrant.EdgeShard:
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            return _translated(path, lambda: _load_or_create(path, dimension))
        except StoreLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOCK_INTERVAL)


def _load_or_create(path: Path, dimension: int) -> qdrant.EdgeShard:
    if (path / "edge_config.json").exists():
        return qdrant.EdgeShard.load(str(path))
    path.mkdir(parents=True, exist_ok=True)
    # Vectors arrive with unit length, so the dot product is the cosine; and unlike Cosine, Dot
    # stores them bit for bit.
    params = qdrant.EdgeVectorParams(size=dimension, distance=qdrant.Distance.Dot)
    shard = qdrant.EdgeShard.create(str(path), qdrant.EdgeConfig(vectors=params))
    kinds = dict.fromkeys(KEYWORD_FIELDS, qdrant.PayloadSchemaType.Keyword)
    kinds |= dict.fromkeys(INTEGER_FIELDS, qdrant.PayloadSchemaType.Integer)
    for field, kind in kinds.items():
        shard.update(qdrant.UpdateOperation.create_field_index(field, kind))
    shard.flush()
    return shard


def _condition(where: Filter) -> qdrant.Filter:
    must = [_any("split", [str(where.split)])]
    if where.cameras:
        must.append(_any("camera", list(where.cameras)))
    excluded = where.without_cameras
    return qdrant.Filter(
        must=list(must), must_not=[_any("camera", list(excluded))] if excluded else None
    )


def _any(key: str, values: list[str] | list[int]) -> qdrant.FieldCondition:
    return qdrant.FieldCondition(key, match=qdrant.MatchAny(values))


def _translated(path: Path, action: Callable[[], T]) -> T:
    """Run ``action``; Edge's errors, all of them bare Exceptions, become ours."""
    try:
        return action()
    except OSError as error:
        raise StoreError(
            f"the vector store {path} cannot be used: {error.strerror}",
            hint="Check the folder's permissions and free space, or choose another --data-dir.",
        ) from None
    except Exception as error:
        if "WouldBlock" in str(error):
            raise StoreLocked(
                f"another process holds the vector store {path}",
                hint="Wait until the other reidsearch has ended, or run a Qdrant server and use "
                "--qdrant-url: a server answers many at once.",
            ) from None
        if not os.access(path, os.W_OK):
            raise StoreError(
                f"the vector store {path} cannot be written",
                hint="Check the folder's permissions, or choose another --data-dir.",
            ) from None
        raise StoreError(
            f"the vector store {path} failed: {error}",
            hint="If it is damaged, delete that folder and ingest again: all vectors can be "
            "computed anew from the images.",
        ) from error
