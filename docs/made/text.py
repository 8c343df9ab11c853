"""Markdown, from texts that were not written as Markdown."""

import json
import re
from collections.abc import Iterable, Sequence

MEANT = re.compile(r"([\\*_<>\[\]{}#|])")
CODE = re.compile(r"(`+)(.+?)\1")


def plain(text: str) -> str:
    """A text as it stands, on one line; what it has in backquotes stays code."""
    parts, end = [], 0
    joined = " ".join(text.split())
    for found in CODE.finditer(joined):
        parts += [MEANT.sub(r"\\\1", joined[end : found.start()]), code(found[2])]
        end = found.end()
    return "".join([*parts, MEANT.sub(r"\\\1", joined[end:])])


def code(text: str) -> str:
    """A text as code, also within a table."""
    return f"`{text}`".replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(title: str, description: str, *parts: str) -> str:
    """A page: its title, what search engines and ``llms.txt`` are told of it, its parts."""
    return (
        "\n\n".join([f"---\ndescription: {json.dumps(description)}\n---", f"# {title}", *parts])
        + "\n"
    )


def paragraphs(docstring: str | None) -> str:
    """A docstring's paragraphs."""
    return "\n\n".join(plain(part) for part in re.split(r"\n\s*\n", docstring or ""))
