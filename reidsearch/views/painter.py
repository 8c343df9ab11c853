"""The parts of a drawn picture: its head, what frames mean, and cards."""

from collections.abc import Iterable, Mapping, Sequence

from PIL import Image, ImageDraw

from reidsearch.views import fonts
from reidsearch.views.captions import Caption
from reidsearch.views.made import Facts
from reidsearch.views.palette import LIGHT
from reidsearch.views.thumbnails import Size
from reidsearch.views.verdicts import PROBE, UNLIKE

FRAME, GAP, MARGIN = 4, 12, 20  # pixels: a frame's line, between cards, around all
HEAD, LINE = 18, 14  # a caption's first line, and each below it
BADGE = 16  # a mark's side
TITLE, TEXT, SMALL = 20, 13, 11  # sizes of letters
LONGEST = 400  # characters of a line, before its width is looked at
ELLIPSIS = "…"


def color(kind: str) -> str:
    """Of a frame."""
    if kind == PROBE:
        return LIGHT.ink
    return str(getattr(LIGHT, "wrong" if kind == UNLIKE else kind))


def card_size(picture: Size, *, lines: int, beside: int = 0) -> tuple[int, int]:
    """Width and height of a card: with so many lines below its head, below the picture; or
    ``beside`` it, where they have so many pixels."""
    height, width = picture
    words = HEAD + LINE * lines + 4
    if beside:
        return width + 2 * FRAME + 6 + beside, max(height + 2 * FRAME, words)
    return width + 2 * FRAME, height + 2 * FRAME + words


def card(
    picture: Image.Image | str,
    size: Size,
    kind: str,
    caption: Caption,
    *,
    lines: int,
    beside: int = 0,
) -> Image.Image:
    """A picture in a frame of that size (height, width), in its own shape, with its mark and its
    caption, as ``card_size`` says; what is no picture is a blank that says why."""
    height, width = size
    image = Image.new("RGB", card_size(size, lines=lines, beside=beside), LIGHT.paper)
    pen = ImageDraw.Draw(image)
    outside = (0, 0, width + 2 * FRAME - 1, height + 2 * FRAME - 1)
    pen.rounded_rectangle(outside, radius=3, fill=color(kind))
    pen.rectangle((FRAME, FRAME, FRAME + width - 1, FRAME + height - 1), fill=LIGHT.well)
    if isinstance(picture, Image.Image):
        left, top = (width - picture.width) // 2, (height - picture.height) // 2
        image.paste(picture, (FRAME + left, FRAME + top))
    else:
        _blank(pen, picture, size)
    if kind != PROBE:
        mark(pen, kind, (width + 2 * FRAME - BADGE, 0))
    x, y = (width + 2 * FRAME + 6, 0) if beside else (1, height + 2 * FRAME + 2)
    room = image.width - x - 1
    _spread(pen, caption.head, (x, y), room)
    for at, line in enumerate(caption.lines[:lines]):
        text(pen, (x, y + HEAD + LINE * at), line, SMALL, LIGHT.quiet, width=room)
    return image


def _blank(pen: ImageDraw.ImageDraw, why: str, size: Size) -> None:
    height, width = size
    inside = (FRAME, FRAME, FRAME + width - 1, FRAME + height - 1)
    pen.line((*inside[:2], *inside[2:]), fill=LIGHT.line, width=2)
    pen.line((inside[0], inside[3], inside[2], inside[1]), fill=LIGHT.line, width=2)
    lines = wrapped(why, SMALL, width - 8)[:6]
    top = FRAME + (height - LINE * len(lines)) // 2
    for at, line in enumerate(lines):
        font, shown = fonts.drawn(line, SMALL)
        left = FRAME + (width - font.getlength(shown)) / 2
        box = (left - 2, top + LINE * at, left + font.getlength(shown) + 2, top + LINE * (at + 1))
        pen.rectangle(box, fill=LIGHT.well)
        pen.text((left, top + LINE * at), shown, font=font, fill=LIGHT.quiet)


def mark(pen: ImageDraw.ImageDraw, kind: str, corner: tuple[int, int]) -> None:
    """Right and wrong, told by a mark on the frame's colour; its upper left ``corner``."""
    x, y = corner
    pen.rectangle((x, y, x + BADGE - 1, y + BADGE - 1), fill=color(kind))
    if kind == "right":
        pen.line([(x + 4, y + 8), (x + 7, y + 11), (x + 12, y + 4)], fill=LIGHT.paper, width=2)
    elif kind in ("wrong", UNLIKE):
        pen.line((x + 4, y + 4, x + 11, y + 11), fill=LIGHT.paper, width=2)
        pen.line((x + 11, y + 4, x + 4, y + 11), fill=LIGHT.paper, width=2)
    elif kind == "unsure":
        font, shown = fonts.drawn("?", TEXT)
        pen.text((x + BADGE / 2, y + BADGE / 2), shown, font=font, fill=LIGHT.paper, anchor="mm")


