"""Renamed images keep their vectors: same content, another path, the old file gone."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reidsearch import faults, images
from reidsearch.catalog import Candidate, State
from reidsearch.catalog.records import ImageRecord
from reidsearch.collection import Collection
from reidsearch.errors import ImageError
from reidsearch.stores import payload
from reidsearch.types import Points


class Move(NamedTuple):
    """An image that vanished, and where it is now."""

    old: ImageRecord
    new: Candidate


def find_renamed(
    vanished: Sequence[ImageRecord], new: Sequence[Candidate], *, root: Path
) -> list[Move]:
    """Which of the ``new`` files below ``root`` hold what vanished ones held, each once.

    Only files of the same size are read.
    """
    by_size = defaultdict(list)
    for row in vanished:
        if row.sha256:
            by_size[row.size].append(row)
    moves = []
    for candidate in new:
        rows = by_size.get(candidate.size, [])
        content = digest(root, candidate.sighting.path) if rows else ""
        found = next((row for row in rows if row.sha256 == content), None)
        if found is not None:
            rows.remove(found)
            moves.append(Move(found, candidate))
    return moves


def keep_vectors(collection: Collection, dataset_id: int, moves: Sequence[Move]) -> int:
    """Give renamed images their vectors under their new ids, and let the old ones go. Returns how
    many kept their vector; others are left pending.

    Where it is cut short, the old ones are to be deleted and the new ones pending: then these are
    encoded again, which gives the same vectors.
    """
    if not moves:
        return 0
    by_id = {move.old.id: move for move in moves}
    states = collection.catalog.embeddings.of(collection.encoder_id, list(by_id))
    ids, vectors = collection.store.retrieve(list(by_id))
    kept = [
        (by_id[id], vector, states[id].checksum)
        for id, vector in zip(ids.tolist(), vectors, strict=True)
        if id in states and states[id].state is State.INDEXED
    ]
    collection.catalog.embeddings.stale(
        dataset_id, collection.encoder_id, [move.new for move in moves]
    )
    collection.catalog.embeddings.mark_deleting(list(by_id), compact=False)
    faults.reach("moves recorded")
    if kept:
        points = Points(
            ids=np.array([move.new.id for move, _, _ in kept], dtype=np.int64),
            vectors=np.stack([vector for _, vector, _ in kept]),
            payloads=[payload(move.new.sighting) for move, _, _ in kept],
        )
        collection.store.upsert(points)
        collection.catalog.embeddings.finish(
            collection.encoder_id,
            indexed={
                move.new.id: (move.old.sha256, checksum)
                for move, _, checksum in kept
                if move.old.sha256 is not None  # only files with one are compared
            },
        )
    finish_deletions(collection)
    return len(kept)


def finish_deletions(collection: Collection) -> int:
    """Delete the vectors and rows of images that are to go; returns how many. Repeatable."""
    ids = collection.catalog.embeddings.deleting(collection.encoder_id)
    if ids:
        collection.store.delete(ids)
        faults.reach("deletions flushed")
        collection.catalog.embeddings.delete(collection.encoder_id, ids)
        faults.reach("rows deleted")
    return len(ids)


def digest(root: Path, path: str) -> str:
    """The SHA-256 of the file at ``path`` below ``root``; empty where it cannot be read."""
    try:
        return hashlib.sha256(images.read_inside(root, path)).hexdigest()
    except ImageError:
        return ""
