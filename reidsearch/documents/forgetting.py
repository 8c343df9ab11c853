"""What is forgotten, or would be."""

from typing import TYPE_CHECKING, TypedDict

from reidsearch.documents.moving import PlaceDocument, place_documents

if TYPE_CHECKING:
    from reidsearch.forgetting.removal import Forgotten


class SelectedDocument(TypedDict):
    """What would be forgotten; ``waiting`` counts pushed crops that are not stored yet."""

    images: int
    paths: list[str]
    waiting: int


class ForgottenDocument(TypedDict):
    """What is gone. ``compacted`` is false where a server still keeps bytes for a while;
    ``backups`` of the catalog went too. ``left`` are places that the gallery was moved from, do not
    answer, and still hold it. ``waiting`` counts pushed crops that were not stored yet."""

    images: int
    vectors: int
    compacted: bool
    backups: int
    left: list[PlaceDocument]
    waiting: int


def selected_document(done: "Forgotten") -> SelectedDocument:
    return {
        "images": len(done.images),
        "paths": [str(path) for path in done.images],
        "waiting": done.waiting,
    }


def forgotten_document(done: "Forgotten") -> ForgottenDocument:
    return {
        "images": len(done.images),
        "vectors": done.vectors,
        "compacted": done.compacted,
        "backups": done.backups,
        "left": place_documents(done.left),
        "waiting": done.waiting,
    }
