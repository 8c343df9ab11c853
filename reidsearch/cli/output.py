"""One way out: data goes to stdout as JSON, CSV or a table, everything else to stderr."""

import csv
import io
import json
import logging
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reidsearch.cli.vocabulary import COMMAND_LINE
from reidsearch.errors import ReidsearchError

if TYPE_CHECKING:
    from reidsearch.ingest import IngestSummary

_JOINERS = "\u200c\u200d"  # letters of some scripts, and of emoji, are put together by them
LAST = 10  # letters that a table's last column has at least
LINE_EVERY = 10.0  # seconds between progress lines where stderr is no terminal


def accept_any_text() -> None:
    """What the encoding of stdout or stderr lacks shows as escapes from now on: a name from another
    script must not cost an answer."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def showable(text: str) -> str:
    """The text as stdout will show it, with escapes for what its encoding lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def print_json(document: object) -> None:
    """One JSON document on one line of stdout."""
    print(as_json(document))


def as_json(document: object) -> str:
    """JSON on one line, with JSON's own escapes for what the encoding of stdout lacks."""
    text = json.dumps(document, ensure_ascii=False, separators=(", ", ": "))
    if showable(text) != text:
        text = json.dumps(document, separators=(", ", ": "))
    return text


def print_csv(rows: Sequence[Mapping[str, object]], *, columns: Sequence[str]) -> None:
    """A header and one line per row on stdout; None is an empty cell."""
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def print_table(
    rows: Sequence[Sequence[object]],
    *,
    columns: Sequence[str],
    title: str | None = None,
    styles: Sequence[str] = (),
) -> None:
    """A table on stdout; numbers stand right. Columns without any value are left out. ``styles``
    colours rows one by one."""
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
        console.width = max(console.width, 400)
    cells = [[_cell(row[index]) for index in shown] for row in rows]
    headers = [one_line(columns[index]) for index in shown]
    gap, widths = _fitted([headers, *cells], console.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 2, 0, 1))
    for index, header, width in zip(shown, headers, widths, strict=True):
        values = [row[index] for row in rows if row[index] not in (None, "")]
        numeric = bool(values) and all(isinstance(value, int | float) for value in values)
        table.add_column(
            Text(header), justify="right" if numeric else "left", overflow="fold", width=width
        )
    for row, style in zip(cells, styles or [""] * len(rows), strict=True):
        table.add_row(*map(Text, row), style=style)  # Text: no markup
    if title:  # Rich would wrap it at the table's width
        console.print(Text(showable(title), style="italic"))
    console.print(table)


def _fitted(rows: Sequence[Sequence[str]], room: int) -> tuple[int, list[int | None]]:
    """The gap between a table's columns and their widths, so that it fits into a terminal and no
    word is broken but in the last column, a path or the like. Without widths where all fits, and
    where that cannot be."""
    from rich.cells import cell_len

    columns = list(zip(*rows, strict=True))
    whole = [max(map(cell_len, column)) for column in columns]
    least = [
        max((cell_len(w) for cell in column for w in cell.split()), default=0) for column in columns
    ]
    least[-1:] = [min(width, LAST) for width in least[-1:]]
    for gap in (3, 2):
        left = room - 2 - gap * (len(columns) - 1)
        if sum(whole) <= left:
            break
        if sum(least) <= left:
            spare = left - sum(least)
            widths = list(least)
            for index in (-1, *range(len(columns) - 1)):  # a path in one piece comes first
                more = min(spare, whole[index] - widths[index])
                widths[index] += more
                spare -= more
            return gap, list(widths)
    return 3, [None] * len(columns)


def say(text: str) -> None:
    """Something for people, on stderr; on a terminal broken between words, not within them."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_broken(line, width) for line in text.split("\n"))
    print(text, file=sys.stderr)


def _broken(line: str, width: int) -> str:
    """A line in lines of that width, each as far in as the first."""
    start = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line,
        max(width, len(start) + 20),
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


class _Sayer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(one_line(record.getMessage()))


def relay_log() -> None:
    """Show people what the library says on its way."""
    logger = logging.getLogger("reidsearch")
    if not logger.handlers:
        logger.addHandler(_Sayer())
        logger.setLevel(logging.INFO)
        # What interrupts the pool's tidying up it raises, and logs with a traceback besides.
        logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())


def complain(error: ReidsearchError) -> None:
    """What happened and what to try, on stderr."""
    say(f"{_bold_red('Error:')} {one_line(error.message)}")
    if hint := error.hint_in(COMMAND_LINE):
        say(f"  Try: {hint}")


def one_line(text: str) -> str:
    """Text in which control characters, as a file name may hold, show as escapes."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode() for c in text
    )


@contextmanager
def ingest_progress(*, quiet: bool) -> Iterator[Callable[["IngestSummary"], None]]:
    """Yields a callback that shows how an ingest goes: a bar on a terminal, else lines."""
    if quiet:
        yield lambda summary: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[["IngestSummary"], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("Ingesting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} images/s"),
        TimeLeft(),
        TextColumn("{task.fields[rejects]} rejected"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("ingest", total=None, rate=0.0, rejects=0)

        def show(summary: "IngestSummary") -> None:
            progress.update(
                task,
                total=summary.found,
                completed=summary.done,
                rate=summary.images_per_second,
                rejects=len(summary.failures),
            )
            if summary.done >= summary.found:
                progress.stop()  # somebody may be asked something now

        yield show


def _lines() -> Callable[["IngestSummary"], None]:
    last = time.monotonic()

    def show(summary: "IngestSummary") -> None:
        nonlocal last
        if time.monotonic() - last < LINE_EVERY:
            return
        last = time.monotonic()
        rate = summary.images_per_second
        left = (summary.found - summary.done) / rate if rate else 0.0
        say(
            f"{summary.done} of {summary.found} images, {rate:.0f} images/s, "
            f"{left:.0f} s left, {len(summary.failures)} rejected"
        )

    return show


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else showable(one_line(str(value)))


def _bold_red(text: str) -> str:

    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return f"\033[1;31m{text}\033[0m"
    return text
