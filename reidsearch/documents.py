"""Results as JSON documents: the one place. Command line, HTTP and notebooks share them.

Keys are a promise: they may be added, never renamed. Scores and rates are fractions, times are
seconds since 1970 UTC where nothing else is said, None is "not known".
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

from reidsearch import names, times
from reidsearch.ranking.scores import RATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reidsearch.add import Added
    from reidsearch.answer import Answer, Hit
    from reidsearch.audit import AuditEntry
    from reidsearch.backup import Backup
    from reidsearch.catalog.records import CameraRecord, Left
    from reidsearch.compare import Comparison
    from reidsearch.demo import Demo
    from reidsearch.doctor import Checkup
    from reidsearch.encoders import EncoderCard
    from reidsearch.evaluate import Evaluation
    from reidsearch.exploration import Exploration, Suspect
    from reidsearch.first_trace import NotLearned
    from reidsearch.forget import Forgotten
    from reidsearch.ingest import IngestSummary
    from reidsearch.move import Moved
    from reidsearch.ranking.calibration import Calibration
    from reidsearch.restoring import Restored
    from reidsearch.status import Status
    from reidsearch.stays import Stay
    from reidsearch.trace import Trace
    from reidsearch.types import Ids


class FailureDocument(TypedDict):
    """A file that was found and could not be taken in."""

    path: str
    reason: str


class IngestDocument(TypedDict):
    """What an ingest did, in images. ``splits`` counts what was found, ``vanished`` lists stored
    paths that the data set no longer has, ``left`` counts what another process still takes in.
    ``cameras`` to ``without_time`` are of what was found,
    ``passed_over`` counts files that are no crops by their ending. Of those decoded now,
    ``unlike_crops`` counts the ones that are hardly crops of one person, and ``scaled`` those of
    more than 8 bits whose range was guessed, by what it was taken for. ``calibrated`` is the number
    of images that transit times and thresholds were learned anew from, ``expanded`` that of the
    expanded vectors that were written, of images from before, too."""

    found: int
    ingested: int
    unchanged: int
    failed: int
    changed: int
    moved: int
    relabelled: int
    expired: int
    vanished: list[str]
    pruned: int
    left: int
    calibrated: int | None
    expanded: int
    unlike_crops: int
    scaled: dict[str, int]
    seconds: float
    images_per_second: float
    splits: dict[str, int]
    failures: list[FailureDocument]
    layout: str | None
    cameras: int
    people: int
    first: float | None
    last: float | None
    without_camera: int
    without_person: int
    without_time: int
    passed_over: dict[str, int]
    notes: list[str]


class HitDocument(TypedDict):
    """One stored image among the answers. Cameras and identities are names at a site; whole numbers
    are written as such, here and everywhere. ``time`` is the ``timestamp`` as the clocks there show
    it, to the second, ISO 8601 with its offset. ``path`` is on the disk of ``machine``, where many
    share the catalog."""

    rank: int
    score: float
    id: int
    identity: int | str | None
    camera: int | str | None
    sequence: int | None
    frame: int | None
    timestamp: float | None
    time: str | None
    split: str
    dataset: str
    site: str
    path: str
    machine: str | None


class StayDocument(TypedDict):
    """Hits from one camera, no longer apart than a minute, the best first. ``start`` and ``end``
    are in the answer's or trace's unit."""

    camera: int | str | None
    site: str
    sequence: int | None
    start: float | None
    end: float | None
    count: int
    hits: list[HitDocument]


# The names of a question's pictures: all that show the person, and those of others. Not a class, as
# one of the keys is a word of Python's.
PicturesDocument = TypedDict("PicturesDocument", {"together": list[str], "not": list[str]})


class AskedDocument(TypedDict):
    """A picture of a question beside its first: its name, and what is known of it. ``unlike`` tells
    that it shows somebody else."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    unlike: bool


