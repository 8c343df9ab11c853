"""Which neighbours each expanded vector carries, as the catalog keeps it: it tells what is left to
do when images came, changed or went."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reidsearch.catalog import ExpandedRecord, StoredImages
from reidsearch.collection import Collection
from reidsearch.ranking import expansion
from reidsearch.ranking.expansion import NONE, Neighbours
from reidsearch.types import Ids, Vectors


def known(
    before: Sequence[ExpandedRecord], ids: Ids, made_of: Ids, *, k: int
) -> tuple[Neighbours, NDArray[np.bool_], NDArray[np.bool_]]:
    """Of N images (``ids``, ascending; what each is ``made_of`` now) the ``k`` neighbours as they
    were ``before``; which of the images are as they were (N), and which of these have only such as
    neighbours (N)."""
    found = expansion.nobody(len(ids), k)
    valid = np.zeros(len(ids), dtype=bool)
    if not before or not len(ids):
        return found, valid, valid.copy()
    place = _positions(np.array([one.image_id for one in before]), ids)
    then = np.array([NONE if one.made_of is None else one.made_of for one in before])
    kept = np.flatnonzero(place != NONE)
    kept = kept[made_of[place[kept]] == then[kept]]
    rows = place[kept]
    valid[rows] = True
    table = np.frombuffer(b"".join(before[at].neighbours for at in kept.tolist()), _entry(k))
    listed = table["ids"] != NONE
    nearest = _positions(table["ids"].reshape(-1), ids).reshape(-1, k)
    there = (nearest != NONE) & valid[nearest]
    found.nearest[rows], found.scores[rows] = nearest, table["scores"]
    settled = valid.copy()
    settled[rows] = (there == listed).all(axis=1)
    return found, valid, settled


def _positions(wanted: Ids, ids: Ids) -> Ids:
    """Where each of ``wanted`` is in ``ids``, which ascend; NONE where it is not."""
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, NONE)


def _entry(k: int) -> np.dtype[np.void]:
    return np.dtype([("ids", "<i8", (k,)), ("scores", "<f4", (k,))])


def to_bytes(nearest: Ids, scores: Vectors, ids: Ids) -> bytes:
    """One image's neighbours (K, positions in ``ids``) and their scores (K), as ``known`` reads
    them."""
    entry = np.empty((), _entry(len(nearest)))
    entry["ids"] = np.where(nearest == NONE, NONE, ids[nearest])
    entry["scores"] = scores
    return entry.tobytes()


def made_of(stored: StoredImages, collection: Collection) -> Ids:
    """Of each image a positive 63-bit integer that stands for all its expanded vector depends on,
    but its neighbours."""
    site = {one.id: one.site for one in collection.catalog.places.datasets()}
    sums = collection.catalog.embeddings.checksums(collection.encoder_id)
    columns = (
        stored.ids.tolist(),
        stored.dataset.tolist(),
        stored.labels.camera.tolist(),
        stored.sequence.tolist(),
        stored.frame.tolist(),
        stored.timestamp.tolist(),
    )
    numbers = []
    for id, dataset, *seen in zip(*columns, strict=True):
        told = f"{sums[id]} {site[dataset]!r} {seen}".encode()
        digest = hashlib.blake2b(told, digest_size=8).digest()
        numbers.append(int.from_bytes(digest, "big") >> 1)
    return np.array(numbers, dtype=np.int64)
