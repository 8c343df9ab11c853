"""Pictures in terminals that can show them: kitty's, iTerm2's and DEC's sixel protocols."""

import base64
import io
import os
import re
import select
import shutil
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from reidsearch.search.answer import Answer

WHY = "here: stdout is no terminal that shows pictures; --save sheet.html does"
ANSWERED = 0.3  # seconds that a terminal has to say what it can
COLUMN = 10  # pixels, where the terminal does not tell
CHUNK = 4096  # bytes of base64 at once, as kitty has it
COLORS = 256  # of a sixel picture
SIXEL = "4"  # among what a terminal says it can


@dataclass(frozen=True)
class Canvas:
    """A terminal's stdout, with the way in which it takes pictures."""

    encode: "Callable[[Image.Image], str]"
    width: int

    def draw(self, answer: "Answer") -> None:
        """Show an answer's pictures below what was printed."""
        from reidsearch.views import strip

        sys.stdout.write(self.encode(strip.draw(answer, width=self.width)) + "\n")
        sys.stdout.flush()


def canvas() -> Canvas | None:
    """How stdout shows pictures; None where it cannot."""
    if not sys.stdout.isatty():
        return None
    encode = by_environment(os.environ)
    if encode is None and SIXEL in _attributes():
        encode = sixel
    return None if encode is None else Canvas(encode, _pixels())


def by_environment(variables: Mapping[str, str]) -> "Callable[[Image.Image], str] | None":
    """What the environment says of the terminal; None where it says nothing, and within tmux and
    screen, which pass on only what they know."""
    term = variables.get("TERM", "")
    if "TMUX" in variables or term.startswith(("tmux", "screen")):
        return None
    program = variables.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in variables or "kitty" in term or "ghostty" in (program.lower(), term):
        return kitty
    if variables.get("LC_TERMINAL") == "iTerm2" or program in ("iTerm.app", "WezTerm", "mintty"):
        return iterm
    return None


def kitty(image: "Image.Image") -> str:
    """https://sw.kovidgoyal.net/kitty/graphics-protocol/: a PNG in chunks."""
    data = base64.b64encode(_png(image)).decode("ascii")
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks):
        keys = "a=T,f=100,q=2," if number == 0 else ""
        parts.append(f"\033_G{keys}m={int(number < len(chunks) - 1)};{chunk}\033\\")
    return "".join(parts)


def iterm(image: "Image.Image") -> str:
    """https://iterm2.com/documentation-images.html: a PNG at its own size."""
    data = _png(image)
    keys = f"inline=1;size={len(data)};width={image.width}px;preserveAspectRatio=1"
    return f"\033]1337;File={keys}:{base64.b64encode(data).decode('ascii')}\a"


def sixel(image: "Image.Image") -> str:
    """DEC's sixels: bands of six rows, a line for each colour in them."""
    import numpy as np

    indexed = image.quantize(COLORS)
    palette = np.array(indexed.getpalette(), dtype=np.int64).reshape(-1, 3)
    pixels = np.asarray(indexed)
    parts = [f'\033Pq"1;1;{image.width};{image.height}']
    for number in np.unique(pixels).tolist():
        red, green, blue = (round(value * 100 / 255) for value in palette[number].tolist())
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, image.height, 6):
        band = pixels[top : top + 6]
        bits = 1 << np.arange(len(band))
        lines = []
        for number in np.unique(band).tolist():
            values = 63 + ((band == number) * bits[:, None]).sum(axis=0)
            lines.append(f"#{number}{_runs(bytes(values.astype(np.uint8)).decode('ascii'))}")
        parts.append("$".join(lines) + "-")
    return "".join(parts) + "\033\\"


def _runs(line: str) -> str:
    """Sixels with runs told by their length."""
    return re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", line.rstrip("?"))


def _png(image: "Image.Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _attributes() -> list[str]:
    """What the terminal answers when it is asked for its attributes; nothing where it is silent or
    nobody can be asked."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        return []
    import termios
    import tty

    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    answer = b""
    try:
        tty.setcbreak(file)
        sys.stdout.write("\033[c")
        sys.stdout.flush()
        end = time.monotonic() + ANSWERED
        while b"c" not in answer and (left := end - time.monotonic()) > 0:
            if select.select([file], [], [], left)[0]:
                answer += os.read(file, 64)
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)
    found = re.search(rb"\033\[\?([\d;]*)c", answer)
    return found[1].decode("ascii").split(";") if found else []


def _pixels() -> int:
    """The terminal's width."""
    columns = shutil.get_terminal_size().columns
    if sys.platform != "win32":
        import fcntl
        import termios

        try:
            size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
        except OSError:
            return columns * COLUMN
        return struct.unpack("HHHH", size)[2] or columns * COLUMN
    return columns * COLUMN
