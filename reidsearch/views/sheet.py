"""Contact sheets: a row for each probe, the probe first, then its hits in rank order."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image, ImageDraw, ImageFont

from reidsearch import images
from reidsearch.errors import ImageError
from reidsearch.files import replacing
from reidsearch.types import DISTRACTOR, JUNK
from reidsearch.views import endings, pages
from reidsearch.views.palette import LIGHT

if TYPE_CHECKING:
    from reidsearch.answer import Answer, Hit

ENDINGS = (".png", ".html")
THUMBNAIL = (192, 96)  # height, width: twice a Market-1501 crop would blur less, but fit fewer
FRAME, GAP, CAPTION, MARGIN = 4, 12, 34, 20  # pixels

# How the palette and the templates call a verdict, and what is said of it.
KINDS = {True: "right", False: "wrong", None: "unsure"}
MEANINGS = {"right": "the probe's identity", "wrong": "another", "unsure": "not known"}


class Probe(Protocol):
    """What an answer and a trace know of their probe: its name, and its file's bytes or None."""

    @property
    def query(self) -> str: ...
    @property
    def identity(self) -> int | None: ...
    @property
    def picture(self) -> bytes | None: ...


@dataclass(frozen=True)
class Card:
    """A picture on a page, as a data URL, with two lines below it, and what it is said to be where
    it cannot be seen. ``kind`` is "probe" or one of KINDS."""

    kind: str
    path: str
    picture: str
    head: str
    foot: str
    said: str


@dataclass(frozen=True)
class Row:
    """A probe and its hits."""

    probe: Card
    hits: list[Card]


def save(answers: Sequence["Answer"], path: Path) -> None:
    """Write a sheet to ``path``; its ending, .png or .html, says which kind.

    Frames are green where the hit shows the probe's identity, red where it does not, and grey
    where either is not known. Raises UsageError on another ending, OSError where it cannot be
    written; then nothing is.
    """
    endings.check(path, ENDINGS)
    with replacing(path) as partial:
        if path.suffix.lower() == ".png":
            draw(answers).save(partial, "PNG")
        else:
            partial.write_text(html(answers), encoding="utf-8")


def html(answers: Sequence["Answer"]) -> str:
    """The sheet as a page that holds its pictures."""
    return pages.render("sheet.html", answers=rows(answers))


def rows(answers: Sequence["Answer"]) -> list[Row]:
    """What the template answers.html shows."""
    return [
        Row(
            _card("probe", answer.query, probe_thumbnail(answer), ("probe", _about(answer))),
            [
                _card(_kind(answer, hit), hit.path, thumbnail(hit.path), _captions(hit))
                for hit in answer.hits
            ],
        )
        for answer in answers
    ]


def _card(kind: str, path: str, picture: Image.Image, captions: tuple[str, str]) -> Card:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    said = ", ".join(filter(None, (*captions, MEANINGS.get(kind))))
    return Card(kind, path, f"data:image/jpeg;base64,{data}", *captions, said)


def verdict(probe: Probe, hit: "Hit") -> bool | None:
    """Whether the hit shows the probe's identity; None where that is not known.

    Of junk it is not: a bad crop may well show a part of the same person.
    """
    if probe.identity is None or probe.identity <= DISTRACTOR or hit.identity in (None, JUNK):
        return None
    return hit.identity == probe.identity


def _kind(probe: Probe, hit: "Hit") -> str:
    return KINDS[verdict(probe, hit)]


def color(probe: Probe, hit: "Hit") -> str:
    """Of the hit's frame, by ``verdict``."""
    return str(getattr(LIGHT, _kind(probe, hit)))


def probe_thumbnail(probe: Probe, size: tuple[int, int] = THUMBNAIL) -> Image.Image:
    """The picture that was searched with, at that size, as ``thumbnail``."""
    return thumbnail(probe.query if probe.picture is None else probe.picture, size)


def thumbnail(picture: str | bytes, size: tuple[int, int] = THUMBNAIL) -> Image.Image:
    """A picture, a file's path or its bytes, at that size (height, width); grey where it cannot be
    read."""
    height, width = size
    try:
        data = images.read_bytes(Path(picture)) if isinstance(picture, str) else picture
        pixels = images.decode(data, size=size)
    except ImageError:  # the file has gone or changed since it was stored
        return Image.new("RGB", (width, height), LIGHT.line)
    return Image.fromarray(pixels)


def _who(identity: int | None) -> str:
    return {None: "", -1: "junk", 0: "distractor"}.get(identity, f"id {identity}")


def _about(seen: "Answer | Hit") -> str:
    where = "" if seen.camera is None else f"cam {seen.camera}"
    return "  ".join(filter(None, (_who(seen.identity), where)))


def _captions(hit: "Hit") -> tuple[str, str]:
    return f"{hit.rank}   {hit.score:.3f}", _about(hit)


def draw(answers: Sequence["Answer"]) -> Image.Image:
    """The sheet as a picture."""
    height, width = THUMBNAIL
    cell, row = width + 2 * FRAME + GAP, height + 2 * FRAME + CAPTION + GAP
    columns = 1 + max((len(a.hits) for a in answers), default=0)
    # The probe stands apart from its hits by one more gap.
    size = (2 * MARGIN + columns * cell + GAP, 2 * MARGIN + len(answers) * row - GAP)
    sheet = Image.new("RGB", size, LIGHT.paper)
    pen = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(13), ImageFont.load_default(11)

    def put(x: int, y: int, picture: Image.Image, color: str, captions: tuple[str, str]) -> None:
        pen.rounded_rectangle(
            (x, y, x + width + 2 * FRAME - 1, y + height + 2 * FRAME - 1), radius=3, fill=color
        )
        sheet.paste(picture, (x + FRAME, y + FRAME))
        below = y + height + 2 * FRAME + 3
        pen.text((x + FRAME, below), captions[0], font=font, fill=LIGHT.ink)
        pen.text((x + FRAME, below + 15), captions[1], font=small, fill=LIGHT.quiet)

    for index, answer in enumerate(answers):
        y = MARGIN + index * row
        put(MARGIN, y, probe_thumbnail(answer), LIGHT.ink, ("probe", _about(answer)))
        for column, hit in enumerate(answer.hits):
            x = MARGIN + (column + 1) * cell + GAP
            put(x, y, thumbnail(hit.path), color(answer, hit), _captions(hit))
    return sheet