class AnswerDocument(PicturesDocument):
    """The hits for one question. ``query``, ``camera``, ``identity`` and ``site`` are of its first
    picture, ``more`` tells the same of all others, where there are some; ``warnings`` say what may
    be wrong with any. By stay, ``hits`` are the best of each of ``stays``, whose times are in
    ``unit``: frames or seconds, None where no time is known. ``scan`` is exact, or quantised where
    smaller copies of vectors were compared first; ``reranked_among`` how many of the nearest were
    re-ranked, None where all were, or none."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    hits: list[HitDocument]
    warnings: list[str]
    expanded: bool
    spatio_temporal: bool
    reranked: bool
    reranked_among: int | None
    uses: list[str]
    scan: str
    more: NotRequired[list[AskedDocument]]
    unit: NotRequired[str | None]
    stays: NotRequired[list[StayDocument]]


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


class LearnedTimesDocument(TypedDict):
    """Where transit times were learned, and from how many images."""

    source: str
    images: int


class RuledOutDocument(TypedDict):
    """Scores with each probe's own camera ruled out, which is not the protocol."""

    rank1: float
    mAP: float


class EvaluationDocument(TypedDict):
    """The protocol's numbers. ``queries_of_nobody`` were left out: their identity is not known, or
    0 or -1. ``camera_pairs`` is mAP by probe camera, then gallery camera."""

    queries: int
    gallery: int
    mAP: float
    mAP_trapezoid: float
    mINP: float
    cmc: dict[str, float]
    encoder: str
    multi_query: bool
    reranked: bool
    expanded: bool
    camera_means: bool
    uses: list[str]
    queries_without_positive: int
    queries_of_nobody: int
    gallery_without_identity: int
    camera_pairs: NotRequired[dict[str, dict[str, float]]]
    spatio_temporal: NotRequired[LearnedTimesDocument]
    own_camera_ruled_out: NotRequired[RuledOutDocument]
    seconds: dict[str, float]


class ComparisonDocument(TypedDict):
    """Two evaluations; the difference is the second's mAP less the first's."""

    first: EvaluationDocument
    second: EvaluationDocument
    probes: int
    mAP_difference: float
    interval_95: list[float]
    better: int
    worse: int


class AddedDocument(TypedDict):
    """A crop that was taken in: the image's id, and what came of it: stored, unchanged,
    relabelled where only what is said of it was new, or waiting until it can be stored."""

    id: int
    outcome: str


class CameraDocument(TypedDict):
    """A camera that has images, where it is, and its number in the catalog."""

    id: int
    camera: int | str
    site: str


class CalibrationDocument(TypedDict):
    """What was learned. ``thresholds`` is the least score by kind of score and false match rate.
    ``matches_among`` says where matches without identities were looked for: all pairs, or cells of
    like images where there are many; None with identities. ``scores_of`` images the scores with all
    were counted, None where an earlier version did it."""

    source: str
    images: int
    pairs: int
    camera_pairs: int
    unit: str
    weight: float
    thresholds: dict[str, dict[str, float | None]]
    thresholds_by_identity: bool
    thresholds_by_times: bool
    matches_among: str | None
    scores_of: int | None


class FindingDocument(TypedDict):
    """One kind of disagreement, how often it was found and is left, and where."""

    kind: str
    what: str
    found: int
    left: int
    subjects: list[str]


class CheckupDocument(TypedDict):
    """What a doctor looked at and found."""

    images: int
    vectors: int
    healthy: bool
    fixed: bool
    findings: list[FindingDocument]


class ForgottenDocument(TypedDict):
    """What is gone. ``compacted`` is false where a server still keeps bytes for a while;
    ``backups`` of the catalog went too. ``left`` are places that the gallery was moved from, do not
    answer, and still hold it. ``waiting`` counts pushed crops that were not stored yet."""

    images: int
    vectors: int
    compacted: bool
    backups: int
    left: list["PlaceDocument"]
    waiting: int


class PlaceDocument(TypedDict):
    """A place, by its address without secrets, that a ``part`` of the gallery (vectors or catalog)
    was moved from, and that still holds what it held then."""

    part: str
    address: str


class BackupDocument(TypedDict):
    """A backup that was written to a file; ``crops`` are those that were pushed, with their files,
    ``waiting`` those of them that were not stored yet."""

    file: str
    images: int
    vectors: int
    expanded: int
    crops: int
    waiting: int
    bytes: int
    seconds: float


class RestoredDocument(TypedDict):
    """A gallery that was made from a backup, by its key; ``made`` says when the backup was (ISO
    8601, UTC), ``waiting`` the pushed crops that are to be stored yet, ``findings`` how many of
    each kind doctor has of the restored gallery."""

    gallery: str
    made: str
    images: int
    vectors: int
    expanded: int
    crops: int
    waiting: int
    findings: dict[str, int]
    seconds: float


