"""What a search answers: hits, in rank order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from reidsearch import names
from reidsearch.catalog.records import ImageRecord
from reidsearch.documents.answers import AnswerDocument, answer_document
from reidsearch.ranking.ranking import Ranked, Ranking
from reidsearch.times import Zone
from reidsearch.types import Scan
from reidsearch.views import sheet

if TYPE_CHECKING:
    from reidsearch.search.stays import Stay


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored image among the answers to a probe. ``rank`` counts from 1; ``score`` is the cosine,
    with what a ranking adds to it. ``identity`` and ``camera`` are names at the ``site``, whole
    numbers as such; ``timestamp`` is in seconds since 1970 UTC. ``fetch`` gets the picture where
    the ``path`` is one of another machine; it raises ImageError where there is none any more."""

    rank: int
    score: float
    id: int
    identity: int | str | None
    camera: int | str | None
    sequence: int | None
    frame: int | None
    timestamp: float | None
    split: str
    dataset: str
    site: str
    path: str
    machine: str | None = None
    fetch: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        image: ImageRecord,
        *,
        rank: int,
        score: float,
        fetch: Callable[[], bytes] | None = None,
    ) -> Self:
        """A stored image as a hit."""
        return cls(
            rank=rank,
            score=score,
            id=image.id,
            identity=names.numbered(image.identity),
            camera=names.numbered(image.camera),
            sequence=image.sequence,
            frame=image.frame,
            timestamp=image.timestamp,
            split=str(image.split),
            dataset=image.dataset,
            site=image.site,
            path=str(image.file),
            machine=image.machine,
            fetch=fetch,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture that was searched with: its name ``query``, and ``camera``, ``identity`` and
    ``site`` where they are known; ``picture`` are its file's bytes, None where the file has to be
    read."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    picture: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits for one question. ``query`` to ``site``, and ``picture``, are those of its first
    picture, as ``Asked`` tells them; ``more`` are further pictures of the person, ``unlike`` such
    of others. ``warnings`` say what may be wrong with any of them; times are shown in ``zone``,
    None the machine's own. Where it was asked for by stay, ``stays`` has a stay for each hit, whose
    best that is, and ``unit`` is that of their times: frames or seconds since 1970 UTC, None where
    no time is known. ``ranking`` is how hits were ranked, ``scan`` how they were looked for. In a
    notebook it shows as a contact sheet."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    hits: tuple[Hit, ...]
    warnings: tuple[str, ...] = ()
    picture: bytes | None = field(default=None, repr=False, compare=False)
    zone: Zone = field(default=None, repr=False, compare=False)
    more: tuple[Asked, ...] = ()
    unlike: tuple[Asked, ...] = ()
    stays: "tuple[Stay, ...] | None" = None
    unit: str | None = None
    ranking: Ranked = field(default_factory=Ranking)
    scan: Scan = Scan.EXACT

    @property
    def together(self) -> tuple[Asked, ...]:
        """All pictures of the person that was asked for."""
        first = Asked(self.query, self.camera, self.identity, self.site, self.picture)
        return (first, *self.more)

    def document(self) -> AnswerDocument:
        """As a JSON document."""
        return answer_document(self)

    def save(self, path: str | Path) -> None:
        """Write a contact sheet, .png or .html. Raises UsageError on another ending."""
        sheet.save([self], Path(path))

    def _repr_html_(self) -> str:
        # Notebooks are passed on: the folders of whoever ran one are nobody's business.
        return sheet.html([self], full_paths=False)
