"""Tables on stdout, in which no word is broken and no path folded."""

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TypeAlias

from reidsearch.cli.output import one_line, say, showable

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
    paths = [[isinstance(row[index], PurePath) for index in shown] for row in rows]
    gap, widths = _fitted([headers, *cells], [[False] * len(headers), *paths], console.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 2, 0, 1))
    for index, header, width in zip(shown, headers, widths, strict=True):
        values = [row[index] for row in rows if row[index] not in (None, "")]
        numeric = bool(values) and all(isinstance(value, int | float) for value in values)
        table.add_column(
            Text(header), justify="right" if numeric else "left", overflow="fold", width=width
        )
    for row, are_paths, style in zip(cells, paths, styles or [""] * len(rows), strict=True):
        fitted = [
            " ".join(shortened(piece, width) for piece in _pieces(cell, is_path))
            for cell, width, is_path in zip(row, widths, are_paths, strict=True)
        ]
        table.add_row(*map(Text, fitted), style=style)  # Text: no markup
    if title:  # Rich would wrap it at the table's width
        whole = showable(title)
        if console.is_terminal:
            whole = shortened(whole, console.width)
        console.print(Text(whole, style="italic"), soft_wrap=True)
    console.print(table)


def print_matrix(rows: Sequence[Cells], *, columns: Sequence[str], title: str) -> None:
    """A table of numbers on stdout, whole or not at all: where a terminal is too narrow for it,
    that is said, and where to find it."""
    from rich.console import Console

    console = Console()
    whole = [max(len(str(cell)) for cell in column) for column in zip(columns, *rows, strict=True)]
    needed = sum(whole) + 2 * len(whole)
    if console.is_terminal and needed > console.width:
        say(f"{title}: too wide for this terminal, which takes {needed} columns. --json has it.")
    else:
        print_table(rows, columns=columns, title=title)


def shortened(text: str, width: int) -> str:
    """A path, or a word, in so many cells: what is too much is left out from its middle. A file's
    name stays whole, or where it is too long itself, without its folders."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    left = max(width - 1, 0)
    name = max(text.rfind("/"), text.rfind("\\"))
    tail = text[name:]
    if name < 0 or cell_len(tail) > left:
        text = text[name + 1 :]
        if cell_len(text) <= width:
            return text
        tail = text[len(text) - left // 2 :]
        while cell_len(tail) > left // 2:
            tail = tail[1:]
    return set_cell_size(text, left - cell_len(tail)) + showable_or("…", ".") + tail


def showable_or(sign: str, plain: str) -> str:
    """A sign, or something plainer where the encoding of stdout has it not."""
    return sign if showable(sign) == sign else plain


def _pieces(cell: str, is_path: bool) -> list[str]:
    """What of a cell stays on one line: words, or a path as a whole."""
    return [cell] if is_path else cell.split(" ")


def _fitted(
    rows: Sequence[Sequence[str]], paths: Sequence[Sequence[bool]], room: int
) -> tuple[int, list[int]]:
    """The gap between a table's columns and their widths, so that it fits into a terminal: paths
    are cut, other columns broken between words. Where that does not suffice the widest columns give
    way, and their words are cut, too."""
    from rich.cells import cell_len

    columns = [
        list(zip(column, are_paths, strict=True))
        for column, are_paths in zip(zip(*rows, strict=True), zip(*paths, strict=True), strict=True)
    ]

    def widest(column: list[tuple[str, bool]], path_needs: Callable[[str], int]) -> int:
        return max(
            min(cell_len(piece), path_needs(piece)) if is_path else cell_len(piece)
            for cell, is_path in column
            for piece in _pieces(cell, is_path)
        )

    whole = [max(cell_len(cell) for cell, _ in column) for column in columns]
    least = [widest(column, lambda path: SHORTEST) for column in columns]
    named = [widest(column, lambda path: cell_len(PurePath(path).name) + 2) for column in columns]
    named = list(map(max, least, named))
    for gap in (3, 2):
        left = room - 2 - gap * (len(columns) - 1)
        if sum(whole) <= left:
            return gap, whole
        if sum(named) <= left:
            break
    while sum(least) > left and max(least) > 1:
        least[least.index(max(least))] -= 1
    widths, spare = list(least), max(0, left - sum(least))
    texts = [
        0 if any(is_path for _, is_path in column) else width
        for width, column in zip(whole, columns, strict=True)
    ]
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
