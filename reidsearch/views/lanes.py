"""A trace as a page or a picture: a lane for each camera, its stays along one time axis."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from reidsearch.files import replacing
from reidsearch.views import cards, endings, pages, painter, thumbnails, tracks
from reidsearch.views.made import Made
from reidsearch.views.palette import LIGHT
from reidsearch.views.verdicts import MEANINGS

if TYPE_CHECKING:
    from reidsearch.search.trace import Trace
    from reidsearch.views.timeline import Axis
    from reidsearch.views.tracks import Track

ENDINGS = (".png", ".html")
WIDTH, LABEL = 1240, 112  # pixels: all of a lane, and its name's
PICTURE = (128, 64)  # height, width of a thumbnail
BESIDE = 136  # pixels for the words beside a thumbnail
TRACK, LINE = 44, 26  # a track's height, and its line's place from above
BAR = 12  # a stay's mark is so high, and no narrower than half of it


def save(trace: "Trace", path: Path, made: Made | None = None) -> None:
    """Write it to ``path``; its ending, .png or .html, says which kind; ``made`` is told in its
    head. Raises UsageError on another ending, OSError where it cannot be written; then nothing is.
    """
    endings.check(path, ENDINGS)
    with replacing(path) as partial:
        if path.suffix.lower() == ".png":
            draw(trace, made or Made()).save(partial, "PNG")
        else:
            partial.write_text(html(trace, made or Made()), encoding="utf-8")


def html(trace: "Trace", made: Made | None = None) -> str:
    """The page, which holds its pictures."""
    axis, found = tracks.of(trace)
    return pages.render(
        "trace.html",
        title=tracks.title(trace),
        facts=tracks.facts(trace, made),
        pictures=cards.of_asked(trace),
        axis=axis,
        tracks=[
            (
                track,
                [
                    cards.card(
                        mark.kind,
                        mark.stay.hits[0].path,
                        thumbnails.of_hit(mark.stay.hits[0], cards.LARGEST),
                        mark.caption,
                    )
                    for mark in track.marks
                ],
            )
            for track in found
        ],
    )


def png(trace: "Trace") -> bytes:
    """The picture as a PNG file's bytes."""
    buffer = io.BytesIO()
    draw(trace).save(buffer, "PNG")
    return buffer.getvalue()


def draw(trace: "Trace", made: Made | None = None) -> Image.Image:
    """The picture: what was asked with, the axis, and a lane for each camera with a track,
    to scale, and the best hit of each stay below it."""
    axis, found = tracks.of(trace)
    told = tracks.facts(trace, made)
    asked = [
        painter.card(
            thumbnails.of_probe(one, PICTURE, enlarge=True),
            *(PICTURE, kind, said),
            lines=2,
            beside=BESIDE,
        )
        for kind, one, said in cards.asked(trace)
    ]
    first = asked[0].width + painter.GAP
    words = painter.heading(tracks.title(trace), told, MEANINGS, width=WIDTH - first)
    head = Image.new("RGB", (WIDTH, max(asked[0].height, words.height)), LIGHT.paper)
    head.paste(asked[0], (0, 0))
    head.paste(words, (first, 0))
    parts = [head, *_rows(asked[1:])]
    if axis is not None:
        parts.append(_axis(axis))
    return painter.stacked([*parts, *(_lane(track, axis) for track in found)], gap=6)


def _rows(drawn: Sequence[Image.Image]) -> list[Image.Image]:
    """Cards of one size, as many beside each other as fit."""
    rows = []
    cell = max((one.width for one in drawn), default=0) + painter.GAP
    columns = (WIDTH + painter.GAP) // cell
    for start in range(0, len(drawn), columns):
        some = drawn[start : start + columns]
        row = Image.new("RGB", (WIDTH, some[0].height), LIGHT.paper)
        for place, one in enumerate(some):
            row.paste(one, (place * cell, 0))
        rows.append(row)
    return rows


def _axis(axis: "Axis") -> Image.Image:
    image = Image.new("RGB", (WIDTH, 34), LIGHT.paper)
    pen = ImageDraw.Draw(image)
    for tick in axis.ticks:
        x = _x(tick.at)
        painter.text(pen, (x, 2), tick.date, painter.SMALL, LIGHT.quiet, anchor="ma")
        painter.text(pen, (x, 16), tick.label, painter.SMALL, LIGHT.quiet, anchor="ma")
    return image


def _lane(track: "Track", axis: "Axis | None") -> Image.Image:
    """A track, and the cards of its stays in rows."""
    lines = max(len(mark.caption.lines) for mark in track.marks)
    width, height = painter.card_size(PICTURE, lines=lines, beside=BESIDE)
    cell = width + painter.GAP
    columns = (WIDTH - LABEL + painter.GAP) // cell
    down = -(-len(track.marks) // columns)
    top = 14 if axis is None else TRACK
    image = Image.new("RGB", (WIDTH, top + down * (height + painter.GAP)), LIGHT.paper)
    pen = ImageDraw.Draw(image)
    pen.line((0, 0, WIDTH, 0), fill=LIGHT.line)
    painter.text(pen, (0, 10), track.name, painter.TEXT, LIGHT.ink, width=LABEL - 10)
    if axis is not None:
        for tick in axis.ticks:
            pen.line((_x(tick.at), LINE - 10, _x(tick.at), LINE + 10), fill=LIGHT.line)
        pen.line((LABEL, LINE, WIDTH, LINE), fill=LIGHT.line)
    for mark in track.marks:
        if mark.left is not None and mark.right is not None:
            left, right = _x(mark.left) - BAR // 4, _x(mark.right) + BAR // 4
            box = (left, LINE - BAR // 2, right, LINE + BAR // 2)
            pen.rectangle(box, fill=painter.color(mark.kind), outline=LIGHT.paper)
    for at, number in track.numbers:
        painter.text(pen, (_x(at), 4), number, painter.SMALL, LIGHT.ink, anchor="ma")
    for place, mark in enumerate(track.marks):
        picture = thumbnails.of_hit(mark.stay.hits[0], PICTURE, enlarge=True)
        drawn = painter.card(picture, PICTURE, mark.kind, mark.caption, lines=lines, beside=BESIDE)
        x, y = LABEL + place % columns * cell, top + place // columns * (height + painter.GAP)
        image.paste(drawn, (x, y))
    return image


def _x(place: float) -> int:
    """Pixels from the left, of a share of the axis."""
    return round(LABEL + place * (WIDTH - LABEL))
