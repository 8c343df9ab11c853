"""A data set's images, told apart by whose they are: its own, and those that others have stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reidsearch.catalog import Candidate
from reidsearch.catalog.records import ImageRecord
from reidsearch.datasets import TABLE
from reidsearch.hashes import image_id
from reidsearch.ingest.summary import IngestSummary
from reidsearch.types import Dataset, Rejected
from reidsearch.vectors import indexing, moves
from reidsearch.vectors.collection import Collection
from reidsearch.vectors.moves import Elsewhere, Move
from reidsearch.words import counted


@dataclass(frozen=True)
class Part:
    """The images of one data set, the one with that ``id``, that are to be taken in."""

    dataset: Dataset
    id: int
    candidates: list[Candidate]


def candidates_of(dataset: Dataset, oldest: float) -> list[Candidate]:
    """What a data set has that is no older than that (seconds since 1970 UTC)."""
    return [
        indexing.candidate(dataset, seen)
        for seen in dataset.sightings
        if seen.timestamp is None or seen.timestamp >= oldest
    ]


def only_own(dataset: Dataset, elsewhere: Sequence[Elsewhere]) -> Dataset:
    """The data set without the files that others have stored and keep: one file is one image."""
    kept = {path for one in elsewhere for path in one.kept}
    theirs = {path for one in elsewhere for path in one.paths}
    return replace(
        dataset,
        sightings=[seen for seen in dataset.sightings if seen.path not in kept],
        rejected=[file for file in dataset.rejected if file.path not in theirs],
    )


def notes_of_others(
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


def settle_paths(
    part: Part,
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


def _compare(part: Part, collection: Collection) -> tuple[list[str], list[Move]]:
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


def require_vectors(collection: Collection, candidates: Sequence[Candidate]) -> None:
    """Set those of these images to pending whose vectors the store does not have: it may be a new
    one."""
    collection.store.count()  # whether it answers, also where nothing else is asked of it
    ids = [candidate.id for candidate in candidates]
    indexed = collection.catalog.embeddings.indexed_among(collection.encoder_id, ids)
    missing = set(indexed) - collection.store.stored(indexed)
    collection.catalog.embeddings.set_pending(collection.encoder_id, missing)
