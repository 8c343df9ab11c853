"""What a doctor finds: what can be wrong with a gallery, and what is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from reidsearch.catalog import State
from reidsearch.documents.checkups import CheckupDocument, checkup_document
from reidsearch.stores import Trouble


class Kind(StrEnum):
    """What can be wrong; ``meaning`` says it in the words that people read."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.meaning = meaning
        return kind

    MISSING_VECTOR = "missing-vector", "the catalog calls it indexed, and there is no vector"
    ORPHAN_VECTOR = "orphan-vector", "a vector that the catalog does not list"
    ALTERED_VECTOR = (
        "altered-vector",
        "not the vector that was stored: another encoder's, or damaged",
    )
    UNUSABLE_VECTOR = "unusable-vector", "not finite, or not of unit length"
    WRONG_DIMENSION = (
        "wrong-dimension",
        "the collection's vectors are of another length than the encoder's",
    )
    STALE_PAYLOAD = (
        "stale-payload",
        "camera, data set, time or split beside the vector are not the catalog's",
    )
    STALE_EXPANSION = (
        "stale-expansion",
        "expanded vectors are not those of what is stored now, and searches go without",
    )
    ALTERED_EXPANSION = (
        "altered-expansion",
        "missing, or not the expanded vector that was stored",
    )
    ALTERED_MEANS = (
        "altered-means",
        "not the means or cells that expanded vectors were made with, and searches go without",
    )
    UNOPTIMISED = "unoptimised", "not yet in the form in which many vectors are searched fast"
    STRAY_COLLECTION = "stray-collection", "a collection of no encoder in the catalog"
    OTHER_SETTINGS = "other-settings", "the server keeps the collection otherwise than is set"
    BROKEN_COLLECTION = "broken-collection", "the server says that the collection is not in order"
    DEAD_REPLICA = (
        "dead-replica",
        "a copy of a shard that its cluster does not use: its node is away, or was emptied and is "
        "another one now; then remove the old one from the cluster, and mend",
    )
    OTHER_VERSION = "other-version", "a server or client that was not tried with the other"
    PENDING = "pending", "recorded, and its vector not confirmed"
    DELETING = "deleting", "forgotten, and not yet gone"
    UNCOMPACTED = "uncompacted", "forgotten, and its bytes not yet gone"
    MOVED = "moved", "the file has another name now"
    CHANGED = "changed", "the file's content is not what was encoded"
    TOUCHED = "touched", "the file has another date and the same content"
    VANISHED = "vanished", "the file is gone"
    ROOT_GONE = "root-gone", "the data set's whole folder is gone, or not mounted"
    EXPIRED = "expired", "older than retain_days"


AILMENTS = {
    Trouble.SETTINGS: Kind.OTHER_SETTINGS,
    Trouble.STATE: Kind.BROKEN_COLLECTION,
    Trouble.REPLICA: Kind.DEAD_REPLICA,
    Trouble.VERSION: Kind.OTHER_VERSION,
}
UNFINISHED = {State.PENDING: Kind.PENDING, State.DELETING: Kind.DELETING}


@dataclass(frozen=True, slots=True)
class Repair:
    """``mend`` is called once, with the images' ids of all findings that share it."""

    mend: Callable[[Sequence[int]], None]
    image: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not agree: its kind, its ``subject`` (an image's path, an id or a
    collection's name), with the ``encoder`` it concerns, if any.

    Without a ``repair`` of its own it is mended by encoding, forgetting or optimising, or not at
    all.
    """

    kind: Kind
    subject: str
    encoder: str = ""
    repair: Repair | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Checkup:
    """``found`` is what was wrong; ``left`` what still is, after mending where that was asked for.
    ``images`` and ``vectors`` were looked at."""

    images: int
    vectors: int
    found: tuple[Finding, ...]
    left: tuple[Finding, ...]
    fixed: bool

    def document(self) -> CheckupDocument:
        """As a JSON document."""
        return checkup_document(self)
