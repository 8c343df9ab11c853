"""Layouts that installed packages bring, by the entry point group ``reidsearch.datasets``."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from reidsearch.datasets.base import Reader
from reidsearch.errors import DatasetError

GROUP = "reidsearch.datasets"


def names() -> list[str]:
    """The layouts that installed packages bring, without loading any."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def reader(name: str) -> Reader | None:
    """The reader of that name, None where no package brings it. Raises DatasetError where it cannot
    be used."""
    points = list(entry_points(group=GROUP, name=name))
    return _load(points[0]) if points else None


def readers(notes: list[str]) -> Iterator[Reader]:
    """All of them that can be used; of others ``notes`` says why not."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            yield _load(point)
        except DatasetError as error:
            notes.append(f"{error.message}; it was not asked.")


def _load(point: EntryPoint) -> Reader:
    owner = point.dist.name if point.dist else "an installed package"
    what = f"the layout {point.name!r} of {owner}"
    try:
        loaded: object = point.load()
    except Exception as error:  # whatever foreign code raises
        raise DatasetError(
            f"{what} cannot be loaded: {type(error).__name__}: {error}",
            hint="Mend or remove that package.",
        ) from error
    if not isinstance(loaded, Reader):
        raise DatasetError(
            f"{what} is no reader: it needs name, recognises and read",
            hint="Mend or remove that package.",
        )
    return loaded