class MovedPartDocument(TypedDict):
    """A part of the gallery that was moved, with ``counts`` of what is in its new place."""

    part: str
    source: str
    target: str
    counts: dict[str, int]
    seconds: float


class MovedDocument(TypedDict):
    """What was moved, and what the old places still hold."""

    moved: list[MovedPartDocument]
    left: list[PlaceDocument]
    seconds: float


class SelectedDocument(TypedDict):
    """What would be forgotten; ``waiting`` counts pushed crops that are not stored yet."""

    images: int
    paths: list[str]
    waiting: int


class AuditDocument(TypedDict):
    """One search: when (ISO 8601, UTC), by whom, for whom, and how. ``together_sha256`` are all
    pictures of the person, the first of which is ``probe_sha256``; ``not_sha256`` are of others.
    What was forgotten is empty."""

    time: str
    operator: str
    command: str
    probe_sha256: str
    filters: dict[str, object]
    hits: int
    picture: bool
    together_sha256: list[str]
    not_sha256: list[str]


class CountDocument(TypedDict):
    """How many images of a data set's split stand in a state, by encoder."""

    dataset: str
    root: str
    split: str
    encoder: str
    state: str
    images: int


class RunDocument(TypedDict):
    """The last ingest; ``finished`` is None where it was cut short."""

    dataset: str
    encoder: str
    started: float
    finished: float | None
    ingested: int | None
    unchanged: int | None
    failed: int | None


class RunningDocument(TypedDict):
    """A process that holds the gallery; ``since`` is in seconds since 1970 UTC."""

    pid: int
    command: str
    since: float


class ExpandedCountDocument(TypedDict):
    """How many images have expanded vectors: ``kind`` is appearance or times, by which neighbours
    were chosen; ``neighbours_among`` says where these were looked for: all pairs, or cells of like
    images where there are many. Where they are not ``current``, searches go without."""

    encoder: str
    kind: str
    neighbours_among: str
    images: int
    current: bool


class LearnedDocument(TypedDict):
    """What an encoder's calibration was made from: the keys of ``CalibrationDocument``."""

    encoder: str
    source: str
    images: int
    matches_among: str | None
    scores_of: int | None


class StatusDocument(TypedDict):
    """What is stored, and which settings are in force (by name: value, and from where).
    ``first_taken`` and ``last_taken`` are the images' times, in seconds since 1970 UTC; ``scan`` is
    how each encoder's vectors are searched, exact or quantised; ``waiting`` counts pushed crops
    that are kept until they can be stored."""

    version: str
    settings: dict[str, dict[str, str | None]]
    store: str
    sites: list[str]
    cameras: list[int | str]
    people: int
    first_taken: float | None
    last_taken: float | None
    bytes: int
    scan: dict[str, str]
    images: list[CountDocument]
    expanded: list[ExpandedCountDocument]
    learned: list[LearnedDocument]
    last_ingest: RunDocument | None
    running: RunningDocument | None
    waiting: int


class AccuracyDocument(TypedDict):
    """An encoder's numbers on some data, single query; ``unseen``: nothing of these cameras was
    trained on."""

    data: str
    unseen: bool
    queries: int
    rank1: float
    mAP: float


class EncoderDocument(TypedDict):
    """An encoder, and what is known of it. ``origin`` is shipped, setting, given or gallery (which
    has vectors of it, and ``path`` is None). ``width`` and ``height`` are of its pictures, in
    pixels, ``dimension`` is of its vectors. ``images_per_second`` were timed here, or are None.
    ``thresholds`` are the least cosines of one person by false match rate. ``indexed`` images have
    a vector of it, and searches take the one ``in_use``. Where there is a ``problem``, the file
    cannot be used."""

    name: str
    origin: str
    path: str | None
    fingerprint: str | None
    bytes: int | None
    width: int | None
    height: int | None
    dimension: int | None
    images_per_second: float | None
    trained_on: str | None
    terms: str | None
    accuracy: list[AccuracyDocument]
    thresholds: dict[str, float] | None
    indexed: int
    in_use: bool
    problem: str | None


