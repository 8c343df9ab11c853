"""From a recorded image to a stored vector: decode, store, confirm, in an order that makes a crash
harmless. Whoever takes images in does it so."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from reidsearch import faults
from reidsearch.catalog import Candidate, Recorded
from reidsearch.catalog.database import HoldLost, Mode
from reidsearch.errors import ImageError
from reidsearch.hashes import checksums, image_id
from reidsearch.pictures import contents, decoding
from reidsearch.stores import PAYLOAD_FORM
from reidsearch.types import Dataset, Points, Rejected, Sighting
from reidsearch.vectors.collection import Collection, payload_of_recorded

UNUSABLE = "the encoder gave no usable vector for it"
REPEATED = 5  # times that a server may be restarted while one step is done
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A recorded image with its picture, and its file's SHA-256."""

    image: Recorded
    picture: decoding.Picture
    sha256: str


Point: TypeAlias = tuple[Decoded, NDArray[np.float32]]  # with its vector, D


@dataclass(frozen=True, slots=True)
class Stored:
    """How many images were indexed, those that have no usable vector, and how many vectors of other
    encoders are of what a file held before: those wait to be made again."""

    indexed: int
    unusable: list[Rejected]
    outdated: int


def candidate(dataset: Dataset, sighting: Sighting) -> Candidate:
    """A sighting with what its file's size and time of change are now."""
    id = image_id(dataset.name, sighting.path)
    try:
        stat = (dataset.root / sighting.path).stat()
    except OSError:  # decoding it will tell why
        return Candidate(id, sighting, None, None)
    return Candidate(id, sighting, stat.st_size, stat.st_mtime_ns)


def decode(image: Recorded, dataset: Dataset, size: tuple[int, int]) -> Decoded | ImageError:
    """An image's picture at that size (height, width), or why there is none."""
    path, follow_links = image.candidate.sighting.path, dataset.follow_links
    try:
        data = contents.read_inside(dataset.root, path, follow_links=follow_links)
        picture = decoding.picture(data, size=size)
    except ImageError as error:
        return error
    return Decoded(image, picture, hashlib.sha256(data).hexdigest())


def relabel(collection: Collection, dataset_id: int, relabelled: Sequence[Recorded]) -> None:
    """Let stored vectors have the payloads of what is said of their images now."""
    if relabelled:
        ids = [image.candidate.id for image in relabelled]
        collection.store.describe(
            ids, [payload_of_recorded(image, dataset_id) for image in relabelled]
        )
        faults.reach("relabelled")
        collection.catalog.embeddings.relabelled(collection.encoder_id, PAYLOAD_FORM)


def store(
    collection: Collection, dataset_id: int, points: Sequence[Point], *, thumbnails: bool = False
) -> Stored:
    """Make vectors durable, then call their images indexed; those that have no usable vector are
    called failed.

    Images that were forgotten meanwhile, or taken over by another process, are neither.
    """
    return _holding(collection, lambda: _store(collection, dataset_id, points, thumbnails))


def give_up(collection: Collection, failures: Mapping[int, str]) -> None:
    """Delete the vectors that an earlier state of these images may have, and call them failed, for
    that reason; not where others have them by now."""

    def work() -> None:
        mine = collection.catalog.embeddings.claimed(collection.encoder_id, list(failures))
        collection.store.delete(sorted(mine))
        failed = {id: reason for id, reason in failures.items() if id in mine}
        collection.catalog.embeddings.finish(collection.encoder_id, failed=failed)

    _holding(collection, work)


def _holding(collection: Collection, work: Callable[[], T]) -> T:
    """Do what may be repeated, while nobody deletes; again where that was not sure."""
    database = collection.catalog.database

    def held() -> T:
        with database.held(Mode.SHARED):
            return work()

    for _ in range(REPEATED):
        try:
            return database.again(held)
        except HoldLost:
            continue
    return database.again(held)


def _store(
    collection: Collection, dataset_id: int, points: Sequence[Point], thumbnails: bool
) -> Stored:
    ids = [item.image.candidate.id for item, _ in points]
    mine = collection.catalog.embeddings.claimed(collection.encoder_id, ids)
    points = [(item, vector) for item, vector in points if item.image.candidate.id in mine]
    vectors = np.array([vector for _, vector in points], dtype=np.float32)
    vectors = vectors.reshape(len(points), collection.dimension)
    fine = np.array(np.isfinite(vectors).all(axis=1))
    usable = [points[at][0] for at in np.flatnonzero(fine)]
    unusable = [points[at][0].image.candidate for at in np.flatnonzero(~fine)]
    vectors = vectors[fine]
    if usable:
        collection.store.upsert(
            Points(
                ids=np.array([item.image.candidate.id for item in usable], dtype=np.int64),
                vectors=vectors,
                payloads=[payload_of_recorded(item.image, dataset_id) for item in usable],
            )
        )
        faults.reach("flushed")
    outdated = collection.catalog.embeddings.finish(
        collection.encoder_id,
        indexed={
            item.image.candidate.id: (item.sha256, checksum)
            for item, checksum in zip(usable, checksums(vectors), strict=True)
        },
        failed={candidate.id: UNUSABLE for candidate in unusable},
        thumbnails={item.image.candidate.id: decoding.thumbnail(item.picture) for item in usable}
        if thumbnails
        else None,
    )
    faults.reach("confirmed")
    rejected = [Rejected(c.sighting.path, UNUSABLE, c.sighting.split) for c in unusable]
    return Stored(len(usable), rejected, outdated)
