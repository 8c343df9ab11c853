"""The images that a catalog lists, with their cameras, identities and data sets."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, Table, false, func, or_, select, update

from reidsearch import names
from reidsearch.catalog.among import among
from reidsearch.catalog.database import TableGroup, embedding_of_image
from reidsearch.catalog.records import ImageCount, ImageRecord, State
from reidsearch.catalog.tables import (
    UNFINISHED,
    camera,
    dataset,
    embedding,
    encoder,
    identity,
    image,
    site,
    thumbnail,
)
from reidsearch.ranking.clock import Clock, Span, Times
from reidsearch.types import DISTRACTOR, JUNK, UNKNOWN, Ids, Labels, Split, known_or_unknown


@dataclass(frozen=True, slots=True)
class StoredImages:
    """What the catalog knows of N indexed images, in id order.

    ``dataset`` are the catalog's ids of data sets, ``labels`` those of people and cameras, with
    JUNK and DISTRACTOR for nobody's;
    ``people`` and ``cameras`` have the names of those ids. Unknown values read UNKNOWN, an unknown
    ``timestamp`` (seconds since 1970 UTC) NaN.
    """

    ids: Ids
    dataset: Ids
    labels: Labels
    people: Mapping[int, str]
    cameras: Mapping[int, str]
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


@dataclass(frozen=True, slots=True, eq=False)
class Glimpses:
    """As much of N images as ranking asks of hundreds, in id order. Unknown values read UNKNOWN, an
    unknown ``timestamp`` NaN. What the columns mean is said at ImageRecord."""

    ids: Ids
    camera: Ids
    sequence: Ids
    frame: Ids
    timestamp: Times
    sha256: tuple[str | None, ...]

    def times(self, rows: Ids, clock: Clock) -> Times:
        """When the images of these rows were taken, by that clock; NaN where it is not known."""
        camera, sequence, frame = self.camera[rows], self.sequence[rows], self.frame[rows]
        return clock.times(camera, sequence, frame, self.timestamp[rows])

    def at(self, ids: Ids) -> tuple[NDArray[np.bool_], Ids]:
        """Of each of these M ids, whether it is among them (M), and the rows of those that are."""
        if not len(self.ids):
            return np.zeros(len(ids), dtype=bool), np.empty(0, dtype=np.int64)
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        there = self.ids[rows] == ids
        return there, rows[there]


_LABELLED = (
    image.join(dataset)
    .join(site)
    .outerjoin(camera, camera.c.id == image.c.camera_id)
    .outerjoin(identity, identity.c.id == image.c.identity_id)
)
_RECORDS = (
    select(
        image,
        dataset.c.name.label("dataset"),
        dataset.c.root,
        dataset.c.machine,
        site.c.name.label("site"),
        camera.c.name.label("camera"),
        identity.c.name.label("identity"),
    )
    .select_from(_LABELLED)
    .order_by(dataset.c.name, image.c.path)
)
# Manifests may spell a path otherwise than pathlib does: ./a.jpg, b//a.jpg, b/./a.jpg.
_SPELT_OTHERWISE = or_(*(image.c.path.like(p) for p in ("./%", "%//%", "%/./%", "%/", "%/.")))


class Images(TableGroup):
    """Rows of ``image`` and of what they refer to. Lists are in path order: by the data set's name,
    then by path."""

    def all(self, dataset_id: int | None = None) -> list[ImageRecord]:
        """All images, of one data set or of all."""
        fits = [] if dataset_id is None else [image.c.dataset_id == dataset_id]
        with self._reading() as db:
            return _records(db, *fits)

    def count(self) -> int:
        """How many images there are, whatever state they stand in."""
        with self._reading() as db:
            return int(db.execute(select(func.count()).select_from(image)).scalar_one())

    def of(self, ids: Sequence[int]) -> list[ImageRecord]:
        """Those of these images that there are."""
        with self._reading() as db:
            return _records(db, among(image.c.id, ids))

    def of_dataset(self, name: str, paths: Sequence[str]) -> list[ImageRecord]:
        """Those of these paths that a data set has, spelt as it spells them."""
        with self._reading() as db:
            return _records(db, among(image.c.path, paths), dataset.c.name == name)

    def matching(
        self,
        *,
        identity: str | None = None,
        camera: str | None = None,
        before: float | None = None,
        dataset: str | None = None,
        site: str | None = None,
        paths: Sequence[Path] = (),
    ) -> list[ImageRecord]:
        """The images that fit everything given here.

        ``before`` (seconds since 1970 UTC) compares with an image's timestamp or, where none is
        known, with the time of its first ingest; the others are names. One of ``paths``, where
        there are any, must be the image's path as its data set spells it, or lead to its file.
        """
        column = _RECORDS.selected_columns
        fits = []
        named = {"identity": identity, "camera": camera, "dataset": dataset, "site": site}
        for key, name in named.items():
            if name is not None:
                fits.append(column[key] == name if _is_unicode(name) else false())
        if before is not None:
            then = func.coalesce(image.c.timestamp, image.c.added)
            fits.append(false() if math.isnan(before) else then < before)
        with self._reading() as db:
            return self._at(db, paths, *fits) if paths else _records(db, *fits)

    def _at(
        self, db: Connection, paths: Sequence[Path], *fits: ColumnElement[bool]
    ) -> list[ImageRecord]:
        """Those that fit, at one of these paths."""
        files = {path.absolute() for path in paths}
        given = {str(path) for path in paths}
        spelt = given | {str(file) for file in files}
        for root in db.scalars(select(dataset.c.root)):
            spelt |= {str(f.relative_to(root)) for f in files if f.is_relative_to(root)}
        found = _records(db, among(image.c.path, filter(_is_unicode, spelt)), *fits)
        found += _records(db, _SPELT_OTHERWISE, *fits)
        meant = {r.id: r for r in found if r.path in given or r.file in files}
        return _in_path_order(meant.values())

    def known_only_to(self, encoder_id: int) -> list[ImageRecord]:
        """The images that one encoder knows, in whatever state, and no other does."""
        known = select(embedding.c.image_id).where(embedding.c.image_id == image.c.id)
        mine, others = (
            known.where(fits).exists()
            for fits in (embedding.c.encoder_id == encoder_id, embedding.c.encoder_id != encoder_id)
        )
        with self._reading() as db:
            return _records(db, mine, ~others)

    def ids(self, dataset_id: int, splits: Iterable[Split]) -> set[int]:
        """The ids of all images of these splits of a data set."""
        query = select(image.c.id).where(
            image.c.dataset_id == dataset_id, image.c.split.in_(list(splits))
        )
        with self._reading() as db:
            return set(db.scalars(query))

    def set_file(self, id: int, *, size: int, modified_ns: int) -> None:
        """Record an image file's size (bytes) and time of change, where its content is the same."""
        with self._writing() as db:
            db.execute(
                update(image).where(image.c.id == id).values(size=size, modified_ns=modified_ns)
            )

    def stored(
        self,
        encoder_id: int,
        splits: Iterable[Split] = tuple(Split),
        *,
        ids: Sequence[int] | None = None,
    ) -> StoredImages:
        """All indexed images of these splits; of these ids alone, where they are given."""
        query = (
            select(
                image.c.id,
                image.c.dataset_id,
                image.c.path,
                image.c.split,
                image.c.sequence,
                image.c.frame,
                image.c.timestamp,
                image.c.camera_id,
                image.c.identity_id,
            )
            .select_from(image.join(embedding, embedding_of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, image.c.split.in_(list(splits)))
            .order_by(image.c.id)
        )
        if ids is not None:
            query = query.where(among(image.c.id, ids))
        with self._reading() as db:
            rows = db.execute(query).all()
            people = _names(db, identity)
            cameras = _names(db, camera)
        keys = query.selected_columns.keys()
        columns = dict(zip(keys, zip(*rows, strict=True), strict=True)) if rows else {}

        def integers(name: str) -> Ids:
            return known_or_unknown(columns.get(name, ()))

        who = integers("identity_id")
        for name, number in ((names.JUNK, JUNK), (names.DISTRACTOR, DISTRACTOR)):
            who[np.isin(who, [id for id, named in people.items() if named == name])] = number
        return StoredImages(
            ids=integers("id"),
            dataset=integers("dataset_id"),
            labels=Labels(who, integers("camera_id")),
            people=people,
            cameras=cameras,
            sequence=integers("sequence"),
            frame=integers("frame"),
            timestamp=np.array(columns.get("timestamp", ()), dtype=np.float64),
            split=np.array(columns.get("split", ()), dtype=np.str_),
            path=np.array(columns.get("path", ()), dtype=np.str_),
        )

    def indexed(self, encoder_id: int, split: Split, *, of_people: bool = False) -> Ids:
        """The ids of the indexed images of a split, ascending; of known people alone, no
        distractors, where these are asked for."""
        # Reads in order take a fifth of a join, which looks each image up; and most are wanted.
        mine = select(embedding.c.image_id).where(embedding.c.encoder_id == encoder_id)
        unfit = image.c.split != split
        if of_people:
            nobody = select(identity.c.id).where(
                identity.c.name.in_([names.JUNK, names.DISTRACTOR])
            )
            unknown = image.c.identity_id.is_(None)
            unfit = or_(unfit, unknown, image.c.identity_id.in_(nobody))
        with self._reading() as db:
            found = np.sort(_ids(db, mine))
            for query in (mine.where(UNFINISHED), select(image.c.id).where(unfit)):
                found = np.setdiff1d(found, _ids(db, query), assume_unique=True)
        return found

    def clock_parts(self, splits: Iterable[Split]) -> set[tuple[int, int]]:
        """The cameras and sequences of all images of these splits whose frame is known, whatever
        state they stand in."""
        query = (
            select(image.c.camera_id, image.c.sequence)
            .where(image.c.frame.is_not(None), image.c.split.in_(list(splits)))
            .distinct()
        )
        with self._reading() as db:
            rows = [known_or_unknown(row).tolist() for row in db.execute(query)]
        return {(camera_id, sequence) for camera_id, sequence in rows}

    def contents(self, encoder_id: int, split: Split) -> NDArray[np.int64]:
        """Of each indexed image of a split its id and the first 60 bits of its file's SHA-256
        (N x 2), in id order."""
        query = (
            select(image.c.id, image.c.sha256)
            .select_from(image.join(embedding, embedding_of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, image.c.split == split)
            .order_by(image.c.id)
        )
        with self._reading() as db:
            rows = [(id, int(digest[:15], 16)) for id, digest in db.execute(query)]
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    def describe(self, encoder_id: int, ids: Sequence[int]) -> dict[int, ImageRecord]:
        """id -> image, of those of these images that are indexed."""
        indexed = select(embedding.c.image_id).where(
            embedding_of_image(encoder_id), embedding.c.state == State.INDEXED
        )
        with self._reading() as db:
            return {one.id: one for one in _records(db, among(image.c.id, ids), indexed.exists())}

    def glimpses(self, encoder_id: int, ids: Sequence[int]) -> Glimpses:
        """What ranking asks of those of these images that are indexed."""
        query = (
            select(
                image.c.id,
                *(
                    func.coalesce(image.c[name], UNKNOWN)
                    for name in ("camera_id", "sequence", "frame")
                ),
                image.c.timestamp,
                image.c.sha256,
            )
            .select_from(image.join(embedding, embedding_of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, among(image.c.id, ids))
            .order_by(embedding.c.image_id)  # they are read in this order
        )
        with self._reading() as db:
            rows = db.execute(query).all()
        found, camera, sequence, frame, timestamp, sha256 = (
            zip(*rows, strict=True) if rows else [()] * 6
        )
        return Glimpses(
            ids=np.array(found, dtype=np.int64),
            camera=np.array(camera, dtype=np.int64),
            sequence=np.array(sequence, dtype=np.int64),
            frame=np.array(frame, dtype=np.int64),
            timestamp=np.array(timestamp, dtype=np.float64),
            sha256=sha256,
        )

    def spans(self, encoder_id: int, split: Split) -> list[Span]:
        """What is known of the times of a split's indexed images, by camera and sequence."""
        known = func.count(image.c.timestamp), func.count(image.c.frame)
        query = (
            select(image.c.camera_id, image.c.sequence, func.max(image.c.frame), *known)
            .select_from(image.join(embedding, embedding_of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, image.c.split == split)
            .group_by(image.c.camera_id, image.c.sequence)
        )
        with self._reading() as db:
            rows = db.execute(query).all()
        spans = []
        for *place, timed, framed in rows:
            camera_id, sequence, last_frame = known_or_unknown(place).tolist()
            spans.append(Span(camera_id, sequence, last_frame, timed, framed))
        return spans

    def taken(self) -> tuple[float, float] | None:
        """When the first and the last image was taken, in seconds since 1970 UTC; None where that
        is known of none."""
        query = select(func.min(image.c.timestamp), func.max(image.c.timestamp))
        with self._reading() as db:
            first, last = db.execute(query).one()
        return None if first is None else (first, last)

    def thumbnails(self, ids: Sequence[int]) -> dict[int, bytes]:
        """id -> small picture, a JPEG, of those of these images that have one."""
        query = select(thumbnail).where(among(thumbnail.c.image_id, ids))
        with self._reading() as db:
            return {row.image_id: row.picture for row in db.execute(query)}

    def counts(self) -> list[ImageCount]:
        """How many images there are of each data set, split, encoder and state."""
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
        with self._reading() as db:
            return [
                ImageCount(**{**row._mapping, "split": Split(row.split), "state": State(row.state)})
                for row in db.execute(query)
            ]


def _records(db: Connection, *fits: ColumnElement[bool]) -> list[ImageRecord]:
    """The images that fit, in path order."""
    return [
        ImageRecord(**row._asdict() | {"split": Split(row.split)})
        for row in db.execute(_RECORDS.where(*fits))
    ]


def _in_path_order(records: Iterable[ImageRecord]) -> list[ImageRecord]:
    return sorted(records, key=lambda record: (record.dataset, record.path))


def _ids(db: Connection, query: Select[tuple[int]]) -> Ids:
    return np.array(db.scalars(query).all(), dtype=np.int64)


def _names(db: Connection, table: Table) -> dict[int, str]:
    """id -> name of all cameras, or all identities."""
    return {row.id: row.name for row in db.execute(select(table.c.id, table.c.name))}


def _is_unicode(text: str) -> bool:
    """Whether a row can hold it; a file's name that is not valid UTF-8 no query takes either."""
    return text.encode(errors="ignore").decode() == text and "\0" not in text
