"""Take a data set into the gallery: record, decode and encode side by side, store, confirm.

The order makes a crash harmless at any point: images are recorded as pending, their vectors are
stored durably, and only then are they recorded as indexed. Running again repeats what was not
confirmed, which overwrites the same points with the same vectors. Tests break it off at the points
that ``faults`` names.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from reidsearch import faults, forget, indexing, moves, names, places, upkeep
from reidsearch.catalog import Candidate, Recorded
from reidsearch.catalog.database import Mode
from reidsearch.catalog.records import ImageRecord
from reidsearch.collection import Collection
from reidsearch.contents import Contents, contents
from reidsearch.datasets import TABLE
from reidsearch.documents.ingests import IngestDocument, ingest_document
from reidsearch.encoder import Encoder
from reidsearch.environment import machine
from reidsearch.errors import ImageError, UsageError
from reidsearch.hashes import image_id
from reidsearch.indexing import Decoded, Point
from reidsearch.losses import Loss, weigh
from reidsearch.moves import Elsewhere, Move
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
    were removed afterwards, ``left`` what another process is still taking in, ``outdated`` other
    encoders' vectors of what files held before. ``encoded`` counts
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
    outdated: int = 0
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

    def document(self) -> IngestDocument:
        """As a JSON document."""
        return ingest_document(self)


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


@dataclass(frozen=True)
class _Part:
    """The images of one data set, the one with that ``id``, that are to be taken in."""

    dataset: Dataset
    id: int
    candidates: list[Candidate]


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
    there = _candidates(dataset, oldest)
    with collection.catalog.database.held(Mode.EXCLUSIVE):
        moves.require_same_pictures(collection.catalog, dataset)
        elsewhere = moves.stored_elsewhere(collection.catalog, dataset)
        parts = []
        for one in elsewhere:
            if one.kept:
                home = one.as_dataset(follow_links=dataset.follow_links)
                parts.append(_Part(home, one.home.id, _candidates(home, oldest)))
        yielded = {path: image for one in elsewhere for path, image in one.yielded.items()}
        own = _only_own(dataset, elsewhere)
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
            parts.insert(0, _Part(own, dataset_id, candidates))
        found = sum(len(part.dataset.sightings) for part in parts)
        splits = Counter(str(seen.split) for part in parts for seen in part.dataset.sightings)
        summary = IngestSummary(found + len(dataset.rejected), dict(splits), known)
        summary.expired = found - sum(len(part.candidates) for part in parts)
        # First: a store that does not answer leaves no half ingest behind.
        _require_vectors(collection, [one for part in parts for one in part.candidates])
        summary.notes = [*dataset.notes, *_of_others(elsewhere, dataset.layout, collection)]
        of = parts[0].id if parts else elsewhere[0].home.id
        run = collection.catalog.runs.start(of, collection.encoder_id)
        faults.reach("run started")
        moves.finish_deletions(collection)
        summary.failures.extend(dataset.rejected)
        if parts and parts[0].dataset is own:
            _settle_paths(parts[0], pictures, yielded, collection, collections, summary)
    on_progress(summary)

    for part in parts:
        _take_in_part(
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


def _take_in_part(
    part: _Part,
    collection: Collection,
    encoder: Encoder,
    summary: IngestSummary,
    *,
    run: int,
    started: float,
    thumbnails: bool,
    on_progress: Callable[[IngestSummary], None],
) -> None:
    """Encode and store what is new or has changed of one data set's images."""
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
            stored = indexing.store(collection, part.id, some, thumbnails=thumbnails)
            summary.ingested += stored.indexed
            summary.outdated += stored.outdated
            summary.failures += stored.unusable

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

        stale = _stale(part.candidates, part.dataset, part.id, collection, summary, run)
        try:
            for decoded in _decode_ahead(decoders, stale, part.dataset, encoder):
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


def _candidates(dataset: Dataset, oldest: float) -> list[Candidate]:
    """What a data set has that is no older than that (seconds since 1970 UTC)."""
    return [
        indexing.candidate(dataset, seen)
        for seen in dataset.sightings
        if seen.timestamp is None or seen.timestamp >= oldest
    ]


