"""The pictures below a folder; what is no picture is counted, what is not looked at is named."""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from reidsearch.pictures.contents import SUFFIXES
from reidsearch.types import Rejected, Split

# What systems, network drives and programs keep beside pictures, among it small copies of them.
_HOUSEKEEPING = frozenset(
    {"@eadir", "@recycle", "#recycle", "$recycle.bin", "__macosx", "system volume information"}
)
_TWIN = "._"  # macOS keeps a file's attributes in a twin whose name begins so
_KINDS = 100  # endings told apart; a folder made to hurt may have a million
_LONGEST = 12  # characters of an ending
_SAMPLED_ENTRIES = 1000  # of a folder: there may be as many folders in one as there are people
_SAMPLED_FOLDERS = 50


class Walk:
    """Goes through the folders of a data set and remembers what it did not take.

    ``rejected`` are folders that cannot be listed and pictures whose names no store holds,
    ``unseen`` the folders (relative to ``root``) that were not looked into, ``passed_over`` counts
    files by ending, and folders that are none of the data set's. Links to folders are followed with
    ``follow_links``, each folder once.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self.root = root
        self.follow_links = follow_links
        self.rejected: list[Rejected] = []
        self.unseen: list[str] = []
        self.passed_over: Counter[str] = Counter()
        self._top = os.path.realpath(root)
        self._links: list[str] = []
        self._been: set[tuple[int, int]] = set()

    def pictures(self, folder: str = "", split: Split = Split.GALLERY) -> Iterator[str]:
        """Paths, relative to the root, of the pictures in and below one of its folders."""
        # os.walk recurses on Python 3.11, too deep for folders made to hurt.
        waiting = [folder]
        if folder and (self.root / folder).is_symlink():
            waiting.clear()
            self._link(folder)
        while waiting or self._links:
            if waiting:
                parent = waiting.pop()
            else:  # after all folders: what two paths lead to is called by its own
                self._links.sort(reverse=True)
                parent = self._links.pop()
            try:
                if self._been_before(parent):
                    self._pass_over("links to folders that are read already")
                    continue
                names = list(self._names(parent, waiting))
            except OSError as error:
                where = escaped(parent or ".")
                reason = f"cannot be listed: {error.strerror}"
                self.rejected.append(Rejected(where, reason, split, is_picture=False))
                self.unseen.append(where)
                continue
            for name in names:
                if not is_picture(name):
                    self._pass_over(f"{_TWIN}*" if name.startswith(_TWIN) else _ending(name))
                    continue
                path = _joined(parent, name)
                if escaped(path) != path:
                    reason = "its name is not valid UTF-8"
                    self.rejected.append(Rejected(escaped(path), reason, split, is_picture=False))
                    continue
                yield path

    def _names(self, folder: str, waiting: list[str]) -> Iterator[str]:
        """The names of the files in a folder; what else is in it is put where it belongs."""
        with os.scandir(os.path.join(self.root, folder)) as entries:
            for entry in entries:
                path = _joined(folder, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if is_housekeeping(entry.name):
                        known = entry.name.lower() in _HOUSEKEEPING
                        self._pass_over(f"{entry.name}/" if known else ".*/")
                    else:
                        waiting.append(path)
                elif not entry.is_symlink():
                    yield entry.name
                elif os.path.isdir(entry.path):
                    self._link(path)
                elif os.path.exists(entry.path) or is_picture(entry.name):
                    yield entry.name  # where it leads nowhere, reading it will tell
                else:  # to a folder on a disk that is not there?
                    self.unseen.append(escaped(path))

    def _link(self, path: str) -> None:
        """Remember a link to a folder, to be followed or named."""
        real = os.path.join(os.path.realpath(os.path.join(self.root, path)), "")
        if not self.follow_links:
            self.unseen.append(escaped(path))
        elif os.path.join(self._top, "").startswith(real):
            # Above the root are other people's folders, and the root itself.
            self._pass_over("links to folders that hold the data set")
        else:
            self._links.append(path)

    def _been_before(self, folder: str) -> bool:
        """Whether that folder was listed before, under whatever path; where links are followed."""
        if not self.follow_links:
            return False
        info = os.stat(os.path.join(self.root, folder))
        key = (info.st_dev, info.st_ino)
        if key in self._been:
            return True
        self._been.add(key)
        return False

    def _pass_over(self, kind: str) -> None:
        known = kind in self.passed_over or len(self.passed_over) < _KINDS
        self.passed_over[kind if known else "others"] += 1


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture to take in."""
    return _suffix(name) in SUFFIXES and not name.startswith(_TWIN)


def is_housekeeping(folder: str) -> bool:
    """Whether a folder's name is that of one beside the pictures: hidden, a bin, small copies."""
    return folder.startswith(".") or folder.lower() in _HOUSEKEEPING


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, through links too, in order; none where it cannot be
    listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not is_housekeeping(e.name))
    except OSError:
        return []


def sample(folder: Path, *, count: int = 20, deep: bool = True) -> list[str]:
    """The names of a few pictures in a folder, the first that turn up; with ``deep`` below it, too.

    At most ``count`` of each folder, and of some folders, are looked for among their first entries;
    so a folder of any size takes a moment.
    """
    found: list[str] = []
    waiting, looked_into = [str(folder)], 0
    while waiting and looked_into < _SAMPLED_FOLDERS and len(found) < 5 * count:
        looked_into += 1
        try:
            with os.scandir(waiting.pop(0)) as listing:
                here = 0
                for entry in islice(listing, _SAMPLED_ENTRIES):
                    if here >= count:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        if (
                            deep
                            and not is_housekeeping(entry.name)
                            and len(waiting) < _SAMPLED_FOLDERS
                        ):
                            waiting.append(entry.path)
                    elif is_picture(entry.name):
                        found.append(entry.name)
                        here += 1
        except OSError:
            continue
    return found


def escaped(path: str) -> str:
    """The path with escapes for what is not valid UTF-8, which no store takes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _suffix(name: str) -> str:
    """As pathlib has it, for a tenth of its time: a data set may have a million files."""
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def _ending(name: str) -> str:
    ending = escaped(_suffix(name))
    if not ending:
        return "no ending"
    return ending if len(ending) <= _LONGEST else "others"