class SpreadDocument(TypedDict):
    """Of some numbers the least, the median, the mean and the most; None where there are none."""

    least: float | None
    median: float | None
    mean: float | None
    most: float | None


class SuspectDocument(TypedDict):
    """A crop that looks like somebody else: the cosines of the nearest crops of its own person and
    of another one, from other cameras. Paths are in their data sets."""

    path: str
    split: str
    identity: int | str | None
    camera: int | str | None
    site: str | None
    margin: float
    own_path: str
    own_score: float
    other_path: str
    other_identity: int | str | None
    other_score: float


class ExplorationDocument(TypedDict):
    """What a data set, or the gallery, holds. ``splits`` counts images by split and kind;
    ``shared_people`` is by camera and camera. ``images_per_person`` and ``cameras_per_person`` say
    how many people have so many. ``duplicates`` are groups of paths of crops that look nearly the
    same, ``duplicates_at_odds`` those with labels of several people. ``suspects``, the worst first,
    are None where there are no vectors."""

    source: str
    images: int
    people: int
    junk: int
    distractors: int
    without_person: int
    without_camera: int
    cameras: list[int | str]
    sequences: int
    splits: dict[str, dict[str, int]]
    images_per_person: dict[str, int]
    cameras_per_person: dict[str, int]
    images_per_camera: dict[str, int]
    shared_people: dict[str, dict[str, int]]
    width: SpreadDocument
    height: SpreadDocument
    aspect: SpreadDocument
    sharpness: SpreadDocument
    brightness: SpreadDocument
    unlike_crops: int
    duplicates: list[list[str]]
    duplicates_at_odds: list[list[str]]
    suspects: list[SuspectDocument] | None
    failures: list[FailureDocument]
    notes: list[str]
    seconds: float


class DemoDocument(TypedDict):
    """What the demo made. ``evaluation`` is by cosine, ``best`` by all that was learned; ``pages``
    are what there is to look at."""

    folder: str
    sheet: str
    pages: list[str]
    ingest: IngestDocument
    evaluation: EvaluationDocument
    calibration: CalibrationDocument
    best: EvaluationDocument
    trace: TraceDocument


def ingest(done: "IngestSummary") -> IngestDocument:
    known = done.contents
    return {
        "found": done.found,
        "ingested": done.ingested,
        "unchanged": done.unchanged,
        "failed": len(done.failures),
        "changed": done.changed,
        "moved": done.moved,
        "relabelled": done.relabelled,
        "expired": done.expired,
        "vanished": list(done.vanished),
        "pruned": done.pruned,
        "left": done.left,
        "calibrated": done.calibrated,
        "expanded": done.expanded,
        "unlike_crops": done.unlike_crops,
        "scaled": dict(sorted(done.scaled.items())),
        "seconds": round(done.seconds, 3),
        "images_per_second": round(done.images_per_second, 1),
        "splits": dict(done.splits),
        "failures": [{"path": f.path, "reason": f.reason} for f in done.failures],
        "layout": known.layout,
        "cameras": known.cameras,
        "people": known.people,
        "first": known.first,
        "last": known.last,
        "without_camera": known.without_camera,
        "without_person": known.without_person,
        "without_time": known.without_time,
        "passed_over": dict(known.passed_over),
        "notes": list(done.notes),
    }


def hit(found: "Hit", zone: times.Zone) -> HitDocument:
    seconds = found.timestamp
    return {
        "rank": found.rank,
        "score": found.score,
        "id": found.id,
        "identity": found.identity,
        "camera": found.camera,
        "sequence": found.sequence,
        "frame": found.frame,
        "timestamp": seconds,
        "time": None if seconds is None else times.show(seconds, zone, sep="T"),
        "split": found.split,
        "dataset": found.dataset,
        "site": found.site,
        "path": found.path,
        "machine": found.machine,
    }


def answer(given: "Answer") -> AnswerDocument:
    document: AnswerDocument = {
        "query": given.query,
        "camera": given.camera,
        "identity": given.identity,
        "site": given.site,
        "together": [one.query for one in given.together],
        "not": [one.query for one in given.unlike],
        "hits": [hit(one, given.zone) for one in given.hits],
        "warnings": list(given.warnings),
        "expanded": given.ranking.is_expanded,
        "spatio_temporal": given.ranking.spatio_temporal,
        "reranked": given.ranking.reranked,
        "reranked_among": given.ranking.candidates,
        "uses": list(given.ranking.uses),
        "scan": str(given.scan),
    }
    if more := _more(given):
        document["more"] = more
    if given.stays is not None:
        document["unit"] = given.unit
        document["stays"] = [stay(one, given.zone) for one in given.stays]
    return document


