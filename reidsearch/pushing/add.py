"""Take in single crops whose bytes are at hand: a camera's software pushes them.

As with ``ingest``, the order makes a crash harmless: files first, then rows that are pending, then
vectors, then the word that they are stored. Who was not told so pushes the crop again, and finds it
as it was left. While somebody else changes the gallery crops can be put aside; whoever takes crops
in next takes those in first.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from reidsearch import faults
from reidsearch.catalog import Recorded
from reidsearch.catalog.database import Mode
from reidsearch.documents.ingests import AddedDocument, added_document
from reidsearch.encoding.encoder import Encoder
from reidsearch.environment import machine
from reidsearch.errors import (
    CatalogLocked,
    EncoderError,
    ImageError,
    ReidsearchError,
    StoreError,
    UsageError,
)
from reidsearch.hashes import image_id
from reidsearch.pushing import aside, crops, waiting
from reidsearch.pushing.crop import Crop, dataset_of
from reidsearch.session import Session
from reidsearch.types import Dataset, Split
from reidsearch.vectors import indexing
from reidsearch.vectors.collection import Collection
from reidsearch.vectors.indexing import Decoded, Point

log = logging.getLogger(__name__)

TOGETHER = 64  # crops that waited, taken in at once


class Outcome(StrEnum):
    """What came of a crop."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    RELABELLED = "relabelled"  # only what is said of it was new
    WAITING = "waiting"  # it is kept, and will be stored when nobody else changes the gallery


@dataclass(frozen=True, slots=True)
class Added:
    """A crop that is stored, or kept, for good: its image's ``id``, and what came of it."""

    id: int
    outcome: Outcome

    def document(self) -> AddedDocument:
        """As a JSON document."""
        return added_document(self)


def add(session: Session, given: Sequence[Crop]) -> list[Added | ReidsearchError]:
    """Take crops in; for each of them what came of it, or why it was not taken in.

    What was computed from all images is not made anew (see ``ingest.upkeep``). Raises StoreLocked,
    StoreError, CatalogError and EncoderError where it cannot go on; what was confirmed stays.
    """
    if not given:
        return []
    with session.taking_in():
        collection = session.collection_to_fill()
        _add_waiting(session, collection)
        return _add_all(session, collection, given)


def put_aside(session: Session, given: Sequence[Crop]) -> list[Added | ReidsearchError]:
    """Keep crops until they can be taken in; for each of them that it waits, or why it does not:
    StoreLocked where too many wait already. They are durable on return. Raises StoreError where
    nobody can say what waits."""
    found: list[Added | ReidsearchError] = []
    held = aside.held(session.waiting_folder)
    for crop in given:
        expired = _expired(session, crop)
        if expired is not None:
            found.append(expired)
            continue
        try:
            held = waiting.keep(session, crop, beside=held)
        except StoreError as error:
            found.append(error)
            continue
        id = image_id(dataset_of(session, crop), crop.sighting.path)
        found.append(Added(id, Outcome.WAITING))
    return found


def _add_waiting(session: Session, collection: Collection) -> int:
    """Take in what was put aside; how many crops that were."""
    taken = 0
    folder = session.waiting_folder
    aside.sweep(folder)
    files = aside.waiting(folder)
    for start in range(0, len(files), TOGETHER):
        some = files[start : start + TOGETHER]
        # Who forgets comes before they are read, or when they are images.
        with collection.catalog.database.held(Mode.SHARED):
            read = _read(some)
            for outcome in _add_all(session, collection, read):
                if isinstance(outcome, ReidsearchError):
                    log.warning("A crop that waited is not taken in: %s", outcome.message)
            faults.reach("waiting stored")
            for file in some:
                aside.remove(file)
        taken += len(read)
    return taken


def _read(files: Sequence[Path]) -> list[Crop]:
    found = []
    for file in files:
        try:
            found.append(waiting.read(file))
        except FileNotFoundError:  # it was forgotten just now
            continue
        except Exception as error:  # whatever is wrong with one file, the others are fine
            log.warning("%s was put aside and cannot be taken in: %s", file, error)
    return found


def _expired(session: Session, crop: Crop) -> UsageError | None:
    if crop.timestamp is None or crop.timestamp >= session.config.oldest:
        return None
    return UsageError("the crop is older than may be kept (setting retain_days)")


def _add_all(
    session: Session, collection: Collection, given: Sequence[Crop]
) -> list[Added | ReidsearchError]:
    found: dict[int, Added | ReidsearchError] = {}
    groups: dict[tuple[str, str | None], dict[str, list[int]]] = defaultdict(dict)
    for at, crop in enumerate(given):
        expired = _expired(session, crop)
        if expired is not None:
            found[at] = expired
            continue
        group = groups[dataset_of(session, crop), crop.site]
        group.setdefault(crop.sighting.path, []).append(at)
    for (name, site), places in groups.items():
        some = {path: given[at[-1]] for path, at in places.items()}
        outcomes = _add(session, collection, name, site, some)
        found |= {at: outcomes[path] for path, every in places.items() for at in every}
    return [found[at] for at in range(len(given))]


