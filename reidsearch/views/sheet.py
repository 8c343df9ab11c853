"""Contact sheets: a row for each probe, the probe first, then its hits in rank order."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from reidsearch import images
from reidsearch.errors import ImageError, UsageError
from reidsearch.types import DISTRACTOR, JUNK, Answer, Hit

RIGHT, WRONG, UNSURE = "#1a7f37", "#cf222e", "#8c959f"
INK, QUIET, PAPER = "#1f2328", "#59636e", "#ffffff"
THUMBNAIL = (192, 96)  # height, width: twice a Market-1501 crop would blur less, but fit fewer
FRAME, GAP, CAPTION, MARGIN = 4, 12, 34, 20  # pixels


def check(path: Path) -> None:
    """Raise UsageError where ``path`` does not end in .png or .html."""
    if path.suffix.lower() not in (".png", ".html"):
        raise UsageError(
            f"cannot save a sheet as {path.suffix or 'a file without ending'}",
            hint="End its name in .png or .html.",
        )


def save(answers: Sequence[Answer], path: Path) -> None:
    """Write a sheet to ``path``; its ending, .png or .html, says which kind.

    Frames are green where the hit shows the probe's identity, red where it does not, and grey
    where either is not known. Raises UsageError on another ending.
    """
    check(path)
    if path.suffix.lower() == ".png":
        draw(answers).save(path)
    else:
        path.write_text(_page(answers), encoding="utf-8")


def verdict(answer: Answer, hit: Hit) -> bool | None:
    """Whether the hit shows the probe's identity; None where that is not known.

    Of junk it is not: a bad crop may well show a part of the same person.
    """
    if answer.identity is None or answer.identity <= DISTRACTOR or hit.identity in (None, JUNK):
        return None
    return hit.identity == answer.identity


def color(answer: Answer, hit: Hit) -> str:
    """Of the hit's frame, by ``verdict``."""
    return {True: RIGHT, False: WRONG, None: UNSURE}[verdict(answer, hit)]


def thumbnail(path: str, size: tuple[int, int] = THUMBNAIL) -> Image.Image:
    """The picture at ``path`` at that size (height, width); grey where it cannot be read."""
    height, width = size
    try:
        pixels = images.decode(images.read_bytes(Path(path)), size=size)
    except ImageError:  # the file has gone or changed since it was stored
        return Image.new("RGB", (width, height), "#d1d9e0")
    return Image.fromarray(pixels)


def _who(identity: int | None) -> str:
    return {None: "", -1: "junk", 0: "distractor"}.get(identity, f"id {identity}")


def _where(camera: int | None) -> str:
    return "" if camera is None else f"cam {camera}"


def _captions(hit: Hit) -> tuple[str, str]:
    return (
        f"{hit.rank}   {hit.score:.3f}",
        "  ".join(filter(None, (_who(hit.identity), _where(hit.camera)))),
    )


def draw(answers: Sequence[Answer]) -> Image.Image:
    """The sheet as a picture."""
    height, width = THUMBNAIL
    cell, row = width + 2 * FRAME + GAP, height + 2 * FRAME + CAPTION + GAP
    columns = 1 + max((len(a.hits) for a in answers), default=0)
    # The probe stands apart from its hits by one more gap.
    size = (2 * MARGIN + columns * cell + GAP, 2 * MARGIN + len(answers) * row - GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(13), ImageFont.load_default(11)

    def put(x: int, y: int, path: str, color: str, captions: tuple[str, str]) -> None:
        pen.rounded_rectangle(
            (x, y, x + width + 2 * FRAME - 1, y + height + 2 * FRAME - 1), radius=3, fill=color
        )
        sheet.paste(thumbnail(path), (x + FRAME, y + FRAME))
        below = y + height + 2 * FRAME + 3
        pen.text((x + FRAME, below), captions[0], font=font, fill=INK)
        pen.text((x + FRAME, below + 15), captions[1], font=small, fill=QUIET)

    for index, answer in enumerate(answers):
        y = MARGIN + index * row
        who = "  ".join(filter(None, (_who(answer.identity), _where(answer.camera))))
        put(MARGIN, y, answer.query, INK, ("probe", who))
        for column, hit in enumerate(answer.hits):
            x = MARGIN + (column + 1) * cell + GAP
            put(x, y, hit.path, color(answer, hit), _captions(hit))
    return sheet


def _page(answers: Sequence[Answer]) -> str:
    def figure(path: str, color: str, captions: tuple[str, str]) -> str:
        buffer = io.BytesIO()
        thumbnail(path).save(buffer, "JPEG", quality=90)
        data = base64.b64encode(buffer.getvalue()).decode()
        title = html.escape(path, quote=True)
        return (
            f'<figure title="{title}"><img style="border-color:{color}" alt="{title}" '
            f'src="data:image/jpeg;base64,{data}"><figcaption><b>{html.escape(captions[0])}</b>'
            f"<br>{html.escape(captions[1])}</figcaption></figure>"
        )

    rows = []
    for answer in answers:
        who = "  ".join(filter(None, (_who(answer.identity), _where(answer.camera))))
        cells = [figure(answer.query, INK, ("probe", who))]
        cells += [figure(h.path, color(answer, h), _captions(h)) for h in answer.hits]
        rows.append(f"<section>{''.join(cells)}</section>")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>reidsearch</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 13px/1.35 system-ui, sans-serif; color: {INK}; background: {PAPER}; margin: 24px; }}
section {{ display: flex; flex-wrap: wrap; gap: 12px; margin-bottom: 20px; }}
figure {{ margin: 0; }} figure:first-child {{ margin-right: 12px; }}
img {{ display: block; width: {THUMBNAIL[1]}px; height: {THUMBNAIL[0]}px;
  border: {FRAME}px solid; border-radius: 3px; }}
figcaption {{ padding: 3px {FRAME}px; color: {QUIET}; }} b {{ color: {INK}; }}
</style>
<p><span style="color:{RIGHT}">green</span>: the probe's identity,
<span style="color:{WRONG}">red</span>: another, grey: not known.</p>
{"".join(rows)}
</html>
"""
