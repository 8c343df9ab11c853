"""Take a data set into the gallery: record, decode and encode side by side, store, confirm.

The order makes a crash harmless at any point: images are recorded as pending, their vectors are
stored durably, and only then are they recorded as indexed. Running again repeats what was not
confirmed, which overwrites the same points with the same vectors. Tests break it off at the points
that ``faults`` names.
"""

import hashlib
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reidsearch import calibrate, documents, faults, forget, images, moves, neighbours
from reidsearch.catalog import Candidate
from reidsearch.collection import Collection
from reidsearch.encoder import Encoder
from reidsearch.errors import ImageError
from reidsearch.hashes import checksums, image_id
from reidsearch.session import Session
from reidsearch.stores import payload
from reidsearch.types import Dataset, Points, Rejected, Sighting

RECORD = 1024  # images recorded as pending in one transaction
STORE = 512  # vectors stored and confirmed together
DECODERS = 2  # threads; one already decodes several times faster than a CPU encodes
AHEAD = 2  # batches of decoded pictures that may wait for the encoder


@dataclass
class IngestSummary:
    """What an ingest did, or has done so far. ``images_per_second`` counts the ingested ones alone.

    ``moved`` images were renamed and kept their vector. ``vanished`` are the paths of stored images
    that the data set no longer has; ``expired`` counts those too old to be taken in, ``pruned``
    stored ones that were removed afterwards. ``calibrated`` is the number of images that transit
    times and thresholds were learned anew from, None where they were not.
    """

    found: int
    splits: dict[str, int]
    failures: list[Rejected] = field(default_factory=list)
    ingested: int = 0
    unchanged: int = 0
    moved: int = 0
    expired: int = 0
    pruned: int = 0
    vanished: list[str] = field(default_factory=list)
    calibrated: int | None = None
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """The images that need no more work."""
        return self.ingested + self.unchanged + self.moved + self.expired + len(self.failures)

    @property
    def images_per_second(self) -> float:
        return self.ingested / self.seconds if self.seconds else 0.0

    def document(self) -> documents.IngestDocument:
        """As a JSON document."""
        return documents.ingest(self)


@dataclass(frozen=True, slots=True)
class _Decoded:
    candidate: Candidate
    pixels: NDArray[np.uint8]  # H W 3
    sha256: str


_Point = tuple[_Decoded, NDArray[np.float32]]  # with its vector, D


def ingest(
    session: Session,
    dataset: Dataset,
    *,
    prune: bool = False,
    on_progress: Callable[[IngestSummary], None] = lambda summary: None,
) -> IngestSummary:
    """Take a data set in, and bring up to date what depends on it, under one lock.

    What is older than the setting ``retain_days`` is not taken in, and forgotten where it is
    stored; with ``prune`` so is what the data set no longer has. What was learned of the gallery,
    and the kept neighbours of its images, are made anew where it has changed. Raises as ``take_in``
    and ``forget.remove`` do.
    """
    with session.changing():
        collection = session.collection_to_fill()
        asked_for = session.catalog.learned.splits_with_neighbours(collection.encoder_id)
        summary = take_in(
            collection,
            dataset,
            encoder=session.encoder,
            oldest=session.config.oldest,
            on_progress=on_progress,
        )
        learned = calibrate.keep_current(collection) if summary.ingested else None
        summary.calibrated = learned.images if learned else None
        gone = {image.id: image for image in forget.expired(session)}
        if prune:
            vanished = session.catalog.images.of_dataset(dataset.name, summary.vanished)
            gone |= {image.id: image for image in vanished}
            summary.vanished = []
        summary.pruned = len(forget.remove(session, list(gone.values())).images)
        for split in asked_for:
            neighbours.current(collection, split)
    return summary


