"""Where a person was, and by which threshold."""

from typing import TYPE_CHECKING, NotRequired, TypedDict

from reidsearch.documents.hits import StayDocument, stay_document
from reidsearch.documents.questions import AskedDocument, PicturesDocument, other_pictures

if TYPE_CHECKING:
    from reidsearch.search.first_trace import NotLearned
    from reidsearch.search.trace import Trace


class NotLearnedDocument(TypedDict):
    """Why nothing that tells people apart was learned from a gallery: cameras (its crops are not
    known to be of several), times (none has one), few or many (crops), alike (too few of its pairs
    are known to be of two people), read-only or failed. The ``message`` follows on *learned*."""

    reason: str
    message: str


class TraceDocument(PicturesDocument):
    """Where a person was, in time order. ``query`` to ``site``, and ``more``, tell of its pictures
    as an answer's do. ``unit`` is frames or seconds. ``threshold_from`` is
    given, gallery (its calibration) or encoder. Where ``crowd`` is known, the score of those who
    are like the probe and somebody else, ``rate`` is of pairs that stand so far out of it.
    ``nearest`` is the best score there is, ``calibrated`` the number of images that scores were
    learned from just now. ``not_learned`` says why the gallery does not tell a threshold, where it
    was to."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    threshold: float
    rate: float | None
    crowd: float | None
    threshold_from: str
    nearest: float | None
    expanded: bool
    spatio_temporal: bool
    uses: list[str]
    calibrated: int | None
    not_learned: NotLearnedDocument | None
    unit: str | None
    stays: list[StayDocument]
    warnings: list[str]
    more: NotRequired[list[AskedDocument]]


def not_learned_document(why: "NotLearned") -> NotLearnedDocument:
    return {"reason": str(why.reason), "message": why.message}


def trace_document(found: "Trace") -> TraceDocument:
    why = found.not_learned
    document: TraceDocument = {
        "query": found.query,
        "camera": found.camera,
        "identity": found.identity,
        "site": found.site,
        "together": [one.query for one in found.together],
        "not": [one.query for one in found.unlike],
        "threshold": found.threshold,
        "rate": found.rate,
        "crowd": found.crowd,
        "threshold_from": str(found.origin),
        "nearest": found.nearest,
        "expanded": found.ranking.is_expanded,
        "spatio_temporal": found.spatio_temporal,
        "uses": list(found.ranking.uses),
        "calibrated": found.calibrated,
        "not_learned": None if why is None else not_learned_document(why),
        "unit": found.unit,
        "stays": [stay_document(one, found.zone) for one in found.stays],
        "warnings": list(found.warnings),
    }
    if more := other_pictures(found):
        document["more"] = more
    return document
