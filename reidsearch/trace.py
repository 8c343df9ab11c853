"""Where was this person? The hits for one probe as stays at cameras, in time order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from reidsearch import (
    audit,
    calibrate,
    documents,
    names,
    places,
    search,
    stays,
    thresholds,
)
from reidsearch.collection import Collection
from reidsearch.encoder import Encoder
from reidsearch.errors import NotCalibrated, UnknownCamera, UsageError
from reidsearch.places import Scope
from reidsearch.probe import Probe
from reidsearch.question import Question
from reidsearch.ranking.calibration import Calibration
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.search import Scored
from reidsearch.session import Session
from reidsearch.stays import PAUSE, Stay
from reidsearch.times import Zone
from reidsearch.types import Filter, Split, Vectors, check_span
from reidsearch.views import lanes

FETCHED = 100  # hits asked for at first
DEFAULT_RATES = tuple(10 ** (-k / 4) for k in range(8, 27))  # of false matches, 1e-2 to 3e-7
EXAMPLES = 10  # hits that join the probe in looking once more
STRICTEST = 1e-4  # of the rates, where pairs of one person count among those of different people
FALSE_SHARE = 0.1  # of the hits, that may be expected to be somebody else


class Origin(StrEnum):
    """Where a threshold comes from."""

    GIVEN = "given"
    GALLERY = "gallery"  # its calibration
    ENCODER = "encoder"  # what the encoder brings

    @property
    def words(self) -> str:
        """For people."""
        return {"given": "you", "gallery": "the gallery", "encoder": "the encoder"}[self]


@dataclass(frozen=True)
class Trace:
    """The ``stays`` of the person at ``query``, in time order: all hits with at least the score
    ``threshold``, which this ``rate`` of the pairs of different people reach (None where the
    threshold was given), and which comes from ``origin``. ``nearest`` is the best score there is,
    None where nothing is stored that was asked for. ``unit`` is that of times: frames, over a
    camera's sequences one after the other, or seconds since 1970 UTC; None without times.
    ``warnings`` say what may be wrong with the probe, ``picture`` are its bytes, and times are
    shown in ``zone``. In a notebook it shows as lanes."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    threshold: float
    rate: float | None
    origin: Origin
    nearest: float | None
    spatio_temporal: bool
    unit: str | None
    stays: tuple[Stay, ...]
    warnings: tuple[str, ...] = ()
    picture: bytes | None = field(default=None, repr=False, compare=False)
    zone: Zone = field(default=None, repr=False, compare=False)

    def document(self) -> documents.TraceDocument:
        """As a JSON document."""
        return documents.trace(self)

    def save(self, path: str | Path) -> None:
        """Draw it, a lane for each camera; .png or .html. Raises UsageError on another ending."""
        lanes.save(self, Path(path))

    def _repr_png_(self) -> bytes:
        return lanes.png(self)


