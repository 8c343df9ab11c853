"""Take a data set into the gallery: record, decode and encode side by side, store, confirm.

The order makes a crash harmless at any point: images are recorded as pending, their vectors are
stored durably, and only then are they recorded as indexed. Running again repeats what was not
confirmed, which overwrites the same points with the same vectors. Tests break it off at the points
that ``faults`` names.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from reidsearch import faults, names
from reidsearch.catalog.database import Mode
from reidsearch.encoding.encoder import Encoder
from reidsearch.environment import machine
from reidsearch.errors import UsageError
from reidsearch.forgetting import selection
from reidsearch.ingest import upkeep
from reidsearch.ingest.contents import contents
from reidsearch.ingest.losses import Loss, weigh
from reidsearch.ingest.parts import (
    Part,
    candidates_of,
    notes_of_others,
    only_own,
    require_vectors,
    settle_paths,
)
from reidsearch.ingest.pipeline import encode_and_store
from reidsearch.ingest.summary import IngestSummary
from reidsearch.search import places
from reidsearch.session import Session
from reidsearch.types import Dataset
from reidsearch.vectors import moves
from reidsearch.vectors.collection import Collection
from reidsearch.words import counted


def ingest(
    session: Session,
    dataset: Dataset,
    *,
    site: str | None = None,
    prune: bool | Literal["all"] = False,
    confirm: Callable[[Loss], None] | None = None,
    on_progress: Callable[[IngestSummary], None] = lambda summary: None,
) -> IngestSummary:
    """Take a data set in, and bring up to date what depends on it, under one lock, for which others
    are waited for without end.

    It belongs to ``site``, where given; else where it was, or its layout says, or to the gallery's
    own. What is older than the setting ``retain_days`` is not taken in, and forgotten where it is
    stored; with ``prune`` so is what the data set no longer has. What was learned of the gallery,
    and the kept neighbours of its images, are made anew where it has changed.

    Where that would be an unusual loss, ``confirm`` is shown it, when all is taken in, and stops it
    by raising; without it that is a UsageError. ``prune="all"`` removes whatever is gone. Raises as
    ``take_in`` and ``forget.remove`` do.
    """
    with session.taking_in(patient=True):
        collection = session.collection_to_fill()
        dataset = places.named(session.catalog, dataset)
        site = None if site is None else names.name(site, of="site")
        summary = take_in(
            collection,
            dataset,
            encoder=session.encoder,
            collections=session.collections,
            site=site,
            oldest=session.config.oldest,
            thumbnails=session.config.thumbnails,
            on_progress=on_progress,
        )
        with session.changing():
            _bring_up_to_date(session, collection, dataset, summary, prune=prune, confirm=confirm)
    return summary


def _bring_up_to_date(
    session: Session,
    collection: Collection,
    dataset: Dataset,
    summary: IngestSummary,
    *,
    prune: bool | Literal["all"],
    confirm: Callable[[Loss], None] | None,
) -> None:
    """What follows from the images that were taken in. Only while ``changing``."""
    session.catalog.database.retire()  # so that of several the last to come here does it
    gone = {image.id: image for image in selection.expired(session)}
    refused: BaseException | None = None
    if prune and summary.vanished:
        try:
            if prune != "all":
                _require_yes(_loss(session, dataset, summary.vanished), confirm)
            vanished = session.catalog.images.of_dataset(dataset.name, summary.vanished)
            gone |= {image.id: image for image in vanished}
            summary.vanished = []
        except BaseException as error:  # what was taken in is to be brought up to date first
            refused = error
    done = upkeep.bring_up_to_date(
        session,
        collection,
        learn=bool(summary.ingested or summary.relabelled),
        gone=list(gone.values()),
    )
    summary.calibrated, summary.pruned = done.calibrated, done.removed
    summary.expanded = done.expanded
    if done.left_to:
        others = counted(done.left_to, "other process takes", "other processes take")
        summary.notes.append(
            f"{others} images in: the last one to end brings up to date what is learned from all."
        )
    if refused is not None:
        raise refused
    if dataset.layout is not None and not summary.vanished:
        session.catalog.places.set_layout(dataset.name, dataset.layout)


def _loss(session: Session, dataset: Dataset, vanished: list[str]) -> Loss:
    """What would go with the stored images that the data set no longer has."""
    (known,) = [one for one in session.catalog.places.datasets() if one.name == dataset.name]
    stored = [
        row.path
        for row in session.catalog.images.all(known.id)
        if dataset.splits is None or row.split in dataset.splits
    ]
    before = session.catalog.places.dataset_layout(known.id)
    return weigh(vanished, stored, before=before, now=dataset.layout)


def _require_yes(loss: Loss, confirm: Callable[[Loss], None] | None) -> None:
    """Ask before an unusual loss. Raises UsageError where there is nobody to ask."""
    if not loss.unusual:
        return
    if confirm is None:
        raise UsageError(
            f"{loss}; all else is done, and none was removed",
            hint="See whether a disk or folder is missing; {prune_all} removes them all the same.",
        )
    confirm(loss)


def take_in(
    collection: Collection,
    dataset: Dataset,
    *,
    encoder: Encoder,
    collections: Callable[[], Sequence[Collection]] = tuple,
    site: str | None = None,
    oldest: float = -math.inf,
    thumbnails: bool = False,
    on_progress: Callable[[IngestSummary], None] = lambda summary: None,
) -> IngestSummary:
    """Store the vector of every crop that is new or has changed; leave the others alone.

    A renamed crop keeps its vectors, those of all ``collections``, and so does one that a table
    describes and a folder had. Other files that another data set has stay what they are there, and
    get their vectors there. Crops with a timestamp before ``oldest`` (seconds since 1970 UTC) are
    passed over. With ``thumbnails`` small pictures are kept. ``on_progress`` is called
    at the start and after each batch. What another process takes in at the same moment is left to
    it, and waited for. Files that cannot be read are listed in the summary's
    ``failures`` and recorded in the catalog with their reason. Raises UsageError where its name is
    another data set's, StoreError, CatalogError or EncoderError where it cannot go on; what was
    confirmed stays.
    """
    started = time.monotonic()
    known = contents(dataset)
    there = candidates_of(dataset, oldest)
    with collection.catalog.database.held(Mode.EXCLUSIVE):
        moves.require_same_pictures(collection.catalog, dataset)
        elsewhere = moves.stored_elsewhere(collection.catalog, dataset)
        parts = []
        for one in elsewhere:
            if one.kept:
                home = one.as_dataset(follow_links=dataset.follow_links)
                parts.append(Part(home, one.home.id, candidates_of(home, oldest)))
        yielded = {path: image for one in elsewhere for path, image in one.yielded.items()}
        own = only_own(dataset, elsewhere)
        pictures = [file for file in own.rejected if file.is_picture]
        if own.sightings or pictures or not elsewhere or _is_known(collection, own):
            dataset_id = collection.catalog.places.add_dataset(
                own.name,
                own.root,
                site=site,
                new_at=own.site or next((image.site for image in yielded.values()), None),
                layout=own.layout,
                machine=machine(),
            )
            mine = {seen.path for seen in own.sightings}
            candidates = [one for one in there if one.sighting.path in mine]
            parts.insert(0, Part(own, dataset_id, candidates))
        found = sum(len(part.dataset.sightings) for part in parts)
        splits = Counter(str(seen.split) for part in parts for seen in part.dataset.sightings)
        summary = IngestSummary(found + len(dataset.rejected), dict(splits), known)
        summary.expired = found - sum(len(part.candidates) for part in parts)
        # First: a store that does not answer leaves no half ingest behind.
        require_vectors(collection, [one for part in parts for one in part.candidates])
        summary.notes = [*dataset.notes, *notes_of_others(elsewhere, dataset.layout, collection)]
        of = parts[0].id if parts else elsewhere[0].home.id
        run = collection.catalog.runs.start(of, collection.encoder_id)
        faults.reach("run started")
        moves.finish_deletions(collection)
        summary.failures.extend(dataset.rejected)
        if parts and parts[0].dataset is own:
            settle_paths(parts[0], pictures, yielded, collection, collections, summary)
    on_progress(summary)

    for part in parts:
        encode_and_store(
            part,
            collection,
            encoder,
            summary,
            run=run,
            started=started,
            thumbnails=thumbnails,
            on_progress=on_progress,
        )
    summary.unchanged -= summary.moved  # whose vectors were there by then
    summary.seconds = time.monotonic() - started
    if summary.outdated:
        are = counted(summary.outdated, "vector is", "vectors are")
        summary.notes.append(
            f"Files have changed of which other encoders have vectors: {are} left out of searches "
            "until an ingest with these encoders."
        )
    on_progress(summary)
    collection.catalog.runs.finish(
        run,
        ingested=summary.ingested,
        unchanged=summary.unchanged,
        failed=len(summary.failures),
    )
    faults.reach("run finished")
    return summary


def _is_known(collection: Collection, dataset: Dataset) -> bool:
    return any(one.name == dataset.name for one in collection.catalog.places.datasets())
