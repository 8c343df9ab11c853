"""A crop whose bytes are at hand, and what is said of it."""

import hashlib
from dataclasses import dataclass, field, replace

from reidsearch import names
from reidsearch.environment import machine
from reidsearch.pictures import decoding
from reidsearch.pushing import crops
from reidsearch.session import Session
from reidsearch.types import Sighting

# What the data set is called where nothing else is said; of a site, with its name.
DATASET = "pushed"


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop to take in: its file's bytes, and what is known of it.

    ``camera`` and ``identity`` are names at the ``site``; ``timestamp`` is in seconds since 1970
    UTC; ``frame`` counts within ``sequence``. Crops with one ``name`` in one ``dataset`` are one
    image, the last one pushed; without a name, those of the same bytes, camera and moment are.

    ``sighting`` is what is known of it, with its file's path.

    Raises ImageError where the bytes are no whole picture, UsageError on names and numbers that
    cannot be.
    """

    data: bytes
    camera: str | None = None
    identity: str | None = None
    timestamp: float | None = None
    sequence: int | None = None
    frame: int | None = None
    name: str | None = None
    dataset: str | None = None
    site: str | None = None
    sighting: Sighting = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.site is not None:
            object.__setattr__(self, "site", names.name(self.site, of="site"))
        if self.dataset is not None:
            object.__setattr__(self, "dataset", names.name(self.dataset, of="data set"))
        if self.name is not None:
            object.__setattr__(self, "name", names.name(self.name, of="crop"))
        object.__setattr__(self, "sighting", self._sighting())
        decoding.picture(self.data, size=(1, 1))

    @property
    def dataset_name(self) -> str:
        """The data set that it belongs to."""
        if self.dataset is not None:
            return self.dataset
        return DATASET if self.site is None else f"{DATASET} at {self.site}"

    def _sighting(self) -> Sighting:
        seen = Sighting(
            path="",
            camera=self.camera,
            identity=self.identity,
            sequence=self.sequence,
            frame=self.frame,
            timestamp=self.timestamp,
        )
        if self.name is not None:
            key = f"name {self.name}"
        else:
            digest = hashlib.sha256(self.data).hexdigest()
            key = f"{digest} {seen.camera!r} {seen.timestamp!r} {seen.sequence} {seen.frame}"
        return replace(seen, path=crops.path_of(key))


def dataset_of(session: Session, crop: Crop) -> str:
    """The data set that it belongs to in this gallery."""
    if session.shared and crop.dataset is None:  # its files are on this machine's disk
        return f"{crop.dataset_name} on {machine()}"
    return crop.dataset_name
