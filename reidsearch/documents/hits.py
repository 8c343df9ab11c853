"""Stored images that were found, alone and by stay."""

from typing import TYPE_CHECKING, TypedDict

from reidsearch import times

if TYPE_CHECKING:
    from reidsearch.search.answer import Hit
    from reidsearch.search.stays import Stay


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


def hit_document(found: "Hit", zone: times.Zone) -> HitDocument:
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


def stay_document(found: "Stay", zone: times.Zone) -> StayDocument:
    return {
        "camera": found.camera,
        "site": found.site,
        "sequence": found.sequence,
        "start": found.start,
        "end": found.end,
        "count": len(found.hits),
        "hits": [hit_document(one, zone) for one in found.hits],
    }
