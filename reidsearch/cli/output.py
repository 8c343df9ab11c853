"""One way out: data goes to stdout as JSON, CSV or a table (tables.py), all else to stderr."""

import csv
import io
import json
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from reidsearch.cli.vocabulary import COMMAND_LINE
from reidsearch.errors import ReidsearchError

_JOINERS = "\u200c\u200d"  # letters of some scripts, and of emoji, are put together by them


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
        # What interrupts their tidying up they raise, and log with a traceback besides.
        for other in ("sqlalchemy.pool", "psycopg"):
            logging.getLogger(other).addHandler(logging.NullHandler())


@contextmanager
def hushed() -> Iterator[None]:
    """Meanwhile the library tells people of nothing but what went wrong."""
    logger = logging.getLogger("reidsearch")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


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


def _bold_red(text: str) -> str:
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return f"\033[1;31m{text}\033[0m"
    return text