def _more(given: "Answer | Trace") -> list[AskedDocument]:
    """A question's pictures but its first."""
    others = [(one, False) for one in given.more] + [(one, True) for one in given.unlike]
    return [
        {
            "query": one.query,
            "camera": one.camera,
            "identity": one.identity,
            "site": one.site,
            "unlike": unlike,
        }
        for one, unlike in others
    ]


def stay(found: "Stay", zone: times.Zone) -> StayDocument:
    return {
        "camera": found.camera,
        "site": found.site,
        "sequence": found.sequence,
        "start": found.start,
        "end": found.end,
        "count": len(found.hits),
        "hits": [hit(one, zone) for one in found.hits],
    }


def not_learned(why: "NotLearned") -> NotLearnedDocument:
    return {"reason": str(why.reason), "message": why.message}


def trace(found: "Trace") -> TraceDocument:
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
        "not_learned": None if found.not_learned is None else not_learned(found.not_learned),
        "unit": found.unit,
        "stays": [stay(one, found.zone) for one in found.stays],
        "warnings": list(found.warnings),
    }
    if more := _more(found):
        document["more"] = more
    return document


def evaluation(done: "Evaluation") -> EvaluationDocument:
    document: EvaluationDocument = {
        "queries": done.queries,
        "gallery": done.gallery,
        "mAP": done.scores.mAP,
        "mAP_trapezoid": done.scores.mAP_trapezoid,
        "mINP": done.scores.mINP,
        "cmc": {str(rank): value for rank, value in done.scores.cmc.items()},
        "encoder": done.encoder,
        "multi_query": done.multi_query,
        "reranked": done.ranking.reranked,
        "expanded": done.ranking.is_expanded,
        "camera_means": done.ranking.camera_means,
        "uses": list(done.ranking.uses),
        "queries_without_positive": done.queries_without_positive,
        "queries_of_nobody": done.queries_of_nobody,
        "gallery_without_identity": done.unlabelled,
        "seconds": {step: round(value, 3) for step, value in done.seconds.items()},
    }
    if done.camera_pairs:
        pairs: dict[str, dict[str, float]] = {}
        for (probe, other), value in done.camera_pairs.items():
            pairs.setdefault(str(probe), {})[str(other)] = value
        document["camera_pairs"] = pairs
    times = done.ranking.calibration
    if times is not None:
        document["spatio_temporal"] = {"source": str(times.source), "images": times.images}
    if done.other_cameras is not None:
        apart = done.other_cameras
        document["own_camera_ruled_out"] = {"rank1": apart.cmc[1], "mAP": apart.mAP}
    return document


def comparison(found: "Comparison") -> ComparisonDocument:
    return {
        "first": evaluation(found.first),
        "second": evaluation(found.second),
        "probes": found.probes,
        "mAP_difference": found.difference,
        "interval_95": [found.low, found.high],
        "better": found.better,
        "worse": found.worse,
    }


def added(crop: "Added") -> AddedDocument:
    return {"id": crop.id, "outcome": str(crop.outcome)}


def cameras(known: "Sequence[CameraRecord]") -> list[CameraDocument]:
    return [{"id": one.id, "camera": names.number(one.name), "site": one.site} for one in known]


def calibration(learned: "Calibration") -> CalibrationDocument:
    return {
        "source": str(learned.source),
        "images": learned.images,
        "pairs": learned.transit.pairs,
        "camera_pairs": len(learned.transit.own),
        "unit": learned.transit.clock.unit,
        "weight": round(learned.weight, 4),
        "thresholds": {
            kind: {f"{rate:g}": scores.threshold(rate) for rate in RATES}
            for kind, scores in learned.distributions.items()
        },
        "thresholds_by_identity": learned.by_identity,
        "thresholds_by_times": learned.by_times,
        "matches_among": None if learned.pairing is None else str(learned.pairing),
        "scores_of": learned.sample,
    }


