"""Qdrant Edge: the vector store inside this process, in a folder of the data dir."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import qdrant_edge as qdrant

from reidsearch import faults
from reidsearch.errors import StoreError, StoreLocked
from reidsearch.files import replacing
from reidsearch.stores.base import (
    EMBEDDED,
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    Matches,
    as_arrays,
    as_matches,
    in_order,
)
from reidsearch.stores.guard import Guard
from reidsearch.types import Filter, Ids, Payload, Points, Split, Vectors

T = TypeVar("T")

PATIENCE = 5.0  # seconds: a query that another process runs is over by then
INTERVAL = 0.1  # seconds between tries
OWNER = "owner.json"  # in the shard's folder, so that it comes and goes with what it speaks of
SCROLLED = 128  # vectors at a time: as lists of Python floats they still fit the cache
COPIED = 512  # points at a time when a collection is rewritten
# Edge writes through memory maps, and a full disk ends a process that does so at once, without an
# error. So nothing is written where less than this is free (bytes): its files grow by 32 MB.
RESERVE = 128 << 20


class EdgeStore:
    """A Qdrant Edge shard in the folder ``path``, made where it is missing.

    Only one process at a time can hold a shard. Another waits ``patience`` seconds, then
    StoreLocked is raised. Searches go on while vectors are written, and stop only for the moment in
    which another shard takes this one's place.
    """

    address = EMBEDDED

    def __init__(self, path: Path, *, dimension: int, patience: float = PATIENCE) -> None:
        self.path = path
        self.dimension = dimension
        self._patience = patience
        self._guard = Guard()  # of the shard: calls use it, what replaces or closes it changes it
        self._writing = threading.Lock()  # a compaction must not miss what is written meanwhile
        self._shard: qdrant.EdgeShard | None = self._open()

    @property
    def owner(self) -> str | None:
        return self._call(lambda _: _owner(self.path))

    def claim(self, owner: str) -> None:
        with self._writing:
            self._call(lambda _: _set_owner(self.path, owner))

    def upsert(self, points: Points) -> None:
        if not len(points.ids):
            return
        rows = zip(points.ids.tolist(), points.vectors.tolist(), points.payloads, strict=True)
        _require_space(self.path)
        operation = qdrant.UpdateOperation.upsert_points([qdrant.Point(*row) for row in rows])
        self._write(operation)

    def describe(self, ids: Sequence[int], payloads: Sequence[Payload]) -> None:
        overwrite = qdrant.UpdateOperation.overwrite_payload
        _require_space(self.path)
        self._write(*(overwrite([id], told) for id, told in zip(ids, payloads, strict=True)))

    def delete(self, ids: Sequence[int]) -> None:
        self._write(qdrant.UpdateOperation.delete_points(list(ids)))

    def search(self, vectors: Vectors, *, limit: int, where: Filter) -> list[Matches]:
        condition = _condition(where)

        def search_one(shard: qdrant.EdgeShard, vector: list[float], count: int) -> Matches:
            request = qdrant.SearchRequest(
                query=qdrant.Query.Nearest(vector),
                limit=count,
                filter=condition,
                params=qdrant.SearchParams(exact=True),
            )
            return as_matches(shard.search(request))

        def search_all(shard: qdrant.EdgeShard) -> list[Matches]:
            return [
                in_order(partial(search_one, shard, vector), limit) for vector in vectors.tolist()
            ]

        return self._call(search_all)

    def scroll(self, *, splits: Sequence[Split] = ()) -> Iterator[tuple[Ids, Vectors]]:
        for found in self._records(SCROLLED, with_vector=True, splits=splits):
            yield as_arrays(found)

    def retrieve(self, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        return as_arrays(self._call(lambda shard: shard.retrieve(list(ids), False, True)))

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        for found in self._records(COPIED, with_vector=True, with_payload=True):
            yield *as_arrays(found), [record.payload or {} for record in found]

    def ids(self) -> set[int]:
        return {int(r.id) for block in self._records(10_000, with_vector=False) for r in block}

    def count(self) -> int:
        return self._call(lambda shard: shard.count(qdrant.CountRequest(exact=True)))

    def compact(self) -> bool:
        """Copy what is stored into a new folder, which then takes this one's place.

        Edge keeps the bytes of deleted vectors in its segments and of all in its log; a copy has
        neither. A process that dies on the way leaves one of the two whole, and ``_recover`` knows
        which.
        """
        with self._writing:
            owner = self.owner
            new, old = _beside(self.path)
            shutil.rmtree(new, ignore_errors=True)
            copy = EdgeStore(new, dimension=self.dimension)
            try:
                for ids, vectors, payloads in self.records():
                    copy.upsert(Points(ids, vectors, payloads))
                if owner is not None:
                    copy.claim(owner)
            finally:
                copy.close()
            faults.reach("collection copied")
            with self._guard.change():
                self._release()
                self.path.rename(old)
                faults.reach("collection aside")
                new.rename(self.path)
                faults.reach("collection swapped")
                shutil.rmtree(old)
                self._shard = self._open()
        return True

    def recreate(self) -> None:
        with self._writing, self._guard.change():
            self._held()
            owner = _owner(self.path)
            self._release()
            shutil.rmtree(self.path, ignore_errors=True)
            self._shard = self._open()
            if owner is not None:
                _set_owner(self.path, owner)

    def delete_collection(self) -> None:
        with self._writing, self._guard.change():
            self._held()
            self._release()
            _, old = _beside(self.path)
            self.path.rename(old)  # or a process that dies here would leave half a shard
            faults.reach("collection put aside")
            shutil.rmtree(old)
            faults.reach("collection deleted")

    def abandon(self) -> None:
        """Nothing here waits for anybody."""

    def close(self) -> None:
        with self._guard.change():
            self._release()

    def _open(self) -> qdrant.EdgeShard:
        def load() -> qdrant.EdgeShard:
            return _translated(self.path, lambda: _load_or_create(self.path, self.dimension))

        try:
            return load()
        except StoreLocked:
            # Imported here: most commands need not wait, and it takes longer than opening a shard.
            from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

            return Retrying(
                retry=retry_if_exception_type(StoreLocked),
                stop=stop_after_delay(self._patience),
                wait=wait_fixed(INTERVAL),
                reraise=True,
            )(load)

    def _release(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def _held(self) -> qdrant.EdgeShard:
        if self._shard is None:
            raise StoreError(f"the vector store {self.path} is closed")
        return self._shard

    def _records(
        self,
        block: int,
        *,
        with_vector: bool,
        with_payload: bool = False,
        splits: Sequence[Split] = (),
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
                with_payload=with_payload,
            )
            found, offset = self._call(lambda shard, request=request: shard.scroll(request))  # type: ignore[misc]
            if found:
                yield found
            if offset is None:
                return

    def _write(self, *operations: qdrant.UpdateOperation) -> None:
        def write(shard: qdrant.EdgeShard) -> None:
            for operation in operations:
                shard.update(operation)
            faults.reach("upserted")
            shard.flush()  # only now is it on disk, segments included

        with self._writing:
            self._call(write)

    def _call(self, action: Callable[[qdrant.EdgeShard], T]) -> T:
        with self._guard.use():
            shard = self._held()
            return _translated(self.path, lambda: action(shard))


def _set_owner(path: Path, owner: str) -> None:
    with replacing(path / OWNER) as partial:
        partial.write_text(json.dumps({"owner": owner}), encoding="utf-8")


def _owner(path: Path) -> str | None:
    try:
        return str(json.loads((path / OWNER).read_text(encoding="utf-8"))["owner"])
    except (OSError, ValueError, KeyError, TypeError):  # nobody's, or cut short by a power cut
        return None


def _beside(path: Path) -> tuple[Path, Path]:
    """Where a copy of the collection is made, and where the one it replaces is put aside."""
    return path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.old")


def _recover(path: Path) -> None:
    """Finish a replacement that was cut short: without a collection in its place, the copy was
    whole; with one, whatever lies beside it is done with or was not finished."""
    new, old = _beside(path)
    if not path.exists() and new.exists() and old.exists():
        new.rename(path)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)


def _require_space(path: Path) -> None:
    free = shutil.disk_usage(path).free
    if free < RESERVE:
        raise StoreError(
            f"the disk of {path} is full: {free / 1e6:.0f} MB are free, and "
            f"{RESERVE / 1e6:.0f} MB must stay so",
            hint="Free some space, or choose another {data_dir}; what is stored stays, and running "
            "{same_call} again goes on.",
        )


def _load_or_create(path: Path, dimension: int) -> qdrant.EdgeShard:
    if path.suffix != ".new":
        _recover(path)
    if (path / "edge_config.json").exists():
        return _indexed(qdrant.EdgeShard.load(str(path)))
    path.mkdir(parents=True, exist_ok=True)
    _require_space(path)
    # Vectors arrive with unit length, so the dot product is the cosine; and unlike Cosine, Dot
    # stores them bit for bit.
    params = qdrant.EdgeVectorParams(size=dimension, distance=qdrant.Distance.Dot)
    return _indexed(qdrant.EdgeShard.create(str(path), qdrant.EdgeConfig(vectors=params)))


def _indexed(shard: qdrant.EdgeShard) -> qdrant.EdgeShard:
    """The shard with its payload indexes, also where an earlier version made it."""
    kinds = dict.fromkeys(KEYWORD_FIELDS, qdrant.PayloadSchemaType.Keyword)
    kinds |= dict.fromkeys(INTEGER_FIELDS, qdrant.PayloadSchemaType.Integer)
    kinds |= dict.fromkeys(FLOAT_FIELDS, qdrant.PayloadSchemaType.Float)
    there = shard.info().payload_schema.keys()
    for field in sorted(there - kinds.keys()):
        shard.update(qdrant.UpdateOperation.delete_field_index(field))
    for field in sorted(kinds.keys() - there):
        shard.update(qdrant.UpdateOperation.create_field_index(field, kinds[field]))
    if there != kinds.keys():
        shard.flush()
    return shard


def _condition(where: Filter) -> qdrant.Filter:
    must = [_any("split", [str(where.split)])]
    if where.cameras:
        must.append(_any("camera_id", list(where.cameras)))
    if where.datasets:
        must.append(_any("dataset_id", list(where.datasets)))
    if where.since is not None or where.until is not None:
        span = qdrant.RangeFloat(gte=where.since, lt=where.until)
        must.append(qdrant.FieldCondition("time", range=span))
    excluded = where.without_cameras
    return qdrant.Filter(
        must=list(must), must_not=[_any("camera_id", list(excluded))] if excluded else None
    )


def _any(key: str, values: list[str] | list[int]) -> qdrant.FieldCondition:
    return qdrant.FieldCondition(key, match=qdrant.MatchAny(values))


def _translated(path: Path, action: Callable[[], T]) -> T:
    """Run ``action``; Edge's errors, all of them bare Exceptions, become ours."""
    try:
        return action()
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"the vector store {path} cannot be used: {error.strerror}",
            hint="Check the folder's permissions and free space, or choose another {data_dir}.",
        ) from None
    except Exception as error:
        if "WouldBlock" in str(error):
            raise StoreLocked(
                f"another process holds the vector store {path}",
                hint="Wait until the other reidsearch has ended, or run a Qdrant server and use "
                "{qdrant_url}: a server answers many at once.",
            ) from None
        if not os.access(path, os.W_OK):
            raise StoreError(
                f"the vector store {path} cannot be written",
                hint="Check the folder's permissions, or choose another {data_dir}.",
            ) from None
        raise StoreError(
            f"the vector store {path} failed: {error}",
            hint="If it is damaged, delete that folder and ingest again: all vectors can be "
            "computed anew from the images.",
        ) from error
