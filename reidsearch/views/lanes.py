"""A trace as a picture: a lane for each camera, its stays from left to right."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from reidsearch.errors import UsageError
from reidsearch.ranking.clock import in_words
from reidsearch.trace import Trace
from reidsearch.types import Answer
from reidsearch.views import sheet

LANE, HEAD, LABEL, STEP = 176, 52, 96, 112  # pixels: a lane's height, above it, beside it, a stay
PICTURE = (128, 64)  # height, width of a thumbnail


def check(path: Path) -> None:
    """Raise UsageError where ``path`` does not end in .png."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"cannot save a trace as {path.name}", hint="End its name in .png.")


def draw(found: Trace, path: Path) -> None:
    """Write a picture: a lane for each camera, the best hit of each stay along time, from left to
    right. Stays stand side by side, not to scale: they may be seconds or days apart.
    """
    check(path)
    cameras = sorted({stay.camera for stay in found.stays}, key=lambda c: -1 if c is None else c)
    width = LABEL + STEP * max(len(found.stays), 1) + 2 * PICTURE[1]
    image = Image.new("RGB", (width, HEAD + LANE * max(len(cameras), 1) + 12), sheet.PAPER)
    pen = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    x = LABEL + PICTURE[1] + 24
    image.paste(sheet.thumbnail(found.query, PICTURE), (LABEL // 2 - 32, HEAD + 4))
    pen.text((LABEL // 2 - 32, 16), "probe", font=font, fill=sheet.INK)
    points = []
    for lane, camera in enumerate(cameras):
        top = HEAD + lane * LANE
        pen.line((LABEL, top + LANE - 8, width - 12, top + LANE - 8), fill="#d1d9e0")
        name = "camera ?" if camera is None else f"camera {camera}"
        pen.text((LABEL, top + 4), name, font=font, fill=sheet.INK)
    for column, stay in enumerate(found.stays):
        left, top = x + column * STEP, HEAD + cameras.index(stay.camera) * LANE
        best = stay.hits[0]
        shown = Answer(found.query, found.camera, found.identity, (best,))
        frame = (left - 3, top + 1, left + PICTURE[1] + 2, top + PICTURE[0] + 6)
        points.append((left + PICTURE[1] // 2, top + PICTURE[0] // 2, frame, shown, stay))
    pen.line([point[:2] for point in points], fill="#d1d9e0", width=2)
    for _, _, frame, shown, stay in points:
        pen.rectangle(frame, fill=sheet.color(shown, stay.hits[0]))
        image.paste(sheet.thumbnail(stay.hits[0].path, PICTURE), (frame[0] + 3, frame[1] + 3))
        count = f"{stay.hits[0].score:.2f}, {len(stay.hits)} hit{'s' * (len(stay.hits) > 1)}"
        pen.text((frame[0], frame[3] + 2), count, font=small, fill=sheet.INK)
        when = in_words(stay.start, found.unit)
        pen.text((frame[0], frame[3] + 16), when, font=small, fill=sheet.QUIET)
    image.save(path)
