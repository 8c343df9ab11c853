"""The SQLite catalog: what exists, where it came from, and which vectors are stored.

The catalog is the truth; the vector collection can be rebuilt from it and the images. Every
method is one transaction.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, Row, Table, and_, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from reidsearch.clock import Clock, Times
from reidsearch.errors import CatalogError, CatalogLocked, UsageError
from reidsearch.tables import (
    calibration,
    camera,
    dataset,
    embedding,
    encoder,
    identity,
    image,
    ingest_run,
    neighbours,
    query_log,
    setting,
)
from reidsearch.types import Ids, Labels, Rejected, Sighting, Split, image_id, optional

VARIABLES = 10_000  # in one query; SQLite takes 32,766
COMPACTION = "compaction"  # the setting that says that one is owed
T = TypeVar("T")


class State(StrEnum):
    """Where an image's embedding stands."""

    PENDING = "pending"
    INDEXED = "indexed"
    FAILED = "failed"
    DELETING = "deleting"  # shown no more; vector and row are to go


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sighting about to be ingested, with its file's size (bytes) and time of change."""

    id: int
    sighting: Sighting
    size: int | None
    modified_ns: int | None


@dataclass(frozen=True)
class Stored:
    """What the catalog knows of N indexed images, in id order.

    ``labels`` numbers people and cameras uniquely across data sets and is what metrics compare;
    ``identity`` and ``camera`` are the data sets' own numbers. Unknown values read UNKNOWN, an
    unknown ``timestamp`` (seconds since 1970 UTC) NaN.
    """

    ids: Ids
    labels: Labels
    identity: Ids
    camera: Ids
    sequence: Ids
    frame: Ids
    timestamp: NDArray[np.float64]
    split: NDArray[np.str_]
    path: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.ids)

    def times(self, clock: Clock) -> Times:
        """When each image was taken, by that clock; NaN where it is not known."""
        return clock.times(self.labels.camera, self.sequence, self.frame, self.timestamp)


_LABELLED = (
    image.join(dataset)
    .outerjoin(camera, camera.c.id == image.c.camera_id)
    .outerjoin(identity, identity.c.id == image.c.identity_id)
)


