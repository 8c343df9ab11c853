"""Where was this person? The hits for one probe as stays at cameras, in time order."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reidsearch import audit, calibrate, documents, search
from reidsearch.answer import Hit
from reidsearch.collection import Collection
from reidsearch.errors import NotCalibrated, UnknownCamera, UsageError
from reidsearch.probe import Probe
from reidsearch.ranking.calibration import Calibration
from reidsearch.ranking.clock import FRAMES, SECONDS, Clock
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.search import Scored
from reidsearch.session import Session
from reidsearch.types import Filter, Split
from reidsearch.views import lanes

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
    other, or seconds since 1970 UTC; None without times. ``picture`` are the probe's bytes."""

    query: str
    camera: int | None
    identity: int | None
    threshold: float
    rate: float | None
    spatio_temporal: bool
    unit: str | None
    stays: tuple[Stay, ...]
    picture: bytes | None = field(default=None, repr=False, compare=False)

    def document(self) -> documents.TraceDocument:
        """As a JSON document."""
        return documents.trace(self)

    def save(self, path: str | Path) -> None:
        """Draw it, a lane for each camera; .png. Raises UsageError on another ending."""
        lanes.save(self, Path(path))


def trace(
    session: Session,
    probe: Probe,
    *,
    false_matches: float | None = None,
    min_score: float | None = None,
    rates: Sequence[float] = DEFAULT_RATES,
    pauses: Mapping[str, float] = PAUSE,
) -> Trace:
    """The hits for a probe above a threshold, as stays; logged.

    The threshold is ``min_score``, or the calibrated score that at most a share ``false_matches``
    of the pairs of different people reach; by default the first of ``rates`` that the gallery has
    enough pairs to tell. Transit times join the score where they are known and the probe's camera
    and time are. A stay ends where nobody is seen for one of ``pauses``, by the unit of times.
    Raises NotCalibrated without either threshold, UsageError where the gallery is too small for so
    low a rate, and as ``search.query`` does.
    """
    if false_matches is not None:
        if not 0 < false_matches < 1:
            raise UsageError(
                f"{false_matches} is no rate of false matches", hint="Give one between 0 and 1."
            )
        rates = (false_matches,)
    collection, encoder = session.searchable()
    try:
        calibration = calibrate.load(collection)
    except NotCalibrated:
        calibration = None
    seen = _seen(probe, calibration, collection)
    ranking = Ranking(calibration if seen is not None else None)
    threshold, rate = min_score or 0.0, None
    if min_score is None:
        threshold, rate = _threshold(calibration, rates, timed=seen is not None)
    found = search.find(
        search.encode(probe, encoder),
        collection=collection,
        where=Filter(split=Split.GALLERY),
        min_score=threshold,
        ranking=ranking,
        seen=seen,
        margin=FETCHED,
    )
    unit, times = _times(collection, found, calibration)
    traced = Trace(
        query=probe.name,
        camera=probe.seen.camera,
        identity=probe.seen.identity,
        threshold=threshold,
        rate=rate,
        spatio_temporal=seen is not None,
        unit=unit,
        stays=_stays(search.hits(found), times, pauses.get(unit or "", np.inf)),
        picture=probe.data,
    )
    audit.record(
        session,
        probe,
        command="trace",
        filters={"camera": traced.camera, "threshold": threshold, "rate": rate},
        hits=len(found),
    )
    return traced


def _seen(probe: Probe, calibration: Calibration | None, collection: Collection) -> Sighted | None:
    """Where and when the probe was taken; None where that is not known, or of no use."""
    if calibration is None:
        return None
    try:
        return search.sighted(probe, calibration, collection)
    except (UnknownCamera, UsageError):
        return None


def _threshold(
    calibration: Calibration | None, rates: Sequence[float], *, timed: bool
) -> tuple[float, float]:
    """The score of the first rate that can be told, and that rate."""
    if calibration is None:
        raise NotCalibrated(
            "which score means the same person has not been learned from this gallery",
            hint="Learn it with: {calibrate}, or give a score with {min_score}.",
        )
    known = calibration.scores if timed else calibration.cosines
    for rate in rates:
        threshold = known.threshold(rate)
        if threshold is not None:
            return threshold, rate
    raise UsageError(
        f"the gallery has too few pairs of images to tell a false match rate of {rates[-1]:g}",
        hint="Give a greater {false_matches}, or a score with {min_score}.",
    )


def _times(
    collection: Collection, found: Sequence[Scored], calibration: Calibration | None
) -> tuple[str | None, dict[int, float]]:
    """The unit of times, and the time of each hit (by id) that has one."""
    if calibration is not None:
        clock = calibration.transit.clock
    else:
        spans = collection.catalog.images.spans(collection.encoder_id, Split.GALLERY)
        try:
            clock = Clock.of_spans(spans)
        except UsageError:
            return None, {}
    images = [one.image for one in found]
    times = search.sightings(images, clock).times.tolist()
    pairs = zip(images, times, strict=True)
    return clock.unit, {image.id: time for image, time in pairs if np.isfinite(time)}


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
