"""What the page is told by among others: a person, in the colours of the page."""

import base64
import functools
import io

from PIL import Image, ImageDraw

from reidsearch.views.palette import LIGHT

SIDE = 32  # pixels
FINER = 8  # times as large it is drawn, for smooth edges


@functools.cache
def url() -> str:
    """The icon as a data URL. Browsers look at it anew with each step of a page's address, which is
    with every question: a file would be asked for each time, and an SVG drawn."""
    drawn = Image.new("RGBA", (SIDE * FINER, SIDE * FINER))
    pen = ImageDraw.Draw(drawn)

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        return tuple(FINER * side for side in (left, top, right, bottom))

    pen.rounded_rectangle(box(0, 0, SIDE - 1 / FINER, SIDE - 1 / FINER), 6 * FINER, LIGHT.accent)
    pen.ellipse(box(11.5, 5.5, 20.5, 14.5), LIGHT.paper)
    pen.pieslice(box(8, 16.5, 24, 37.5), 180, 360, LIGHT.paper)
    buffer = io.BytesIO()
    drawn.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
