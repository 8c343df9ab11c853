"""Where was this person? The hits for one probe as stays at cameras, in time order."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidsearch import search
from reidsearch.calibrate import Calibration
from reidsearch.encoder import Encoder
from reidsearch.errors import NotCalibrated, UnknownCamera, UsageError
from reidsearch.gallery import Gallery
from reidsearch.ranking.clock import FRAMES, SECONDS, Clock
from reidsearch.types import Answer, Hit, Split

PAUSE = {FRAMES: 1500.0, SECONDS: 60.0}  # a minute unseen ends a stay
FETCHED = 100  # hits asked for at first
DEFAULT_RATES = (1e-4, 1e-3, 1e-2)  # of false matches


@dataclass(frozen=True)
class Stay:
    """Hits from one camera and sequence, no PAUSE apart, the best first. ``start`` and ``end`` are
    in the trace's unit, None where times are not known."""

    camera: int | None
    sequence: int | None
    start: float | None
    end: float | None
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Trace:
    """The ``stays`` of the person at ``query``, in time order: all hits with at least the score
    ``threshold``, which this ``rate`` of the pairs of different people reach (None where the
    threshold was given). ``unit`` is that of times: frames, over a camera's sequences one after the
    other, or seconds since 1970 UTC; None without times."""

    query: str
    camera: int | None
    identity: int | None
    threshold: float
    rate: float | None
    spatio_temporal: bool
    unit: str | None
    stays: tuple[Stay, ...]


def trace(
    probe: Path,
    *,
    gallery: Gallery,
    encoder: Encoder,
    calibration: Calibration | None,
    rate: float | None = None,
    min_score: float | None = None,
    camera: int | None = None,
    timestamp: float | None = None,
) -> Trace:
    """The hits for the picture at ``probe`` above a threshold, as stays.

    The threshold is ``min_score``, or the calibrated score that at most a share ``rate`` of the
    pairs of different people reach; by default the first of DEFAULT_RATES that the gallery has
    enough pairs to tell. Transit times join the score where they are known and the probe's camera
    and time are. Raises NotCalibrated without either threshold, UsageError where the gallery is too
    small for so low a rate, and as ``search.answer`` does.
    """
    timed = calibration
    rates = DEFAULT_RATES if rate is None else (rate,)
    threshold, rate = min_score or 0.0, None
    while True:
        if min_score is None:
            threshold, rate = _threshold(calibration, rates, timed=timed is not None)
        try:
            answer = _answer(probe, gallery, encoder, timed, threshold, camera, timestamp)
            break
        except (UnknownCamera, UsageError):
            if timed is None:
                raise
            timed = None  # where or when the probe was taken is not known
    unit, times = _times(gallery, answer.hits, calibration)
    return Trace(
        query=answer.query,
        camera=answer.camera,
        identity=answer.identity,
        threshold=threshold,
        rate=rate,
        spatio_temporal=timed is not None,
        unit=unit,
        stays=_stays(answer.hits, times, PAUSE.get(unit or "", np.inf)),
    )


def _answer(
    probe: Path,
    gallery: Gallery,
    encoder: Encoder,
    calibration: Calibration | None,
    threshold: float,
    camera: int | None,
    timestamp: float | None,
) -> Answer:
    """All hits of at least that score."""
    top_k = FETCHED
    while True:
        answer = search.answer(
            probe,
            gallery=gallery,
            encoder=encoder,
            camera=camera,
            top_k=top_k,
            min_score=threshold,
            calibration=calibration,
            timestamp=timestamp,
        )
        if len(answer.hits) < top_k:
            return answer
        top_k *= 4


def _threshold(
    calibration: Calibration | None, rates: Sequence[float], *, timed: bool
) -> tuple[float, float]:
    """The score of the first rate that can be told, and that rate."""
    if calibration is None:
        raise NotCalibrated(
            "which score means the same person has not been learned from this gallery",
            hint="Learn it with: reidsearch calibrate, or give a score with --min-score.",
        )
    known = calibration.scores if timed else calibration.cosines
    for rate in rates:
        threshold = known.threshold(rate)
        if threshold is not None:
            return threshold, rate
    raise UsageError(
        f"the gallery has too few pairs of images to tell a false match rate of {rates[-1]:g}",
        hint="Give a greater --false-matches, or a score with --min-score.",
    )


def _times(
    gallery: Gallery, hits: Sequence[Hit], calibration: Calibration | None
) -> tuple[str | None, dict[int, float]]:
    """The unit of times, and the time of each hit (by id) that has one."""
    stored = gallery.catalog.images.stored(gallery.encoder_id, [Split.GALLERY])
    if calibration is not None:
        clock = calibration.transit.clock
    else:
        labels = stored.labels
        try:
            clock = Clock.of(labels.camera, stored.sequence, stored.frame, stored.timestamp)
        except UsageError:
            return None, {}
    at = np.searchsorted(stored.ids, np.array([hit.id for hit in hits], dtype=np.int64))
    times = stored.times(clock)[at].tolist()
    known = {hit.id: t for hit, t in zip(hits, times, strict=True) if np.isfinite(t)}
    return clock.unit, known


def _stays(hits: Sequence[Hit], times: dict[int, float], pause: float) -> tuple[Stay, ...]:
    def place(hit: Hit) -> tuple[int, int]:
        camera = -1 if hit.camera is None else hit.camera
        return camera, -1 if hit.sequence is None else hit.sequence

    stays = []
    ordered = sorted(hits, key=lambda hit: (place(hit), times.get(hit.id, np.inf)))
    for _, group in itertools.groupby(ordered, key=place):
        run: list[Hit] = []
        last = None
        for hit in group:
            now = times.get(hit.id)
            if run and last is not None and (now is None or now - last > pause):
                stays.append(_stay(run, times))
                run = []
            run.append(hit)
            last = now
        stays.append(_stay(run, times))
    return tuple(sorted(stays, key=lambda s: np.inf if s.start is None else s.start))


def _stay(hits: Sequence[Hit], times: dict[int, float]) -> Stay:
    known = [times[hit.id] for hit in hits if hit.id in times]
    best = sorted(hits, key=lambda hit: hit.rank)
    return Stay(
        camera=best[0].camera,
        sequence=best[0].sequence,
        start=min(known, default=None),
        end=max(known, default=None),
        hits=tuple(best),
    )
