"""Backups, and galleries made from them."""

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.transport.backup import Backup
    from reidsearch.transport.restoring import Restored


class BackupDocument(TypedDict):
    """A backup that was written to a file; ``crops`` are those that were pushed, with their files,
    ``waiting`` those of them that were not stored yet."""

    file: str
    images: int
    vectors: int
    expanded: int
    crops: int
    waiting: int
    bytes: int
    seconds: float


class RestoredDocument(TypedDict):
    """A gallery that was made from a backup, by its key; ``made`` says when the backup was (ISO
    8601, UTC), ``waiting`` the pushed crops that are to be stored yet, ``findings`` how many of
    each kind doctor has of the restored gallery."""

    gallery: str
    made: str
    images: int
    vectors: int
    expanded: int
    crops: int
    waiting: int
    findings: dict[str, int]
    seconds: float


def backup_document(done: "Backup") -> BackupDocument:
    return {
        "file": str(done.file),
        "images": done.images,
        "vectors": done.vectors,
        "expanded": done.expanded,
        "crops": done.crops,
        "waiting": done.waiting,
        "bytes": done.bytes,
        "seconds": round(done.seconds, 3),
    }


def restored_document(done: "Restored") -> RestoredDocument:
    return {
        "gallery": done.gallery,
        "made": datetime.fromtimestamp(done.made, UTC).isoformat(timespec="seconds"),
        "images": done.images,
        "vectors": done.vectors,
        "expanded": done.expanded,
        "crops": done.crops,
        "waiting": done.waiting,
        "findings": dict(Counter(str(one.kind) for one in done.found)),
        "seconds": round(done.seconds, 3),
    }
