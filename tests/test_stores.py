"""One contract for every store: Edge, optimised or not, qdrant-client's memory mode, a stand-in for
a server and for a cluster, and the servers at QDRANT_URL."""

import json
import multiprocessing
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from reidsearch import faults
from reidsearch.config import EXACT_UP_TO
from reidsearch.errors import StoreError, StoreLocked, StoreUnreachable
from reidsearch.files import copy_folder
from reidsearch.stores import (
    EMBEDDED,
    Trouble,
    VectorStore,
    address_of,
    folder,
    lender,
    optimiser,
    wire,
)
from reidsearch.stores.connection import MEMORY
from reidsearch.stores.edge import EdgeStore
from reidsearch.stores.lender import Lender
from reidsearch.stores.lent import LentStore, borrow
from reidsearch.stores.server import ServerStore
from reidsearch.types import Filter, Kind, Payload, Points, Scan, Split, Vectors
from tests.qdrant_server import QdrantStandIn

DIMENSION = 8
THREADS = 8


@pytest.fixture(scope="module")
def optimised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Edge shard without points, optimised: what is written to it is searched as such."""
    path = tmp_path_factory.mktemp("optimised") / "vectors"
    EdgeStore(path, dimension=DIMENSION).close()
    optimiser.optimise(path)
    return path


LIVE = ["server", "server's copies"]  # the second time searched through smaller copies


@pytest.fixture(params=["edge", "optimised", "lent", "memory", "stand-in", "cluster", *LIVE])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    opened: VectorStore
    if request.param == "edge":
        opened = EdgeStore(tmp_path / "vectors", dimension=DIMENSION)
    elif request.param == "optimised":
        copy_folder(request.getfixturevalue("optimised"), tmp_path / "vectors")
        opened = EdgeStore(tmp_path / "vectors", dimension=DIMENSION, exact_up_to=0)
        assert opened.scan is Scan.QUANTISED
    elif request.param == "lent":
        with lent(tmp_path) as opened:
            yield opened
        return
    else:
        if request.param == "memory":
            url = MEMORY
        elif request.param == "stand-in":
            url = request.getfixturevalue("qdrant").url
        elif request.param == "cluster":
            url = request.getfixturevalue("nodes").url
        elif "QDRANT_URL" in os.environ:
            url = os.environ["QDRANT_URL"]
        else:
            pytest.skip("QDRANT_URL is not set: no live Qdrant server to test against")
        name = f"reidsearch-test-{secrets.token_hex(4)}"
        key = os.environ.get("QDRANT_API_KEY") if request.param in LIVE else None
        opened = ServerStore(
            url,
            collection=name,
            dimension=DIMENSION,
            api_key=key,
            exact_up_to=0 if request.param == LIVE[-1] else EXACT_UP_TO,
        )
    yield opened
    opened.close()
    if isinstance(opened, ServerStore) and url is not None and url != MEMORY:
        left = ServerStore(url, collection=name, dimension=DIMENSION, api_key=key)
        left.delete_collection()
        left.close()


class Shelf:
    """Lends shards in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: dict[str, EdgeStore] = {}
        self.changing = threading.Lock()

    def lend(self, fingerprint: str, dimension: int) -> VectorStore:
        if fingerprint not in self.shards:
            self.shards[fingerprint] = EdgeStore(self.folder / fingerprint, dimension=dimension)
        return self.shards[fingerprint]

    def took_back(self, fingerprint: str) -> None:
        self.shards.pop(fingerprint).close()

    @contextmanager
    def turn(self, borrower: str, *, patience: float) -> Iterator[None]:
        if not self.changing.acquire(timeout=patience):
            raise StoreLocked(f"not now, {borrower}")
        try:
            yield
        finally:
            self.changing.release()


@contextmanager
def lent(folder: Path) -> Iterator[LentStore]:
    """A shard that is lent and borrowed within this process."""
    shelf = Shelf(folder)
    with closing(Lender(folder, shelf)):
        loan = borrow(folder, borrower="a test")
        assert loan is not None
        with closing(loan):
            yield LentStore(loan, fingerprint="f00d", dimension=DIMENSION)
    for shard in shelf.shards.values():
        shard.close()


