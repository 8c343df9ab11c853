"""Take a data set into the gallery: record, decode and encode side by side, store, confirm.

The order makes a crash harmless at any point: images are recorded as pending, their vectors are
stored durably, and only then are they recorded as indexed. Running again repeats what was not
confirmed, which overwrites the same points with the same vectors. Tests break it off at the points
that ``faults`` names.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from reidsearch import documents, faults, forget, indexing, moves, names, places, upkeep
from reidsearch.catalog import Candidate, Recorded
from reidsearch.catalog.database import Mode
from reidsearch.catalog.records import ImageRecord
from reidsearch.collection import Collection
from reidsearch.config import machine
from reidsearch.contents import Contents, contents
from reidsearch.encoder import Encoder
from reidsearch.errors import ImageError, UsageError
from reidsearch.hashes import image_id
from reidsearch.indexing import Decoded, Point
from reidsearch.losses import Loss, weigh
from reidsearch.session import Session
from reidsearch.types import Dataset, Rejected
from reidsearch.words import counted

RECORD = 1024  # images recorded as pending in one transaction
STORE = 512  # vectors stored and confirmed together
DECODERS = 2  # threads; one already decodes several times faster than a CPU encodes
AHEAD = 2  # batches of decoded pictures that may wait for the encoder
PAUSE = 0.3  # seconds until it is asked again what other processes have stored
PATIENCE = 300.0  # seconds without one image more, after which they are waited for no longer


@dataclass
class IngestSummary:
    """What an ingest did, or has done so far. ``images_per_second`` counts the ingested ones alone.

    Of the ``ingested`` ones ``changed`` were stored before, and their files have changed.
    ``moved`` images were renamed and kept their vector, and so did ``relabelled`` ones, of which
    the data set says something else now. ``vanished`` are the paths of stored images that the data
    set no longer has; ``expired`` counts those too old to be taken in, ``pruned`` stored ones that
    were removed afterwards, ``left`` what another process is still taking in. ``encoded`` counts
    what has a vector by now, also where that is not stored yet. ``calibrated`` is the number of
    images that transit times and thresholds were learned anew from, None where they were not,
    ``expanded`` that of the expanded vectors that were written. ``contents`` is what the data set
    says of its crops, ``notes`` what else people should know. Of what was decoded,
    ``unlike_crops`` were hardly crops of one person, ``unlike_crop`` for one, and ``scaled`` counts
    those of more than 8 bits whose range was guessed, by what it was taken for.
    """

    found: int
    splits: dict[str, int]
    contents: Contents
    notes: list[str] = field(default_factory=list)
    failures: list[Rejected] = field(default_factory=list)
    ingested: int = 0
    encoded: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    relabelled: int = 0
    expired: int = 0
    pruned: int = 0
    left: int = 0
    vanished: list[str] = field(default_factory=list)
    calibrated: int | None = None
    expanded: int = 0
    unlike_crops: int = 0
    unlike_crop: str | None = None
    scaled: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """The images that need no more work."""
        return self.seen - self.encoded + self.ingested

    @property
    def seen(self) -> int:
        """The images that need no more work than to be stored."""
        kept = self.unchanged + self.moved + self.relabelled
        return self.encoded + kept + self.expired + len(self.failures)

    @property
    def images_per_second(self) -> float:
        return self.ingested / self.seconds if self.seconds else 0.0

    def document(self) -> documents.IngestDocument:
        """As a JSON document."""
        return documents.ingest(self)


def ingest(
    session: Session,
    dataset: Dataset,
    *,
    site: str | None = None,
    prune: bool | Literal["all"] = False,
    confirm: Callable[[Loss], None] | None = None,
    on_progress: Callable[[IngestSummary], None] = lambda summary: None,
) -> IngestSummary:
    """Take a data set in, and bring up to date what depends on it, under one lock.

    It belongs to ``site``, where given; else where it was, or its layout says, or to the gallery's
    own. What is older than the setting ``retain_days`` is not taken in, and forgotten where it is
    stored; with ``prune`` so is what the data set no longer has. What was learned of the gallery,
    and the kept neighbours of its images, are made anew where it has changed.

    Where that would be an unusual loss, ``confirm`` is shown it, when all is taken in, and stops it
    by raising; without it that is a UsageError. ``prune="all"`` removes whatever is gone. Raises as
    ``take_in`` and ``forget.remove`` do.
    """
    with session.taking_in():
        collection = session.collection_to_fill()
        dataset = places.named(session.catalog, dataset)
        site = None if site is None else names.name(site, of="site")
        summary = take_in(
            collection,
            dataset,
            encoder=session.encoder,
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
    gone = {image.id: image for image in forget.expired(session)}
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
    site: str | None = None,
    oldest: float = -math.inf,
    thumbnails: bool = False,
    on_progress: Callable[[IngestSummary], None] = lambda summary: None,
) -> IngestSummary:
    """Store the vector of every crop that is new or has changed; leave the others alone.

    A renamed crop keeps its vector, and so does one that a table describes and a folder had; other
    files that another data set has are passed over. So are crops with a timestamp before ``oldest``
    (seconds since 1970 UTC). With ``thumbnails`` small pictures are kept. ``on_progress`` is called
    at the start and after each batch. What another process takes in at the same moment is left to
    it, and waited for. Files that cannot be read are listed in the summary's
    ``failures`` and recorded in the catalog with their reason. Raises UsageError where its name is
    another data set's, StoreError, CatalogError or EncoderError where it cannot go on; what was
    confirmed stays.
    """
    started = time.monotonic()
    known = contents(dataset)
    every = {seen.path: indexing.candidate(dataset, seen) for seen in dataset.sightings}
    with collection.catalog.database.held(Mode.EXCLUSIVE):
        moves.require_same_pictures(collection.catalog, dataset)
        dataset, yielded, notes = _only_own(dataset, collection)
        splits = Counter(str(s.split) for s in dataset.sightings)
        summary = IngestSummary(len(dataset.sightings) + len(dataset.rejected), dict(splits), known)
        summary.notes = [*dataset.notes, *notes]
        new_at = dataset.site or next((image.site for image in yielded.values()), None)
        dataset_id = collection.catalog.places.add_dataset(
            dataset.name,
            dataset.root,
            site=site,
            new_at=new_at,
            layout=dataset.layout,
            machine=machine(),
        )
        candidates = [
            every[sighting.path]
            for sighting in dataset.sightings
            if sighting.timestamp is None or sighting.timestamp >= oldest
        ]
        summary.expired = len(dataset.sightings) - len(candidates)
        # First: a store that does not answer leaves no half ingest behind.
        _require_vectors(collection, candidates)
        run = collection.catalog.runs.start(dataset_id, collection.encoder_id)
        faults.reach("run started")
        moves.finish_deletions(collection)
        pictures = [file for file in dataset.rejected if file.is_picture]
        collection.catalog.embeddings.reject(
            dataset_id, collection.encoder_id, dataset.name, pictures
        )
        summary.failures.extend(dataset.rejected)
        taken_over = moves.take_over(collection, dataset_id, yielded, candidates)
        summary.relabelled += taken_over
        summary.unchanged -= taken_over  # as which they are counted when they are looked at again
        summary.vanished, summary.moved = _compare(dataset, dataset_id, collection, candidates)
    on_progress(summary)

    batch: list[Decoded] = []
    points: list[Point] = []
    failures: dict[int, str] = {}

    def encode() -> None:
        vectors = encoder.encode(np.stack([item.picture.pixels for item in batch]))
        faults.reach("encoded")
        points.extend(zip(batch, vectors, strict=True))
        summary.encoded += int(np.isfinite(vectors).all(axis=1).sum())
        batch.clear()
        on_progress(summary)

    # Decoding runs ahead of the encoder, storing behind it, each in threads of its own.
    with ThreadPoolExecutor(DECODERS) as decoders, ThreadPoolExecutor(1) as writer:
        stored: Future[None] = writer.submit(lambda: None)

        def keep(some: list[Point]) -> None:
            stored, unusable = indexing.store(collection, dataset_id, some, thumbnails=thumbnails)
            summary.ingested += stored
            summary.failures += unusable

        def store() -> None:
            nonlocal stored, points
            stored.result()  # raises what went wrong, and keeps at most one STORE waiting
            stored = writer.submit(keep, points)
            points = []
            summary.seconds = time.monotonic() - started

        def settle() -> None:
            """Confirm all that was begun."""
            if batch:
                encode()
            store()
            stored.result()
            if failures:  # an earlier state of these files may have a vector
                indexing.give_up(collection, failures)
                failures.clear()

        stale = _stale(candidates, dataset, dataset_id, collection, summary, run)
        try:
            for decoded in _decode_ahead(decoders, stale, dataset, encoder):
                if decoded is None:
                    settle()
                    continue
                image, outcome = decoded
                if isinstance(outcome, ImageError):
                    failures[image.candidate.id] = outcome.message
                    seen = image.candidate.sighting
                    summary.failures.append(Rejected(seen.path, outcome.message, seen.split))
                    continue
                faults.reach("decoded")
                _remark(summary, outcome)
                batch.append(outcome)
                if len(batch) == encoder.batch:
                    encode()
                if len(points) >= STORE:
                    store()
            settle()
        except BaseException:
            collection.store.abandon()  # or leaving this block would wait for the writer's tries
            decoders.shutdown(wait=False, cancel_futures=True)
            raise
    summary.unchanged -= summary.moved  # whose vectors were there by then
    summary.seconds = time.monotonic() - started
    on_progress(summary)
    collection.catalog.runs.finish(
        run,
        ingested=summary.ingested,
        unchanged=summary.unchanged,
        failed=len(summary.failures),
    )
    faults.reach("run finished")
    return summary


def _only_own(
    dataset: Dataset, collection: Collection
) -> tuple[Dataset, dict[str, ImageRecord], list[str]]:
    """The data set without the files that others have stored and keep: one file is one image. With
    the images, by path, that others have and yield, and a note for each of the others."""
    left: set[str] = set()
    yielded: dict[str, ImageRecord] = {}
    notes = []
    for name, stored in sorted(moves.stored_elsewhere(collection.catalog, dataset).items()):
        files = counted(len(stored.images), "of these files was", "of these files were")
        if stored.yields:
            yielded |= stored.images
            notes.append(
                f"{files} stored by the data set {name}, as a folder has them; from now on this "
                "table says what they show."
            )
        else:
            left |= stored.images.keys()
            notes.append(
                f"{files} stored already, by the data set {name}, and left as described there. "
                "Forget that data set first to describe them anew."
            )
    own = [seen for seen in dataset.sightings if seen.path not in left]
    return replace(dataset, sightings=own), yielded, notes


def _compare(
    dataset: Dataset, dataset_id: int, collection: Collection, candidates: list[Candidate]
) -> tuple[list[str], int]:
    """The paths of stored images that are not in the data set any more, and the number of those
    that are there under another path and have their vector now."""
    if dataset.splits is None:
        return [], 0
    there = {image_id(dataset.name, sighting.path) for sighting in dataset.sightings}
    rejected = [file.path for file in dataset.rejected if file.is_picture]
    lost = collection.catalog.images.ids(dataset_id, dataset.splits) - there
    lost -= {image_id(dataset.name, path) for path in rejected}
    unseen = tuple(f"{path}/" for path in {*dataset.unseen, *rejected})
    if not lost or "./" in unseen:
        return [], 0
    known = collection.catalog.embeddings.indexed_ids(collection.encoder_id, dataset_id=dataset_id)
    vanished = [
        row
        for row in collection.catalog.images.of(sorted(lost))
        # What lies in a folder that was not looked into may well be there.
        if not row.path.startswith(unseen)
    ]
    vanished.sort(key=lambda row: row.path)
    fresh = [candidate for candidate in candidates if candidate.id not in known]
    found = moves.find_renamed(
        vanished, fresh, root=dataset.root, follow_links=dataset.follow_links
    )
    kept = moves.keep_vectors(collection, dataset_id, found)
    gone = {row.id for row, _ in found}
    return [row.path for row in vanished if row.id not in gone], kept


def _require_vectors(collection: Collection, candidates: Sequence[Candidate]) -> None:
    """Set those of these images to pending whose vectors the store does not have: it may be a new
    one."""
    collection.store.count()  # whether it answers, also where nothing else is asked of it
    ids = [candidate.id for candidate in candidates]
    indexed = collection.catalog.embeddings.indexed_among(collection.encoder_id, ids)
    missing = set(indexed) - collection.store.stored(indexed)
    collection.catalog.embeddings.set_pending(collection.encoder_id, missing)


def _stale(
    candidates: list[Candidate],
    dataset: Dataset,
    dataset_id: int,
    collection: Collection,
    summary: IngestSummary,
    run: int,
) -> Iterator[Recorded | None]:
    """Record the candidates, and yield those to encode; others get the payload that they lack.

    What other processes have claimed is looked at again later, until it is stored or its process
    has died; None is yielded before that is waited for: what was yielded is to be confirmed then,
    as they may wait for it.
    """
    found = summary.found
    left = yield from _recorded(candidates, dataset, dataset_id, collection, summary)
    collection.catalog.runs.all_recorded(run)
    since = time.monotonic()
    while left:
        yield None
        time.sleep(PAUSE)
        still = yield from _recorded(left, dataset, dataset_id, collection, summary)
        if len(still) < len(left):
            since = time.monotonic()
        left = still
        if time.monotonic() - since > PATIENCE:
            break
    if summary.found < found:
        what = counted(found - summary.found, "of these files was", "of these files were")
        summary.notes.append(f"{what} stored meanwhile by another data set, and left to it.")
    summary.left = len(left)
    if left:
        what = counted(len(left), "of these images is", "of these images are")
        summary.notes.append(
            f"{what} being taken in by another process, which has stored none for "
            f"{PATIENCE / 60:.0f} minutes. Ingest again when it has ended."
        )


def _recorded(
    candidates: list[Candidate],
    dataset: Dataset,
    dataset_id: int,
    collection: Collection,
    summary: IngestSummary,
) -> Generator[Recorded, None, list[Candidate]]:
    """Record the candidates, and yield those to encode; returns those of other processes."""
    catalog, left = collection.catalog, []
    for start in range(0, len(candidates), RECORD):
        some = candidates[start : start + RECORD]
        near = moves.near(catalog, dataset)
        # Two that look first and record then would both record a file that both have.
        with catalog.database.held(Mode.EXCLUSIVE if near else Mode.SHARED):
            own = moves.without_files_of(near, catalog, dataset, some)
            stale = catalog.embeddings.stale(dataset_id, collection.encoder_id, own)
            faults.reach("recorded")
            relabelled = [image for image in stale if image.encoded]
            indexing.relabel(collection, dataset_id, relabelled)
        summary.found -= len(some) - len(own)
        summary.relabelled += len(relabelled)
        summary.changed += sum(image.changed for image in stale)
        summary.unchanged += len(own) - len(stale)
        left += [image.candidate for image in stale if not image.claimed]
        yield from (image for image in stale if image.claimed and not image.encoded)
    return left


def _decode_ahead(
    pool: ThreadPoolExecutor,
    stale: Iterable[Recorded | None],
    dataset: Dataset,
    encoder: Encoder,
) -> Iterator[tuple[Recorded, Decoded | ImageError] | None]:
    """Decode in the pool, at most AHEAD batches ahead, and yield in order, None as it comes."""
    waiting: deque[tuple[Recorded, Future[Decoded | ImageError]]] = deque()
    for image in stale:
        if image is not None:
            waiting.append((image, pool.submit(indexing.decode, image, dataset, encoder.size)))
        while waiting and (image is None or len(waiting) > AHEAD * encoder.batch):
            first, future = waiting.popleft()
            yield first, future.result()
        if image is None:
            yield None
    for one, future in waiting:
        yield one, future.result()


def _remark(summary: IngestSummary, item: Decoded) -> None:
    """Count what people are to be told of a picture that is taken in all the same."""
    unlike, depth = item.picture.unlike_crop, item.picture.depth
    if unlike is not None:
        path = item.image.candidate.sighting.path
        summary.unlike_crops += 1
        summary.unlike_crop = summary.unlike_crop or f"{path} ({unlike})"
    if depth is not None:
        summary.scaled[depth] += 1
