"""Cards: pictures in frames with what is said of them, as templates show them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from reidsearch.errors import ReidsearchError
from reidsearch.views import captions, thumbnails, verdicts
from reidsearch.views.captions import Caption

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer, Asked
    from reidsearch.search.trace import Trace

# What a page holds: twice as high and wide as a card's place, for who enlarges it.
LARGEST = (384, 192)


@dataclass(frozen=True)
class Card:
    """A picture on a page, as a data URL, with a head and lines below it, and what it is said to be
    where it cannot be seen. ``kind`` is "probe", "not", one of verdicts.KINDS, or "plain" for a
    frame that means nothing. Without a picture ``gone`` says why."""

    kind: str
    path: str
    picture: str
    gone: str
    head: Sequence[str]
    lines: Sequence[str]
    said: str


@dataclass(frozen=True)
class Row:
    """The pictures of a question, and its hits."""

    asked: list[Card]
    hits: list[Card]


def rows(answers: Sequence["Answer"], *, full_paths: bool = True) -> list[Row]:
    """What the template answers.html shows; each card tells its path, or only its file's name."""

    def told(path: str) -> str:
        return path if full_paths else Path(path).name

    return [
        Row(
            of_asked(answer, told),
            [
                card(
                    verdicts.kind(answer, hit),
                    told(hit.path),
                    thumbnails.of_hit(hit, LARGEST),
                    said,
                )
                for hit, said in zip(answer.hits, captions.of_hits(answer), strict=True)
            ],
        )
        for answer in answers
    ]


def of_asked(answer: "Answer | Trace", told: Callable[[str], str] = str) -> list[Card]:
    """The cards of a question's pictures, of which ``told`` makes the path that each tells."""
    return [
        card(kind, told(one.query), thumbnails.of_probe(one, LARGEST), said)
        for kind, one, said in asked(answer)
    ]


def asked(answer: "Answer | Trace") -> "list[tuple[str, Asked, Caption]]":
    """All pictures of a question, with the kind of their cards and what is said below them."""
    kinds = [
        *((verdicts.PROBE, one) for one in answer.together),
        *((verdicts.UNLIKE, one) for one in answer.unlike),
    ]
    return [(kind, one, captions.of_asked(kind, one)) for kind, one in kinds]


def card(
    kind: str, path: str, picture: Image.Image | str, said: Caption, *, quality: int = 90
) -> Card:
    """A card of a picture, or of why there is none."""
    if isinstance(picture, str):
        return _card(kind, path, said, gone=picture)
    return _card(kind, path, said, picture=thumbnails.data_url(picture, quality=quality))


def of_file(kind: str, path: str, file: bytes | ReidsearchError, said: Caption) -> Card:
    """A card of a picture's file as it was read, or of why it was not."""
    shown = thumbnails.of_file(file, LARGEST) if isinstance(file, bytes) else file
    if isinstance(shown, str):
        return _card(kind, path, said, picture=shown)
    return _card(kind, path, said, gone=shown.message)


def _card(kind: str, path: str, said: Caption, *, picture: str = "", gone: str = "") -> Card:
    return Card(
        kind=kind,
        path=path,
        picture=picture,
        gone=gone,
        head=said.head,
        lines=said.lines,
        said=said.said(verdicts.MEANINGS.get(kind)),
    )