def checkup(done: "Checkup") -> CheckupDocument:
    left = Counter(finding.kind for finding in done.left)
    found = Counter(finding.kind for finding in done.found) | left
    every = dict.fromkeys((*done.found, *done.left))  # each once
    return {
        "images": done.images,
        "vectors": done.vectors,
        "healthy": not done.left,
        "fixed": done.fixed,
        "findings": [
            {
                "kind": str(kind),
                "what": kind.meaning,
                "found": count,
                "left": left[kind],
                "subjects": [finding.subject for finding in every if finding.kind is kind],
            }
            for kind, count in sorted(found.items())
        ],
    }


def forgotten(done: "Forgotten") -> ForgottenDocument:
    return {
        "images": len(done.images),
        "vectors": done.vectors,
        "compacted": done.compacted,
        "backups": done.backups,
        "left": places(done.left),
        "waiting": done.waiting,
    }


def places(left: "Sequence[Left]") -> list[PlaceDocument]:
    """Places that a gallery was moved from."""
    return [{"part": str(one.part), "address": one.address} for one in left]


def backup(done: "Backup") -> BackupDocument:
    return {
        "file": str(done.file),
        "images": done.images,
        "vectors": done.vectors,
        "expanded": done.expanded,
        "crops": done.crops,
        "waiting": done.waiting,
        "bytes": done.bytes,
        "seconds": round(done.seconds, 3),
    }


def restored(done: "Restored") -> RestoredDocument:
    return {
        "gallery": done.gallery,
        "made": datetime.fromtimestamp(done.made, UTC).isoformat(timespec="seconds"),
        "images": done.images,
        "vectors": done.vectors,
        "expanded": done.expanded,
        "crops": done.crops,
        "waiting": done.waiting,
        "findings": dict(Counter(str(one.kind) for one in done.found)),
        "seconds": round(done.seconds, 3),
    }


def moved(done: "Moved") -> MovedDocument:
    return {
        "moved": [
            {
                "part": str(one.part),
                "source": one.source,
                "target": one.target,
                "counts": dict(one.counts),
                "seconds": round(one.seconds, 3),
            }
            for one in done.parts
        ],
        "left": places(done.left),
        "seconds": round(done.seconds, 3),
    }


def selected(done: "Forgotten") -> SelectedDocument:
    return {
        "images": len(done.images),
        "paths": [str(path) for path in done.images],
        "waiting": done.waiting,
    }


def audit(entries: "Sequence[AuditEntry]") -> list[AuditDocument]:
    return [
        {
            "time": entry.time,
            "operator": entry.operator,
            "command": entry.command,
            "probe_sha256": entry.probe_sha256,
            "filters": dict(entry.filters),
            "hits": entry.hits,
            "picture": entry.picture,
            "together_sha256": list(entry.together),
            "not_sha256": list(entry.unlike),
        }
        for entry in entries
    ]


def encoder(card: "EncoderCard") -> EncoderDocument:
    height, width = card.size or (None, None)
    rate, known = card.images_per_second, card.thresholds
    return {
        "name": card.name,
        "origin": str(card.origin),
        "path": None if card.path is None else str(card.path),
        "fingerprint": card.fingerprint,
        "bytes": card.bytes,
        "width": width,
        "height": height,
        "dimension": card.dimension,
        "images_per_second": None if rate is None else round(rate, 1),
        "trained_on": card.trained_on or None,
        "terms": card.terms or None,
        "accuracy": [
            {
                "data": one.data,
                "unseen": one.unseen,
                "queries": one.queries,
                "rank1": one.rank1,
                "mAP": one.mAP,
            }
            for one in card.accuracy
        ],
        "thresholds": None if known is None else {f"{r:g}": c for r, c in known.by_rate.items()},
        "indexed": card.indexed,
        "in_use": card.in_use,
        "problem": card.problem,
    }


def spread(values: "NDArray[np.number]") -> SpreadDocument:
    """Of N numbers."""
    if not len(values):
        return {"least": None, "median": None, "mean": None, "most": None}
    found = (values.min(), np.median(values), values.mean(), values.max())
    least, median, mean, most = (round(float(one), 3) for one in found)
    return {"least": least, "median": median, "mean": mean, "most": most}


