"""Renamed images keep their vectors: same content, another path, the old file gone."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reidsearch import faults, images
from reidsearch.catalog import Candidate, State
from reidsearch.errors import ImageError
from reidsearch.gallery import Gallery
from reidsearch.stores import payload
from reidsearch.types import Points

Move = tuple[Any, Candidate]  # the catalog's row of an image that vanished, and where it is now


def find(vanished: Sequence[Any], new: Sequence[Candidate], *, root: Path) -> list[Move]:
    """Which of the ``new`` files below ``root`` hold what vanished ones held, each once.

    ``vanished`` are rows of ``Catalog.images``. Only files of the same size are read.
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
            moves.append((found, candidate))
    return moves


def apply(gallery: Gallery, dataset_id: int, moves: Sequence[Move]) -> int:
    """Give renamed images their vectors under their new ids, and let the old ones go. Returns how
    many kept their vector; others are left pending.

    Where it is cut short, the old ones are to be deleted and the new ones pending: then these are
    encoded again, which gives the same vectors.
    """
    if not moves:
        return 0
    rows = {row.id: (row, candidate) for row, candidate in moves}
    states = {e.image_id: e for e in gallery.catalog.embeddings.all(gallery.encoder_id)}
    ids, vectors = gallery.store.retrieve(list(rows))
    kept = [
        (rows[id], vector, states[id].checksum)
        for id, vector in zip(ids.tolist(), vectors, strict=True)
        if id in states and states[id].state == State.INDEXED
    ]
    gallery.catalog.embeddings.stale(
        dataset_id, gallery.encoder_id, [candidate for _, candidate in moves]
    )
    gallery.catalog.embeddings.mark_deleting(list(rows), compact=False)
    faults.reach("moves recorded")
    if kept:
        points = Points(
            ids=np.array([candidate.id for (_, candidate), _, _ in kept], dtype=np.int64),
            vectors=np.stack([vector for _, vector, _ in kept]),
            payloads=[payload(candidate.sighting) for (_, candidate), _, _ in kept],
        )
        gallery.store.upsert(points)
        gallery.catalog.embeddings.finish(
            gallery.encoder_id,
            indexed={
                candidate.id: (row.sha256, checksum) for (row, candidate), _, checksum in kept
            },
        )
    finish_deletions(gallery)
    return len(kept)


def finish_deletions(gallery: Gallery) -> int:
    """Delete the vectors and rows of images that are to go; returns how many. Repeatable."""
    ids = gallery.catalog.embeddings.deleting(gallery.encoder_id)
    if ids:
        gallery.store.delete(ids)
        faults.reach("deletions flushed")
        gallery.catalog.embeddings.delete(gallery.encoder_id, ids)
        faults.reach("rows deleted")
    return len(ids)


def digest(root: Path, path: str) -> str:
    """The SHA-256 of the file at ``path`` below ``root``; empty where it cannot be read."""
    try:
        return hashlib.sha256(images.read_inside(root, path)).hexdigest()
    except ImageError:
        return ""
