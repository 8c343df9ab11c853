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
from numpy.typing import NDArray

from reidsearch import faults
from reidsearch.catalog import Candidate, Catalog, Recorded, State
from reidsearch.catalog.records import DatasetRecord, ImageRecord
from reidsearch.datasets import is_plain
from reidsearch.environment import machine
from reidsearch.errors import ImageError, UsageError
from reidsearch.hashes import image_id
from reidsearch.pictures import contents
from reidsearch.types import Dataset, Points, Split
from reidsearch.vectors.collection import Collection, payload_of_recorded

SAMPLED = 20  # stored pictures that are looked for where a data set may have moved


class Move(NamedTuple):
    """An image that vanished, and where it is now."""

    old: ImageRecord
    new: Candidate


class _Vector(NamedTuple):
    """A stored vector (D), and its checksum, where that is known."""

    values: NDArray[np.float32]
    checksum: int | None


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


def keep_vectors(collections: Sequence[Collection], dataset_id: int, moves: Sequence[Move]) -> int:
    """Give renamed images their vectors under their new ids, of every encoder, and let the old ones
    go. Returns how many kept their vector of the first one; others are left pending.

    Where it is cut short, the old ones are to be deleted and the new ones pending: then these are
    encoded again, which gives the same vectors.
    """
    if not moves:
        return 0
    catalog = collections[0].catalog
    old_ids = [move.old.id for move in moves]
    small = catalog.images.thumbnails(old_ids)
    work = []
    for one in collections:
        kept = _indexed(one, moves)
        # Those that the first one lacks are its to encode; of the others nobody knows.
        news = [move.new for move in (moves if one is collections[0] else kept)]
        stale = catalog.embeddings.stale(dataset_id, one.encoder_id, news) if news else []
        work.append((one, kept, {recorded.candidate.id: recorded for recorded in stale}))
    catalog.embeddings.mark_deleting(old_ids, compact=False)
    faults.reach("moves recorded")
    for one, kept, recorded_by_id in work:
        if kept:
            _keep(one, dataset_id, kept, recorded_by_id, small)
    for one in collections:
        finish_deletions(one)
    return len(work[0][1])


def _indexed(collection: Collection, moves: Sequence[Move]) -> dict[Move, _Vector]:
    """The vectors of images that move, of those that are indexed with this encoder."""
    by_id = {move.old.id: move for move in moves}
    states = collection.catalog.embeddings.of(collection.encoder_id, list(by_id))
    indexed = [id for id, record in states.items() if record.state is State.INDEXED]
    ids, vectors = collection.store.retrieve(indexed)
    return {
        by_id[id]: _Vector(vector, states[id].checksum)
        for id, vector in zip(ids.tolist(), vectors, strict=True)
    }


def _keep(
    collection: Collection,
    dataset_id: int,
    kept: Mapping[Move, _Vector],
    recorded: Mapping[int, Recorded],
    small: Mapping[int, bytes],
) -> None:
    """Store these vectors under their new ids, and call those indexed."""
    new_ids = [move.new.id for move in kept]
    collection.store.upsert(
        Points(
            ids=np.array(new_ids, dtype=np.int64),
            vectors=np.stack([vector.values for vector in kept.values()]),
            payloads=[payload_of_recorded(recorded[id], dataset_id) for id in new_ids],
        )
    )
    collection.catalog.embeddings.finish(
        collection.encoder_id,
        indexed={
            move.new.id: (move.old.sha256, vector.checksum)
            for move, vector in kept.items()
            if move.old.sha256 is not None  # only files with one are compared
        },
        thumbnails={m.new.id: small[m.old.id] for m in kept if m.old.id in small},
    )


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
    """Files of a data set that are images of another one, ``home``: at which ``paths`` of this one,
    and those that this one describes, by path, which are ``kept`` as they are there or ``yielded``.
    It yields all where it ``was_plain``, a folder of crops, and this one says more of them; else
    those that it could make nothing of."""

    home: DatasetRecord
    paths: frozenset[str]
    kept: dict[str, ImageRecord]
    yielded: dict[str, ImageRecord]
    was_plain: bool

    def as_dataset(self, *, follow_links: bool) -> Dataset:
        """What is kept, as what it is at home."""
        sightings = [image.sighting for image in self.kept.values()]
        root = Path(self.home.root)
        return Dataset(self.home.name, root, sightings, follow_links=follow_links)


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


def stored_elsewhere(catalog: Catalog, dataset: Dataset) -> list[Elsewhere]:
    """Which of a data set's files others have stored, and itself has not, by the others' names."""
    found = []
    own = {
        id
        for one in catalog.places.datasets()
        if one.name == dataset.name
        for id in catalog.images.ids(one.id, Split)
    }
    described = {seen.path for seen in dataset.sightings}
    says_more = dataset.layout is not None and not is_plain(dataset.layout)
    there = [*described, *(file.path for file in dataset.rejected if file.is_picture)]
    for other in near(catalog, dataset):
        files = {os.path.normpath(row.file): row for row in catalog.images.all(other.id)}
        images = {
            path: row
            for path in there
            if (row := files.get(os.path.normpath(os.path.join(dataset.root, path))))
            and image_id(dataset.name, path) not in own
        }
        if not images:
            continue
        was_plain = says_more and is_plain(catalog.places.dataset_layout(other.id))
        unusable = catalog.embeddings.unusable(other.id)
        kept: dict[str, ImageRecord] = {}
        yielded: dict[str, ImageRecord] = {}
        for path in described.intersection(images):
            row = images[path]
            (yielded if was_plain or row.id in unusable else kept)[path] = row
        found.append(Elsewhere(other, frozenset(images), kept, yielded, was_plain))
    return found


def take_over(
    collections: Sequence[Collection],
    dataset_id: int,
    yielded: Mapping[str, ImageRecord],
    candidates: Sequence[Candidate],
) -> int:
    """Let a data set have the images, by its own paths, that others yield, with their vectors of
    every encoder; returns how many kept that of the first. Those whose files have changed are left
    pending."""
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
        collections[0].catalog.embeddings.mark_deleting(changed, compact=False)
        for one in collections:
            finish_deletions(one)
    return keep_vectors(collections, dataset_id, moves)


def digest(root: Path, path: str, *, follow_links: bool = False) -> str:
    """The SHA-256 of the file at ``path`` below ``root``; empty where it cannot be read."""
    try:
        data = contents.read_inside(root, path, follow_links=follow_links)
        return hashlib.sha256(data).hexdigest()
    except ImageError:
        return ""
