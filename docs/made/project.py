"""The pages that the repository's own files make: as they stand, with links between pages."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent


class Carried(NamedTuple):
    """Where a file goes, and what is said of it."""

    page: str
    description: str


FILES: Mapping[str, Carried] = {
    "ARCHITECTURE.md": Carried("architecture.md", "The packages in layers, and what is decided."),
    "CONTRIBUTING.md": Carried("contributing.md", "Set-up, a map of the tree, how to add to it."),
    "CHANGELOG.md": Carried("changes.md", "What changed, and what counts as public."),
    "SECURITY.md": Carried("security.md", "How to report a weakness, and what counts as one."),
    "RELEASING.md": Carried("releasing.md", "How a version is made, step by step."),
}


def pages() -> dict[str, str]:
    """All of them, by their place in the documentation."""
    return {one.page: _carried(name, one) for name, one in FILES.items()}


def _carried(name: str, to: Carried) -> str:
    text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for other, there in FILES.items():
        text = text.replace(f"]({other})", f"]({there.page})")
    return f"---\ndescription: {json.dumps(to.description)}\n---\n\n{text}"
