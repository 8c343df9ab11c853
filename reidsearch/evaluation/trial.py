"""What of a gallery takes part in the protocol, checked."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.catalog import State, StoredImages
from reidsearch.errors import EmptyGallery, IncompleteGallery, UnknownCamera
from reidsearch.ranking import feedback
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.types import DISTRACTOR, JUNK, UNKNOWN, Ids, Labels, Split, Vectors
from reidsearch.vectors.collection import Collection

Rows = NDArray[np.int64]  # positions in what is stored

SPLITS = (Split.QUERY, Split.GALLERY)


@dataclass(frozen=True)
class Trial:
    """Probes and gallery, without junk, as positions in what is stored."""

    stored: StoredImages
    vectors: Vectors
    probes: Rows
    gallery: Rows

    @classmethod
    def of(cls, collection: Collection, *, multi_query: bool) -> Self:
        """What is stored of the protocol; with ``multi_query`` probes' vectors are pooled.

        Raises EmptyGallery where probes or gallery are missing, IncompleteGallery where an ingest
        has not ended, UnknownCamera where a camera is not known.
        """
        _require_whole(collection)
        stored, vectors = collection.load((*SPLITS, Split.MULTI_QUERY) if multi_query else SPLITS)
        identity, camera = stored.labels.identity, stored.labels.camera
        known = identity > JUNK
        probes = np.flatnonzero((stored.split == Split.QUERY) & (identity > DISTRACTOR))
        others = np.flatnonzero((stored.split == Split.GALLERY) & known)
        _require(collection, Split.QUERY, probes, "probes with a known identity")
        _require(collection, Split.GALLERY, others, "gallery images with a known identity")
        for rows, what in ((probes, "queries"), (others, "gallery images")):
            unknown = int((camera[rows] == UNKNOWN).sum())
            if unknown:
                raise UnknownCamera(
                    f"the cameras of {unknown} {what} are not known, and the protocol needs them",
                    hint="Name the files like 0002_c1s1_000451_03.jpg or give a CSV with the "
                    "column camera, and ingest again.",
                )
        if multi_query:
            pool = np.flatnonzero(stored.split == Split.MULTI_QUERY)
            _require(collection, Split.MULTI_QUERY, pool, "multi-query images")
            vectors = _pooled(stored, vectors)
        return cls(stored, vectors, probes, others)

    @property
    def probe_labels(self) -> Labels:
        return self.stored.labels[self.probes]

    @property
    def gallery_labels(self) -> Labels:
        return self.stored.labels[self.gallery]

    @property
    def probe_ids(self) -> Ids:
        """The probes' image ids, Q."""
        return self.stored.ids[self.probes]

    @property
    def probe_paths(self) -> list[str]:
        """The probes' paths in their data sets, Q."""
        paths: list[str] = self.stored.path[self.probes].tolist()
        return paths

    def seen(self, ranking: Ranking) -> tuple[Sighted, Sighted] | None:
        """Where and when probes and gallery were taken, for a ranking by times."""
        if ranking.calibration is None:
            return None
        camera = self.stored.labels.camera
        times = self.stored.times(ranking.calibration.transit.clock)
        mine, theirs = (Sighted(camera[rows], times[rows]) for rows in (self.probes, self.gallery))
        return mine, theirs


def _pooled(stored: StoredImages, vectors: Vectors) -> Vectors:
    """The vectors, with those of queries replaced by means over their multi-query images."""
    pools: dict[tuple[int, int], list[int]] = defaultdict(list)
    keys = list(zip(stored.labels.identity.tolist(), stored.labels.camera.tolist(), strict=True))
    for row in np.flatnonzero(stored.split == Split.MULTI_QUERY).tolist():
        pools[keys[row]].append(row)
    pooled = vectors.copy()
    for row in np.flatnonzero(stored.split == Split.QUERY).tolist():
        if keys[row] in pools:
            pooled[row] = feedback.pooled(vectors[pools[keys[row]]])
    return pooled


def _require_whole(collection: Collection) -> None:
    """What another encoder's ingest left undone, or one of a data set without known people, is of
    no concern here."""
    catalog, encoder_id = collection.catalog, collection.encoder_id
    datasets = catalog.embeddings.labelled_datasets(encoder_id, SPLITS)
    pending = catalog.embeddings.count(encoder_id, State.PENDING, SPLITS, datasets=datasets)
    if pending or datasets & catalog.runs.half_recorded(encoder_id):
        waiting = f": {pending} images wait for their vectors" if pending else ""
        raise IncompleteGallery(
            f"the gallery is half ingested{waiting}",
            hint="Let the ingest end, or run the same ingest again to go on where it stopped.",
        )


def _require(collection: Collection, split: Split, rows: Rows, what: str) -> None:
    if len(rows):
        return
    counts = [row for row in collection.catalog.images.counts() if row.state == State.INDEXED]
    mine = collection.fingerprint
    others = {row.encoder[:8] for row in counts if row.split == split and row.encoder != mine}
    here = ", ".join(sorted({row.split for row in counts if row.encoder == mine}))
    raise EmptyGallery(
        f"the gallery holds no {what}"
        + (f" from the encoder {collection.encoder_name}" if others else ""),
        hint="Encoder {others} has that split; queries and gallery must be of one encoder: ingest "
        "both with the same {encoder}."
        if others
        else "Stored splits: {here}. Ingest the {wanted} split too, from a Market-1501 folder or "
        "from a CSV with the columns path, split, camera, identity.",
        others=", ".join(sorted(others)),
        here=here,
        wanted=str(split),
    )
