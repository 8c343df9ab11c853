"""The colours of everything that people look at."""

from typing import NamedTuple


class Palette(NamedTuple):
    """``right``, ``wrong`` and ``unsure`` frame hits by their verdict, with ``paper`` for the mark
    on them; ``well`` is what a picture lies on."""

    ink: str
    quiet: str
    line: str
    paper: str
    well: str
    accent: str
    right: str
    wrong: str
    unsure: str


LIGHT = Palette(
    ink="#1f2328",
    quiet="#59636e",
    line="#d1d9e0",
    paper="#ffffff",
    well="#eff2f5",
    accent="#0969da",
    right="#1a7f37",
    wrong="#cf222e",
    unsure="#6e7781",
)
DARK = Palette(  # pages only: pictures are drawn on light paper
    ink="#e6edf3",
    quiet="#9198a1",
    line="#3d444d",
    paper="#0d1117",
    well="#1c2129",
    accent="#4493f8",
    right="#3fb950",
    wrong="#f85149",
    unsure="#8b949e",
)
