"""Read what is to be taken in, as it was read before where nothing else is said: a folder whose
layout somebody had to name tells no cameras without it."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from reidsearch import datasets
from reidsearch.catalog import Catalog
from reidsearch.environment import machine
from reidsearch.errors import UsageError
from reidsearch.session import Session
from reidsearch.types import Dataset, Split


def read(
    session: Session,
    path: Path,
    *,
    splits: Iterable[Split] = (),
    name: str | None = None,
    layout: str | None = None,
    pattern: str | None = None,
    root: Path | None = None,
    follow_links: bool = False,
) -> Dataset:
    """The crops at ``path``, as ``datasets.read`` reads them, by the settings of the gallery.

    A folder that is stored, and of which neither layout nor pattern is given, is read by the layout
    or pattern that it was read by last, and a note says so; a plain folder as what it is now.
    Raises as ``datasets.read`` does.
    """
    before = None
    if layout is None and pattern is None and session.has_catalog():
        before = _before(session.catalog, path, name)
    if before is not None:
        layout, pattern = datasets.parted(before)
    found = datasets.read(
        path,
        splits=tuple(splits) or datasets.DEFAULT_SPLITS,
        name=name,
        layout=layout,
        pattern=pattern,
        root=root,
        follow_links=follow_links,
        zone=session.config.timezone,
    )
    if before is None:
        return found
    note = (
        f"It was read as {before} before, and so it is now; another layout or pattern is taken "
        "where it is named."
    )
    return replace(found, notes=(note, *found.notes))


def _before(catalog: Catalog, path: Path, name: str | None) -> str | None:
    """How the folder was read last, where it is stored, by that name where one is given; None where
    that was as a plain folder, or as it would be recognised. Raises UsageError where a table
    described it."""
    if not os.path.isdir(path):
        return None
    folder = path.resolve()
    called = name or folder.name
    for one in catalog.places.datasets():
        if one.name != called or Path(one.root) != folder or one.machine not in (None, machine()):
            continue
        before = catalog.places.dataset_layout(one.id)
        if before == datasets.TABLE:
            raise UsageError(
                f"the data set {called!r} in {folder} is described by a table",
                hint="Ingest the table again, or say with {layout} how its folders are to be read "
                "in place of it.",
            )
        if before in (None, datasets.PLAIN, datasets.recognised(folder)):
            return None
        return before
    return None
