"""Encoders, and what is known of them."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.inspection.encoders import EncoderCard


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


def encoder_document(card: "EncoderCard") -> EncoderDocument:
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