def unit(rows: int, *, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    normalised: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def points(vectors: Vectors, *, first_id: int = 1, camera: int | None = 1) -> Points:
    payload: Payload = {"split": "gallery", "dataset_id": 5}
    if camera is not None:
        payload["camera_id"] = camera
    ids = first_id + np.arange(len(vectors))
    return Points(ids, vectors, [payload] * len(vectors))


def contents(store: VectorStore) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(store.scroll())
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])


def test_vectors_come_back_bit_for_bit_and_in_id_order(store: VectorStore) -> None:
    vectors = unit(50)
    store.upsert(points(vectors))
    ids, stored = contents(store)
    assert ids.tolist() == list(range(1, 51))
    assert stored.dtype == np.float32
    assert stored.tobytes() == vectors.tobytes()


def test_scrolling_may_be_narrowed_to_splits_and_ids_be_retrieved(store: VectorStore) -> None:
    vectors = unit(6)
    splits = ["query", "gallery", "train"] * 2
    store.upsert(Points(np.arange(1, 7), vectors, [{"split": split} for split in splits]))
    (block,) = store.scroll(splits=[Split.GALLERY, Split.QUERY])
    assert block[0].tolist() == [1, 2, 4, 5]
    assert block[1].tobytes() == vectors[[0, 1, 3, 4]].tobytes()
    ids, found = store.retrieve([5, 2, 99])
    order = np.argsort(ids)
    assert ids[order].tolist() == [2, 5]
    assert found[order].tobytes() == vectors[[1, 4]].tobytes()
    assert len(store.retrieve([99])[0]) == 0


def test_search_ranks_as_brute_force_does(store: VectorStore) -> None:
    vectors, probes = unit(300), unit(4, seed=9)
    store.upsert(points(vectors))
    found = store.search(probes, limit=10, where=Filter())
    for probe, matches in zip(probes, found, strict=True):
        cosines = vectors.astype(np.float64) @ probe.astype(np.float64)
        expected = np.argsort(-cosines)[:10]
        assert matches.ids.tolist() == (expected + 1).tolist()
        assert matches.ids.dtype == np.int64
        assert matches.scores.tolist() == pytest.approx(cosines[expected].tolist(), abs=1e-5)


def test_many_probes_are_answered_in_their_order(store: VectorStore) -> None:
    vectors = unit(200)
    store.upsert(points(vectors))
    found = store.search(vectors[::-1], limit=3, where=Filter())
    assert [int(matches.ids[0]) for matches in found] == list(range(200, 0, -1))
    assert all(len(matches) == 3 for matches in found)
    assert store.search(vectors[:0], limit=3, where=Filter()) == []


def test_nothing_ails_a_collection_that_was_made_so(store: VectorStore) -> None:
    def ailments() -> list[Trouble]:
        told = {ailment.trouble for ailment in store.ailments()}
        return sorted(told - {Trouble.VERSION})  # a live server's is its own affair

    store.upsert(points(unit(4)))
    assert ailments() == []
    store.write_expanded(np.array([1, 2]), unit(2, seed=1))
    assert ailments() == []
    store.adjust()
    assert ailments() == []
    assert contents(store)[1].tobytes() == unit(4).tobytes()
    assert everything(store, Kind.EXPANDED)[1].tobytes() == unit(2, seed=1).tobytes()


@pytest.mark.parametrize("limit", [1, 3, 7, 19, 20])
def test_equal_scores_come_in_id_order_whatever_the_limit(store: VectorStore, limit: int) -> None:
    twins = np.repeat(unit(1), 20, axis=0)
    ids = np.random.default_rng(3).permutation(20) + 1
    store.upsert(Points(ids, twins, [{"split": "gallery"}] * 20))
    (matches,) = store.search(twins[:1], limit=limit, where=Filter())
    assert matches.ids.tolist() == list(range(1, limit + 1))


def test_filters_pick_splits_and_cameras(store: VectorStore) -> None:
    vector = unit(1)
    for id, camera in ((1, 1), (2, 2), (3, 3), (4, None)):
        store.upsert(points(vector, first_id=id, camera=camera))
    store.upsert(Points(np.array([9]), vector, [{"split": "query", "camera_id": 1}]))

    def ids(where: Filter) -> set[int]:
        (matches,) = store.search(vector, limit=10, where=where)
        return set(matches.ids.tolist())

    assert ids(Filter()) == {1, 2, 3, 4}
    assert ids(Filter(cameras=(2, 3))) == {2, 3}
    assert ids(Filter(without_cameras=(1,))) == {2, 3, 4}  # an unknown camera is not camera 1
    assert ids(Filter(split=Split.QUERY)) == {9}
    assert ids(Filter(cameras=(7,))) == set()


