"""What could not be taken in."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.types import Rejected


class FailureDocument(TypedDict):
    """A file that was found and could not be taken in."""

    path: str
    reason: str


def failure_document(found: "Rejected") -> FailureDocument:
    return {"path": found.path, "reason": found.reason}
