"""The pictures that are named on the command line: files, folders of them, or what stdin holds."""

import sys
from collections.abc import Sequence
from pathlib import Path

from reidsearch.cli import output
from reidsearch.errors import UsageError

STDIN_PATH = Path("-")
STDIN = "stdin"  # what answers call it
NAMED = 3  # files passed over that are named


def gather(given: Sequence[Path]) -> list[Path]:
    """The pictures that are meant, those of a folder in place of it; what is passed over in one is
    said. Raises ImageError where a folder has none, UsageError where stdin is given twice."""
    from reidsearch.probe import in_folder

    if given.count(STDIN_PATH) > 1:
        raise UsageError("- is given more than once, and stdin can be read once")
    found = []
    for path in given:
        if path == STDIN_PATH or not path.is_dir():
            found.append(path)
            continue
        pictures, others = in_folder(path)
        found += pictures
        if others:
            names = ", ".join(output.one_line(one.name) for one in others[:NAMED])
            more = ", ..." * (len(others) > NAMED)
            output.say(f"Passed over in {output.one_line(str(path))}: {names}{more}")
    return found


def read(path: Path) -> Path | bytes:
    """The picture as the library takes it."""
    from reidsearch.images import MAX_BYTES

    return sys.stdin.buffer.read(MAX_BYTES + 1) if path == STDIN_PATH else path
