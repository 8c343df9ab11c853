"""The nearest neighbours of a gallery's images among themselves, kept in the catalog.

Re-ranking one probe needs them, and finding them takes far longer than a query. They are found the
first time they are asked for, and again when images have gone or changed; where images only came,
they are added.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import IncompleteGallery
from reidsearch.ranking.arrays import from_npz, to_npz
from reidsearch.ranking.cells import Pairing
from reidsearch.ranking.knn import BLOCK, KNearest, k_nearest
from reidsearch.ranking.rerank import K1
from reidsearch.types import Ids, Split, Vectors
from reidsearch.vectors.collection import Collection

log = logging.getLogger(__name__)

Contents = NDArray[np.int64]  # N x 2: an image's id, and the beginning of its file's digest


@dataclass(frozen=True)
class GalleryNeighbours:
    """The neighbours of a split's images, and these images' ``ids`` (N, ascending); positions in
    ``neighbours`` are positions in them. ``computed`` says of how many a list was made just now."""

    ids: Ids
    neighbours: KNearest
    computed: int


def current(collection: Collection, split: Split, *, at_once: int = BLOCK) -> GalleryNeighbours:
    """The neighbours of all indexed images of a split, brought up to date and stored where they
    were not. Raises IncompleteGallery where an ingest adds images at this moment."""
    contents = collection.catalog.images.contents(collection.encoder_id, split)
    saved = collection.catalog.learned.neighbours(collection.encoder_id, split)
    old = None if saved is None else _from_bytes(saved)
    if old is not None and np.array_equal(old[0], contents):
        return GalleryNeighbours(contents[:, 0], old[1], 0)
    stored, vectors = collection.load([split])
    if not np.array_equal(stored.ids, contents[:, 0]):
        raise IncompleteGallery(
            "images were stored while their neighbours were looked for",
            hint="Run this again when the ingest has ended.",
        )
    found = None if old is None else _grown(contents, vectors, *old, at_once=at_once)
    computed = len(contents) - (0 if found is None or old is None else len(old[0]))
    if found is None:
        found = k_nearest(vectors, k=K1 + 1)
    log.info("Found the neighbours of %d images, and kept them.", computed)
    collection.catalog.learned.save_neighbours(
        collection.encoder_id, split, _to_bytes(contents, found)
    )
    return GalleryNeighbours(contents[:, 0], found, computed)


def keep_current(collection: Collection, split: Split) -> None:
    """Bring kept neighbours up to date; delete them where the split has become too large for all
    pairs, as nobody asks for them any more."""
    contents = collection.catalog.images.contents(collection.encoder_id, split)
    if Pairing.of(len(contents)) is Pairing.ALL:
        current(collection, split)
    else:
        collection.catalog.learned.delete_neighbours_of(collection.encoder_id, split)


def _grown(
    contents: Contents, vectors: Vectors, before: Contents, old: KNearest, *, at_once: int
) -> KNearest | None:
    """The neighbours now, where images only came: new ones enter the old ones' lists where they
    belong. None where images went or changed, or the lists were short for want of images."""
    place = np.searchsorted(contents[:, 0], before[:, 0])
    place = np.minimum(place, max(len(contents) - 1, 0))
    wanted, k = min(K1 + 1, len(contents)), old.nearest.shape[1]
    if k < wanted or not np.array_equal(contents[place], before):
        return None
    is_new = np.ones(len(contents), dtype=bool)
    is_new[place] = False
    new = np.flatnonzero(is_new)
    fresh = k_nearest(vectors, of=new, k=K1 + 1)
    nearest = np.empty((len(contents), k), dtype=np.int64)
    cosines = np.empty((len(contents), k), dtype=np.float32)
    least = np.empty(len(contents), dtype=np.float32)
    nearest[new], cosines[new], least[new] = fresh.nearest, fresh.cosines, fresh.least
    nearest[place], cosines[place], least[place] = place[old.nearest], old.cosines, old.least
    for start in range(0, len(place), at_once):
        rows = place[start : start + at_once]
        block = np.minimum(vectors[rows] @ vectors[new].T, 1)
        least[rows] = np.minimum(least[rows], block.min(axis=1))
        row, column = np.nonzero(block >= cosines[rows, -1:])
        changed = np.unique(row)
        lists = rows[changed]  # these get in what is nearer than their last
        row = np.concatenate([np.repeat(changed, k), row])
        position = np.concatenate([nearest[lists].reshape(-1), new[column]])
        value = np.concatenate([cosines[lists].reshape(-1), block[row[len(lists) * k :], column]])
        order = np.lexsort((position, -value, row))
        kept = order[np.searchsorted(row[order], changed)[:, None] + np.arange(k)]
        nearest[lists], cosines[lists] = position[kept], value[kept]
    return KNearest(nearest, cosines, least)


def _to_bytes(contents: Contents, found: KNearest) -> bytes:
    return to_npz(
        contents=contents,
        nearest=found.nearest.astype(np.int32),
        cosines=found.cosines,
        least=found.least,
    )


def _from_bytes(data: bytes) -> tuple[Contents, KNearest]:
    saved = from_npz(data)
    found = KNearest(saved["nearest"].astype(np.int64), saved["cosines"], saved["least"])
    return saved["contents"], found
