"""A trace as a picture: a lane for each camera, its stays from left to right."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from reidsearch import names
from reidsearch.files import replacing
from reidsearch.ranking.clock import SECONDS, in_words
from reidsearch.views import endings, fonts, sheet
from reidsearch.views.palette import LIGHT

if TYPE_CHECKING:
    from reidsearch.stays import Stay
    from reidsearch.trace import Trace

ENDINGS = (".png",)
LANE, HEAD, LABEL, STEP = 176, 52, 96, 112  # pixels: a lane's height, above it, beside it, a stay
TIME = 13  # what a date above a time of day adds to a lane
PICTURE = (128, 64)  # height, width of a thumbnail


def save(trace: "Trace", path: Path) -> None:
    """Write the picture to ``path``. Raises UsageError where that does not end in .png, OSError
    where it cannot be written; then nothing is."""
    endings.check(path, ENDINGS)
    with replacing(path) as partial:
        draw(trace).save(partial, "PNG")


def png(trace: "Trace") -> bytes:
    """The picture as a PNG file's bytes."""
    buffer = io.BytesIO()
    draw(trace).save(buffer, "PNG")
    return buffer.getvalue()


def draw(trace: "Trace") -> Image.Image:
    """A lane for each camera, the best hit of each stay along time, from left to right. Stays stand
    side by side, not to scale: they may be seconds or days apart."""
    lanes = sorted({_lane(stay) for stay in trace.stays}, key=_order)
    sites = {site for site, _ in lanes}
    height = LANE + (TIME if trace.unit == SECONDS else 0)
    width = LABEL + STEP * max(len(trace.stays), 1) + 2 * PICTURE[1]
    image = Image.new("RGB", (width, HEAD + height * max(len(lanes), 1) + 12), LIGHT.paper)
    pen = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    x = LABEL + PICTURE[1] + 24
    image.paste(sheet.probe_thumbnail(trace, PICTURE), (LABEL // 2 - 32, HEAD + 4))
    pen.text((LABEL // 2 - 32, 16), "probe", font=font, fill=LIGHT.ink)
    for row, (site, camera) in enumerate(lanes):
        top = HEAD + row * height
        pen.line((LABEL, top + height - 8, width - 12, top + height - 8), fill=LIGHT.line)
        name = camera or "?" if len(sites) == 1 else f"{site}: {camera or '?'}"
        face, name = fonts.drawn(name, 14)
        pen.text((LABEL, top + 4), sheet.fit(name, face, x - LABEL - 8), font=face, fill=LIGHT.ink)
    corners = [
        (x + column * STEP, HEAD + lanes.index(_lane(stay)) * height)
        for column, stay in enumerate(trace.stays)
    ]
    middles = [(left + PICTURE[1] // 2, top + PICTURE[0] // 2) for left, top in corners]
    pen.line(middles, fill=LIGHT.line, width=2)
    for (left, top), stay in zip(corners, trace.stays, strict=True):
        frame = (left - 3, top + 1, left + PICTURE[1] + 2, top + PICTURE[0] + 6)
        best = stay.hits[0]
        pen.rectangle(frame, fill=sheet.color(trace, best))
        image.paste(sheet.thumbnail(best.path, PICTURE), (frame[0] + 3, frame[1] + 3))
        count = f"{best.score:.2f}, {len(stay.hits)} hit{'s' * (len(stay.hits) > 1)}"
        pen.text((frame[0], frame[3] + 2), count, font=small, fill=LIGHT.ink)
        when = in_words(stay.start, trace.unit, trace.zone)
        if trace.unit == SECONDS:
            when = "\n".join(sheet.moment(stay.start, trace.zone))
        pen.text((frame[0], frame[3] + 16), when, font=small, fill=LIGHT.quiet, spacing=2)
    return image


def _lane(stay: "Stay") -> tuple[str, str]:
    """A stay's site, and its camera; empty where that is not known."""
    return stay.site, "" if stay.camera is None else str(stay.camera)


def _order(lane: tuple[str, str]) -> tuple[str, bool, tuple[bool, int, str]]:
    site, camera = lane
    return site, bool(camera), names.order(camera)
