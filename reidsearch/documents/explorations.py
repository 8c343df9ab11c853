"""What a data set or a gallery holds."""

from collections import Counter
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from reidsearch import names
from reidsearch.documents.failures import FailureDocument, failure_document

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reidsearch.inspection.exploration import Exploration, Suspect
    from reidsearch.types import Ids


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


def spread_document(values: "NDArray[np.number]") -> SpreadDocument:
    """Of N numbers."""
    if not len(values):
        return {"least": None, "median": None, "mean": None, "most": None}
    found = (values.min(), np.median(values), values.mean(), values.max())
    least, median, mean, most = (round(float(one), 3) for one in found)
    return {"least": least, "median": median, "mean": mean, "most": most}


def suspect_document(found: "Suspect") -> SuspectDocument:
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


def exploration_document(done: "Exploration") -> ExplorationDocument:
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
        "width": spread_document(done.looks.width),
        "height": spread_document(done.looks.height),
        "aspect": spread_document(done.looks.aspect),
        "sharpness": spread_document(done.looks.sharpness),
        "brightness": spread_document(done.looks.brightness),
        "unlike_crops": done.looks.unlike_crops,
        "duplicates": [[crop.path for crop in group] for group in done.duplicates],
        "duplicates_at_odds": [[crop.path for crop in group] for group in done.at_odds],
        "suspects": None if done.suspects is None else list(map(suspect_document, done.suspects)),
        "failures": list(map(failure_document, done.failures)),
        "notes": list(done.notes),
        "seconds": round(done.seconds, 3),
    }


def _times(values: "Ids") -> dict[str, int]:
    """How often each number comes up, by the number."""
    return {str(value): count for value, count in sorted(Counter(values.tolist()).items())}