def test_filters_pick_data_sets_and_times(store: VectorStore) -> None:
    vector = unit(1)
    for id, dataset, at in ((1, 5, -1.5), (2, 5, 1714557600.25), (3, 6, 1714557601.0)):
        told: Payload = {"split": "gallery", "dataset_id": dataset, "time": at}
        store.upsert(Points(np.array([id]), vector, [told]))
    store.upsert(points(vector, first_id=4))

    def ids(where: Filter) -> set[int]:
        (matches,) = store.search(vector, limit=10, where=where)
        return set(matches.ids.tolist())

    assert ids(Filter(datasets=(5,))) == {1, 2, 4}
    assert ids(Filter(datasets=(5, 6), since=-1.5)) == {1, 2, 3}
    assert ids(Filter(since=1714557600.25, until=1714557601.0)) == {2}  # the end is not included
    assert ids(Filter(datasets=(6,), until=0.0)) == set()


def test_points_described_anew_keep_their_vectors(store: VectorStore) -> None:
    vectors = unit(3)
    store.upsert(points(vectors))
    told: list[Payload] = [{"split": "query", "dataset_id": 9}, {"split": "train"}]
    store.describe([1, 3], told)
    store.describe([], [])
    ((ids, stored, payloads),) = store.records()
    assert ids.tolist() == [1, 2, 3]
    assert stored.tobytes() == vectors.tobytes()
    unchanged = {"split": "gallery", "dataset_id": 5, "camera_id": 1}
    assert payloads == [told[0], unchanged, told[1]]
    (matches,) = store.search(vectors[:1], limit=5, where=Filter(split=Split.QUERY))
    assert matches.ids.tolist() == [1]


def test_repeating_an_upsert_changes_nothing_and_a_new_vector_replaces(store: VectorStore) -> None:
    store.upsert(points(unit(5)))
    store.upsert(points(unit(5)))
    assert store.ids() == {1, 2, 3, 4, 5}
    new = unit(1, seed=8)
    store.upsert(points(new))
    ids, vectors = contents(store)
    assert len(ids) == 5
    assert vectors[0].tobytes() == new.tobytes()


def test_deleted_points_are_gone_and_unknown_ids_are_ignored(store: VectorStore) -> None:
    store.upsert(points(unit(4)))
    store.delete([2, 3, 77])
    assert store.count() == 2
    assert store.ids() == {1, 4}
    assert store.stored([4, 2, 1, 99]) == {1, 4}
    assert store.stored([]) == set()
    assert list(contents(store)[0]) == [1, 4]


def test_an_empty_store_answers_with_nothing(store: VectorStore) -> None:
    assert store.ids() == set()
    assert list(store.scroll()) == []
    assert store.count() == 0
    assert [len(matches) for matches in store.search(unit(2), limit=3, where=Filter())] == [0, 0]


def test_large_ids_survive(store: VectorStore) -> None:
    large = 2**63 - 1
    store.upsert(points(unit(1), first_id=large))
    (matches,) = store.search(unit(1), limit=1, where=Filter())
    assert matches.ids.tolist() == [large]
    assert store.ids() == {large}


def everything(store: VectorStore, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """The ids and vectors of that kind, in id order; no ids where there are none."""
    blocks = list(store.scroll(kind=kind))
    if not blocks:
        return np.empty(0, dtype=np.int64), np.empty((0, DIMENSION), dtype=np.float32)
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])


def has_none_expanded(store: VectorStore) -> bool:
    found = store.search(unit(2), limit=3, where=Filter(), kind=Kind.EXPANDED)
    assert len(found) == 2
    listed = list(store.scroll(splits=[Split.GALLERY], kind=Kind.EXPANDED))
    retrieved, _ = store.retrieve([1, 2, 99], kind=Kind.EXPANDED)
    return not any(map(len, found)) and not listed and not len(retrieved)


