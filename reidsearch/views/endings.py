"""The ending of a picture's or page's name says what it is to be."""

from collections.abc import Sequence
from pathlib import Path

from reidsearch.errors import UsageError


def check(path: Path, endings: Sequence[str]) -> None:
    """Raise UsageError where ``path`` ends in none of these, in small letters or capitals, or is in
    a folder that is not there."""
    if path.suffix.lower() not in endings:
        raise UsageError(
            f"cannot save as {path.name or path}", hint=f"End its name in {' or '.join(endings)}."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"cannot save {path.name}: there is no folder {path.parent}",
            hint="Make it first, or name another.",
        )