def suspect(found: "Suspect") -> SuspectDocument:
    crop, own, other = found.crop, found.own, found.other
    return {
        "path": crop.path,
        "split": str(crop.split),
        "identity": names.numbered(crop.identity),
        "camera": names.numbered(crop.camera),
        "site": crop.site,
        "margin": found.margin,
        "own_path": own.path,
        "own_score": found.own_score,
        "other_path": other.path,
        "other_identity": names.numbered(other.identity),
        "other_score": found.other_score,
    }


def exploration(done: "Exploration") -> ExplorationDocument:
    cameras = done.cameras
    return {
        "source": done.source,
        "images": len(done.crops),
        "people": done.people,
        "junk": done.count("junk"),
        "distractors": done.count("distractors"),
        "without_person": done.count("unknown"),
        "without_camera": done.without_camera,
        "cameras": list(map(names.number, cameras)),
        "sequences": done.sequences,
        "splits": {split: dict(kinds) for split, kinds in done.splits.items()},
        "images_per_person": _times(done.per_person),
        "cameras_per_person": _times(done.cameras_per_person),
        "images_per_camera": dict(zip(cameras, done.per_camera.tolist(), strict=True)),
        "shared_people": {
            camera: dict(zip(cameras, row, strict=True))
            for camera, row in zip(cameras, done.shared.tolist(), strict=True)
        },
        "width": spread(done.looks.width),
        "height": spread(done.looks.height),
        "aspect": spread(done.looks.aspect),
        "sharpness": spread(done.looks.sharpness),
        "brightness": spread(done.looks.brightness),
        "unlike_crops": done.looks.unlike_crops,
        "duplicates": [[crop.path for crop in group] for group in done.duplicates],
        "duplicates_at_odds": [[crop.path for crop in group] for group in done.at_odds],
        "suspects": None if done.suspects is None else list(map(suspect, done.suspects)),
        "failures": [{"path": f.path, "reason": f.reason} for f in done.failures],
        "notes": list(done.notes),
        "seconds": round(done.seconds, 3),
    }


def _times(values: "Ids") -> dict[str, int]:
    """How often each number comes up, by the number."""
    return {str(value): count for value, count in sorted(Counter(values.tolist()).items())}


def demo(made: "Demo") -> DemoDocument:
    return {
        "folder": str(made.folder),
        "sheet": str(made.sheet),
        "pages": [str(page) for page in made.pages],
        "ingest": ingest(made.summary),
        "evaluation": evaluation(made.evaluation),
        "calibration": calibration(made.learned),
        "best": evaluation(made.best),
        "trace": trace(made.trace),
    }


def status(now: "Status") -> StatusDocument:
    run = now.last_ingest
    return {
        "version": now.version,
        "settings": {
            setting.key: {"value": setting.value, "from": setting.source}
            for setting in now.settings
        },
        "store": now.store,
        "sites": list(now.sites),
        "cameras": list(now.cameras),
        "people": now.people,
        "first_taken": None if now.taken is None else now.taken[0],
        "last_taken": None if now.taken is None else now.taken[1],
        "bytes": now.bytes,
        "scan": {encoder: str(scan) for encoder, scan in now.scan.items()},
        "images": [
            {
                "dataset": count.dataset,
                "root": count.root,
                "split": str(count.split),
                "encoder": count.encoder,
                "state": str(count.state),
                "images": count.images,
            }
            for count in now.images
        ],
        "expanded": [
            {
                "encoder": one.encoder,
                "kind": one.kind,
                "neighbours_among": str(one.pairing),
                "images": one.images,
                "current": one.current,
            }
            for one in now.expanded
        ],
        "learned": [
            {
                "encoder": one.encoder,
                "source": one.source,
                "images": one.images,
                "matches_among": None if one.pairing is None else str(one.pairing),
                "scores_of": one.sample,
            }
            for one in now.learned
        ],
        "last_ingest": None
        if run is None
        else {
            "dataset": run.dataset,
            "encoder": run.encoder,
            "started": run.started,
            "finished": run.finished,
            "ingested": run.ingested,
            "unchanged": run.unchanged,
            "failed": run.failed,
        },
        "running": None
        if now.running is None
        else {
            "pid": now.running.pid,
            "command": now.running.command,
            "since": now.running.since,
        },
        "waiting": now.waiting,
    }
