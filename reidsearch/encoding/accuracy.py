"""How well an encoder finds people, as its maker measured it: for people to choose by.

An encoder's file has it in its metadata, as ``accuracy``, and for people held out from its training
as ``held_out``. That of the shipped encoder lies beside its file, as its thresholds do. Where there
is something else, nothing is known: an encoder works without.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from reidsearch.encoding import thresholds

MAX_TEXT = 10_000  # characters of the metadata
MAX_NAME = 200  # characters of ``data``
MOST = 20  # told of one encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The protocol's numbers on some ``data``: single query, vectors compared as they are.
    ``rank1`` and ``mAP`` are fractions, over so many ``queries``. ``unseen`` says that the encoder
    was trained on nothing of these cameras.

    Raises ValueError where these can be no such numbers.
    """

    data: str
    unseen: bool
    queries: int
    rank1: float
    mAP: float  # noqa: N815 - the field writes it so

    def __post_init__(self) -> None:
        sound = (
            isinstance(self.data, str)
            and self.data.isprintable()
            and 0 < len(self.data) <= MAX_NAME
            and isinstance(self.unseen, bool)
            and type(self.queries) is int
            and self.queries > 0
            and all(type(one) in (int, float) and 0 <= one <= 1 for one in (self.rank1, self.mAP))
        )
        if not sound:
            raise ValueError(f"these are no numbers of an encoder: {self}"[:MAX_NAME])


def of_encoder(fingerprint: str, metadata: Mapping[str, str]) -> tuple[Accuracy, ...]:
    """What is told of an encoder, by the file beside the shipped one or in its own metadata."""
    known = thresholds.beside(fingerprint)
    told = [] if known is None else list(known["accuracy"])
    listed = _loaded(metadata.get("accuracy", ""))
    told += listed if isinstance(listed, list) else []
    held_out = _loaded(metadata.get("held_out", ""))
    if isinstance(held_out, dict):
        told.append(_held_out(held_out))
    found = (_one(values) for values in told[:MOST])
    return tuple(one for one in found if one is not None)


def as_text(*told: Accuracy) -> str:
    """The metadata's text."""
    return json.dumps([asdict(one) for one in told])


def _held_out(found: dict[str, object]) -> dict[str, object]:
    """The same from a training run's numbers: those of an evaluation's document, and of how many
    ``identities``."""
    people, cmc = found.get("identities"), found.get("cmc")
    return {
        "data": f"{people:,} people held out" if isinstance(people, int) else "people held out",
        "unseen": False,
        "queries": found.get("queries"),
        "rank1": cmc.get("1") if isinstance(cmc, dict) else None,
        "mAP": found.get("mAP"),
    }


def _one(values: object) -> Accuracy | None:
    if not isinstance(values, dict):
        return None
    try:
        return Accuracy(**values)
    except (TypeError, ValueError):
        return None


def _loaded(text: str) -> object:
    if len(text) > MAX_TEXT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