def trace(
    session: Session,
    probe: Probe,
    *,
    site: str | None = None,
    dataset: str | None = None,
    since: float | None = None,
    until: float | None = None,
    false_matches: float | None = None,
    min_score: float | None = None,
    rates: Sequence[float] = DEFAULT_RATES,
    pauses: Mapping[str, float] = PAUSE,
) -> Trace:
    """The hits for a probe above a threshold, as stays; logged.

    The threshold is ``min_score``, or the score that at most a share ``false_matches`` of the pairs
    of different people reach; by default the one of ``rates`` that lets most hits through of which
    no more than FALSE_SHARE are expected to be false, in a gallery of this size. The gallery's
    calibration tells it, or else the encoder. Then the best EXAMPLES hits join the probe in a
    second search, whose scores are means over all of them. Transit times join the score where they
    are known and the probe's camera and time are. A stay ends where nobody is seen for one of
    ``pauses``, by the unit of times.
    Raises NotCalibrated without any threshold, UsageError where the gallery is too small for so
    low a rate, and as ``search.query`` does.
    """
    audit.require_log(session)
    check_span(since, until)
    probe = places.recognised(session.catalog, probe)
    if false_matches is not None:
        if not 0 < false_matches < 1:
            raise UsageError(
                f"{false_matches} is no rate of false matches", hint="Give one between 0 and 1."
            )
        rates = (false_matches,)
    collection, encoder = session.searchable()
    calibration = calibrate.known(collection)
    scope = places.scope(session.catalog, site=site, dataset=dataset)
    told_apart = calibration is not None and (calibration.by_identity or calibration.by_times)
    by_encoder = min_score is None and encoder.thresholds is not None and not told_apart
    seen = None if by_encoder else _seen(probe, calibration, scope)
    ranking = Ranking(calibration if seen is not None else None)
    known, origin = None, Origin.GIVEN
    least = min_score
    if least is None:
        known, origin = _known(calibration, encoder, timed=seen is not None, by_encoder=by_encoder)
        if not told_apart and not by_encoder and false_matches is None:
            rates = [rate for rate in rates if rate >= STRICTEST]
        least = thresholds.least(known, rates)
        if least is None:
            raise UsageError(
                f"{origin.words} tells no false match rate of {max(rates):g}: too few pairs",
                hint="Give another {false_matches}, or a score with {min_score}.",
            )
    where = Filter(split=Split.GALLERY, datasets=scope.dataset_ids, since=since, until=until)
    question = Question((probe,))
    own = question.vector(encoder)

    def find(
        vector: Vectors, seen: Sighted | None, min_score: float, top_k: int | None = None
    ) -> list[Scored]:
        length = 1.0 if top_k is not None or vector is own else float(np.linalg.norm(vector))
        return search.find(
            vector if length == 1 else vector / np.float32(length),
            collection=collection,
            where=where,
            top_k=top_k,
            min_score=min_score,
            ranking=ranking,
            seen=seen,
            margin=FETCHED,
            scale=length,
        )

    found = find(own, seen, least)
    threshold, rate = least, None
    nearest = max((one.score for one in found or find(own, seen, -np.inf, top_k=1)), default=None)
    if known is not None:
        stored = collection.store.count()
        threshold, rate = _chosen(known, found, rates, gallery=stored)
        found = [one for one in found if one.score >= threshold]
        if found and false_matches is None:
            again = find(*_joined(own, seen, found[:EXAMPLES], collection, calibration), least)
            threshold, rate = _chosen(known, again, rates, gallery=stored)
            found = [one for one in again if one.score >= threshold]
    clock = stays.clock_of(collection, Split.GALLERY, calibration)
    traced = Trace(
        query=probe.name,
        camera=names.numbered(probe.seen.camera),
        identity=names.numbered(probe.seen.identity),
        site=scope.site_of(probe),
        threshold=threshold,
        rate=rate,
        origin=origin,
        nearest=nearest,
        spatio_temporal=seen is not None,
        unit=None if clock is None else clock.unit,
        stays=stays.of([one.image for one in found], search.hits(found), clock, pauses=pauses),
        warnings=question.warned(),
        picture=probe.data,
        zone=session.config.timezone,
    )
    audit.record(
        session,
        [probe],
        command="trace",
        filters={
            "camera": traced.camera,
            "site": site,
            "dataset": dataset,
            "since": since,
            "until": until,
            "threshold": threshold,
            "rate": rate,
        },
        hits=len(found),
    )
    return traced


def _seen(probe: Probe, calibration: Calibration | None, scope: Scope) -> Sighted | None:
    """Where and when the probe was taken; None where that is not known, or of no use."""
    if calibration is None:
        return None
    try:
        return Question((probe,)).sighted(calibration, scope)
    except (UnknownCamera, UsageError):
        return None


def _known(
    calibration: Calibration | None, encoder: Encoder, *, timed: bool, by_encoder: bool
) -> tuple[thresholds.Tellable, Origin]:
    """What tells thresholds: the encoder as long as the gallery cannot tell people apart."""
    if by_encoder and encoder.thresholds is not None:
        return encoder.thresholds, Origin.ENCODER
    if calibration is None:
        raise NotCalibrated(
            "which score means the same person has not been learned from this gallery, and the "
            "encoder does not say",
            hint="Learn it with: {calibrate}, or give a score with {min_score}.",
        )
    return calibration.scores if timed else calibration.cosines, Origin.GALLERY


def _chosen(
    known: thresholds.Tellable, found: Sequence[Scored], rates: Sequence[float], *, gallery: int
) -> tuple[float, float]:
    scores = [one.score for one in found]
    chosen = thresholds.choose(known, scores, gallery=gallery, rates=rates, false_share=FALSE_SHARE)
    assert chosen is not None  # some rate can be told, or there was no least score
    return chosen


def _joined(
    own: Vectors,
    seen: Sighted | None,
    examples: Sequence[Scored],
    collection: Collection,
    calibration: Calibration | None,
) -> tuple[Vectors, Sighted | None]:
    """The mean of the probe's vector and the examples' (1 x D, not of unit length: its products are
    mean cosines), and where and when all of them were taken.

    The mean of several pairs' scores lies nearer to the middle than a single one's, so that what
    is known of single pairs of different people holds for it, on the safe side.
    """
    _, vectors = collection.store.retrieve([one.image.id for one in examples])
    mean = np.concatenate([own, vectors]).mean(axis=0, keepdims=True)
    if seen is None or calibration is None:
        return mean, None
    others = stays.sightings([one.image for one in examples], calibration.transit.clock)
    return mean, Sighted(
        np.concatenate([seen.camera, others.camera]), np.concatenate([seen.times, others.times])
    )
