"""The images that a catalog lists, with their cameras, identities and data sets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, bindparam, func, select, update

from reidsearch.catalog.database import TableGroup, batches, of_image
from reidsearch.catalog.embeddings import State
from reidsearch.catalog.tables import camera, dataset, embedding, encoder, identity, image
from reidsearch.ranking.clock import Clock, Times
from reidsearch.types import Ids, Labels, Split, known_or_unknown


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


class Images(TableGroup):
    """Rows of ``image`` and of what they refer to."""

    def all(self, dataset_id: int | None = None) -> list[Row[Any]]:
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
        with self._reading() as db:
            return list(db.execute(query))

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
            .select_from(_LABELLED.join(embedding, of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, image.c.split.in_(list(splits)))
            .order_by(image.c.id)
        )
        with self._reading() as db:
            rows = db.execute(query).all()
        names = query.selected_columns.keys()
        columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}

        def integers(name: str) -> Ids:
            return known_or_unknown(columns.get(name, ()))

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
            .select_from(image.join(embedding, of_image(encoder_id)))
            .where(embedding.c.state == State.INDEXED, image.c.split == split)
            .order_by(image.c.id)
        )
        with self._reading() as db:
            rows = [(id, int(digest[:15], 16)) for id, digest in db.execute(query)]
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

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
            .select_from(_LABELLED.join(embedding, of_image(encoder_id)))
            .where(
                embedding.c.state == State.INDEXED,
                image.c.id.in_(bindparam("ids", expanding=True)),
            )
        )
        with self._reading() as db:
            return {
                row.id: row for some in batches(ids) for row in db.execute(query, {"ids": some})
            }

    def cameras(self) -> list[int]:
        """The numbers of all cameras that have images, ascending, each once."""
        with self._reading() as db:
            query = select(camera.c.number).where(camera.c.id == image.c.camera_id).distinct()
            return sorted(db.scalars(query))

    def camera_ids(self, number: int) -> list[int]:
        """The ids of the cameras of that number, one for each data set that has it."""
        with self._reading() as db:
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
        with self._reading() as db:
            return list(db.execute(query))
