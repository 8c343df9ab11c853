"""Which data sets and cameras a search is about: from the names that people give to catalog ids."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reidsearch import names
from reidsearch.catalog import Catalog
from reidsearch.catalog.records import CameraRecord, DatasetRecord
from reidsearch.errors import UnknownCamera, UsageError
from reidsearch.hashes import image_id
from reidsearch.search.probe import Probe
from reidsearch.types import Dataset


@dataclass(frozen=True, slots=True)
class Scope:
    """The data sets that a search is about. ``narrowed`` says that these are not all there are."""

    datasets: tuple[DatasetRecord, ...]
    cameras: tuple[CameraRecord, ...]
    narrowed: bool

    @property
    def dataset_ids(self) -> tuple[int, ...]:
        """For a filter: none where all are meant."""
        return tuple(one.id for one in self.datasets) if self.narrowed else ()

    def site_of(self, probe: Probe) -> str | None:
        """Where a probe was taken: where its file's data set is, or the only site there is."""
        sites = {one.site for one in self.datasets}
        if len(sites) > 1:
            path = None if probe.file is None else probe.file.absolute()
            sites = {one.site for one in self.datasets if path and path.is_relative_to(one.root)}
        return sites.pop() if len(sites) == 1 else None

    def camera(self, name: str, *, site: str | None) -> CameraRecord:
        """The camera of that name, at that site where it is known.

        Raises UnknownCamera where there is none, or several sites have one.
        """
        named = [one for one in self.cameras if one.name == name]
        found = [one for one in named if site in (None, one.site)]
        if len(found) == 1:
            return found[0]
        if found:
            sites = ", ".join(one.site for one in found)
            raise UnknownCamera(
                f"several sites have a camera {name}: {sites}", hint="Choose one with {site}."
            )
        here = ", ".join(dict.fromkeys(one.name for one in self.cameras)) or "none"
        raise UnknownCamera(
            f"no stored image is from camera {name}", hint=f"Cameras stored: {here}."
        )


def scope(catalog: Catalog, *, site: str | None = None, dataset: str | None = None) -> Scope:
    """What ``site`` and ``dataset`` leave of what is stored, by their names; all without them.

    Raises UsageError where there is no such site or data set.
    """
    every = catalog.places.datasets()
    if site is not None and site not in {one.site for one in every}:
        site = names.name(site, of="site")
    for kind, name, known in (
        ("site", site, {one.site for one in every}),
        ("data set", dataset, {one.name for one in every}),
    ):
        if name is not None and name not in known:
            here = ", ".join(sorted(known)) or "none"
            raise UsageError(f"nothing is stored of a {kind} {name!r}", hint=f"There are: {here}.")
    left = tuple(one for one in every if site in (None, one.site) and dataset in (None, one.name))
    if every and not left:
        raise UsageError(f"the data set {dataset!r} is not at the site {site!r}")
    sites = {one.site for one in left}
    cameras = tuple(one for one in catalog.places.cameras() if one.site in sites)
    return Scope(left, cameras, narrowed=len(left) < len(every))


def recognised(catalog: Catalog, probe: Probe) -> Probe:
    """The probe with what is known of it, where its file is a stored image that is unchanged."""
    if probe.file is None:
        return probe
    datasets = catalog.places.datasets()
    try:
        paths = {Path(os.path.abspath(probe.file)), Path(os.path.realpath(probe.file))}
        ids = [
            image_id(one.name, path.relative_to(one.root).as_posix())
            for one in datasets
            for path in paths
            if path.is_relative_to(one.root)
        ]
    except ValueError:  # it is called by something that is no path, or none that is stored
        return probe
    same = (image for image in catalog.images.of(ids) if image.sha256 == probe.sha256)
    found = next(same, None)
    return probe if found is None else probe.described(found.sighting)


def named(catalog: Catalog, dataset: Dataset) -> Dataset:
    """The data set by its spare name, where that is how it is stored, or a data set within its
    folder has the other: crops.csv beside crops/."""
    if dataset.spare_name is None:
        return dataset
    known = {one.name: Path(one.root) for one in catalog.places.datasets()}
    other = known.get(dataset.name, dataset.root)
    within = other != dataset.root and other.is_relative_to(dataset.root)
    if within or known.get(dataset.spare_name) == dataset.root:
        return replace(dataset, name=dataset.spare_name)
    return dataset


def cameras(found: Scope, wanted: Sequence[str], *, site: str | None) -> tuple[CameraRecord, ...]:
    """The cameras of these names. Raises UnknownCamera as ``Scope.camera`` does."""
    given = (names.name(text, of="camera") for text in wanted)
    return tuple(found.camera(name, site=site) for name in given)
