"""The pictures that are named on the command line: files, folders of them, or what stdin holds."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch.cli import output
from reidsearch.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.search.probe import Probe

STDIN_PATH = Path("-")
STDIN = "stdin"  # what answers call it
NAMED = 3  # files passed over that are named


def asked(
    probes: Sequence[Path], unlike: Sequence[Path], *, together: bool
) -> "tuple[list[list[Path]], list[Probe]]":
    """The questions that are meant, each by its pictures, and who is not meant in any.

    Raises UsageError where stdin is given twice, ImageError where a folder has no picture, or one
    of somebody else is none.
    """
    if [*probes, *unlike].count(STDIN_PATH) > 1:
        raise UsageError("- is given more than once, and stdin can be read once")
    given = gather(probes)
    questions = [given] if together else [[one] for one in given]
    return questions, [read_now(one) for one in gather(unlike)]


def gather(given: Sequence[Path]) -> list[Path]:
    """The pictures that are meant, those of a folder in place of it; what is passed over in one is
    said. Raises ImageError where a folder has none."""
    from reidsearch.search.probe import in_folder

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


def read(path: Path) -> "Path | Probe":
    """The picture as the library takes it."""
    from reidsearch.pictures.contents import MAX_BYTES
    from reidsearch.search.probe import Probe

    if path != STDIN_PATH:
        return path
    return Probe.of(sys.stdin.buffer.read(MAX_BYTES + 1), name=STDIN)


def read_now(path: Path) -> "Probe":
    """A picture that every question needs: where it is none, that is told of at once. Raises
    ImageError."""
    from reidsearch.search.probe import Probe

    probe = Probe.of(read(path))
    probe.check()
    return probe
