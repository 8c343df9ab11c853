"""What was moved, and which places it left."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.catalog.records import Left
    from reidsearch.transport.move import Moved


class PlaceDocument(TypedDict):
    """A place, by its address without secrets, that a ``part`` of the gallery (vectors or catalog)
    was moved from, and that still holds what it held then."""

    part: str
    address: str


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


def place_documents(left: "Sequence[Left]") -> list[PlaceDocument]:
    """Places that a gallery was moved from."""
    return [{"part": str(one.part), "address": one.address} for one in left]


def moved_document(done: "Moved") -> MovedDocument:
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
        "left": place_documents(done.left),
        "seconds": round(done.seconds, 3),
    }