def heading(title: str, facts: Facts, kinds: Mapping[str, str], *, width: int) -> Image.Image:
    """A title, facts beside their names, and what frames mean."""
    names = max((_length(f"{name}   ", TEXT) for name, _ in facts), default=0)
    titled = wrapped(title, TITLE, width)
    told = [(name, wrapped(value, TEXT, width - names)) for name, value in facts]
    step, size = TEXT + 6, TITLE + 6
    count = sum(len(lines) for _, lines in told)
    legend = _legend(kinds, width=width)
    height = size * len(titled) + 6 + step * count + 10 + legend.height
    image = Image.new("RGB", (width, height), LIGHT.paper)
    pen = ImageDraw.Draw(image)
    y = 0
    for line in titled:
        text(pen, (0, y), line, TITLE, LIGHT.ink)
        y += size
    y += 6
    for name, lines in told:
        text(pen, (0, y), name, TEXT, LIGHT.quiet)
        for line in lines:
            text(pen, (names, y), line, TEXT, LIGHT.ink)
            y += step
    image.paste(legend, (0, y + 10))
    return image


def _legend(kinds: Mapping[str, str], *, width: int) -> Image.Image:
    places, x, row = [], 0, 0
    for kind, meaning in kinds.items():
        wide = BADGE + 6 + round(_length(meaning, TEXT)) + 18
        if x and x + wide > width:
            x, row = 0, row + 1
        places.append((kind, meaning, x, row * (BADGE + 8)))
        x += wide
    image = Image.new("RGB", (width, (row + 1) * (BADGE + 8) if kinds else 0), LIGHT.paper)
    pen = ImageDraw.Draw(image)
    for kind, meaning, left, top in places:
        mark(pen, kind, (left, top))
        text(pen, (left + BADGE + 6, top), meaning, TEXT, LIGHT.quiet)
    return image


def text(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    line: str,
    size: int,
    ink: str,
    *,
    width: int | None = None,
    anchor: str = "la",
) -> None:
    """One line, no wider than ``width`` pixels: what is too long is cut in its middle."""
    font, line = fonts.drawn(line, size)
    if width is not None:
        line = fitted(line, font, width)
    pen.text(at, line, font=font, fill=ink, anchor=anchor)


def _spread(
    pen: ImageDraw.ImageDraw, words: Sequence[str], at: tuple[int, int], width: int
) -> None:
    """The first word at the left and the last at the right."""
    text(pen, at, words[0] if words else "", TEXT, LIGHT.ink)
    if len(words) > 1:
        text(pen, (at[0] + width, at[1]), words[-1], TEXT, LIGHT.ink, anchor="ra")


def fitted(line: str, font: fonts.Font, width: float) -> str:
    """As much of a line's beginning and end as is no wider, in pixels."""
    if len(line) <= LONGEST and font.getlength(line) <= width:
        return line
    for kept in range(min(len(line), LONGEST) - 1, 0, -1):
        head = (kept + 1) // 2
        cut = line[:head] + ELLIPSIS + line[len(line) - (kept - head) :]
        if font.getlength(cut) <= width:
            return cut
    return ELLIPSIS


def wrapped(line: str, size: int, width: float) -> list[str]:
    """A text in lines no wider than that, broken between words; a word that is wider is cut."""
    lines: list[str] = []
    for word in line.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and _length(joined, size) <= width:
            lines[-1] = joined
        else:
            font, shown = fonts.drawn(word, size)
            lines.append(fitted(shown, font, width))
    return lines


def _length(line: str, size: int) -> float:
    font, shown = fonts.drawn(line, size)
    return font.getlength(shown)


def stacked(parts: Iterable[Image.Image], *, gap: int = GAP) -> Image.Image:
    """Pictures below each other, with a margin around all."""
    parts = list(parts)
    width = max(part.width for part in parts) + 2 * MARGIN
    height = sum(part.height for part in parts) + gap * (len(parts) - 1) + 2 * MARGIN
    image = Image.new("RGB", (width, height), LIGHT.paper)
    y = MARGIN
    for part in parts:
        image.paste(part, (MARGIN, y))
        y += part.height + gap
    return image
