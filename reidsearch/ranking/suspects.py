"""Which labels are suspicious: crops that look like somebody else, seen from other cameras."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from reidsearch.ranking.arrays import groups
from reidsearch.types import DISTRACTOR, UNKNOWN, Ids, Labels, Vectors

STRANGERS = 10  # nearest crops that all must be somebody else
BLOCK = 1024  # crops whose cosines to all others are held at once


@dataclass(frozen=True)
class Suspicions:
    """S crops, the worst first, as positions: each one's nearest crop of its ``own`` person and of
    an ``other`` one, and their cosines. All arrays have length S."""

    rows: Ids
    own: Ids
    other: Ids
    own_score: Vectors
    other_score: Vectors

    @property
    def margin(self) -> Vectors:
        """By how much the other one's cosine is greater."""
        return self.other_score - self.own_score

    @classmethod
    def together(cls, *parts: Self) -> Self:
        """Those of all parts, the worst first; ties by position."""
        columns = ("rows", "own", "other", "own_score", "other_score")
        joined = cls(*(np.concatenate([getattr(part, c) for part in parts]) for c in columns))
        order = np.lexsort((joined.rows, -joined.margin))
        return cls(*(getattr(joined, c)[order] for c in columns))


def suspicions(
    vectors: Vectors,
    labels: Labels,
    *,
    of: Ids,
    among: Ids,
    strangers: int = STRANGERS,
    at_once: int = BLOCK,
) -> Suspicions:
    """Of the crops at the positions ``of`` those that have their ``strangers`` nearest among the
    crops at ``among``, all of them somebody else.

    Only people count, neither junk nor distractors, and only crops from other cameras than a crop's
    own: those from the same one show the same walk, with the same label. Where a camera is not
    known, all but the crop itself count. Nothing can be said of people without such a crop. Takes
    time by the product of the two numbers.
    """
    of, among = (rows[labels.identity[rows] > DISTRACTOR] for rows in (of, among))
    among = among[np.argsort(labels.identity[among], kind="stable")]
    found = [_none()]
    for camera, places in groups(labels.camera[of]).items():
        theirs = among
        if camera != UNKNOWN:
            theirs = among[labels.camera[among] != camera]
        if len(theirs) <= strangers:
            continue
        people = labels.identity[theirs]
        others = vectors[theirs]
        for start in range(0, len(places), at_once):
            rows = of[places[start : start + at_once]]
            cosines = vectors[rows] @ others.T
            if camera == UNKNOWN:
                cosines[rows[:, None] == theirs] = -np.inf
            found.append(_of_block(cosines, labels.identity[rows], people, rows, theirs, strangers))
    return Suspicions.together(*found)


def _none() -> Suspicions:
    nobody, nothing = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    return Suspicions(nobody, nobody, nobody, nothing, nothing)


def _of_block(
    cosines: Vectors, who: Ids, people: Ids, rows: Ids, theirs: Ids, strangers: int
) -> Suspicions:
    """Those of one block; ``people`` ascend, so that each one's columns stand side by side."""
    first, last = np.searchsorted(people, who), np.searchsorted(people, who, side="right")
    nearest = np.full(len(rows), -1)
    own = np.full(len(rows), -np.inf, dtype=np.float32)
    for row, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if stop > start:
            nearest[row] = start + int(cosines[row, start:stop].argmax())
            own[row] = cosines[row, nearest[row]]
    nearer = (cosines > own[:, None]).sum(axis=1)  # of one's own there is none
    kept = np.flatnonzero((nearer >= strangers) & np.isfinite(own))
    best = cosines[kept].argmax(axis=1)
    return Suspicions(
        rows[kept], theirs[nearest[kept]], theirs[best], own[kept], cosines[kept, best]
    )