def test_expanded_vectors_stand_beside_plain_ones(store: VectorStore) -> None:
    vectors, expanded = unit(6), unit(3, seed=1)
    splits = ["query", "gallery", "train"] * 2
    told: list[Payload] = [{"split": split} for split in splits]
    store.upsert(Points(np.arange(1, 7), vectors, told))
    store.write_expanded(np.array([5, 2, 3]), expanded)
    ids, found = everything(store, Kind.EXPANDED)
    assert ids.tolist() == [2, 3, 5]
    assert found.dtype == np.float32
    assert found.tobytes() == expanded[[1, 2, 0]].tobytes()
    ((ids, found),) = store.scroll(splits=[Split.GALLERY, Split.QUERY], kind=Kind.EXPANDED)
    assert ids.tolist() == [2, 5]
    assert found.tobytes() == expanded[[1, 0]].tobytes()
    ids, found = store.retrieve([1, 3, 99], kind=Kind.EXPANDED)
    assert ids.tolist() == [3]
    assert found.tobytes() == expanded[2].tobytes()
    assert len(store.retrieve([1, 99], kind=Kind.EXPANDED)[0]) == 0

    ((ids, plain, payloads),) = store.records()
    assert ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert plain.tobytes() == vectors.tobytes()
    assert payloads == told
    assert contents(store)[1].tobytes() == vectors.tobytes()
    ids, plain = store.retrieve([1, 2])
    assert plain[np.argsort(ids)].tobytes() == vectors[:2].tobytes()


def test_searches_look_at_vectors_of_one_kind(store: VectorStore) -> None:
    vectors, expanded, probes = unit(300), unit(300, seed=1), unit(4, seed=9)
    store.upsert(points(vectors))
    some = np.arange(0, 300, 2)
    store.write_expanded(some + 1, expanded[some])
    for kind, among, ids in (
        (Kind.PLAIN, vectors, np.arange(300)),
        (Kind.EXPANDED, expanded, some),
    ):
        found = store.search(probes, limit=10, where=Filter(), kind=kind)
        for probe, matches in zip(probes, found, strict=True):
            cosines = among[ids].astype(np.float64) @ probe.astype(np.float64)
            expected = np.argsort(-cosines)[:10]
            assert matches.ids.tolist() == (ids[expected] + 1).tolist()
            assert matches.scores.tolist() == pytest.approx(cosines[expected].tolist(), abs=1e-5)
    (matches,) = store.search(probes[:1], limit=500, where=Filter(), kind=Kind.EXPANDED)
    assert len(matches) == len(some)
    where = Filter(cameras=(2,))
    assert [len(m) for m in store.search(probes, limit=3, where=where, kind=Kind.EXPANDED)] == [
        0
    ] * 4


@pytest.mark.parametrize("limit", [1, 7, 20])
def test_equal_scores_of_expanded_vectors_come_in_id_order(store: VectorStore, limit: int) -> None:
    twins = np.repeat(unit(1), 20, axis=0)
    ids = np.random.default_rng(3).permutation(20) + 1
    store.upsert(Points(ids, unit(20, seed=4), [{"split": "gallery"}] * 20))
    store.write_expanded(ids, twins)
    (matches,) = store.search(twins[:1], limit=limit, where=Filter(), kind=Kind.EXPANDED)
    assert matches.ids.tolist() == list(range(1, limit + 1))


def test_a_store_without_expanded_vectors_has_none_and_drops_none(store: VectorStore) -> None:
    assert has_none_expanded(store)
    store.upsert(points(unit(3)))
    assert has_none_expanded(store)
    store.drop_expanded()
    store.write_expanded(np.empty(0, dtype=np.int64), np.empty((0, DIMENSION), dtype=np.float32))
    assert has_none_expanded(store)
    assert contents(store)[1].tobytes() == unit(3).tobytes()


def test_expanded_vectors_are_written_anew_and_dropped_again_and_again(
    store: VectorStore,
) -> None:
    store.upsert(points(unit(4)))
    for seed in (1, 2):
        for _ in range(2):
            store.write_expanded(np.array([1, 2, 3]), unit(3, seed=seed))
        ids, found = everything(store, Kind.EXPANDED)
        assert ids.tolist() == [1, 2, 3]
        assert found.tobytes() == unit(3, seed=seed).tobytes()
    for _ in range(2):
        store.drop_expanded()
        assert has_none_expanded(store)
        assert contents(store)[1].tobytes() == unit(4).tobytes()
    store.write_expanded(np.array([4]), unit(1, seed=3))  # those of before do not come back
    ids, found = everything(store, Kind.EXPANDED)
    assert ids.tolist() == [4]
    assert found.tobytes() == unit(1, seed=3).tobytes()


