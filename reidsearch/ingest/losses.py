"""What pruning would remove, and whether that is so much that somebody should be asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

NAMED = 3  # folders in a sentence


@dataclass(frozen=True, slots=True)
class Loss:
    """Of ``stored`` images ``gone`` would be removed. ``folders`` are those of which none is left;
    ``before`` is the layout that the data set was read by, where it is read by another ``now``."""

    gone: int
    stored: int
    folders: tuple[str, ...] = ()
    before: str | None = None
    now: str | None = None

    @property
    def unusual(self) -> bool:
        """Whether it is more than files deleted here and there: most of the data set, a whole
        folder (a disk that is not there?), or another way to read it."""
        return bool(2 * self.gone > self.stored or self.folders or self.before)

    def __str__(self) -> str:
        said = f"{self.gone} of {self.stored} stored images are not in the data set any more"
        if self.before:
            said += f", which was read as {self.before} and is now read as {self.now}"
        elif self.folders:
            more = f" and {len(self.folders) - NAMED} more" if len(self.folders) > NAMED else ""
            said += f", among them all of {', '.join(self.folders[:NAMED])}{more}"
        return said


def weigh(gone: Iterable[str], left: Iterable[str], *, before: str | None, now: str | None) -> Loss:
    """The loss of the paths ``gone`` where those of ``left`` stay. A layout of None is not known,
    and differs from none."""
    lost = set(gone)
    stay = [path for path in left if path not in lost]
    alive = {folder for path in stay for folder in _folders(path)}
    dead = {folder for path in lost for folder in _folders(path)} - alive
    whole = [folder for folder in dead if not dead & set(_folders(folder))]
    changed = before is not None and now is not None and before != now
    return Loss(
        len(lost),
        len(lost) + len(stay),
        tuple(sorted(whole)),
        before if changed else None,
        now if changed else None,
    )


def _folders(path: str) -> list[str]:
    """All folders above a path."""
    return [str(parent) for parent in PurePosixPath(path).parents][:-1]
