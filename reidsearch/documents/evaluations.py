"""The protocol's numbers, alone and compared."""

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from reidsearch.evaluation.compare import Comparison
    from reidsearch.evaluation.protocol import Evaluation


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


def evaluation_document(done: "Evaluation") -> EvaluationDocument:
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


def comparison_document(found: "Comparison") -> ComparisonDocument:
    return {
        "first": evaluation_document(found.first),
        "second": evaluation_document(found.second),
        "probes": found.probes,
        "mAP_difference": found.difference,
        "interval_95": [found.low, found.high],
        "better": found.better,
        "worse": found.worse,
    }
