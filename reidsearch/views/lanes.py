"""A trace as a picture: a lane for each camera, its stays from left to right."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from reidsearch.files import replacing
from reidsearch.ranking.clock import in_words
from reidsearch.views import endings, sheet
from reidsearch.views.palette import LIGHT

if TYPE_CHECKING:
    from reidsearch.trace import Trace

ENDINGS = (".png",)
LANE, HEAD, LABEL, STEP = 176, 52, 96, 112  # pixels: a lane's height, above it, beside it, a stay
PICTURE = (128, 64)  # height, width of a thumbnail


def save(trace: "Trace", path: Path) -> None:
    """Write the picture to ``path``. Raises UsageError where that does not end in .png, OSError
    where it cannot be written; then nothing is."""
    endings.check(path, ENDINGS)
    with replacing(path) as partial:
        draw(trace).save(partial, "PNG")


def draw(trace: "Trace") -> Image.Image:
    """A lane for each camera, the best hit of each stay along time, from left to right. Stays stand
    side by side, not to scale: they may be seconds or days apart."""
    cameras = sorted({stay.camera for stay in trace.stays}, key=lambda c: -1 if c is None else c)
    width = LABEL + STEP * max(len(trace.stays), 1) + 2 * PICTURE[1]
    image = Image.new("RGB", (width, HEAD + LANE * max(len(cameras), 1) + 12), LIGHT.paper)
    pen = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    x = LABEL + PICTURE[1] + 24
    image.paste(sheet.probe_thumbnail(trace, PICTURE), (LABEL // 2 - 32, HEAD + 4))
    pen.text((LABEL // 2 - 32, 16), "probe", font=font, fill=LIGHT.ink)
    for lane, camera in enumerate(cameras):
        top = HEAD + lane * LANE
        pen.line((LABEL, top + LANE - 8, width - 12, top + LANE - 8), fill=LIGHT.line)
        name = "camera ?" if camera is None else f"camera {camera}"
        pen.text((LABEL, top + 4), name, font=font, fill=LIGHT.ink)
    corners = [
        (x + column * STEP, HEAD + cameras.index(stay.camera) * LANE)
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
        when = in_words(stay.start, trace.unit)
        pen.text((frame[0], frame[3] + 16), when, font=small, fill=LIGHT.quiet)
    return image
