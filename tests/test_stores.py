"""One contract for every store: Edge, qdrant-client's memory mode, a server at QDRANT_URL."""

import multiprocessing
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reidsearch.errors import StoreError, StoreLocked, StoreUnreachable
from reidsearch.stores import VectorStore, edge
from reidsearch.stores.edge import EdgeStore
from reidsearch.stores.server import ServerStore
from reidsearch.types import Filter, Points, Split, Vectors

DIMENSION = 8


@pytest.fixture(params=["edge", "memory", "stand-in", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    opened: VectorStore
    if request.param == "edge":
        opened = EdgeStore(tmp_path / "vectors", dimension=DIMENSION)
    else:
        url = ":memory:" if request.param == "memory" else os.environ.get("QDRANT_URL")
        if request.param == "stand-in":
            url = request.getfixturevalue("qdrant").url
        if url is None:
            pytest.skip("QDRANT_URL is not set: no live Qdrant server to test against")
        name = f"reidsearch-test-{secrets.token_hex(4)}"
        opened = ServerStore(url, collection=name, dimension=DIMENSION)
    yield opened
    if isinstance(opened, ServerStore):
        opened.delete_collection()
    opened.close()


def unit(rows: int, *, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    normalised: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def points(vectors: Vectors, *, first_id: int = 1, camera: int | None = 1) -> Points:
    payload: dict[str, object] = {"split": "gallery", "identity": 5}
    if camera is not None:
        payload["camera"] = camera
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
        assert [m.id for m in matches] == (expected + 1).tolist()
        assert [m.score for m in matches] == pytest.approx(cosines[expected].tolist(), abs=1e-5)


@pytest.mark.parametrize("limit", [1, 3, 7, 19, 20])
def test_equal_scores_come_in_id_order_whatever_the_limit(store: VectorStore, limit: int) -> None:
    twins = np.repeat(unit(1), 20, axis=0)
    ids = np.random.default_rng(3).permutation(20) + 1
    store.upsert(Points(ids, twins, [{"split": "gallery"}] * 20))
    (matches,) = store.search(twins[:1], limit=limit, where=Filter())
    assert [m.id for m in matches] == list(range(1, limit + 1))


def test_filters_pick_splits_and_cameras(store: VectorStore) -> None:
    vector = unit(1)
    for id, camera in ((1, 1), (2, 2), (3, 3), (4, None)):
        store.upsert(points(vector, first_id=id, camera=camera))
    store.upsert(Points(np.array([9]), vector, [{"split": "query", "camera": 1}]))

    def ids(where: Filter) -> set[int]:
        (matches,) = store.search(vector, limit=10, where=where)
        return {m.id for m in matches}

    assert ids(Filter()) == {1, 2, 3, 4}
    assert ids(Filter(cameras=(2, 3))) == {2, 3}
    assert ids(Filter(without_cameras=(1,))) == {2, 3, 4}  # an unknown camera is not camera 1
    assert ids(Filter(split=Split.QUERY)) == {9}
    assert ids(Filter(cameras=(7,))) == set()


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
    assert store.ids() == {1, 4}
    assert list(contents(store)[0]) == [1, 4]


def test_an_empty_store_answers_with_nothing(store: VectorStore) -> None:
    assert store.ids() == set()
    assert list(store.scroll()) == []
    assert store.search(unit(2), limit=3, where=Filter()) == [[], []]


def test_large_ids_survive(store: VectorStore) -> None:
    large = 2**63 - 1
    store.upsert(points(unit(1), first_id=large))
    (matches,) = store.search(unit(1), limit=1, where=Filter())
    assert [m.id for m in matches] == [large]
    assert store.ids() == {large}


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_vectors_that_are_not_of_unit_length_never_get_in(bad: float) -> None:
    with pytest.raises(ValueError, match="unit length"):
        points(np.full((1, DIMENSION), bad, dtype=np.float32))


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


def _hold(path: str, ready: object, release: object) -> None:
    held = EdgeStore(Path(path), dimension=DIMENSION)
    ready.set()  # type: ignore[attr-defined]
    release.wait(30)  # type: ignore[attr-defined]
    held.close()


def test_edge_held_by_another_process_is_a_locked_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "LOCK_PATIENCE", 0.3)
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path / "v"), ready, release))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StoreLocked) as error:
            EdgeStore(tmp_path / "v", dimension=DIMENSION)
        assert error.value.exit_code == 4
        assert "--qdrant-url" in error.value.hint
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