def test_expanded_vectors_go_with_a_new_plain_one_and_stay_with_a_new_payload(
    store: VectorStore,
) -> None:
    vectors, expanded = unit(4), unit(4, seed=1)
    store.upsert(points(vectors))
    store.write_expanded(np.arange(1, 5), expanded)
    store.upsert(points(vectors[:1]))
    store.describe([2], [{"split": "query"}])
    store.delete([3])
    ids, found = everything(store, Kind.EXPANDED)
    assert ids.tolist() == [2, 4]
    assert found.tobytes() == expanded[[1, 3]].tobytes()
    (matches,) = store.search(expanded[:1], limit=9, where=Filter(), kind=Kind.EXPANDED)
    assert matches.ids.tolist() == [4]
    where = Filter(split=Split.QUERY)
    (matches,) = store.search(expanded[:1], limit=9, where=where, kind=Kind.EXPANDED)
    assert matches.ids.tolist() == [2]


def test_expanded_vectors_are_kept_by_compaction_and_gone_from_a_new_collection(
    store: VectorStore,
) -> None:
    vectors, expanded = unit(1200), unit(600, seed=1)
    store.upsert(points(vectors))
    some = np.arange(2, 1201, 2)
    store.write_expanded(some, expanded)
    store.delete([2, 5])
    store.compact()
    ids, found = everything(store, Kind.EXPANDED)
    assert ids.tolist() == some[1:].tolist()
    assert found.tobytes() == expanded[1:].tobytes()
    assert contents(store)[1].tobytes() == np.delete(vectors, [1, 4], axis=0).tobytes()
    store.recreate()
    assert has_none_expanded(store)
    store.upsert(points(vectors[:4]))
    assert has_none_expanded(store)


def test_an_expanded_vector_of_a_point_that_is_not_stored_is_an_error(store: VectorStore) -> None:
    store.upsert(points(unit(2)))
    with pytest.raises(StoreError, match="No point with id 99") as error:
        store.write_expanded(np.array([1, 99]), unit(2, seed=1))
    assert "Ingest again" in error.value.hint
    store.write_expanded(np.array([1, 2]), unit(2, seed=2))
    assert everything(store, Kind.EXPANDED)[1].tobytes() == unit(2, seed=2).tobytes()
    assert store.ids() == {1, 2}


def test_what_cannot_be_an_expanded_vector_never_gets_in(store: VectorStore) -> None:
    store.upsert(points(unit(3)))
    ids = np.array([1, 2, 3])
    bad = unit(3, seed=1)
    for value in (np.nan, np.inf, 0.0):
        bad[1] = value
        with pytest.raises(ValueError, match="unit length"):
            store.write_expanded(ids, bad)
    for vectors in (unit(2), np.ones((3, 1), dtype=np.float32), unit(3)[0], unit(3)[:, :-1]):
        with pytest.raises(ValueError, match="3 ids"):
            store.write_expanded(ids, vectors)
    assert has_none_expanded(store)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_vectors_that_are_not_of_unit_length_never_get_in(bad: float) -> None:
    with pytest.raises(ValueError, match="unit length"):
        points(np.full((1, DIMENSION), bad, dtype=np.float32))


def test_a_collection_remembers_whose_it_is(store: VectorStore) -> None:
    assert store.owner is None
    store.upsert(points(unit(3)))
    assert store.owner is None
    store.claim("gallery a of /home/a")
    assert store.owner == "gallery a of /home/a"
    store.claim("gallery b, \N{SNOWMAN}")
    store.compact()
    assert store.owner == "gallery b, \N{SNOWMAN}"
    assert store.ids() == {1, 2, 3}
    store.recreate()
    assert store.owner == "gallery b, \N{SNOWMAN}"
    assert store.ids() == set()


