"""Tables on stdout, in which no word is broken and no path folded."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import TypeAlias

from reidsearch.cli.output import one_line, showable

Cells: TypeAlias = Sequence[object]

SHORTEST = 12  # letters that a path is cut to at most, where there is so little room
PIPE = 400  # letters in a line of what is no terminal


def print_table(
    rows: Sequence[Cells],
    *,
    columns: Sequence[str],
    title: str | None = None,
    styles: Sequence[str] = (),
) -> None:
    """A table on stdout; numbers stand right. Columns without any value are left out. ``styles``
    colours rows one by one. On a terminal a Path is cut in its middle where it does not fit, and
    other text is broken between words."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [
        index
        for index in range(len(columns))
        if not rows or any(row[index] not in (None, "") for row in rows)
    ]
    console = Console()
    if not console.is_terminal:  # a pipe has no width to fit into; wrapping would only hurt
        console.width = max(console.width, PIPE)
    cells = [[_cell(row[index]) for index in shown] for row in rows]
    headers = [one_line(columns[index]) for index in shown]
    paths = [any(isinstance(row[index], PurePath) for row in rows) for index in shown]
    gap, widths = _fitted([headers, *cells], paths, console.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 2, 0, 1))
    for index, header, width in zip(shown, headers, widths, strict=True):
        values = [row[index] for row in rows if row[index] not in (None, "")]
        numeric = bool(values) and all(isinstance(value, int | float) for value in values)
        table.add_column(
            Text(header), justify="right" if numeric else "left", overflow="fold", width=width
        )
    for row, style in zip(cells, styles or [""] * len(rows), strict=True):
        fitted = [
            shortened(cell, width)
            if is_path
            else " ".join(shortened(word, width) for word in cell.split(" "))
            for cell, width, is_path in zip(row, widths, paths, strict=True)
        ]
        table.add_row(*map(Text, fitted), style=style)  # Text: no markup
    if title:  # Rich would wrap it at the table's width
        whole = showable(title)
        if console.is_terminal:
            whole = shortened(whole, console.width)
        console.print(Text(whole, style="italic"), soft_wrap=True)
    console.print(table)


def shortened(text: str, width: int) -> str:
    """A path, or a word, in so many cells: what is too much is left out from its middle. A file's
    name stays whole, or where it is too long itself, without its folders."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    left = max(width - 1, 1)
    name = max(text.rfind("/"), text.rfind("\\"))
    tail = text[name:]
    if name < 0 or cell_len(tail) > left:
        text = text[name + 1 :]
        if cell_len(text) <= width:
            return text
        tail = text[-(left // 2) :] if left > 1 else ""
        while cell_len(tail) > left // 2:
            tail = tail[1:]
    return set_cell_size(text, left - cell_len(tail)) + showable_or("…", ".") + tail


def showable_or(sign: str, plain: str) -> str:
    """A sign, or something plainer where the encoding of stdout has it not."""
    return sign if showable(sign) == sign else plain


def _fitted(
    rows: Sequence[Sequence[str]], paths: Sequence[bool], room: int
) -> tuple[int, list[int]]:
    """The gap between a table's columns and their widths, so that it fits into a terminal: paths
    are cut, other columns broken between words. Where that does not suffice the widest columns give
    way, and their words are cut, too."""
    from rich.cells import cell_len

    columns = list(zip(*rows, strict=True))
    whole = [max(map(cell_len, column)) for column in columns]
    words = [
        max((cell_len(word) for cell in column for word in cell.split()), default=0)
        for column in columns
    ]
    names = [
        max(min(cell_len(cell), cell_len(PurePath(cell).name) + 2) for cell in column)
        for column in columns
    ]
    least = [
        min(all_of_it, SHORTEST) if is_path else word
        for all_of_it, word, is_path in zip(whole, words, paths, strict=True)
    ]
    for gap in (3, 2):
        left = room - 2 - gap * (len(columns) - 1)
        if sum(whole) <= left:
            return gap, whole
        named = [
            max(a, b) if is_path else a for a, b, is_path in zip(least, names, paths, strict=True)
        ]
        if sum(named) <= left:
            break
    while sum(least) > left and max(least) > 1:
        least[least.index(max(least))] -= 1
    widths, spare = list(least), max(0, left - sum(least))
    texts = [0 if is_path else width for width, is_path in zip(whole, paths, strict=True)]
    for wanted in (named, texts, whole):  # a file's name comes first
        for index, most in enumerate(wanted):
            more = min(spare, max(0, most - widths[index]))
            widths[index] += more
            spare -= more
    return gap, widths


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else showable(one_line(str(value)))
