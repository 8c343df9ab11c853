"""Results as JSON documents: the one place. Command line, HTTP and notebooks share them.

Keys are a promise: they may be added, never renamed. Scores and rates are fractions, times are
seconds since 1970 UTC where nothing else is said, None is "not known".
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict

from reidsearch.ranking.scores import RATES

if TYPE_CHECKING:
    from reidsearch.answer import Answer, Hit
    from reidsearch.audit import AuditEntry
    from reidsearch.compare import Comparison
    from reidsearch.demo import Demo
    from reidsearch.doctor import Checkup
    from reidsearch.evaluate import Evaluation
    from reidsearch.forget import Forgotten
    from reidsearch.ingest import IngestSummary
    from reidsearch.ranking.calibration import Calibration
    from reidsearch.status import Status
    from reidsearch.trace import Stay, Trace


class FailureDocument(TypedDict):
    """A file that was found and could not be taken in."""

    path: str
    reason: str


class IngestDocument(TypedDict):
    """What an ingest did, in images. ``splits`` counts what was found, ``vanished`` lists stored
    paths that the data set no longer has."""

    found: int
    ingested: int
    unchanged: int
    failed: int
    moved: int
    expired: int
    vanished: list[str]
    pruned: int
    seconds: float
    images_per_second: float
    splits: dict[str, int]
    failures: list[FailureDocument]


class HitDocument(TypedDict):
    """One stored image among the answers."""

    rank: int
    score: float
    id: int
    identity: int | None
    camera: int | None
    sequence: int | None
    frame: int | None
    split: str
    path: str


class AnswerDocument(TypedDict):
    """The hits for one probe."""

    query: str
    camera: int | None
    identity: int | None
    hits: list[HitDocument]


class StayDocument(TypedDict):
    """Hits from one camera, no longer apart than a minute. ``start`` and ``end`` are in the trace's
    unit."""

    camera: int | None
    sequence: int | None
    start: float | None
    end: float | None
    hits: list[HitDocument]


class TraceDocument(TypedDict):
    """Where a person was, in time order. ``unit`` is frames or seconds."""

    query: str
    camera: int | None
    identity: int | None
    threshold: float
    rate: float | None
    spatio_temporal: bool
    unit: str | None
    stays: list[StayDocument]


class LearnedTimesDocument(TypedDict):
    """Where transit times were learned, and from how many images."""

    source: str
    images: int


class RuledOutDocument(TypedDict):
    """Scores with each probe's own camera ruled out, which is not the protocol."""

    rank1: float
    mAP: float


class EvaluationDocument(TypedDict):
    """The protocol's numbers. ``camera_pairs`` is mAP by probe camera, then gallery camera."""

    queries: int
    gallery: int
    mAP: float
    mAP_trapezoid: float
    mINP: float
    cmc: dict[str, float]
    encoder: str
    multi_query: bool
    reranked: bool
    queries_without_positive: int
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


class CalibrationDocument(TypedDict):
    """What was learned. ``thresholds`` is the least score by kind of score and false match rate."""

    source: str
    images: int
    pairs: int
    camera_pairs: int
    unit: str
    weight: float
    thresholds: dict[str, dict[str, float | None]]
    thresholds_by_identity: bool


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
    """What is gone. ``compacted`` is false where a server still keeps bytes for a while."""

    images: int
    vectors: int
    compacted: bool


class SelectedDocument(TypedDict):
    """What would be forgotten."""

    images: int
    paths: list[str]


class AuditDocument(TypedDict):
    """One search: when (ISO 8601, UTC), by whom, for whom, and how."""

    time: str
    operator: str
    command: str
    probe_sha256: str
    filters: dict[str, object]
    hits: int
    picture: bool


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


class StatusDocument(TypedDict):
    """What is stored, and which settings are in force (by name: value, and from where)."""

    version: str
    settings: dict[str, dict[str, str | None]]
    store: str
    cameras: list[int]
    images: list[CountDocument]
    last_ingest: RunDocument | None


class DemoDocument(TypedDict):
    """What the demo made."""

    folder: str
    sheet: str
    ingest: IngestDocument
    evaluation: EvaluationDocument


def ingest(done: "IngestSummary") -> IngestDocument:
    return {
        "found": done.found,
        "ingested": done.ingested,
        "unchanged": done.unchanged,
        "failed": len(done.failures),
        "moved": done.moved,
        "expired": done.expired,
        "vanished": list(done.vanished),
        "pruned": done.pruned,
        "seconds": round(done.seconds, 3),
        "images_per_second": round(done.images_per_second, 1),
        "splits": dict(done.splits),
        "failures": [{"path": f.path, "reason": f.reason} for f in done.failures],
    }


def hit(found: "Hit") -> HitDocument:
    return {
        "rank": found.rank,
        "score": found.score,
        "id": found.id,
        "identity": found.identity,
        "camera": found.camera,
        "sequence": found.sequence,
        "frame": found.frame,
        "split": found.split,
        "path": found.path,
    }


def answer(given: "Answer") -> AnswerDocument:
    return {
        "query": given.query,
        "camera": given.camera,
        "identity": given.identity,
        "hits": [hit(one) for one in given.hits],
    }


def stay(found: "Stay") -> StayDocument:
    return {
        "camera": found.camera,
        "sequence": found.sequence,
        "start": found.start,
        "end": found.end,
        "hits": [hit(one) for one in found.hits],
    }


def trace(found: "Trace") -> TraceDocument:
    return {
        "query": found.query,
        "camera": found.camera,
        "identity": found.identity,
        "threshold": found.threshold,
        "rate": found.rate,
        "spatio_temporal": found.spatio_temporal,
        "unit": found.unit,
        "stays": [stay(one) for one in found.stays],
    }


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
        "queries_without_positive": done.queries_without_positive,
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


def calibration(learned: "Calibration") -> CalibrationDocument:
    kinds = {"cosine": learned.cosines, "spatio_temporal": learned.scores}
    return {
        "source": str(learned.source),
        "images": learned.images,
        "pairs": learned.transit.pairs,
        "camera_pairs": len(learned.transit.own),
        "unit": learned.transit.clock.unit,
        "weight": round(learned.weight, 4),
        "thresholds": {
            kind: {f"{rate:g}": scores.threshold(rate) for rate in RATES}
            for kind, scores in kinds.items()
        },
        "thresholds_by_identity": learned.by_identity,
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
    }


def selected(done: "Forgotten") -> SelectedDocument:
    return {"images": len(done.images), "paths": [str(path) for path in done.images]}


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
        }
        for entry in entries
    ]


def demo(made: "Demo") -> DemoDocument:
    return {
        "folder": str(made.folder),
        "sheet": str(made.sheet),
        "ingest": ingest(made.summary),
        "evaluation": evaluation(made.evaluation),
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
        "cameras": list(now.cameras),
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
    }