def _add(
    session: Session,
    collection: Collection,
    name: str,
    site: str | None,
    given: dict[str, Crop],
) -> dict[str, Added | ReidsearchError]:
    """Of one data set, by the paths of their files."""
    sightings = {path: crop.sighting for path, crop in given.items()}
    dataset = Dataset(name, crops.root_of(session, name), list(sightings.values()))
    # What is written and not recorded yet would be swept away.
    with collection.catalog.database.held(Mode.SHARED):
        try:
            dataset_id = _dataset_id(collection, dataset, site)
        except UsageError as error:
            return dict.fromkeys(given, error)
        for path, crop in given.items():
            crops.write(dataset.root / path, crop.data)
        faults.reach("crops written")
        recorded = _record(collection, dataset, dataset_id)
    return _index(collection, dataset, dataset_id, session.encoder, recorded)


def resume(session: Session) -> int:
    """Take in the crops that were put aside, and those that a process which was killed left
    pending, and nobody may push again; returns how many these were. Raises as ``add`` does."""
    if not session.crops_folder.is_dir() and not aside.waiting(session.waiting_folder):
        return 0
    with session.taking_in():
        collection = session.collection_to_fill()
        catalog, resumed = collection.catalog, _add_waiting(session, collection)
        for one in catalog.places.datasets():
            if one.machine not in (None, machine()):
                continue
            if catalog.places.dataset_layout(one.id) != crops.LAYOUT:
                continue
            known = catalog.images.ids(one.id, Split)
            left = catalog.embeddings.waiting(collection.encoder_id).intersection(known)
            sightings = [image.sighting for image in catalog.images.of(sorted(left))]
            if sightings:
                dataset = Dataset(one.name, Path(one.root), sightings)
                with catalog.database.held(Mode.SHARED):
                    recorded = _record(collection, dataset, one.id)
                _index(collection, dataset, one.id, session.encoder, recorded)
                resumed += len(sightings)
    return resumed


def _record(collection: Collection, dataset: Dataset, dataset_id: int) -> list[Recorded]:
    """Record crops whose files are there, and let those that are stored have the payloads of what
    is said of them now."""
    candidates = [indexing.candidate(dataset, seen) for seen in dataset.sightings]
    recorded = collection.catalog.embeddings.stale(dataset_id, collection.encoder_id, candidates)
    faults.reach("recorded")
    indexing.relabel(collection, dataset_id, [one for one in recorded if one.encoded])
    return recorded


def _index(
    collection: Collection,
    dataset: Dataset,
    dataset_id: int,
    encoder: Encoder,
    recorded: Sequence[Recorded],
) -> dict[str, Added | ReidsearchError]:
    """Index crops that were recorded; by their paths what came of them."""
    catalog = collection.catalog
    found: dict[str, Added | ReidsearchError] = {
        seen.path: Added(image_id(dataset.name, seen.path), Outcome.UNCHANGED)
        for seen in dataset.sightings
    }
    for one in recorded:
        if one.encoded:
            found[one.candidate.sighting.path] = Added(one.candidate.id, Outcome.RELABELLED)
        elif not one.claimed:
            found[one.candidate.sighting.path] = CatalogLocked(
                "another process takes the same crop in at this moment",
                hint="Push it again: then it is found, or taken in.",
            )
    fresh = [one for one in recorded if one.claimed and not one.encoded]
    points, failed = _encoded(fresh, dataset, encoder)
    unusable = indexing.store(collection, dataset_id, points).unusable if points else []
    for one in fresh:
        found[one.candidate.sighting.path] = Added(one.candidate.id, Outcome.STORED)
    if failed:  # what was just written is another by now
        reasons = {one.candidate.id: error.message for one, error in failed.items()}
        catalog.embeddings.finish(collection.encoder_id, failed=reasons)
    found |= {one.candidate.sighting.path: error for one, error in failed.items()}
    found |= {one.path: EncoderError(one.reason) for one in unusable}
    return found


def _dataset_id(collection: Collection, dataset: Dataset, site: str | None) -> int:
    """The id of a data set of pushed crops. Raises UsageError where another kind of data set, or
    one at another site, is called so."""
    catalog = collection.catalog
    for one in catalog.places.datasets():
        if one.name != dataset.name:
            continue
        if catalog.places.dataset_layout(one.id) != crops.LAYOUT:
            raise UsageError(
                f"the data set {one.name!r} was ingested from a folder",
                hint="Give the crop another {dataset}.",
            )
        if site not in (None, one.site):
            raise UsageError(
                f"the data set {one.name!r} is at the site {one.site!r}, not at {site!r}",
                hint="Give the crop another {dataset}, or leave that out.",
            )
    return catalog.places.add_dataset(
        dataset.name, dataset.root, new_at=site, layout=crops.LAYOUT, machine=machine()
    )


def _encoded(
    fresh: Sequence[Recorded], dataset: Dataset, encoder: Encoder
) -> tuple[list[Point], dict[Recorded, ReidsearchError]]:
    """The vectors of what can be decoded, and why the rest cannot."""
    decoded: list[Decoded] = []
    failed: dict[Recorded, ReidsearchError] = {}
    for one in fresh:
        outcome = indexing.decode(one, dataset, encoder.size)
        if isinstance(outcome, ImageError):
            failed[one] = outcome
        else:
            decoded.append(outcome)
    points: list[Point] = []
    for start in range(0, len(decoded), encoder.batch):
        batch = decoded[start : start + encoder.batch]
        vectors = encoder.encode(np.stack([item.picture.pixels for item in batch]))
        points += zip(batch, vectors, strict=True)
    faults.reach("encoded")
    return points, failed
