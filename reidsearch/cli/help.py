"""How help looks: options in groups, words whole, an example at its end.

Typer's own puts types into a column of their own and breaks the lines of the text for them, in
another way in every version.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

NARROW, WIDE = 40, 100  # columns of a terminal that are made use of, at least and at most
NAMES = 28  # columns of the options' names at most
EXAMPLE = "Example"
FIRST = ("Arguments", "Options")  # groups: these stand first, those last, others as they come
LAST = ("Ranking", "Output", "Global options")


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option or an argument, as it is told of: its ``group``, its names with the word for its
    value, and what it is for."""

    group: str
    names: str
    said: str

    @classmethod
    def of(cls, one: object) -> Self:
        """One of Typer's, of whichever version: they differ in type, and share these attributes."""
        is_argument = getattr(one, "param_type_name", "") == "argument"
        value = str(getattr(one, "metavar", None) or getattr(one, "name", "")).upper()
        words = sorted(getattr(one, "opts", ()), key=lambda word: (word.startswith("--"), word))
        if is_argument:
            names = value
        else:
            names = ", ".join(words) + ("" if getattr(one, "is_flag", False) else f" {value}")
        group = getattr(one, "rich_help_panel", None) or FIRST[not is_argument]
        if "--help" in words:
            group = LAST[-1]
        return cls(str(group), names, f"{getattr(one, 'help', '')}{_default(one)}")


def _place(group: str) -> int:
    if group in FIRST:
        return FIRST.index(group)
    return len(FIRST) + (LAST.index(group) + 1 if group in LAST else 0)


def _default(one: object) -> str:
    """What is taken where nothing is given, where that is worth telling."""
    value = getattr(one, "default", None)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, int | float | str | os.PathLike):
        return ""
    return f" [default: {value}]" if getattr(one, "show_default", True) and str(value) else ""


def page(
    usage: str, text: str, parameters: Iterable[object], rest: Iterable[tuple[str, list[str]]]
) -> str:
    """The help of a command: how it is called, what it does, its parameters (Typer's) by groups,
    and further groups of lines that stand as they are."""
    width = min(max(shutil.get_terminal_size().columns, NARROW), WIDE) - 1
    parts = [
        _wrapped(f"{_bold('Usage:')} {usage}", width, indent="  "),
        *(_wrapped(" ".join(part.split()), width) for part in text.split("\n\n")),
    ]
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in map(Parameter.of, parameters):
        groups.setdefault(one.group, []).append((one.names, one.said))
    ordered = sorted(groups, key=_place)
    column = min(max((len(n) for rows in groups.values() for n, _ in rows), default=0), NAMES)
    parts += [_table(name, groups[name], column, width) for name in ordered]
    parts += ["\n".join([_bold(name), *(f"  {line}" for line in lines)]) for name, lines in rest]
    return "\n\n".join(parts) + "\n"


def listed(name: str, rows: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """A group of names with what they mean beside them."""
    width = min(max(shutil.get_terminal_size().columns, NARROW), WIDE) - 1
    column = min(max((len(row) for row, _ in rows), default=0), NAMES)
    return name, [line[2:] for line in _table(name, rows, column, width).split("\n")[1:]]


def _table(name: str, rows: Sequence[tuple[str, str]], column: int, width: int) -> str:
    lines = [_bold(name)]
    for names, said in rows:
        beside = textwrap.wrap(said, width - column - 4, break_on_hyphens=False) or [""]
        if len(names) > column:
            lines.append(f"  {names}")
            names = ""
        for at, line in enumerate(beside):
            lines.append(f"  {names if at == 0 else '':{column}}  {line}".rstrip())
    return "\n".join(lines)


def _wrapped(text: str, width: int, *, indent: str = "") -> str:
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _bold(text: str) -> str:
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return f"\033[1m{text}\033[0m"
    return text
