"""What a search answers: hits, in rank order."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from reidsearch import documents
from reidsearch.catalog.records import ImageRecord
from reidsearch.views import sheet


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored image among the answers to a probe. ``rank`` counts from 1; ``score`` is the cosine,
    with what a ranking adds to it."""

    rank: int
    score: float
    id: int
    identity: int | None
    camera: int | None
    sequence: int | None
    frame: int | None
    split: str
    path: str

    @classmethod
    def of(cls, image: ImageRecord, *, rank: int, score: float) -> Self:
        """A stored image as a hit."""
        return cls(
            rank=rank,
            score=score,
            id=image.id,
            identity=image.identity,
            camera=image.camera,
            sequence=image.sequence,
            frame=image.frame,
            split=str(image.split),
            path=str(image.file),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits for one probe. ``query`` is its name; ``camera`` and ``identity`` are the probe's,
    where they are known; ``picture`` are its file's bytes. In a notebook it shows as a contact
    sheet."""

    query: str
    camera: int | None
    identity: int | None
    hits: tuple[Hit, ...]
    picture: bytes | None = field(default=None, repr=False, compare=False)

    def document(self) -> documents.AnswerDocument:
        """As a JSON document."""
        return documents.answer(self)

    def save(self, path: str | Path) -> None:
        """Write a contact sheet, .png or .html. Raises UsageError on another ending."""
        sheet.save([self], Path(path))

    def _repr_html_(self) -> str:
        return sheet.html([self])
