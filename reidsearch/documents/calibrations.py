"""What a gallery learned of scores and times."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.ranking.calibration import Calibration


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


def calibration_document(learned: "Calibration") -> CalibrationDocument:
    return {
        "source": str(learned.source),
        "images": learned.images,
        "pairs": learned.transit.pairs,
        "camera_pairs": len(learned.transit.own),
        "unit": learned.transit.clock.unit,
        "weight": round(learned.weight, 4),
        "thresholds": {
            kind: {f"{rate:g}": least for rate, least in scores.thresholds.items()}
            for kind, scores in learned.distributions.items()
        },
        "thresholds_by_identity": learned.by_identity,
        "thresholds_by_times": learned.by_times,
        "matches_among": None if learned.pairing is None else str(learned.pairing),
        "scores_of": learned.sample,
    }
