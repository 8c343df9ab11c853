"""Look at a data set, or at what is stored: who and what is on the crops, how they look, and what
may be wrong with them."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reidsearch import names
from reidsearch.errors import ImageError
from reidsearch.inspection.exploration import Crop, Exploration, Looks, Suspect
from reidsearch.pictures import contents, decoding
from reidsearch.ranking import looks
from reidsearch.ranking.suspects import Suspicions, suspicions
from reidsearch.types import UNKNOWN, Dataset, Ids, Labels, Rejected, Split
from reidsearch.vectors.collection import Collection

DECODERS = 2  # threads
BLOCK = 256  # pictures whose pixels a thread holds at once
STORED = "stored"
KINDS = ("people", "junk", "distractors", "unknown")  # of images

_Key = tuple[str | None, str | None]  # a site, and the name of somebody or of a camera at it
_Read = Callable[[Path, str], bytes]  # the content of the file at a path below a root


def explore_dataset(dataset: Dataset) -> Exploration:
    """What there is in a data set, as its reader describes it. Each picture is decoded once, small
    and in grey; none is kept. What cannot be read is among the ``failures``."""
    started = time.perf_counter()
    crops = [
        Crop(seen.path, dataset.root, seen.split, seen.camera, seen.identity, dataset.site)
        for seen in dataset.sightings
    ]
    sequences = {(s.camera, s.sequence) for s in dataset.sightings if s.sequence is not None}
    read = partial(contents.read_inside, follow_links=dataset.follow_links)
    return _explored(
        dataset.name,
        crops,
        read,
        sequences=len(sequences),
        rejected=dataset.rejected,
        notes=dataset.notes,
        started=started,
    )


def explore_stored(collection: Collection, splits: Sequence[Split] = tuple(Split)) -> Exploration:
    """What is stored of these splits with the collection's encoder, and whose labels are
    suspicious by its vectors. Raises EmptyGallery where vectors are missing."""
    started = time.perf_counter()
    stored, vectors = collection.load(splits)
    position = {id: row for row, id in enumerate(stored.ids.tolist())}
    found: list[Crop | None] = [None] * len(position)
    for dataset in collection.catalog.places.datasets():
        for one in collection.catalog.images.all(dataset.id):
            if one.id in position:
                found[position[one.id]] = Crop(
                    one.path, Path(one.root), one.split, one.camera, one.identity, one.site
                )
    crops = [crop for crop in found if crop is not None]
    known = stored.sequence != UNKNOWN
    parts = np.stack([stored.labels.camera[known], stored.sequence[known]], axis=1)
    return _explored(
        STORED,
        crops,
        lambda root, path: contents.read_bytes(root / path),
        sequences=len(np.unique(parts, axis=0)),
        suspects=tuple(
            _suspects(_suspicions(vectors, stored.labels, stored.split), crops),
        ),
        started=started,
    )


def _suspicions(
    vectors: NDArray[np.float32], labels: Labels, split: NDArray[np.str_]
) -> Suspicions:
    """Probes and gallery images against the gallery, training images among themselves."""
    searched = np.flatnonzero(split == Split.GALLERY)
    train = np.flatnonzero(split == Split.TRAIN)
    probes = np.flatnonzero(split != Split.TRAIN)
    return Suspicions.together(
        suspicions(vectors, labels, of=probes, among=searched),
        suspicions(vectors, labels, of=train, among=train),
    )


def _suspects(found: Suspicions, crops: Sequence[Crop]) -> Iterator[Suspect]:
    columns = (found.rows, found.own, found.other, found.own_score, found.other_score)
    for row, own, other, mine, theirs in zip(*(c.tolist() for c in columns), strict=True):
        yield Suspect(crops[row], crops[own], crops[other], mine, theirs)


def _explored(
    source: str,
    crops: Sequence[Crop],
    read: _Read,
    *,
    sequences: int,
    rejected: Iterable[Rejected] = (),
    suspects: tuple[Suspect, ...] | None = None,
    notes: Iterable[str] = (),
    started: float,
) -> Exploration:
    seen, failures = _look(crops, read)
    people = Counter((c.site, c.identity) for c in crops if c.is_person)
    per_camera = Counter((c.site, c.camera) for c in crops if c.camera is not None)
    cameras = sorted(per_camera, key=lambda key: (names.order(key[1] or ""), key[0] or ""))
    saw = _saw(crops, people, cameras)
    return Exploration(
        source=source,
        crops=tuple(crops),
        splits=_splits(crops),
        people=len(people),
        cameras=_called(cameras),
        sequences=sequences,
        without_camera=sum(crop.camera is None for crop in crops),
        per_person=np.array(list(people.values()), dtype=np.int64),
        per_camera=np.array([per_camera[key] for key in cameras], dtype=np.int64),
        cameras_per_person=saw.sum(axis=1),
        shared=saw.T @ saw,
        looks=seen,
        duplicates=tuple(
            tuple(crops[row] for row in seen.rows[group].tolist())
            for group in looks.near_duplicates(seen.hash)
        ),
        suspects=suspects,
        failures=(*rejected, *failures),
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
    )


def _splits(crops: Iterable[Crop]) -> dict[str, dict[str, int]]:
    """How many images of which kind each split has, in the order of Split."""
    kinds = {None: "unknown", names.JUNK: "junk", names.DISTRACTOR: "distractors"}
    counts = Counter((crop.split, kinds.get(crop.identity, "people")) for crop in crops)
    there = [split for split in Split if any(split == one for one, _ in counts)]
    return {str(split): {kind: counts[split, kind] for kind in KINDS} for split in there}


def _saw(crops: Iterable[Crop], people: Iterable[_Key], cameras: Iterable[_Key]) -> Ids:
    """Which person (rows) was seen by which camera (columns): 1 or 0."""
    row, column = ({key: at for at, key in enumerate(keys)} for keys in (people, cameras))
    saw = np.zeros((len(row), len(column)), dtype=np.int64)
    for crop in crops:
        if crop.is_person and crop.camera is not None:
            saw[row[crop.site, crop.identity], column[crop.site, crop.camera]] = 1
    return saw


def _called(cameras: Sequence[_Key]) -> tuple[str, ...]:
    """The cameras' names, with the site's where two sites have one of that name."""
    count = Counter(name for _, name in cameras)
    return tuple(f"{name}" if count[name] == 1 else f"{site}/{name}" for site, name in cameras)


def _look(crops: Sequence[Crop], read: _Read) -> tuple[Looks, list[Rejected]]:
    """How the crops look, and those that cannot be read: block by block, in a few threads."""
    blocks = [(_measured([], []), list[Rejected]())]
    waiting: deque[Future[tuple[Looks, list[Rejected]]]] = deque()
    with ThreadPoolExecutor(DECODERS) as pool:
        for start in range(0, len(crops), BLOCK):
            rows = range(start, min(start + BLOCK, len(crops)))
            waiting.append(pool.submit(_look_at, rows, crops, read))
            if len(waiting) > DECODERS:
                blocks.append(waiting.popleft().result())
        blocks += [future.result() for future in waiting]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(one, name) for one, _ in blocks])

    return Looks(
        rows=column("rows"),
        width=column("width"),
        height=column("height"),
        brightness=column("brightness"),
        sharpness=column("sharpness"),
        hash=column("hash"),
        unlike_crops=sum(one.unlike_crops for one, _ in blocks),
    ), [failure for _, failures in blocks for failure in failures]


def _look_at(
    rows: Sequence[int], crops: Sequence[Crop], read: _Read
) -> tuple[Looks, list[Rejected]]:
    readable, pictures, failures = [], [], []
    for row in rows:
        crop = crops[row]
        try:
            pictures.append(decoding.grey(read(crop.root, crop.path), size=looks.SIZE))
            readable.append(row)
        except ImageError as error:
            failures.append(Rejected(crop.path, error.message, crop.split))
    return _measured(readable, pictures), failures


def _measured(rows: Sequence[int], pictures: Sequence[decoding.Picture]) -> Looks:
    """How a few pictures, in grey, look."""
    height, width = looks.HASHED
    small = [
        np.asarray(Image.fromarray(one.pixels).resize((width, height), Image.Resampling.BOX))
        for one in pictures
    ]
    grey = np.array([one.pixels for one in pictures], np.uint8).reshape(-1, *looks.SIZE)
    return Looks(
        rows=np.array(rows, dtype=np.int64),
        width=np.array([one.width for one in pictures], dtype=np.int64),
        height=np.array([one.height for one in pictures], dtype=np.int64),
        brightness=looks.brightness(grey),
        sharpness=looks.sharpness(grey),
        hash=looks.difference_hash(np.array(small, np.uint8).reshape(-1, height, width)),
        unlike_crops=sum(one.unlike_crop is not None for one in pictures),
    )