def test_an_embedded_collection_keeps_its_owner_over_a_restart(tmp_path: Path) -> None:
    first = EdgeStore(tmp_path / "v", dimension=DIMENSION)
    first.claim("gallery a")
    first.close()
    second = EdgeStore(tmp_path / "v", dimension=DIMENSION)
    assert second.owner == "gallery a"
    (tmp_path / "v" / folder.OWNER).write_bytes(b"")  # as a power cut may leave it
    assert second.owner is None
    second.close()


def test_a_server_that_is_too_old_to_remember_an_owner_works_without(
    qdrant: QdrantStandIn,
) -> None:
    qdrant.remembers = False
    store = ServerStore(qdrant.url, collection="people", dimension=DIMENSION)
    store.claim("gallery a")
    assert store.owner is None
    store.upsert(points(unit(2)))
    assert store.count() == 2
    store.close()


def test_an_address_is_written_in_one_way_and_without_secrets(qdrant: QdrantStandIn) -> None:
    assert EdgeStore.address == EMBEDDED
    for url in (
        "http://Vectors.example",
        "http://vectors.example:6333/",
        "vectors.example",
        "http://me:secret@vectors.example/?api_key=secret#secret",
    ):
        assert address_of(url) == "http://vectors.example:6333"
    assert address_of("https://vectors.example:443/qdrant/") == "https://vectors.example:443/qdrant"
    assert address_of("http://[::1]:7000") == "http://[::1]:7000"
    store = ServerStore(f"{qdrant.url}/", collection="people", dimension=DIMENSION)
    assert store.address == qdrant.url
    store.close()


def test_threads_search_and_write_while_a_collection_is_rewritten(store: VectorStore) -> None:
    if isinstance(store, ServerStore) and store.address == MEMORY:
        pytest.skip("qdrant-client's memory mode is for one thread")
    vectors = unit(400)
    store.upsert(points(vectors[:200]))
    store.claim("somebody")
    probes = vectors[:THREADS]
    nearest = np.argsort(-(probes @ vectors[:200].T), axis=1)[:, :5] + 1
    done = threading.Event()

    def search(nth: int) -> int:
        """How often the answers were right: new points may come between the old ones."""
        rounds = 0
        while not done.is_set() or not rounds:
            (matches,) = store.search(probes[nth : nth + 1], limit=20, where=Filter())
            assert len(matches) == 20
            old = matches.ids[matches.ids <= 200]
            assert old[:5].tolist() == nearest[nth, : len(old)].tolist()
            assert np.all(np.diff(matches.scores) <= 0)
            assert store.count() >= 200
            rounds += 1
        return rounds

    def write() -> None:
        for start in range(200, 400, 20):
            store.upsert(points(vectors[start : start + 20], first_id=start + 1))
            store.delete([start + 1])

    with ThreadPoolExecutor(THREADS + 1) as pool:
        searching = [pool.submit(search, nth) for nth in range(THREADS)]
        writing = pool.submit(write)
        try:
            for _ in range(3):
                store.compact()
            writing.result(60)
        finally:
            done.set()
        assert all(searched.result(60) for searched in searching)
    expected = set(range(1, 401)) - set(range(201, 401, 20))
    assert store.ids() == expected
    assert store.owner == "somebody"
    ids, stored = contents(store)
    assert stored.tobytes() == vectors[ids - 1].tobytes()


def test_threads_see_a_whole_collection_until_it_is_closed(store: VectorStore) -> None:
    if isinstance(store, ServerStore) and store.address == MEMORY:
        pytest.skip("qdrant-client's memory mode is for one thread")
    vectors = unit(50)
    store.upsert(points(vectors))
    closing = threading.Event()
    at_work = threading.Barrier(THREADS + 1, timeout=60)

    def search() -> tuple[set[int], str]:
        """How many hits there were each time, and what ended it."""
        found = {len(store.search(vectors[:1], limit=50, where=Filter())[0])}
        at_work.wait()
        while True:
            closes = closing.is_set()
            try:
                (matches,) = store.search(vectors[:1], limit=50, where=Filter())
            except StoreError as error:
                return found, str(error) if closes or closing.is_set() else f"early: {error}"
            found.add(len(matches))

    with ThreadPoolExecutor(THREADS) as pool:
        searching = [pool.submit(search) for _ in range(THREADS)]
        at_work.wait()
        for _ in range(3):
            store.recreate()
            store.upsert(points(vectors))
        closing.set()
        store.close()
        for searched in searching:
            found, error = searched.result(60)
            assert "closed" in error
            assert "early" not in error
            assert found <= {0, 50}
            assert 50 in found


