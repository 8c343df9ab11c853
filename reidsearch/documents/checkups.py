"""What a doctor found."""

from collections import Counter
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.inspection.findings import Checkup


class FindingDocument(TypedDict):
    """One kind of disagreement, how often it was found and is left, and where."""

    kind: str
    what: str
    found: int
    left: int
    subjects: list[str]


class CheckupDocument(TypedDict):
    """What a doctor looked at and found."""

    images: int
    vectors: int
    healthy: bool
    fixed: bool
    findings: list[FindingDocument]


def checkup_document(done: "Checkup") -> CheckupDocument:
    left = Counter(finding.kind for finding in done.left)
    found = Counter(finding.kind for finding in done.found) | left
    every = dict.fromkeys((*done.found, *done.left))  # each once
    return {
        "images": done.images,
        "vectors": done.vectors,
        "healthy": not done.left,
        "fixed": done.fixed,
        "findings": [
            {
                "kind": str(kind),
                "what": kind.meaning,
                "found": count,
                "left": left[kind],
                "subjects": [finding.subject for finding in every if finding.kind is kind],
            }
            for kind, count in sorted(found.items())
        ],
    }