def _only_own(dataset: Dataset, elsewhere: Sequence[Elsewhere]) -> Dataset:
    """The data set without the files that others have stored and keep: one file is one image."""
    kept = {path for one in elsewhere for path in one.kept}
    theirs = {path for one in elsewhere for path in one.paths}
    return replace(
        dataset,
        sightings=[seen for seen in dataset.sightings if seen.path not in kept],
        rejected=[file for file in dataset.rejected if file.path not in theirs],
    )


def _is_known(collection: Collection, dataset: Dataset) -> bool:
    return any(one.name == dataset.name for one in collection.catalog.places.datasets())


def _of_others(
    elsewhere: Sequence[Elsewhere], layout: str | None, collection: Collection
) -> Iterator[str]:
    """A note for each of the other data sets that have some of the files of one of that layout."""
    this = "table" if layout == TABLE else f"{layout} data set"
    for one in elsewhere:
        name = one.home.name
        if one.yielded and one.was_plain:
            yield (
                f"{_of_these_files(one.yielded)} stored by the data set {name}, as a folder has "
                f"them; from now on this {this} says what they show."
            )
        elif one.yielded:
            yield (
                f"{_of_these_files(one.yielded)} rejected when the data set {name} was taken in, "
                "and no image of it."
            )
        if one.kept:
            ids = [image.id for image in one.kept.values()]
            indexed = collection.catalog.embeddings.indexed_among(collection.encoder_id, ids)
            lacking = len(ids) - len(indexed)
            vectors = f"; those without a vector of {collection.encoder_name} get it there"
            yield (
                f"{_of_these_files(one.kept)} stored already, by the data set {name}, and left as "
                f"described there{vectors if lacking else ''}. Forget that data set first to "
                "describe them anew."
            )


def _of_these_files(images: Mapping[str, ImageRecord]) -> str:
    return counted(len(images), "of these files was", "of these files were")


def _settle_paths(
    part: _Part,
    rejected: Sequence[Rejected],
    yielded: Mapping[str, ImageRecord],
    collection: Collection,
    collections: Callable[[], Sequence[Collection]],
    summary: IngestSummary,
) -> None:
    """Bring the catalog to what a data set has at which paths: what it ``rejected``, what others
    ``yielded`` to it, what was renamed and what has vanished."""

    def every() -> list[Collection]:
        others = [one for one in collections() if one.encoder_id != collection.encoder_id]
        return [collection, *others]

    embeddings = collection.catalog.embeddings
    embeddings.reject(part.id, collection.encoder_id, part.dataset.name, rejected)
    if yielded:
        taken_over = moves.take_over(every(), part.id, yielded, part.candidates)
        summary.relabelled += taken_over
        summary.unchanged -= taken_over  # as which they are counted when they are looked at again
    summary.vanished, renamed = _compare(part, collection)
    if renamed:
        summary.moved = moves.keep_vectors(every(), part.id, renamed)


def _compare(part: _Part, collection: Collection) -> tuple[list[str], list[Move]]:
    """The paths of stored images that are not in the data set any more, and those images that are
    there under another path."""
    dataset = part.dataset
    if dataset.splits is None:
        return [], []
    there = {image_id(dataset.name, sighting.path) for sighting in dataset.sightings}
    rejected = [file.path for file in dataset.rejected if file.is_picture]
    lost = collection.catalog.images.ids(part.id, dataset.splits) - there
    lost -= {image_id(dataset.name, path) for path in rejected}
    unseen = tuple(f"{path}/" for path in {*dataset.unseen, *rejected})
    if not lost or "./" in unseen:
        return [], []
    known = collection.catalog.embeddings.indexed_ids(collection.encoder_id, dataset_id=part.id)
    vanished = [
        row
        for row in collection.catalog.images.of(sorted(lost))
        # What lies in a folder that was not looked into may well be there.
        if not row.path.startswith(unseen)
    ]
    vanished.sort(key=lambda row: row.path)
    fresh = [candidate for candidate in part.candidates if candidate.id not in known]
    renamed = moves.find_renamed(
        vanished, fresh, root=dataset.root, follow_links=dataset.follow_links
    )
    gone = {row.id for row, _ in renamed}
    return [row.path for row in vanished if row.id not in gone], renamed


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
