"""What is asked of a gallery: pictures, what to leave out, and how to rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from reidsearch.errors import UsageError
from reidsearch.search import audit
from reidsearch.search.question import Question
from reidsearch.types import Split, check_span


@dataclass(frozen=True, slots=True)
class Wish:
    """How people want answers ranked. ``expand`` compares vectors that carry their neighbours in
    the gallery, ``spatio_temporal`` adds the weighted evidence of the time between two sightings,
    ``rerank`` re-ranks by k-reciprocal neighbours among the whole split, or among the nearest
    images where that is too large, and scores are then 1 -
    the re-ranked distance. None stands for "where the gallery has learned it and the picture allows
    it"."""

    expand: bool | None = None
    spatio_temporal: bool | None = None
    rerank: bool = False

    @classmethod
    def of(cls, *, expand: bool, spatio_temporal: bool, rerank: bool, plain: bool) -> "Wish":
        """What these four mean together: without any of them, the best there is.

        Raises UsageError where ``plain`` is asked for with another.
        """
        asked = {"{expand}": expand, "{spatio_temporal}": spatio_temporal, "{rerank}": rerank}
        others = [name for name, wanted in asked.items() if wanted]
        if plain and others:
            raise UsageError(
                "a plain ranking and another one are asked for at once",
                hint="Leave out {plain}, or " + " and ".join(others) + ".",
            )
        if plain or others:
            return cls(expand, spatio_temporal, rerank)
        return BEST


BEST, PLAIN = Wish(), Wish(expand=False, spatio_temporal=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A ``question``, and which of the stored images may answer it.

    ``exclude_camera`` drops every image of the probes' cameras, ``only_cameras`` all but those of
    some; ``site`` and ``dataset`` leave what is of one, ``since`` and ``until`` (seconds since 1970
    UTC, the second one not included) what was taken in between; the best ``top_k`` are told, of at
    least ``min_score``. ``wish`` says how to rank. ``by_stay`` asks for ``top_k`` stays, into which
    the nearest images fall. With ``exact`` all stored vectors are compared, however many.
    ``operator`` is who asks: by default whoever does when it is made.

    Raises UsageError where less than one hit is asked for, or no time is in the span.
    """

    question: Question
    exclude_camera: bool = False
    only_cameras: Sequence[str] = ()
    site: str | None = None
    dataset: str | None = None
    since: float | None = None
    until: float | None = None
    split: Split = Split.GALLERY
    top_k: int = 10
    min_score: float = -math.inf
    wish: Wish = BEST
    by_stay: bool = False
    exact: bool = False
    operator: str = field(default_factory=audit.operator)

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UsageError(
                f"{self.top_k} hits are asked for", hint="Ask for at least 1 with {top_k}."
            )
        check_span(self.since, self.until)
