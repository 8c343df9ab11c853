"""Galleries that change by a few drawn vectors at a time, against all vectors from scratch."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from reidsearch.catalog import Candidate
from reidsearch.config import Config
from reidsearch.hashes import image_id
from reidsearch.learning import calibrate, expand
from reidsearch.learning.carried import Carried
from reidsearch.pictures.decoding import Picture
from reidsearch.ranking import cells
from reidsearch.ranking.calibration import Source
from reidsearch.session import Session
from reidsearch.types import Ids, Kind, Sighting, Split, Vectors
from reidsearch.vectors import indexing
from reidsearch.vectors.collection import Collection
from reidsearch.vectors.indexing import Decoded
from tests.test_expand import from_scratch, stored
from tests.test_expansion import unit

PEOPLE, CAMERAS = 40, 3
NOTHING = Picture(np.zeros((1, 1, 3), dtype=np.uint8), 1, 1)


@pytest.fixture
def collection(settings: Config) -> Iterator[Collection]:
    with closing(Session(settings, purpose="test")) as session, session.changing():
        yield session.collection_to_fill()


def vectors_of(rows: Ids, dimension: int, *, seed: int = 0) -> Vectors:
    """Crop n shows person n % PEOPLE; every tenth is stored twice."""
    random = np.random.default_rng(seed)
    people = random.normal(size=(PEOPLE, dimension))
    noise = random.normal(size=(2000, dimension))
    rows = rows - (rows % 10 == 9)
    return unit(people[rows % PEOPLE] + 0.7 * noise[rows])


def take_in(
    collection: Collection, rows: Ids, *, site: int = 0, seed: int = 0, later: float = 0.0
) -> None:
    """Store drawn crops as an ingest does: each person walks past the cameras, some crops have no
    time, some no camera."""
    name = f"set {site}"
    dataset = collection.catalog.places.add_dataset(name, Path("/nowhere"), site=f"site {site}")
    vectors = vectors_of(rows, collection.dimension, seed=seed)
    points, candidates = [], []
    for row in rows.tolist():
        camera = row // PEOPLE % CAMERAS
        at = 1e6 + 900.0 * (row % PEOPLE) + 60 * camera + row % 7 + later
        seen = Sighting(
            f"{row:06d}.jpg",
            camera=None if row % 13 == 5 else f"{camera}",
            timestamp=None if row % 11 == 4 else at,
        )
        candidates.append(Candidate(image_id(name, seen.path), seen, 1, seed))
    recorded = collection.catalog.embeddings.stale(dataset, collection.encoder_id, candidates)
    at_row = dict(zip((one.id for one in candidates), vectors, strict=True))
    points = [
        (Decoded(one, NOTHING, f"{seed}{one.candidate.id:040x}"), at_row[one.candidate.id])
        for one in recorded
        if not one.encoded
    ]
    indexing.store(collection, dataset, points)


def learned(collection: Collection, *, timed: bool) -> None:
    if timed:
        calibrate.calibrate(collection, source=Source.MATCHES)
    expand.build(collection)


def assert_as_from_scratch(collection: Collection) -> None:
    """To the bit: the vectors, and all that the next change starts from."""
    before, kept = stored(collection), all_kept(collection)
    after = from_scratch(collection)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    assert kept == all_kept(collection)


def all_kept(collection: Collection) -> dict[int, tuple[bytes, bytes]]:
    expansions, encoder_id = collection.catalog.expansions, collection.encoder_id
    parts = expansions.parts(encoder_id)
    copies = expansions.copies(encoder_id, list(parts))
    return {part: (images, copies[part]) for part, images in parts.items()}


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_whatever_comes_in_whichever_order_it_is_as_from_scratch(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, timed: bool, many: bool
) -> None:
    """The basis is kept throughout: what is learned of so few would be learned anew."""
    if many:
        monkeypatch.setattr(cells, "ALL_PAIRS_UP_TO", 50)
        monkeypatch.setattr(cells, "LOOKED_IN", 3)
    order = np.random.default_rng(int(timed) + 2 * int(many)).permutation(520)
    take_in(collection, np.sort(order[:360]))
    take_in(collection, np.sort(order[:40]), site=1)
    learned(collection, timed=timed)
    written = []
    for batch in (order[360:361], order[361:376], order[376:500], order[500:]):
        take_in(collection, np.sort(batch))
        written.append(expand.keep_current(collection))
    assert len(batch) <= written[-1] < 520
    assert_as_from_scratch(collection)
    assert expand.keep_current(collection) == 0


@pytest.mark.parametrize("many", [False, True])
def test_what_changed_moved_or_went_is_in_nobody_any_more(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    if many:
        monkeypatch.setattr(cells, "ALL_PAIRS_UP_TO", 50)
        monkeypatch.setattr(cells, "LOOKED_IN", 3)
    take_in(collection, np.arange(400))
    take_in(collection, np.arange(60), site=1)
    learned(collection, timed=True)

    def right() -> None:
        assert expand.keep_current(collection) > 0
        assert_as_from_scratch(collection)

    take_in(collection, np.arange(3, 30, 5), seed=1)  # files with other people in them
    right()
    take_in(collection, np.arange(100, 130), later=5000.0)  # the same files at another time
    right()
    collection.catalog.places.add_dataset("set 1", Path("/nowhere"), site="site 0")
    right()
    ids = sorted(collection.catalog.embeddings.indexed_ids(collection.encoder_id))[7:60:9]
    collection.catalog.embeddings.mark_deleting(ids, compact=False)
    collection.store.delete(ids)
    collection.catalog.embeddings.delete(collection.encoder_id, ids)
    right()
    assert not set(ids) & set(stored(collection)[0].tolist())
    whole = kept(collection)
    assert not np.isin(whole.ids, ids).any()
    assert not np.isin(whole.nearest, ids).any()


def kept(collection: Collection) -> Carried:
    record = collection.catalog.expansions.of(collection.encoder_id)
    assert record is not None
    width = 0 if record.cells is None else cells.Cells.from_bytes(record.cells).looked_in
    parts = collection.catalog.expansions.parts(collection.encoder_id)
    return Carried.of_bytes(parts.values(), k=expand.SETTINGS.stored, looked_in=width)


def test_what_is_deleted_and_comes_back_before_anybody_looks_is_made_anew(
    collection: Collection,
) -> None:
    take_in(collection, np.arange(300))
    learned(collection, timed=False)
    ids = sorted(collection.catalog.embeddings.indexed_ids(collection.encoder_id))[::40]
    collection.catalog.embeddings.mark_deleting(ids, compact=False)
    collection.store.delete(ids)
    collection.catalog.embeddings.delete(collection.encoder_id, ids)
    take_in(collection, np.arange(300))
    assert expand.keep_current(collection) >= len(ids)
    assert_as_from_scratch(collection)


def test_few_vectors_are_read_for_a_few_new_ones(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "ALL_PAIRS_UP_TO", 50)
    take_in(collection, np.arange(1500))
    learned(collection, timed=False)
    read: list[int] = []
    retrieve = collection.store.retrieve

    def counted(ids: list[int], *, kind: Kind = Kind.PLAIN) -> tuple[Ids, Vectors]:
        read.extend(ids)
        return retrieve(ids, kind=kind)

    def refused(*_: object, **__: object) -> Iterator[tuple[Ids, Vectors]]:
        raise AssertionError("all vectors are read")

    take_in(collection, np.arange(1500, 1503))
    monkeypatch.setattr(collection.store, "retrieve", counted)
    monkeypatch.setattr(collection.store, "scroll", refused)
    assert 3 <= expand.keep_current(collection) < 150
    assert len(read) == len(set(read)) < 600
    monkeypatch.undo()
    assert next(iter(collection.store.scroll(splits=[Split.GALLERY])))[0].size
