"""What the catalog keeps of the images whose expanded vectors were made, so that a few new ones
take what they need and no more: whose neighbours each one carries, where and when it was taken, in
which cells it looks, and a rough copy of its vector.

It is kept in parts, that of an image at home in a cell with the others there; where all pairs are
compared, parts are of any images. All of a gallery's parts are read without their copies, which
take far less than vectors do; copies are read of the parts that are looked through.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from reidsearch.catalog import StoredImages
from reidsearch.ranking.cells import Division
from reidsearch.ranking.expansion import NONE, Neighbours
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.ranking.rough import Rough
from reidsearch.types import Ids, Vectors
from reidsearch.vectors.collection import Collection

PARTS = 64  # in which a gallery is kept where all pairs are compared


@dataclass(frozen=True)
class Carried:
    """N images, by ascending ``ids`` (N): the catalog's id of the ``dataset`` of each (N), where
    and when it was ``seen``, the ids of its ``nearest`` (N x K, NONE where there are fewer) and
    their ``scores`` (N x K), the cells in which it has ``looked`` (N x P, the nearest, where it is
    at home, first; P is 0 where all pairs are compared), and ``step`` and ``error`` of its rough
    copy (N)."""

    ids: Ids
    dataset: Ids
    seen: Sighted
    nearest: Ids
    scores: Vectors
    looked: Ids
    step: Vectors
    error: Vectors

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Ids) -> "Carried":
        seen = self.seen.at(rows)
        return Carried(
            self.ids[rows],
            self.dataset[rows],
            seen,
            self.nearest[rows],
            self.scores[rows],
            self.looked[rows],
            self.step[rows],
            self.error[rows],
        )

    def with_those(self, others: "Carried") -> "Carried":
        """These images and others, in the order of their ids."""
        seen = Sighted(*(np.concatenate(both) for both in zip(self.seen, others.seen, strict=True)))
        whole = Carried(
            seen=seen,
            **{
                one.name: np.concatenate([getattr(self, one.name), getattr(others, one.name)])
                for one in fields(self)
                if one.name != "seen"
            },
        )
        return whole[np.argsort(whole.ids)]

    @property
    def parts(self) -> Ids:
        """In which part each is kept (N)."""
        return self.looked[:, 0] if self.looked.shape[1] else self.ids % PARTS

    @classmethod
    def of(
        cls,
        stored: StoredImages,
        ranking: Ranking,
        division: Division | None,
        lists: Neighbours,
    ) -> Self:
        """These images, as the catalog describes them, with their neighbours, positions among
        them, before they are ``copied``."""
        unknown = np.zeros(len(stored), dtype=np.float32)
        return cls(
            stored.ids,
            stored.dataset,
            seen_by(stored, ranking),
            np.where(lists.nearest == NONE, NONE, stored.ids[lists.nearest]),
            lists.scores,
            np.empty((len(stored), 0), dtype=np.int64) if division is None else division.looked,
            unknown,
            unknown,
        )

    def copied(self, rough: Rough) -> "Carried":
        """The same, of whose vectors these are the copies."""
        return replace(self, step=rough.step, error=rough.error)

    def to_bytes(self) -> bytes:
        """As ``of_bytes`` reads it."""
        entries = np.empty(len(self), _entry(self.nearest.shape[1], self.looked.shape[1]))
        entries["camera"], entries["time"] = self.seen
        for one in ("ids", "dataset", "nearest", "scores", "looked", "step", "error"):
            entries[one] = getattr(self, one)
        return entries.tobytes()

    @classmethod
    def of_bytes(cls, parts: Iterable[bytes], *, k: int, looked_in: int) -> Self:
        """All of these parts; so many are the K nearest, and the P cells that each has looked in.
        Raises ValueError where these are not such parts."""
        entries = np.frombuffer(b"".join(parts), _entry(k, looked_in))
        entries = entries[np.argsort(entries["ids"])]
        seen = Sighted(entries["camera"].astype(np.int64), entries["time"].astype(np.float64))
        return cls(
            entries["ids"].astype(np.int64),
            entries["dataset"].astype(np.int64),
            seen,
            entries["nearest"].astype(np.int64),
            entries["scores"].astype(np.float32),
            entries["looked"].astype(np.int64),
            entries["step"].astype(np.float32),
            entries["error"].astype(np.float32),
        )


def seen_by(stored: StoredImages, ranking: Ranking) -> Sighted:
    """Where all of these images were taken, and when, where that matters to a ranking."""
    times = np.full(len(stored), np.nan)
    if ranking.calibration is not None:
        times = stored.times(ranking.calibration.transit.clock)
    return Sighted(stored.labels.camera, times)


def sites(collection: Collection, dataset: Ids) -> Ids:
    """A number for the site of each of N data sets' ids."""
    site = {one.id: one.site for one in collection.catalog.places.datasets()}
    names = sorted(set(site.values()))
    which, of = np.unique(dataset, return_inverse=True)
    numbers = np.array([names.index(site[id]) for id in which.tolist()], dtype=np.int64)
    found: Ids = numbers[of]
    return found


def _entry(k: int, looked_in: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("ids", "<i8"),
            ("dataset", "<i8"),
            ("camera", "<i8"),
            ("time", "<f8"),
            ("nearest", "<i8", (k,)),
            ("scores", "<f4", (k,)),
            ("looked", "<u2", (looked_in,)),
            ("step", "<f4"),
            ("error", "<f4"),
        ]
    )
