"""How gallery images are ranked: one object, which search and evaluation share.

A score starts from appearance: the cosine, or 1 - the re-ranked distance. Where transit times are
used, the weighted log-likelihood ratio of the time between two sightings adds to it. A new way to
rank belongs here, and shows in the two places that use it: ``search.query`` for one probe against a
store, ``evaluation.protocol`` for all probes against arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np

from reidsearch.ranking import rerank, transit
from reidsearch.ranking.calibration import Calibration, Source
from reidsearch.ranking.clock import Times
from reidsearch.types import Distances, Ids, Vectors

BLOCK = 256  # the most probes whose distances are held at once
BLOCK_DISTANCES = 1 << 25  # and the most of these: 128 MB
# Of the weight of times, beside vectors whose neighbours times have helped to choose. The best for
# people held out from training (train/RESULTS.md).
EXPANDED_SHARE = 0.5


class Sighted(NamedTuple):
    """Where and when N images were taken: the catalog's ids of their cameras (N), and the time on
    the calibration's clock (N), NaN where it is not known."""

    camera: Ids
    times: Times

    def at(self, rows: Ids | slice) -> "Sighted":
        """Those of these rows."""
        return Sighted(self.camera[rows], self.times[rows])


class Expanded(StrEnum):
    """How the neighbours are chosen that expanded vectors carry."""

    NOT = "not"  # no vector carries any
    APPEARANCE = "appearance"
    TIMES = "times"  # by appearance and by transit times


class Ranked(Protocol):
    """How hits were ranked, as people are told of it; a ``Ranking`` is one."""

    @property
    def reranked(self) -> bool:
        """Whether k-reciprocal neighbours were taken in place of the cosine."""

    @property
    def is_expanded(self) -> bool:
        """Whether vectors carry neighbours."""

    @property
    def spatio_temporal(self) -> bool:
        """Whether transit times are in the scores."""

    @property
    def candidates(self) -> int | None:
        """How many of the nearest are re-ranked at most, None where all are."""

    @property
    def words(self) -> tuple[str, ...]:
        """What was used beside single cosines, for people."""

    @property
    def uses(self) -> tuple[str, ...]:
        """What was known beside a probe and single vectors, in the words of a benchmark's table."""


@dataclass(frozen=True)
class Ranking:
    """Appearance alone, or also what else is given here.

    ``calibration`` adds transit times; ``reranked`` takes k-reciprocal neighbours among all images
    in place of the cosine, or among the nearest ``candidates`` alone, where these are given.
    ``expanded`` says which neighbours the vectors carry, that cosines are
    taken of; ``camera_means``, that what their cameras add was taken out of them, as it always is
    of expanded ones.
    """

    calibration: Calibration | None = None
    reranked: bool = False
    expanded: Expanded = Expanded.NOT
    camera_means: bool = False
    candidates: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        used = [reranked_words(self.candidates)] if self.reranked else []
        if self.is_expanded:
            used.append("expanded")
        elif self.camera_means:
            used.append("camera means out")
        if self.calibration is not None:
            used.append(f"transit times from {self.calibration.source}")
        return tuple(used)

    @property
    def spatio_temporal(self) -> bool:
        return self.calibration is not None

    @property
    def is_expanded(self) -> bool:
        return self.expanded is not Expanded.NOT

    @property
    def uses(self) -> tuple[str, ...]:
        used = []
        if self.reranked or self.is_expanded or self.camera_means:
            used.append("the unlabelled gallery")
        if self.calibration is not None or self.expanded is Expanded.TIMES:
            used.append("times")
        if self.calibration is not None and self.calibration.source is not Source.MATCHES:
            used.append(f"labels of {self.calibration.source}")
        return tuple(used)

    @property
    def neighbours(self) -> Expanded:
        """How this ranking chooses neighbours."""
        return Expanded.APPEARANCE if self.calibration is None else Expanded.TIMES

    def added(self, probes: Sighted, gallery: Sighted) -> Vectors:
        """What times add to the scores of Q probes with G gallery images: Q x G. 0 within a camera
        and where a time is not known."""
        if self.calibration is None:
            return np.zeros((len(probes.camera), len(gallery.camera)), dtype=np.float32)
        ratios = self.calibration.transit.ratios(*probes, *gallery)
        return np.float32(self._weight) * ratios

    def most_added(self, probes: Sighted) -> Vectors:
        """The most that times can add to a score of each of Q probes: Q."""
        if self.calibration is None:
            return np.zeros(len(probes.camera), dtype=np.float32)
        return np.float32(self._weight) * self.calibration.transit.most(probes.camera)

    def added_to_pairs(self, a: Sighted, b: Sighted) -> Vectors:
        """The same of P pairs of images: P."""
        if self.calibration is None:
            return np.zeros(len(a.camera), dtype=np.float32)
        ratios = self.calibration.transit.of_pairs(*a, *b)
        return np.float32(self._weight) * ratios

    def distances(
        self,
        probes: Vectors,
        gallery: Vectors,
        *,
        seen: tuple[Sighted, Sighted] | None,
        at_once: int = BLOCK,
    ) -> Iterator[Distances]:
        """1 - score of all Q probes with all G gallery images, a block of probes at a time (B x G).

        ``probes`` is Q x D and ``gallery`` G x D, of unit length; ``seen`` says where and when both
        were taken, and may be None without a calibration. A block of cosines is of ``at_once``
        probes at most.
        """
        start = 0
        for distances in self._by_appearance(probes, gallery, at_once):
            rows = slice(start, start + len(distances))
            start = rows.stop
            if self.calibration is not None and seen is not None:
                mine, theirs = seen
                distances -= self.added(mine.at(rows), theirs)
            yield distances

    def _by_appearance(
        self, probes: Vectors, gallery: Vectors, at_once: int
    ) -> Iterator[Distances]:
        if self.reranked:
            yield from rerank.rerank(probes, gallery)
            return
        for rows in blocks(len(probes), len(gallery), at_once=at_once):
            yield 1 - probes[rows] @ gallery.T

    @property
    def _weight(self) -> float:
        if self.calibration is None:
            return 0.0
        if self.reranked:
            return transit.RERANKED_WEIGHT
        share = 1.0 if self.expanded is Expanded.NOT else EXPANDED_SHARE
        return share * self.calibration.weight


def reranked_words(candidates: int | None) -> str:
    """That hits were re-ranked, and among whom, for people."""
    return "re-ranked" if candidates is None else f"re-ranked among the nearest {candidates:,}"


def blocks(probes: int, gallery: int, *, at_once: int = BLOCK) -> Iterator[slice]:
    """The probes in runs short enough that their distances to the gallery need little memory."""
    size = max(1, min(at_once, BLOCK_DISTANCES // gallery))
    for start in range(0, probes, size):
        yield slice(start, min(start + size, probes))
