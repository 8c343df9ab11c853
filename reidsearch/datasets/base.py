"""What every reader builds on: what it is asked, and a data set out of what it found."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Protocol, runtime_checkable

from reidsearch import names, times
from reidsearch.datasets.walk import Walk, escaped
from reidsearch.errors import DatasetError
from reidsearch.pictures.contents import SUFFIXES
from reidsearch.times import Zone
from reidsearch.types import Dataset, Rejected, Sighting, Split
from reidsearch.words import counted

DEFAULT_SPLITS = (Split.QUERY, Split.GALLERY)
NAMED = 5  # of a list in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a reader is asked for: the parts to read, what the data set is to be called (None: after
    its folder), whether links to folders are followed, and the zone of times without an offset."""

    splits: frozenset[Split] = frozenset(DEFAULT_SPLITS)
    name: str | None = None
    follow_links: bool = False
    zone: Zone = None


@runtime_checkable
class Reader(Protocol):
    """Reads one layout. ``name`` is what people call it by; lower-case letters and digits."""

    @property
    def name(self) -> str: ...

    def recognises(self, root: Path) -> bool:
        """Whether a folder clearly is of this layout. Only a few entries are looked at."""
        ...

    def read(self, root: Path, wanted: Wanted) -> Dataset:
        """What is there. Raises DatasetError where that is nothing."""
        ...


def folder_name(root: Path) -> str:
    """What a data set is called after."""
    return root.resolve().name or "root"


def dataset(
    name: str,
    root: Path,
    sightings: Iterable[Sighting],
    rejected: Iterable[Rejected],
    splits: Iterable[Split],
    *,
    site: str | None = None,
    layout: str | None = None,
    walk: Walk | None = None,
    notes: Iterable[str] = (),
) -> Dataset:
    """A data set in path order, with what the walk through its folders did not take.

    Raises DatasetError where there is no picture, and on names that are not valid UTF-8.
    """
    for text in (name, str(root.resolve())):
        if escaped(text) != text:
            raise DatasetError(
                f"{escaped(text)} is not valid UTF-8", hint="Rename it, or give another {name}."
            )
    ordered = sorted(sightings, key=attrgetter("path"))
    failed = sorted(rejected, key=lambda r: r.path)
    unseen = sorted(set(walk.unseen)) if walk else []
    passed = dict(walk.passed_over.most_common()) if walk else {}
    if not ordered and not failed:
        raise _nothing(root, unseen, passed)
    said = [*notes, *_of_people(ordered, published=site is not None)]
    links = [path for path in unseen if (root / path).is_symlink()]
    if links:
        said.append(
            f"{counted(len(links), 'linked folder was', 'linked folders were')} not looked into: "
            f"{listed(links)}. "
            "What is stored from there stays; links are followed only where that is asked for."
        )
    return Dataset(
        name,
        root.resolve(),
        ordered,
        failed,
        frozenset(splits),
        site=site,
        layout=layout,
        unseen=tuple(unseen),
        passed_over=passed,
        notes=tuple(said),
        follow_links=walk is not None and walk.follow_links,
    )


def _nothing(root: Path, unseen: list[str], passed: dict[str, int]) -> DatasetError:
    if unseen:
        return DatasetError(
            f"{root} holds no picture outside its linked folders: {listed(unseen)}",
            hint="Follow them with {follow_links}.",
        )
    there = ", ".join(f"{count} {ending}" for ending, count in list(passed.items())[:NAMED])
    hint = f"Pictures end in {', '.join(sorted(SUFFIXES))}."
    if ".mat" in passed:
        hint += " What a MATLAB file holds has to be saved as pictures first."
    return DatasetError(
        f"{root} holds no picture to take in" + (f", but {there}" if there else ""), hint=hint
    )


def of_naive(count: int, zone: Zone) -> str:
    """That so many times do not say where they hold, and where they are taken to."""
    return (
        f"{counted(count, 'time has', 'times have')} no offset, and "
        f"{'is' if count == 1 else 'are'} taken to be of the zone {times.name(zone)}; the setting "
        "timezone names another."
    )


def listed(names: Iterable[str]) -> str:
    """The first few names, for a sentence."""
    some = list(names)
    more = f" and {len(some) - NAMED} more" if len(some) > NAMED else ""
    return ", ".join(some[:NAMED]) + more


def _of_people(sightings: Iterable[Sighting], *, published: bool) -> list[str]:
    """What 0 and -1 mean, where they are used: who numbers people from 0 does not expect it. In a
    published data set they are expected, if not of people to train or to search with."""
    if published:
        sightings = (seen for seen in sightings if seen.split in (Split.TRAIN, Split.QUERY))
    found = Counter(map(attrgetter("identity"), sightings))
    notes = []
    if found[names.DISTRACTOR]:
        notes.append(
            f"{counted(found[names.DISTRACTOR], 'crop has', 'crops have')} the identity 0, which "
            "is nobody's: it stands for people whom no query asks for, and is left out of "
            "training. Number people from 1."
        )
    if found[names.JUNK]:
        notes.append(
            f"{counted(found[names.JUNK], 'crop has', 'crops have')} the identity -1, which stands "
            "for bad crops: they are left out of evaluations and training."
        )
    return notes
