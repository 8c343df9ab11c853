"""What was taken in: a data set, or one crop."""

from typing import TYPE_CHECKING, TypedDict

from reidsearch.documents.failures import FailureDocument, failure_document

if TYPE_CHECKING:
    from reidsearch.ingest.summary import IngestSummary
    from reidsearch.pushing.add import Added


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


class AddedDocument(TypedDict):
    """A crop that was taken in: the image's id, and what came of it: stored, unchanged,
    relabelled where only what is said of it was new, or waiting until it can be stored."""

    id: int
    outcome: str


def ingest_document(done: "IngestSummary") -> IngestDocument:
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
        "failures": list(map(failure_document, done.failures)),
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


def added_document(crop: "Added") -> AddedDocument:
    return {"id": crop.id, "outcome": str(crop.outcome)}
