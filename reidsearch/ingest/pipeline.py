"""The line from files to stored vectors: record, decode and encode side by side, store, confirm."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from reidsearch import faults
from reidsearch.catalog import Candidate, Recorded
from reidsearch.catalog.database import Mode
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import ImageError
from reidsearch.ingest.parts import Part
from reidsearch.ingest.summary import IngestSummary
from reidsearch.types import Dataset, Rejected
from reidsearch.vectors import indexing, moves
from reidsearch.vectors.collection import Collection
from reidsearch.vectors.indexing import Decoded, Point
from reidsearch.words import counted

RECORD = 1024  # images recorded as pending in one transaction
STORE = 512  # vectors stored and confirmed together
DECODERS = 2  # threads; one already decodes several times faster than a CPU encodes
AHEAD = 2  # batches of decoded pictures that may wait for the encoder
PAUSE = 0.3  # seconds until it is asked again what other processes have stored
PATIENCE = 300.0  # seconds without one image more, after which they are waited for no longer


def encode_and_store(
    part: Part,
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
