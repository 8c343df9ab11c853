"""The one drawing of how the code is built, made from its imports.

    python -m docs.made.drawing                # writes docs/architecture.svg

Boxes are groups of modules. An arrow is an import from one group to another, left out where a way
over others says the same. A box stands below all that import it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tests.test_layers import LEVEL, imports, modules

FILE = Path(__file__).parent.parent / "architecture.svg"
Arrows = frozenset[tuple[str, str]]

# What stands in a box, from left to right where several are side by side: packages and modules at
# the top of reidsearch. The other modules there lie below all packages.
BASE = "types, errors, config, files, ..."
GROUPS: Mapping[str, tuple[str, ...]] = {
    "cli": ("cli", "__main__"),
    "service": ("service",),
    "demo": ("demo",),
    "gallery": ("gallery", "opening", "client"),
    "inspection, transport": ("inspection", "transport"),
    "evaluation": ("evaluation",),
    "ingest, pushing, forgetting": ("ingest", "pushing", "forgetting"),
    "search": ("search",),
    "learning": ("learning",),
    "views": ("views",),
    "session, vectors": ("session", "vectors"),
    "encoding": ("encoding",),
    "stores": ("stores",),
    "catalog": ("catalog",),
    "datasets": ("datasets",),
    "ranking, documents, pictures": ("ranking", "documents", "pictures"),
    BASE: (),
}
SAYS: Mapping[str, str] = {
    "cli": "a file for each command: parse, call one method, print",
    "service": "HTTP: routes, tokens, guards",
    "demo": "drawn people",
    "gallery": "the one door, here or from afar: a method for each verb",
    "inspection, transport": "status, exploration, doctor; move, back up, restore",
    "evaluation": "the protocol",
    "ingest, pushing, forgetting": "images come, a data set or a crop at once, and go",
    "search": "query and trace: who, where, when; and the log of that",
    "learning": "transit times, scores, neighbours, expanded vectors",
    "views": "what people look at",
    "session, vectors": "what one process has open, and an encoder's vectors with their images",
    "encoding": "pictures to vectors",
    "stores": "vectors in Qdrant",
    "catalog": "SQL: the truth",
    "datasets": "readers, one a layout",
    "ranking, documents, pictures": "numpy alone; results as JSON; files to pixels",
    BASE: "what all build on",
}
HOME = {module: group for group, names in GROUPS.items() for module in names}

# The columns that a box takes, and of how many: a line to a box two rows below needs one free.
COLUMNS = 5
PLACES: Mapping[str, tuple[int, int]] = {
    "service": (0, 3), "demo": (3, 2),
    "inspection, transport": (0, 4), "evaluation": (4, 1),
    "ingest, pushing, forgetting": (0, 4),
    "learning": (0, 4), "views": (4, 1),
    "session, vectors": (0, 4),
    "encoding": (0, 1), "stores": (1, 1), "catalog": (2, 1), "datasets": (3, 1),
    "ranking, documents, pictures": (2, 3),
}  # fmt: skip
WIDTH, MARGIN, GAP = 860, 20, 24
HIGH, STEP = 54, 92  # of a box, and from one row to the next


@dataclass(frozen=True)
class Box:
    """A group's place, in pixels."""

    x: float
    y: float
    width: float


def group(module: str) -> str:
    """Where a module belongs."""
    return HOME.get(module.split(".")[0], BASE)


def arrows() -> Arrows:
    """Which groups import which, without what follows from others."""
    found = set()
    for module, path in modules().items():
        used = {name.removeprefix("reidsearch.") for name in imports(path, for_types=False)}
        found |= {(group(module), group(one)) for one in used & LEVEL.keys()}
    found = {(a, b) for a, b in found if a != b}
    below = {name: {b for a, b in found if a == name} for name in GROUPS}

    def reached(name: str, seen: tuple[str, ...] = ()) -> set[str]:
        if name in seen:
            raise ValueError(f"a circle: {' -> '.join((*seen, name))}")
        return {name}.union(*(reached(one, (*seen, name)) for one in below[name]))

    return frozenset(
        (a, b) for a, b in found if not any(b in reached(one) for one in below[a] - {b})
    )


def rows(drawn: Arrows) -> list[list[str]]:
    """The groups by how far below the top they are."""
    depth = dict.fromkeys(GROUPS, 0)
    for _ in GROUPS:
        for a, b in drawn:
            depth[b] = max(depth[b], depth[a] + 1)
    return [[g for g in GROUPS if depth[g] == row] for row in range(max(depth.values()) + 1)]


def drawing() -> str:
    """The picture, as SVG."""
    drawn = arrows()
    boxes: dict[str, Box] = {}
    wide = (WIDTH - 2 * MARGIN - GAP * (COLUMNS - 1)) / COLUMNS
    for at, row in enumerate(rows(drawn)):
        for name in row:
            column, taken = PLACES.get(name, (0, COLUMNS))
            boxes[name] = Box(
                MARGIN + column * (wide + GAP),
                MARGIN + at * STEP,
                taken * (wide + GAP) - GAP,
            )
    height = max(box.y for box in boxes.values()) + HIGH + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        'font-family="system-ui, sans-serif" text-anchor="middle">',
        "<title>Which packages of reidsearch import which</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#556"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#f7f7fb"/>',
        *(_arrow(boxes[a], boxes[b]) for a, b in sorted(drawn)),
        *(_box(name, boxes[name]) for name in GROUPS),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrow(above: Box, below: Box) -> str:
    """Straight down from or to the middle of the narrower one where the other is there, else
    aslant."""
    narrow, broad = sorted((above, below), key=lambda box: box.width)
    middle = narrow.x + narrow.width / 2
    other = min(max(middle, broad.x + MARGIN), broad.x + broad.width - MARGIN)
    start, end = (middle, other) if narrow is above else (other, middle)
    if start != end:  # beside the straight one
        start = min(max(end, above.x + MARGIN), above.x + above.width - MARGIN)
    return (
        f'<line x1="{start:.0f}" y1="{above.y + HIGH:.0f}" x2="{end:.0f}" y2="{below.y - 1:.0f}" '
        'stroke="#556" stroke-width="1.4" marker-end="url(#tip)"/>'
    )


def _box(name: str, box: Box) -> str:
    x, middle = box.x, box.x + box.width / 2
    return (
        f'<rect x="{x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{HIGH}" rx="8" '
        'fill="#fff" stroke="#3949ab" stroke-width="1.4"/>'
        f'<text x="{middle:.0f}" y="{box.y + 23:.0f}" font-size="15" font-weight="600" '
        f'fill="#1a237e">{escape(name)}</text>'
        f'<text x="{middle:.0f}" y="{box.y + 42:.0f}" font-size="12.5" fill="#333">'
        f"{escape(SAYS[name])}</text>"
    )


if __name__ == "__main__":
    FILE.write_text(drawing(), encoding="utf-8")
