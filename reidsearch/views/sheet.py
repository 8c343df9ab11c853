"""Contact sheets: a row for each question, its pictures first, then the hits in rank order."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from reidsearch import images, times
from reidsearch.errors import ImageError
from reidsearch.files import replacing
from reidsearch.ranking.clock import SECONDS, in_words
from reidsearch.types import DISTRACTOR, JUNK
from reidsearch.views import endings, fonts, pages
from reidsearch.views.palette import LIGHT

if TYPE_CHECKING:
    from reidsearch.answer import Answer, Asked, Hit
    from reidsearch.stays import Stay

ENDINGS = (".png", ".html")
THUMBNAIL = (192, 96)  # height, width: twice a Market-1501 crop would blur less, but fit fewer
FRAME, GAP, CAPTION, MARGIN = 4, 12, 34, 20  # pixels
LINE = 13  # pixels that a caption's second and further lines below its head add to it
LONGEST = 100  # characters of a caption, before its width is looked at

# How the palette and the templates call a verdict, and what is said of it.
KINDS = {True: "right", False: "wrong", None: "unsure"}
MEANINGS = {"right": "the probe's identity", "wrong": "another", "unsure": "not known"}
UNLIKE = "not"  # what a picture of somebody who is not meant is called, here and in the templates


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
    """A picture on a page, as a data URL, with a head and lines below it, and what it is said to be
    where it cannot be seen. ``kind`` is "probe", UNLIKE or one of KINDS."""

    kind: str
    path: str
    picture: str
    head: str
    lines: Sequence[str]
    said: str


Captions: TypeAlias = tuple[str, ...]  # the head of a Card and its lines, some of which are empty


@dataclass(frozen=True)
class Row:
    """The pictures of a question, and its hits."""

    asked: list[Card]
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
            [
                _card(kind, said(one.query), probe_thumbnail(one), _asked_captions(kind, one))
                for kind, one in _asked(answer)
            ],
            [
                _card(_kind(answer, hit), said(hit.path), thumbnail(hit.path), captions)
                for hit, captions in zip(answer.hits, _captions(answer), strict=True)
            ],
        )
        for answer in answers
    ]


def _asked(answer: "Answer") -> list[tuple[str, "Asked"]]:
    """All pictures of a question, with the kind of their cards."""
    probes = [("probe", one) for one in answer.together]
    return [*probes, *((UNLIKE, one) for one in answer.unlike)]


def _card(kind: str, path: str, picture: Image.Image, captions: Captions) -> Card:
    said = ", ".join(filter(None, (*captions, MEANINGS.get(kind))))
    head, *lines = captions
    shown = list(filter(None, lines))
    return Card(kind, path, data_url(picture, quality=90), head, shown, said)


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


def _asked_captions(kind: str, one: "Asked") -> Captions:
    return kind, about(one.identity, one.camera)


def _captions(answer: "Answer") -> list[Captions]:
    """Of each hit; by stay, of the whole stay that it is the best of."""
    if answer.stays is None:
        return [
            (
                f"{hit.rank}   {hit.score:.3f}",
                about(hit.identity, hit.camera),
                *moment(hit.timestamp, answer.zone),
            )
            for hit in answer.hits
        ]
    return [
        (
            f"{number}   {stay.hits[0].score:.3f}",
            about(stay.hits[0].identity, stay.camera),
            f"{len(stay.hits)} crop{'s' * (len(stay.hits) > 1)}",
            *_span(stay, answer.unit, answer.zone),
        )
        for number, stay in enumerate(answer.stays, start=1)
    ]


def _span(stay: "Stay", unit: str | None, zone: times.Zone) -> tuple[str, ...]:
    """From when to when, in lines short enough for a thumbnail's width."""
    if stay.start is None or stay.end is None:
        return ()
    if unit != SECONDS:
        last = f"-{stay.end:.0f}" if stay.end != stay.start else ""
        return (f"{in_words(stay.start, unit, zone)}{last}",)
    (date, first), (end_date, last) = moment(stay.start, zone), moment(stay.end, zone)
    if date != end_date:
        return date, f"{first} -", end_date, last
    return date, first if first == last else f"{first}-{last}"


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
    captions = [_captions(answer) for answer in answers]
    lines = max((len(list(filter(None, one))) for each in captions for one in each), default=0)
    cell = width + 2 * FRAME + GAP
    row = height + 2 * FRAME + CAPTION + GAP + LINE * max(0, lines - 2)
    asked = [_asked(answer) for answer in answers]
    # Many pictures of one question stand in a square.
    sides = [math.ceil(math.sqrt(len(each))) for each in asked]
    down = [math.ceil(len(each) / side) for each, side in zip(asked, sides, strict=True)]
    head = max(sides, default=1)
    columns = head + max((len(a.hits) for a in answers), default=0)
    # What was asked with stands apart from the hits by one more gap.
    size = (2 * MARGIN + columns * cell + GAP, 2 * MARGIN + sum(down) * row - GAP)
    sheet = Image.new("RGB", size, LIGHT.paper)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)

    def put(x: int, y: int, picture: Image.Image, color: str, captions: Captions) -> None:
        pen.rounded_rectangle(
            (x, y, x + width + 2 * FRAME - 1, y + height + 2 * FRAME - 1), radius=3, fill=color
        )
        sheet.paste(picture, (x + FRAME, y + FRAME))
        below = y + height + 2 * FRAME + 3
        pen.text((x + FRAME, below), captions[0], font=font, fill=LIGHT.ink)
        for line, text in enumerate(filter(None, captions[1:])):
            small, text = fonts.drawn(text, 11)
            text = fit(text, small, cell - 2 * FRAME)
            pen.text((x + FRAME, below + 15 + LINE * line), text, font=small, fill=LIGHT.quiet)

    y = MARGIN
    for answer, each, side, rows, said in zip(answers, asked, sides, down, captions, strict=True):
        for at, (kind, one) in enumerate(each):
            x, top = MARGIN + at % side * cell, y + at // side * row
            ink = LIGHT.wrong if kind == UNLIKE else LIGHT.ink
            put(x, top, probe_thumbnail(one), ink, _asked_captions(kind, one))
        for column, (hit, about_it) in enumerate(zip(answer.hits, said, strict=True)):
            x = MARGIN + (head + column) * cell + GAP
            put(x, y, thumbnail(hit.path), color(answer, hit), about_it)
        y += rows * row
    return sheet