def take_in(
    collection: Collection,
    dataset: Dataset,
    *,
    encoder: Encoder,
    oldest: float = -math.inf,
    on_progress: Callable[[IngestSummary], None] = lambda summary: None,
) -> IngestSummary:
    """Store the vector of every crop that is new or has changed; leave the others alone.

    A renamed crop keeps its vector. Crops with a timestamp before ``oldest`` (seconds since 1970
    UTC) are passed over. ``on_progress`` is called at the start and after each STORE images. Files
    that cannot be read are listed in the summary's ``failures`` and recorded in the catalog with
    their reason. Raises StoreError, CatalogError or EncoderError where it cannot go on; what was
    confirmed stays.
    """
    started = time.monotonic()
    splits = Counter(str(s.split) for s in dataset.sightings)
    summary = IngestSummary(len(dataset.sightings) + len(dataset.rejected), dict(splits))
    dataset_id = collection.catalog.add_dataset(dataset.name, dataset.root)
    run = collection.catalog.runs.start(dataset_id, collection.encoder_id)
    faults.reach("run started")
    moves.finish_deletions(collection)
    collection.catalog.embeddings.reject(
        dataset_id, collection.encoder_id, dataset.name, dataset.rejected
    )
    summary.failures.extend(dataset.rejected)
    _require_vectors(collection)
    candidates = [
        _candidate(dataset, sighting)
        for sighting in dataset.sightings
        if sighting.timestamp is None or sighting.timestamp >= oldest
    ]
    summary.expired = len(dataset.sightings) - len(candidates)
    summary.vanished, summary.moved = _compare(dataset, dataset_id, collection, candidates)
    on_progress(summary)

    batch: list[_Decoded] = []
    points: list[_Point] = []
    failures: dict[int, str] = {}

    def encode() -> None:
        vectors = encoder.encode(np.stack([item.pixels for item in batch]))
        faults.reach("encoded")
        points.extend(zip(batch, vectors, strict=True))
        batch.clear()

    # Decoding runs ahead of the encoder, storing behind it, each in threads of its own.
    with ThreadPoolExecutor(DECODERS) as decoders, ThreadPoolExecutor(1) as writer:
        stored: Future[None] = writer.submit(lambda: None)

        def store() -> None:
            nonlocal stored, points
            stored.result()  # raises what went wrong, and keeps at most one STORE waiting
            stored = writer.submit(_store, collection, points, summary)
            points = []
            summary.seconds = time.monotonic() - started
            on_progress(summary)

        stale = _stale(candidates, dataset_id, collection, summary)
        try:
            for candidate, outcome in _decode_ahead(decoders, stale, dataset.root, encoder):
                if isinstance(outcome, ImageError):
                    failures[candidate.id] = outcome.message
                    seen = candidate.sighting
                    summary.failures.append(Rejected(seen.path, outcome.message, seen.split))
                    continue
                faults.reach("decoded")
                batch.append(outcome)
                if len(batch) == encoder.batch:
                    encode()
                if len(points) >= STORE:
                    store()
            if batch:
                encode()
            store()
            stored.result()
        except BaseException:
            collection.store.abandon()  # or leaving this block would wait for the writer's tries
            decoders.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:  # an earlier state of these files may have a vector
        collection.store.delete(list(failures))
        collection.catalog.embeddings.finish(collection.encoder_id, failed=failures)
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


def _compare(
    dataset: Dataset, dataset_id: int, collection: Collection, candidates: list[Candidate]
) -> tuple[list[str], int]:
    """The paths of stored images that are not in the data set any more, and the number of those
    that are there under another path and have their vector now."""
    if dataset.splits is None:
        return [], 0
    there = {image_id(dataset.name, sighting.path) for sighting in dataset.sightings}
    rejected = [file.path for file in dataset.rejected]
    lost = collection.catalog.images.ids(dataset_id, dataset.splits) - there
    lost -= {image_id(dataset.name, path) for path in rejected}
    if not lost:
        return [], 0
    known = collection.catalog.embeddings.indexed_ids(collection.encoder_id, dataset_id=dataset_id)
    vanished = [
        row
        for row in collection.catalog.images.of(sorted(lost))
        # What lies in a folder that could not be listed may well be there.
        if not any(row.path.startswith(f"{path}/") for path in rejected)
    ]
    vanished.sort(key=lambda row: row.path)
    fresh = [candidate for candidate in candidates if candidate.id not in known]
    found = moves.find_renamed(vanished, fresh, root=dataset.root)
    kept = moves.keep_vectors(collection, dataset_id, found)
    gone = {row.id for row, _ in found}
    return [row.path for row in vanished if row.id not in gone], kept