def test_edge_keeps_its_points_over_a_restart(tmp_path: Path) -> None:
    vectors = unit(10)
    first = EdgeStore(tmp_path / "v", dimension=DIMENSION)
    first.upsert(points(vectors))
    first.close()
    second = EdgeStore(tmp_path / "v", dimension=DIMENSION)
    assert contents(second)[1].tobytes() == vectors.tobytes()
    second.close()
    second.close()
    with pytest.raises(StoreError, match="closed"):
        second.ids()


def _write_expanded_and_die(path: str, expanded: Vectors) -> None:
    store = EdgeStore(Path(path), dimension=DIMENSION)
    store.write_expanded(np.arange(1, 1 + len(expanded)), expanded)
    os.kill(os.getpid(), signal.SIGKILL)


def _drop_expanded_and_die(path: str, _: Vectors) -> None:
    store = EdgeStore(Path(path), dimension=DIMENSION)
    store.drop_expanded()
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(act: Callable[[str, Vectors], None], path: Path, expanded: Vectors) -> None:
    process = multiprocessing.get_context("spawn").Process(target=act, args=(str(path), expanded))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_edge_keeps_expanded_vectors_over_a_kill_and_a_restart(tmp_path: Path) -> None:
    vectors, expanded = unit(1000), unit(700, seed=1)
    with closing(EdgeStore(tmp_path / "v", dimension=DIMENSION)) as store:
        store.upsert(points(vectors))
    _killed(_write_expanded_and_die, tmp_path / "v", expanded)
    for _ in range(2):  # a shard that has been mended, and one that was closed
        with closing(EdgeStore(tmp_path / "v", dimension=DIMENSION)) as store:
            assert everything(store, Kind.EXPANDED)[1].tobytes() == expanded.tobytes()
            assert contents(store)[1].tobytes() == vectors.tobytes()
            (matches,) = store.search(expanded[4:5], limit=1, where=Filter(), kind=Kind.EXPANDED)
            assert matches.ids.tolist() == [5]
    _killed(_drop_expanded_and_die, tmp_path / "v", expanded)
    with closing(EdgeStore(tmp_path / "v", dimension=DIMENSION)) as store:
        assert has_none_expanded(store)
        assert contents(store)[1].tobytes() == vectors.tobytes()
        store.write_expanded(np.array([3]), expanded[:1])
        assert everything(store, Kind.EXPANDED)[0].tolist() == [3]


def test_a_kill_while_expanded_vectors_are_written_leaves_plain_ones_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, expanded = unit(1000), unit(700, seed=1)
    with closing(EdgeStore(tmp_path / "v", dimension=DIMENSION)) as store:
        store.upsert(points(vectors))
    with monkeypatch.context() as armed:
        armed.setenv(faults.VARIABLE, "upserted")  # written, and not yet flushed
        _killed(_write_expanded_and_die, tmp_path / "v", expanded)
    with closing(EdgeStore(tmp_path / "v", dimension=DIMENSION)) as store:
        assert contents(store)[1].tobytes() == vectors.tobytes()
        ids, found = everything(store, Kind.EXPANDED)
        assert found.tobytes() == expanded[ids - 1].tobytes()
        store.write_expanded(np.arange(1, 701), expanded)
        assert everything(store, Kind.EXPANDED)[1].tobytes() == expanded.tobytes()


def test_a_server_too_old_for_a_second_vector_says_so_and_searches_on(
    qdrant: QdrantStandIn,
) -> None:
    qdrant.version = (1, 16, 3)
    with closing(ServerStore(qdrant.url, collection="people", dimension=DIMENSION)) as store:
        store.upsert(points(unit(3)))
        store.drop_expanded()
        with pytest.raises(StoreError, match=r"version 1\.16\.3.*1\.18") as error:
            store.write_expanded(np.array([1]), unit(1, seed=1))
        assert "Update the server" in error.value.hint
        assert has_none_expanded(store)
        (matches,) = store.search(unit(1), limit=1, where=Filter())
        assert matches.ids.tolist() == [1]


