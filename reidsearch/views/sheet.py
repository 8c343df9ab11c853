"""Contact sheets: a row for each probe, the probe first, then its hits in rank order."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from reidsearch import images, times
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
LONGEST = 100  # characters of a caption, before its width is looked at
TIME = 26  # what date and time of day add to a caption

# How the palette and the templates call a verdict, and what is said of it.
KINDS = {True: "right", False: "wrong", None: "unsure"}
MEANINGS = {"right": "the probe's identity", "wrong": "another", "unsure": "not known"}


class Probe(Protocol):
    """What an answer and a trace know of their probe: its name, who it shows and where, and its
    file's bytes or None."""

    @property
    def query(self) -> str: ...
    @property
    def identity(self) -> int | str | None: ...
    @property
    def site(self) -> str | None: ...
    @property
    def picture(self) -> bytes | None: ...


@dataclass(frozen=True)
class Card:
    """A picture on a page, as a data URL, with lines below it, the last ones empty where no time is
    known, and what it is said to be where it cannot be seen. ``kind`` is "probe" or one of
    KINDS."""

    kind: str
    path: str
    picture: str
    head: str
    foot: str
    date: str
    clock: str
    said: str


Captions: TypeAlias = tuple[str, str, str, str]  # head, foot, date, clock of a Card


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


def html(answers: Sequence["Answer"], *, full_paths: bool = True) -> str:
    """The sheet as a page that holds its pictures; each tells its path, or only its file's name."""
    return pages.render("sheet.html", answers=rows(answers, full_paths=full_paths))


def rows(answers: Sequence["Answer"], *, full_paths: bool = True) -> list[Row]:
    """What the template answers.html shows."""

    def said(path: str) -> str:
        return path if full_paths else Path(path).name

    return [
        Row(
            _card(
                "probe",
                said(answer.query),
                probe_thumbnail(answer),
                ("probe", about(answer.identity, answer.camera), "", ""),
            ),
            [
                _card(
                    _kind(answer, hit),
                    said(hit.path),
                    thumbnail(hit.path),
                    _captions(hit, answer.zone),
                )
                for hit in answer.hits
            ],
        )
        for answer in answers
    ]


def _card(kind: str, path: str, picture: Image.Image, captions: Captions) -> Card:
    said = ", ".join(filter(None, (*captions, MEANINGS.get(kind))))
    return Card(kind, path, data_url(picture, quality=90), *captions, said)


def data_url(picture: Image.Image, *, quality: int) -> str:
    """The picture as a JPEG of that quality, for a page that holds it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def verdict(probe: Probe, hit: "Hit") -> bool | None:
    """Whether the hit shows the probe's identity; None where that is not known.

    Of junk it is not: a bad crop may well show a part of the same person. Nor is it where the probe
    may be from anywhere: a name means somebody at one site.
    """
    nobody = (None, JUNK, DISTRACTOR)
    if probe.identity in nobody or probe.site is None or hit.identity in (None, JUNK):
        return None
    return (hit.identity, hit.site) == (probe.identity, probe.site)


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


def _who(identity: int | str | None) -> str:
    if isinstance(identity, str):
        return identity
    return {None: "", JUNK: "junk", DISTRACTOR: "distractor"}.get(identity, f"id {identity}")


def _where(camera: int | str | None) -> str:
    if camera is None:
        return ""
    return camera if isinstance(camera, str) else f"cam {camera}"


def about(identity: int | str | None, camera: int | str | None) -> str:
    """Whom and where a picture shows, for a line below it."""
    return "  ".join(filter(None, (_who(identity), _where(camera))))


def _captions(hit: "Hit", zone: times.Zone) -> Captions:
    who = about(hit.identity, hit.camera)
    return (f"{hit.rank}   {hit.score:.3f}", who, *moment(hit.timestamp, zone))


def moment(seconds: float | None, zone: times.Zone) -> tuple[str, str]:
    """Date and time of day, each short enough for a thumbnail's width; empty where not known."""
    if seconds is None:
        return "", ""
    date, clock = times.show(seconds, zone).split(" ")
    return date, clock


def fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """As much of a text as is no wider, in pixels; what was cut off shows as an ellipsis."""
    if font.getlength(text[:LONGEST]) <= width and len(text) <= LONGEST:
        return text
    text = text[:LONGEST]
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def draw(answers: Sequence["Answer"]) -> Image.Image:
    """The sheet as a picture."""
    height, width = THUMBNAIL
    timed = any(hit.timestamp is not None for answer in answers for hit in answer.hits)
    cell = width + 2 * FRAME + GAP
    row = height + 2 * FRAME + CAPTION + GAP + (TIME if timed else 0)
    columns = 1 + max((len(a.hits) for a in answers), default=0)
    # The probe stands apart from its hits by one more gap.
    size = (2 * MARGIN + columns * cell + GAP, 2 * MARGIN + len(answers) * row - GAP)
    sheet = Image.new("RGB", size, LIGHT.paper)
    pen = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(13), ImageFont.load_default(11)

    def put(x: int, y: int, picture: Image.Image, color: str, captions: Captions) -> None:
        pen.rounded_rectangle(
            (x, y, x + width + 2 * FRAME - 1, y + height + 2 * FRAME - 1), radius=3, fill=color
        )
        sheet.paste(picture, (x + FRAME, y + FRAME))
        below = y + height + 2 * FRAME + 3
        pen.text((x + FRAME, below), captions[0], font=font, fill=LIGHT.ink)
        for line, text in enumerate(captions[1:]):
            text = fit(text, small, cell - 2 * FRAME)
            pen.text((x + FRAME, below + 15 + 13 * line), text, font=small, fill=LIGHT.quiet)

    for index, answer in enumerate(answers):
        y = MARGIN + index * row
        captions = ("probe", about(answer.identity, answer.camera), "", "")
        put(MARGIN, y, probe_thumbnail(answer), LIGHT.ink, captions)
        for column, hit in enumerate(answer.hits):
            x = MARGIN + (column + 1) * cell + GAP
            captions = _captions(hit, answer.zone)
            put(x, y, thumbnail(hit.path), color(answer, hit), captions)
    return sheet
