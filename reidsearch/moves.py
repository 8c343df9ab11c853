"""Images that change their place keep their vectors: renamed ones (same content, another path, the
old file gone), those of data sets that have moved as a whole, and those that a table describes from
now on."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reidsearch import faults, images
from reidsearch.catalog import Candidate, Catalog, State
from reidsearch.catalog.records import DatasetRecord, ImageRecord
from reidsearch.collection import Collection, payload_of_recorded
from reidsearch.config import machine
from reidsearch.datasets import TABLE, is_plain
from reidsearch.errors import ImageError, UsageError
from reidsearch.hashes import image_id
from reidsearch.types import Dataset, Points, Split

SAMPLED = 20  # stored pictures that are looked for where a data set may have moved


class Move(NamedTuple):
    """An image that vanished, and where it is now."""

    old: ImageRecord
    new: Candidate


def find_renamed(
    vanished: Sequence[ImageRecord],
    new: Sequence[Candidate],
    *,
    root: Path,
    follow_links: bool = False,
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
        path = candidate.sighting.path
        content = digest(root, path, follow_links=follow_links) if rows else ""
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
    small = collection.catalog.images.thumbnails(list(by_id))
    recorded = {
        one.candidate.id: one
        for one in collection.catalog.embeddings.stale(
            dataset_id, collection.encoder_id, [move.new for move in moves]
        )
    }
    collection.catalog.embeddings.mark_deleting(list(by_id), compact=False)
    faults.reach("moves recorded")
    if kept:
        points = Points(
            ids=np.array([move.new.id for move, _, _ in kept], dtype=np.int64),
            vectors=np.stack([vector for _, vector, _ in kept]),
            payloads=[
                payload_of_recorded(recorded[move.new.id], dataset_id) for move, _, _ in kept
            ],
        )
        collection.store.upsert(points)
        collection.catalog.embeddings.finish(
            collection.encoder_id,
            indexed={
                move.new.id: (move.old.sha256, checksum)
                for move, _, checksum in kept
                if move.old.sha256 is not None  # only files with one are compared
            },
            thumbnails={m.new.id: small[m.old.id] for m, _, _ in kept if m.old.id in small},
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


def require_same_pictures(catalog: Catalog, dataset: Dataset) -> None:
    """Where the folder is gone, or on another machine's disk, that a data set of this name was
    taken in from, see whether this one holds its pictures: it may have moved, or be another that is
    called alike.

    Raises UsageError where most of a few stored pictures are not there.
    """
    known = next((one for one in catalog.places.datasets() if one.name == dataset.name), None)
    if known is None:
        return
    away = known.machine not in (None, machine())
    if not away and (known.root == str(dataset.root) or Path(known.root).exists()):
        return
    rows = [row for row in catalog.images.all(known.id) if row.sha256]
    some = rows[:: max(1, len(rows) // SAMPLED)]
    same = sum(
        digest(dataset.root, row.path, follow_links=dataset.follow_links) == row.sha256
        for row in some
    )
    if 2 * same < len(some):
        where = f"{known.root}, which is not there now"
        if away:
            where = f"{known.root} on {known.machine}"
        raise UsageError(
            f"a data set named {dataset.name!r} is stored from {where}, and {dataset.root} holds "
            "other pictures",
            hint="Give this one a name of its own with {name}.",
        )


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Images of another data set, by their paths in this one. ``yields`` says that its word goes
    after this one's: it was read as a folder of crops, and this is a table that describes them."""

    images: dict[str, ImageRecord]
    yields: bool


def near(catalog: Catalog, dataset: Dataset) -> list[DatasetRecord]:
    """The other data sets whose folders are around a data set's, or in it, on the same disk."""
    return [
        other
        for other in catalog.places.datasets()
        if other.name != dataset.name
        and other.machine in (None, machine())
        and (
            Path(other.root).is_relative_to(dataset.root)
            or dataset.root.is_relative_to(Path(other.root))
        )
    ]


def without_files_of(
    others: Sequence[DatasetRecord],
    catalog: Catalog,
    dataset: Dataset,
    candidates: list[Candidate],
) -> list[Candidate]:
    """The candidates of a data set that none of the ``others``, which are ``near``, has stored."""
    ids: dict[int, int] = {}  # of a file as another's image -> as this one's
    for other in others:
        for one in candidates:
            file = dataset.root / one.sighting.path
            if file.is_relative_to(other.root):
                path = file.relative_to(other.root).as_posix()
                ids[image_id(other.name, path)] = one.id
    if not ids:
        return candidates
    own = {image.id for image in catalog.images.of([one.id for one in candidates])}
    taken = {ids[image.id] for image in catalog.images.of(list(ids))} - own
    return [one for one in candidates if one.id not in taken]


def stored_elsewhere(catalog: Catalog, dataset: Dataset) -> dict[str, Elsewhere]:
    """Which of a data set's files others have stored, and itself has not, by the others' names."""
    found = {}
    own = {
        id
        for one in catalog.places.datasets()
        if one.name == dataset.name
        for id in catalog.images.ids(one.id, Split)
    }
    for other in near(catalog, dataset):
        files = {os.path.normpath(row.file): row for row in catalog.images.all(other.id)}
        images = {
            seen.path: row
            for seen in dataset.sightings
            if (row := files.get(os.path.normpath(os.path.join(dataset.root, seen.path))))
            and image_id(dataset.name, seen.path) not in own
        }
        if images:
            layout = catalog.places.dataset_layout(other.id)
            found[other.name] = Elsewhere(images, dataset.layout == TABLE and is_plain(layout))
    return found


def take_over(
    collection: Collection,
    dataset_id: int,
    yielded: Mapping[str, ImageRecord],
    candidates: Sequence[Candidate],
) -> int:
    """Let a data set have the images, by its own paths, that others yield; returns how many kept
    their vector. Those whose files have changed are left pending."""
    moves, changed = [], []
    for candidate in candidates:
        old = yielded.get(candidate.sighting.path)
        if old is None:
            continue
        if (old.size, old.modified_ns) == (candidate.size, candidate.modified_ns):
            moves.append(Move(old, candidate))
        else:
            changed.append(old.id)
    if changed:
        collection.catalog.embeddings.mark_deleting(changed, compact=False)
        finish_deletions(collection)
    return keep_vectors(collection, dataset_id, moves)


def digest(root: Path, path: str, *, follow_links: bool = False) -> str:
    """The SHA-256 of the file at ``path`` below ``root``; empty where it cannot be read."""
    try:
        data = images.read_inside(root, path, follow_links=follow_links)
        return hashlib.sha256(data).hexdigest()
    except ImageError:
        return ""