def _require_vectors(collection: Collection) -> None:
    """Set images to pending whose vectors the store does not have: it may be a new one."""
    indexed = collection.catalog.embeddings.indexed_ids(collection.encoder_id)
    missing = indexed - collection.store.ids()
    collection.catalog.embeddings.set_pending(collection.encoder_id, missing)


def _stale(
    candidates: list[Candidate], dataset_id: int, collection: Collection, summary: IngestSummary
) -> Iterator[Candidate]:
    for start in range(0, len(candidates), RECORD):
        some = candidates[start : start + RECORD]
        stale = collection.catalog.embeddings.stale(dataset_id, collection.encoder_id, some)
        faults.reach("recorded")
        summary.unchanged += len(some) - len(stale)
        yield from stale


def _candidate(dataset: Dataset, sighting: Sighting) -> Candidate:
    id = image_id(dataset.name, sighting.path)
    try:
        stat = (dataset.root / sighting.path).stat()
    except OSError:  # decoding it will tell why
        return Candidate(id, sighting, None, None)
    return Candidate(id, sighting, stat.st_size, stat.st_mtime_ns)


def _decode_ahead(
    pool: ThreadPoolExecutor, candidates: Iterable[Candidate], root: Path, encoder: Encoder
) -> Iterator[tuple[Candidate, _Decoded | ImageError]]:
    """Decode in the pool, at most AHEAD batches ahead, and yield in order."""
    waiting: deque[tuple[Candidate, Future[_Decoded | ImageError]]] = deque()
    for candidate in candidates:
        waiting.append((candidate, pool.submit(_decode, candidate, root, encoder.size)))
        if len(waiting) > AHEAD * encoder.batch:
            first, future = waiting.popleft()
            yield first, future.result()
    for candidate, future in waiting:
        yield candidate, future.result()


def _decode(candidate: Candidate, root: Path, size: tuple[int, int]) -> _Decoded | ImageError:
    try:
        data = images.read_inside(root, candidate.sighting.path)
        pixels = images.decode(data, size=size)
    except ImageError as error:
        return error
    return _Decoded(candidate, pixels, hashlib.sha256(data).hexdigest())


def _store(collection: Collection, points: list[_Point], summary: IngestSummary) -> None:
    usable = [(item, vector) for item, vector in points if np.isfinite(vector).all()]
    if usable:
        collection.store.upsert(
            Points(
                ids=np.array([item.candidate.id for item, _ in usable], dtype=np.int64),
                vectors=np.stack([vector for _, vector in usable]),
                payloads=[payload(item.candidate.sighting) for item, _ in usable],
            )
        )
        faults.reach("flushed")
    reason = "the encoder gave no usable vector for it"
    unusable = [item.candidate for item, vector in points if not np.isfinite(vector).all()]
    collection.catalog.embeddings.finish(
        collection.encoder_id,
        indexed={
            item.candidate.id: (item.sha256, checksum)
            for (item, _), checksum in zip(
                usable, checksums(np.array([vector for _, vector in usable])), strict=True
            )
        },
        failed={candidate.id: reason for candidate in unusable},
    )
    faults.reach("confirmed")
    summary.ingested += len(usable)
    summary.failures += [Rejected(c.sighting.path, reason, c.sighting.split) for c in unusable]
