"""Stays: what was found as visits at cameras, where and when people were seen."""

import bisect
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from reidsearch import names
from reidsearch.catalog.records import ImageRecord
from reidsearch.errors import UsageError
from reidsearch.ranking.calibration import Calibration
from reidsearch.ranking.clock import FRAMES, SECONDS, Clock
from reidsearch.ranking.ranking import Sighted
from reidsearch.search.answer import Hit
from reidsearch.types import Split, known_or_unknown
from reidsearch.vectors.collection import Collection

Place: TypeAlias = tuple[str, tuple[bool, int, str], int]

PAUSE = {FRAMES: 1500.0, SECONDS: 60.0}  # a minute unseen ends a stay


@dataclass(frozen=True, slots=True)
class Stay:
    """Hits from one camera and sequence, no PAUSE apart, the best first. ``start`` and ``end`` are
    in frames or seconds since 1970 UTC, None where times are not known."""

    camera: int | str | None
    site: str
    sequence: int | None
    start: float | None
    end: float | None
    hits: tuple[Hit, ...]


def sightings(images: Sequence[ImageRecord], clock: Clock) -> Sighted:
    """Where and when these images were taken, by that clock."""
    camera = known_or_unknown(one.camera_id for one in images)
    times = clock.times(
        camera,
        known_or_unknown(one.sequence for one in images),
        known_or_unknown(one.frame for one in images),
        np.array([one.timestamp for one in images], dtype=np.float64),
    )
    return Sighted(camera, times)


def clock_of(collection: Collection, split: Split, calibration: Calibration | None) -> Clock | None:
    """The clock that was calibrated with, or else the one that fits a split's images; None where
    none of them has a time."""
    if calibration is not None:
        return calibration.transit.clock
    try:
        return Clock.of_spans(collection.catalog.images.spans(collection.encoder_id, split))
    except UsageError:
        return None


def of(
    images: Sequence[ImageRecord],
    hits: Sequence[Hit],
    clock: Clock | None,
    *,
    pauses: Mapping[str, float] = PAUSE,
) -> tuple[Stay, ...]:
    """The hits, of these images in the same order, as stays in time order. One ends where nobody is
    seen for one of ``pauses``, by the unit of times; without a clock a camera's sequence is one."""
    times, pause = _times(images, clock), _pause(clock, pauses)
    found = []
    ordered = sorted(hits, key=lambda hit: (_place(hit), times.get(hit.id, np.inf)))
    for _, group in itertools.groupby(ordered, key=_place):
        run: list[Hit] = []
        last = None
        for hit in group:
            now = times.get(hit.id)
            if run and last is not None and (now is None or now - last > pause):
                found.append(_stay(run, times))
                run = []
            run.append(hit)
            last = now
        found.append(_stay(run, times))
    return tuple(sorted(found, key=lambda s: np.inf if s.start is None else s.start))


def covered(
    images: Sequence[ImageRecord],
    hits: Sequence[Hit],
    clock: Clock | None,
    *,
    most: int,
    pauses: Mapping[str, float] = PAUSE,
) -> int:
    """How many of the hits, taken in their order, make at most so many stays: those before the one
    with which it would be more for the first time."""
    times, pause = _times(images, clock), _pause(clock, pauses)
    untimed: set[Place] = set()
    timed: dict[Place, list[float]] = defaultdict(list)
    count = 0
    for nth, hit in enumerate(hits):
        now = times.get(hit.id)
        if now is None:
            count += _place(hit) not in untimed
            untimed.add(_place(hit))
        else:
            here = timed[_place(hit)]
            at = bisect.bisect(here, now)
            # There is one stay more than pauses among a place's times.
            around = here[max(at - 1, 0) : at + 1]
            parts = [*here[max(at - 1, 0) : at], now, *here[at : at + 1]]
            count += _pauses(parts, pause) - _pauses(around, pause) + (not here)
            here.insert(at, now)
        if count > most:
            return nth
    return len(hits)


def _pauses(times: Sequence[float], pause: float) -> int:
    return sum(b - a > pause for a, b in itertools.pairwise(times))


def _times(images: Sequence[ImageRecord], clock: Clock | None) -> dict[int, float]:
    """The time of each image, by its id, that has one."""
    if clock is None:
        return {}
    times = sightings(images, clock).times.tolist()
    return {one.id: time for one, time in zip(images, times, strict=True) if np.isfinite(time)}


def _pause(clock: Clock | None, pauses: Mapping[str, float]) -> float:
    return np.inf if clock is None else pauses[clock.unit]


def _place(hit: Hit) -> Place:
    """A camera's sequence."""
    camera = names.order("" if hit.camera is None else str(hit.camera))
    return hit.site, camera, -1 if hit.sequence is None else hit.sequence


def _stay(hits: Sequence[Hit], times: dict[int, float]) -> Stay:
    known = [times[hit.id] for hit in hits if hit.id in times]
    best = sorted(hits, key=lambda hit: hit.rank)
    return Stay(
        camera=best[0].camera,
        site=best[0].site,
        sequence=best[0].sequence,
        start=min(known, default=None),
        end=max(known, default=None),
        hits=tuple(best),
    )