class Catalog:
    """The catalog behind an engine whose schema is current (see ``schema.open_catalog``)."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def close(self) -> None:
        self.engine.dispose()

    def _writing(self) -> AbstractContextManager[Connection]:
        return self.engine.execution_options(writes=True).begin()

    @property
    def key(self) -> str:
        """Names this catalog among others that share a Qdrant server."""
        with self.engine.connect() as db:
            return str(db.scalar(select(setting.c.value).where(setting.c.key == "catalog")))

    def add_dataset(self, name: str, root: Path) -> int:
        """The id of the data set of that name, made where it is new.

        A data set whose old root is gone has moved, and its root is updated. Raises UsageError
        where the name belongs to another folder that still exists.
        """
        with self._writing() as db:
            known = db.execute(select(dataset).where(dataset.c.name == name)).first()
            if known is None:
                new = db.execute(insert(dataset).values(name=name, root=str(root)))
                return int(new.inserted_primary_key[0])  # type: ignore[index]
            if known.root != str(root):
                if Path(known.root).exists():
                    raise UsageError(
                        f"a data set named {name!r} is already stored, from {known.root}",
                        hint="Give this one a name of its own with --name.",
                    )
                db.execute(update(dataset).where(dataset.c.id == known.id).values(root=str(root)))
            return int(known.id)

    def add_encoder(self, *, fingerprint: str, name: str, dimension: int) -> int:
        """The id of the encoder with that fingerprint, made where it is new."""
        with self._writing() as db:
            db.execute(
                insert(encoder)
                .values(fingerprint=fingerprint, name=name, dimension=dimension)
                .on_conflict_do_nothing()
            )
            query = select(encoder.c.id).where(encoder.c.fingerprint == fingerprint)
            return int(db.execute(query).scalar_one())

    def encoders(self) -> list[Row[Any]]:
        """Rows of id, fingerprint, name, dimension and number of indexed images, the fullest
        first."""
        count = func.count(embedding.c.image_id)
        indexed = and_(embedding.c.encoder_id == encoder.c.id, embedding.c.state == State.INDEXED)
        query = (
            select(
                encoder.c.id,
                encoder.c.fingerprint,
                encoder.c.name,
                encoder.c.dimension,
                count.label("indexed"),
            )
            .select_from(encoder.outerjoin(embedding, indexed))
            .group_by(encoder.c.id)
            .order_by(count.desc(), encoder.c.id)
        )
        with self.engine.connect() as db:
            return list(db.execute(query))

    def stale(
        self, dataset_id: int, encoder_id: int, candidates: Sequence[Candidate]
    ) -> list[Candidate]:
        """Record the candidates; return those whose vector is not stored as they now are.

        These are ``pending`` afterwards. An image is left alone where it is indexed and its
        file's size and time of change, and what the data set says of it, are as recorded.
        """
        with self._writing() as db:
            cameras = _numbers(db, camera, dataset_id, (c.sighting.camera for c in candidates))
            people = _numbers(db, identity, dataset_id, (c.sighting.identity for c in candidates))
            columns = [
                c for c in image.c if c.name not in ("dataset_id", "path", "sha256", "added")
            ]
            state = embedding.c.state.label("state")
            known = {
                row.id: row
                for row in db.execute(
                    select(*columns, state)
                    .select_from(image.outerjoin(embedding, _of_image(encoder_id)))
                    .where(image.c.id.in_([c.id for c in candidates]))
                )
            }
            stale, rows = [], []
            for candidate in candidates:
                seen = candidate.sighting
                row = {
                    "id": candidate.id,
                    "split": str(seen.split),
                    "camera_id": cameras.get(seen.camera),
                    "identity_id": people.get(seen.identity),
                    "sequence": seen.sequence,
                    "frame": seen.frame,
                    "timestamp": seen.timestamp,
                    "size": candidate.size,
                    "modified_ns": candidate.modified_ns,
                }
                old = known.get(candidate.id)
                if old is None or old._asdict() != {**row, "state": State.INDEXED}:
                    stale.append(candidate)
                    new_only = {"dataset_id": dataset_id, "path": seen.path, "added": time.time()}
                    rows.append({**row, **new_only})
            if rows:
                new = insert(image)
                changed = {k: new.excluded[k] for k in row if k != "id"}
                db.execute(new.on_conflict_do_update(index_elements=["id"], set_=changed), rows)
                _set_state(db, encoder_id, [(c.id, State.PENDING, None) for c in stale])
        return stale

    def finish(
        self,
        encoder_id: int,
        *,
        indexed: Mapping[int, tuple[str, int]] | None = None,
        failed: Mapping[int, str] | None = None,
    ) -> None:
        """Record the outcome of pending images: id -> SHA-256 of the file and checksum of the
        vector of those indexed, id -> reason of those that failed."""
        with self._writing() as db:
            if indexed:
                db.execute(
                    update(image)
                    .where(image.c.id == bindparam("of"))
                    .values(sha256=bindparam("to")),
                    [{"of": id, "to": digest} for id, (digest, _) in indexed.items()],
                )
                _set_state(db, encoder_id, [(id, State.INDEXED, None) for id in indexed])
                self._set_checksums(db, encoder_id, {id: c for id, (_, c) in indexed.items()})
            if failed:
                _set_state(db, encoder_id, [(id, State.FAILED, r) for id, r in failed.items()])

    def reject(
        self, dataset_id: int, encoder_id: int, name: str, files: Sequence[Rejected]
    ) -> None:
        """Record files that a reader found and could not take in."""
        if not files:
            return
        with self._writing() as db:
            ids = [image_id(name, file.path) for file in files]
            rows = [
                {
                    "id": id,
                    "dataset_id": dataset_id,
                    "split": str(file.split),
                    "path": file.path,
                    "added": time.time(),
                }
                for id, file in zip(ids, files, strict=True)
            ]
            db.execute(insert(image).on_conflict_do_nothing(), rows)
            _set_state(
                db,
                encoder_id,
                [(id, State.FAILED, f.reason) for id, f in zip(ids, files, strict=True)],
            )

    def count(self, encoder_id: int, state: State, splits: Iterable[Split]) -> int:
        """How many images of these splits stand in that state."""
        query = (
            select(func.count())
            .select_from(embedding.join(image))
            .where(_is(encoder_id, state), image.c.split.in_(list(splits)))
        )
        with self.engine.connect() as db:
            return int(db.execute(query).scalar_one())

    def encoder_fingerprint(self, encoder_id: int) -> str:
        """The fingerprint of the encoder with that id."""
        query = select(encoder.c.fingerprint).where(encoder.c.id == encoder_id)
        with self.engine.connect() as db:
            return str(db.execute(query).scalar_one())

    def indexed_ids(self, encoder_id: int) -> set[int]:
        """The ids of all images whose vector is stored."""
        query = select(embedding.c.image_id).where(_is(encoder_id, State.INDEXED))
        with self.engine.connect() as db:
            return set(db.scalars(query))

    def set_pending(self, encoder_id: int, ids: Iterable[int]) -> None:
        """Set images back to pending whose vectors turned out to be missing or wrong."""
        with self._writing() as db:
            _set_state(db, encoder_id, [(id, State.PENDING, None) for id in ids])

    def set_checksums(self, encoder_id: int, checksums: Mapping[int, int]) -> None:
        """Record the checksums of vectors, by image id."""
        with self._writing() as db:
            self._set_checksums(db, encoder_id, checksums)

    def _set_checksums(self, db: Connection, encoder_id: int, checksums: Mapping[int, int]) -> None:
        if checksums:
            db.execute(
                update(embedding)
                .where(
                    embedding.c.encoder_id == encoder_id, embedding.c.image_id == bindparam("of")
                )
                .values(checksum=bindparam("to")),
                [{"of": id, "to": value} for id, value in checksums.items()],
            )

    def set_file(self, id: int, *, size: int, modified_ns: int) -> None:
        """Record an image file's size (bytes) and time of change, where its content is the same."""
        with self._writing() as db:
            db.execute(
                update(image).where(image.c.id == id).values(size=size, modified_ns=modified_ns)
            )

    def images(self, dataset_id: int | None = None) -> list[Row[Any]]:
        """All images, of one data set or of all, in path order: the columns of ``image``, the data
        set's name and root, and the numbers ``camera`` and ``identity``."""
        query = (
            select(
                image,
                dataset.c.name.label("dataset"),
                dataset.c.root,
                camera.c.number.label("camera"),
                identity.c.number.label("identity"),
            )
            .select_from(_LABELLED)
            .order_by(dataset.c.name, image.c.path)
        )
        if dataset_id is not None:
            query = query.where(image.c.dataset_id == dataset_id)
        with self.engine.connect() as db:
            return list(db.execute(query))

    def image_ids(self, dataset_id: int, splits: Iterable[Split]) -> set[int]:
        """The ids of all images of these splits of a data set."""
        query = select(image.c.id).where(
            image.c.dataset_id == dataset_id, image.c.split.in_(list(splits))
        )
        with self.engine.connect() as db:
            return set(db.scalars(query))

    def embeddings(self, encoder_id: int) -> list[Row[Any]]:
        """Rows of image_id, state, reason and checksum, of all images of one encoder."""
        query = select(embedding).where(embedding.c.encoder_id == encoder_id)
        with self.engine.connect() as db:
            return list(db.execute(query))

    def mark_deleting(self, ids: Sequence[int], *, compact: bool) -> None:
        """Take images out of every answer at once, for every encoder, and note that their vectors
        and rows are to go; with ``compact`` also that their bytes are."""
        with self._writing() as db:
            for some in _parts(ids):
                db.execute(
                    update(embedding)
                    .where(embedding.c.image_id.in_(some))
                    .values(state=State.DELETING)
                )
            if compact:
                owed = insert(setting).values(key=COMPACTION, value="owed")
                db.execute(owed.on_conflict_do_nothing())

    def deleting(self, encoder_id: int) -> list[int]:
        """The ids of images whose deletion is not finished."""
        query = select(embedding.c.image_id).where(_is(encoder_id, State.DELETING))
        with self.engine.connect() as db:
            return list(db.scalars(query))

    def delete(self, encoder_id: int, ids: Sequence[int]) -> None:
        """Delete the rows of images whose vectors are deleted; those of an image itself, and of its
        identity, when nothing else needs them."""
        with self._writing() as db:
            for some in _parts(ids):
                db.execute(
                    delete(embedding).where(
                        _is(encoder_id, State.DELETING), embedding.c.image_id.in_(some)
                    )
                )
                used = select(embedding.c.image_id).where(embedding.c.image_id == image.c.id)
                db.execute(delete(image).where(image.c.id.in_(some), ~used.exists()))
            used = select(image.c.id).where(image.c.identity_id == identity.c.id)
            db.execute(delete(identity).where(~used.exists()))

    def delete_neighbours(self) -> None:
        """Delete the neighbours kept of all images."""
        with self._writing() as db:
            db.execute(delete(neighbours))

    def delete_calibration(self, encoder_id: int) -> None:
        """Delete what was learned with this encoder."""
        with self._writing() as db:
            db.execute(delete(calibration).where(calibration.c.encoder_id == encoder_id))

    def check(self) -> None:
        """Raise CatalogError where SQLite finds the file damaged."""
        with self.engine.connect() as db:
            found = db.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise CatalogError(
                f"the catalog {self.engine.url.database} is damaged: {found}",
                hint="Restore a backup of it, or choose another --data-dir and ingest again.",
            )

    @property
    def compaction_owed(self) -> bool:
        """Whether bytes of deleted images are still to be removed from both stores' files."""
        with self.engine.connect() as db:
            return db.scalar(select(setting).where(setting.c.key == COMPACTION)) is not None

    def compact(self) -> None:
        """Rewrite the file without what was deleted, its log included; then no compaction is owed.

        Raises CatalogLocked where another process reads the catalog for too long.
        """
        with closing(self.engine.raw_connection()) as raw:
            raw.execute("VACUUM")
        self._truncate_log()
        with self._writing() as db:
            db.execute(delete(setting).where(setting.c.key == COMPACTION))
        self._truncate_log()

    def _truncate_log(self) -> None:
        with closing(self.engine.raw_connection()) as raw:
            (busy, *_) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise CatalogLocked(
                "another process reads the catalog, so that its old log cannot be removed",
                hint="Wait for it to end, and run the same command again.",
            )

    def log_query(self, **values: Any) -> None:
        """Record one search; the values are those of ``query_log``."""
        with self._writing() as db:
            db.execute(insert(query_log).values(values))

    def query_log(self, *, since: float = 0.0) -> list[Row[Any]]:
        """All searches from that time on (seconds since 1970), the oldest first."""
        query = select(query_log).where(query_log.c.time >= since).order_by(query_log.c.id)
        with self.engine.connect() as db:
            return list(db.execute(query))

    def delete_probes(self, digests: Sequence[str]) -> None:
        """Delete the kept pictures of probes with one of these SHA-256."""
        with self._writing() as db:
            for some in _parts(digests):
                gone = update(query_log).where(query_log.c.probe_sha256.in_(some))
                db.execute(gone.values(picture=None))

    def stored(self, encoder_id: int, splits: Iterable[Split] = tuple(Split)) -> Stored:
        """All indexed images of these splits."""
        query = (
            select(
                image.c.id,
                image.c.path,
                image.c.split,
                image.c.sequence,
                image.c.frame,
                image.c.timestamp,
                image.c.camera_id,
                camera.c.number.label("camera"),
                image.c.identity_id,
                identity.c.number.label("identity"),
            )
            .select_from(_LABELLED.join(embedding, _of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, image.c.split.in_(list(splits)))
            .order_by(image.c.id)
        )
        with self.engine.connect() as db:
            rows = db.execute(query).all()
        names = query.selected_columns.keys()
        columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}

        def integers(name: str) -> Ids:
            return optional(columns.get(name, ()))

        people, numbers = integers("identity_id"), integers("identity")
        return Stored(
            ids=integers("id"),
            labels=Labels(np.where(numbers > 0, people, numbers), integers("camera_id")),
            identity=numbers,
            camera=integers("camera"),
            sequence=integers("sequence"),
            frame=integers("frame"),
            timestamp=np.array(columns.get("timestamp", ()), dtype=np.float64),
            split=np.array(columns.get("split", ()), dtype=np.str_),
            path=np.array(columns.get("path", ()), dtype=np.str_),
        )

    def contents(self, encoder_id: int, split: Split) -> NDArray[np.int64]:
        """Of each indexed image of a split its id and the first 60 bits of its file's SHA-256
        (N x 2), in id order."""
        query = (
            select(image.c.id, image.c.sha256)
            .select_from(image.join(embedding, _of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, image.c.split == split)
            .order_by(image.c.id)
        )
        with self.engine.connect() as db:
            rows = [(id, int(digest[:15], 16)) for id, digest in db.execute(query)]
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    def neighbours(self, encoder_id: int, split: Split) -> bytes | None:
        """What ``save_neighbours`` stored last."""
        where = and_(neighbours.c.encoder_id == encoder_id, neighbours.c.split == split)
        with self.engine.connect() as db:
            return db.scalar(select(neighbours.c.model).where(where))

    def save_neighbours(self, encoder_id: int, split: Split, model: bytes) -> None:
        """Replace the neighbours kept of a split's images."""
        new = insert(neighbours).values(encoder_id=encoder_id, split=split, model=model)
        with self._writing() as db:
            db.execute(
                new.on_conflict_do_update(
                    index_elements=["encoder_id", "split"], set_={"model": new.excluded.model}
                )
            )

    def describe(self, encoder_id: int, ids: Sequence[int]) -> dict[int, Any]:
        """id -> path, root, split, camera, camera_id, identity, sequence, frame and timestamp of
        indexed images."""
        query = (
            select(
                image.c.id,
                image.c.path,
                dataset.c.root,
                image.c.split,
                camera.c.number.label("camera"),
                image.c.camera_id,
                identity.c.number.label("identity"),
                image.c.sequence,
                image.c.frame,
                image.c.timestamp,
            )
            .select_from(_LABELLED.join(embedding, _of_image(encoder_id)))
            .where(
                embedding.c.state == State.INDEXED,
                image.c.id.in_(bindparam("ids", expanding=True)),
            )
        )
        with self.engine.connect() as db:
            return {row.id: row for some in _parts(ids) for row in db.execute(query, {"ids": some})}

    def cameras(self) -> list[int]:
        """The numbers of all cameras that have images, ascending, each once."""
        with self.engine.connect() as db:
            query = select(camera.c.number).where(camera.c.id == image.c.camera_id).distinct()
            return sorted(db.scalars(query))

    def camera_ids(self, number: int) -> list[int]:
        """The ids of the cameras of that number, one for each data set that has it."""
        with self.engine.connect() as db:
            return list(db.scalars(select(camera.c.id).where(camera.c.number == number)))

    def counts(self) -> list[Row[Any]]:
        """Rows of data set, root, split, encoder (fingerprint), state and number of images."""
        query = (
            select(
                dataset.c.name.label("dataset"),
                dataset.c.root,
                image.c.split,
                encoder.c.fingerprint.label("encoder"),
                embedding.c.state,
                func.count().label("images"),
            )
            .select_from(embedding.join(image).join(dataset).join(encoder))
            .group_by(dataset.c.id, image.c.split, encoder.c.id, embedding.c.state)
            .order_by(dataset.c.name, image.c.split, embedding.c.state)
        )
        with self.engine.connect() as db:
            return list(db.execute(query))

    def start_run(self, dataset_id: int, encoder_id: int) -> int:
        """Record that an ingest has begun; returns its id."""
        values = {"dataset_id": dataset_id, "encoder_id": encoder_id, "started": time.time()}
        with self._writing() as db:
            new = db.execute(insert(ingest_run).values(values))
            return int(new.inserted_primary_key[0])  # type: ignore[index]

    def close_runs(self) -> None:
        """Call every ingest ended that was cut short and has since been made good."""
        with self._writing() as db:
            open_runs = update(ingest_run).where(ingest_run.c.finished.is_(None))
            db.execute(open_runs.values(finished=time.time()))

    def finish_run(self, run: int, *, ingested: int, unchanged: int, failed: int) -> None:
        """Record how an ingest ended."""
        with self._writing() as db:
            db.execute(
                update(ingest_run)
                .where(ingest_run.c.id == run)
                .values(finished=time.time(), ingested=ingested, unchanged=unchanged, failed=failed)
            )

    def last_run(self) -> Row[Any] | None:
        """The latest ingest: started, finished (None where it was cut short) and its counts."""
        with self.engine.connect() as db:
            return db.execute(select(ingest_run).order_by(ingest_run.c.id.desc())).first()

    def save_calibration(self, encoder_id: int, **values: Any) -> float:
        """Replace what was learned with this encoder; returns the time of doing so."""
        learned = time.time()
        with self._writing() as db:
            db.execute(delete(calibration).where(calibration.c.encoder_id == encoder_id))
            db.execute(insert(calibration).values(encoder_id=encoder_id, learned=learned, **values))
        return learned

    def calibration(self, encoder_id: int) -> Row[Any] | None:
        """What was learned with this encoder: learned, source, images and the models."""
        with self.engine.connect() as db:
            query = select(calibration).where(calibration.c.encoder_id == encoder_id)
            return db.execute(query).first()


def _of_image(encoder_id: int) -> Any:
    return and_(embedding.c.image_id == image.c.id, embedding.c.encoder_id == encoder_id)


def _is(encoder_id: int, state: State) -> Any:
    return and_(embedding.c.encoder_id == encoder_id, embedding.c.state == state)


def _set_state(
    db: Connection, encoder_id: int, states: Sequence[tuple[int, State, str | None]]
) -> None:
    if not states:
        return
    new = insert(embedding)
    db.execute(
        new.on_conflict_do_update(
            index_elements=["encoder_id", "image_id"],
            set_={"state": new.excluded.state, "reason": new.excluded.reason},
        ),
        [
            {"encoder_id": encoder_id, "image_id": id, "state": str(state), "reason": reason}
            for id, state, reason in states
        ],
    )


def _numbers(
    db: Connection, table: Table, dataset_id: int, numbers: Iterable[int | None]
) -> dict[int | None, int]:
    """number -> row id of cameras or identities, made where they are new."""
    wanted = {n for n in numbers if n is not None}
    if wanted:
        db.execute(
            insert(table).on_conflict_do_nothing(),
            [{"dataset_id": dataset_id, "number": n} for n in sorted(wanted)],
        )
    query = select(table.c.number, table.c.id).where(
        table.c.dataset_id == dataset_id, table.c.number.in_(wanted)
    )
    return {row.number: row.id for row in db.execute(query)}


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as one query takes."""
    for start in range(0, len(values), VARIABLES):
        yield values[start : start + VARIABLES]