def _hold(path: str, ready: object, release: object) -> None:
    held = EdgeStore(Path(path), dimension=DIMENSION)
    ready.set()  # type: ignore[attr-defined]
    release.wait(30)  # type: ignore[attr-defined]
    held.close()


def test_edge_held_by_another_process_is_a_locked_error(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path / "v"), ready, release))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StoreLocked) as error:
            EdgeStore(tmp_path / "v", dimension=DIMENSION, patience=0.3)
        assert error.value.exit_code == 4
        assert "qdrant_url" in error.value.hint
    finally:
        release.set()
        holder.join()


def test_a_server_that_is_not_there_is_an_unreachable_error() -> None:
    with pytest.raises(StoreUnreachable) as error:
        ServerStore("http://127.0.0.1:9", collection="c", dimension=DIMENSION)
    assert error.value.exit_code == 4
    assert "docker compose" in error.value.hint


def test_an_address_that_is_none_is_an_error() -> None:
    with pytest.raises(StoreError):
        ServerStore("http://:not-a-port", collection="c", dimension=DIMENSION)


def test_a_deleted_collection_holds_nothing_when_it_is_made_again(
    tmp_path: Path, qdrant: QdrantStandIn
) -> None:
    def embedded() -> VectorStore:
        return EdgeStore(tmp_path / "vectors", dimension=DIMENSION)

    def served() -> VectorStore:
        return ServerStore(qdrant.url, collection="c", dimension=DIMENSION)

    for make in (embedded, served):
        with closing(make()) as store:
            store.upsert(points(unit(3)))
            store.delete_collection()
        with closing(make()) as store:
            assert store.count() == 0
    assert [path.name for path in tmp_path.iterdir() if path.name != "cwd"] == ["vectors"]


def test_who_does_not_know_the_key_is_neither_heard_nor_in_the_way(tmp_path: Path) -> None:
    with lent(tmp_path) as store, ExitStack() as silent:
        told = json.loads((tmp_path / lender.FILE).read_text())
        address = (wire.HOST, told["port"])
        for _ in range(20):
            silent.enter_context(socket.create_connection(address))
        for nonsense in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 9, bytes(64), b"\xff" * 100_000):
            with socket.create_connection(address) as one:
                one.settimeout(30)
                with suppress(OSError):
                    one.sendall(nonsense)
                    assert len(one.recv(1 << 16)) <= wire.KEY  # random bytes, and no proof
        store.upsert(points(unit(3)))
        assert store.count() == 3


def test_a_strange_program_in_the_lenders_place_is_not_believed(tmp_path: Path) -> None:
    with socket.create_server((wire.HOST, 0)) as other:
        record = {"port": other.getsockname()[1], "key": "ab" * wire.KEY, "pid": 1}
        (tmp_path / lender.FILE).write_text(json.dumps(record))

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(connection.recv(wire.KEY))  # what was heard, sent back
                connection.sendall(connection.recv(wire.PROOF))

        with ThreadPoolExecutor(1) as pool:
            answered = pool.submit(answer)
            assert borrow(tmp_path, borrower="a test") is None
            answered.result()


def test_one_at_a_time_has_the_turn_and_a_borrower_that_ends_gives_it_back(tmp_path: Path) -> None:
    with lent(tmp_path):
        first, second = (borrow(tmp_path, borrower=name) for name in ("one", "two"))
        assert first is not None
        assert second is not None
        with closing(first), closing(second):
            with (
                first.turn(patience=0.2),
                pytest.raises(StoreLocked, match="not now, two"),
                second.turn(patience=0.2),
            ):
                pass
            with second.turn(patience=0.2):
                pass
            turn = first.turn(patience=0.2)
            turn.__enter__()
            first.close()
            with second.turn(patience=0.2):
                pass
            with pytest.raises(StoreError, match="closed"):
                next(first.blocks(wire.Message("count")))
            with suppress(StoreError):
                turn.__exit__(None, None, None)


def test_who_stops_reading_in_the_middle_is_in_nobodys_way(tmp_path: Path) -> None:
    with lent(tmp_path) as store:
        store.upsert(points(unit(2000)))
        blocks = store.scroll()
        next(blocks)
        store.delete([1])
        store.compact()
        del blocks
        assert store.count() == 1999
        assert sum(len(ids) for ids, _ in store.scroll()) == 1999
