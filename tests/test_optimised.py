"""Collections of many vectors: searched through quantised copies, made by a process apart."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as qdrant

from reidsearch import faults
from reidsearch.stores import edge, folder, optimiser
from reidsearch.stores.base import UNOPTIMISED
from reidsearch.stores.edge import EdgeStore
from reidsearch.types import Filter, Kind, Payload, Points, Scan, Split, Vectors

DIMENSION = 64
MANY = 12_000
CAMERAS, DAYS = 20, 30
ALL = Filter()
FILTERS = {
    "none": ALL,
    "own camera out": Filter(without_cameras=(3,)),
    "half of the cameras": Filter(cameras=tuple(range(0, CAMERAS, 2))),
    "three days": Filter(since=6.0, until=9.0),
    "one camera on a day": Filter(cameras=(4,), since=4.0, until=5.0),
    "nobody's camera": Filter(cameras=(99,)),
    "a split that is not there": Filter(split=Split.TRAIN),
    "the smaller split": Filter(split=Split.QUERY),
    "a data set": Filter(datasets=(1,)),
}


def people(rows: int, *, seed: int = 0) -> Vectors:
    """Unit vectors in crowds of about ten."""
    random = np.random.default_rng(seed)
    crowds = np.random.default_rng(99).standard_normal((MANY // 10, DIMENSION))
    mixed = crowds[random.integers(0, len(crowds), rows)]
    mixed = mixed + 0.5 * random.standard_normal((rows, DIMENSION))
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed, dtype=np.float32)


def payload(id: int) -> Payload:
    told: Payload = {"split": "query" if id % 10 == 0 else "gallery", "dataset_id": 1 + id % 2}
    if id % 7:
        told["camera_id"] = id % CAMERAS
    if id % 5:
        told["time"] = float(id % DAYS)
    return told


def points(vectors: Vectors, *, first_id: int = 1) -> Points:
    ids = first_id + np.arange(len(vectors))
    return Points(ids, vectors, [payload(id) for id in ids.tolist()])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many points with expanded vectors of some, not optimised."""
    path = tmp_path_factory.mktemp("many") / "vectors"
    with closing(EdgeStore(path, dimension=DIMENSION)) as store:
        store.upsert(points(people(MANY)))
        store.write_expanded(np.arange(1, MANY, 4), people(MANY // 4, seed=1))
        store.claim("gallery a")
    return path


@pytest.fixture(scope="module")
def large(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, optimised."""
    path = tmp_path_factory.mktemp("large") / "vectors"
    shutil.copytree(filled, path)
    with closing(EdgeStore(path, dimension=DIMENSION, exact_up_to=MANY - 1)) as store:
        assert store.optimise()
    return path


@pytest.fixture
def store(large: Path, tmp_path: Path) -> Iterator[EdgeStore]:
    shutil.copytree(large, tmp_path / "vectors")
    opened = EdgeStore(tmp_path / "vectors", dimension=DIMENSION, exact_up_to=MANY - 1)
    yield opened
    opened.close()


def everything(store: EdgeStore) -> dict[str, object]:
    """All that is stored, bit for bit."""
    found: dict[str, object] = {"owner": store.owner}
    for ids, vectors, payloads in store.records():
        for id, vector, told in zip(ids.tolist(), vectors, payloads, strict=True):
            found[f"{id}"] = vector.tobytes(), told
    for ids, vectors in store.scroll(kind=Kind.EXPANDED):
        for id, vector in zip(ids.tolist(), vectors, strict=True):
            found[f"{id} expanded"] = vector.tobytes()
    return found


def test_what_is_optimised_is_stored_as_before(filled: Path, store: EdgeStore) -> None:
    with closing(EdgeStore(filled, dimension=DIMENSION)) as before:
        assert (before.scan, store.scan) == (Scan.EXACT, Scan.QUANTISED)
        assert everything(store) == everything(before)
    assert [path.name for path in store.path.parent.iterdir() if "vectors" in path.name] == [
        "vectors"
    ]


@pytest.mark.parametrize("where", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("kind", Kind)
def test_an_optimised_store_finds_nearly_what_an_exact_search_does_and_scores_alike(
    store: EdgeStore, kind: Kind, where: Filter
) -> None:
    probes = people(40, seed=2)
    exact = store.search(probes, limit=10, where=where, kind=kind, exact=True)
    found = store.search(probes, limit=10, where=where, kind=kind)
    fits = [id for id in range(1, MANY + 1) if where.admits(payload(id))]
    if kind is Kind.EXPANDED:
        fits = [id for id in fits if id % 4 == 1]
    vectors = people(MANY)
    if kind is Kind.EXPANDED:
        vectors = np.repeat(people(MANY // 4, seed=1), 4, axis=0)
    rows = np.array(fits, dtype=np.int64)
    missed = 0
    for probe, best, some in zip(probes, exact, found, strict=True):
        cosines = vectors[rows - 1].astype(np.float64) @ probe.astype(np.float64)
        wanted = np.sort(cosines)[::-1][:10]
        assert best.scores.tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
        assert len(some) == len(best)
        scores = dict(zip(best.ids.tolist(), best.scores.tolist(), strict=True))
        missed += len(set(best.ids.tolist()) - set(some.ids.tolist()))
        for id, score in zip(some.ids.tolist(), some.scores.tolist(), strict=True):
            assert id in fits
            assert score == scores.get(id, score)
        assert np.all(np.diff(some.scores) <= 0)
    assert missed <= 0.01 * sum(map(len, exact))


@pytest.mark.parametrize("where", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("kind", Kind)
def test_a_filter_finds_the_same_whether_it_is_applied_before_or_afterwards(
    store: EdgeStore, monkeypatch: pytest.MonkeyPatch, kind: Kind, where: Filter
) -> None:
    probes = people(20, seed=3)
    for limit in (1, 10, 300):
        monkeypatch.setattr(edge, "ADMITTED", MANY)  # for each probe: there are never so many
        before = store.search(probes, limit=limit, where=where, kind=kind)
        monkeypatch.setattr(edge, "ADMITTED", 0)
        for nearest in (edge.NEAREST, 0):  # enough of them, and too few for some probes
            monkeypatch.setattr(edge, "NEAREST", nearest)
            after = store.search(probes, limit=limit, where=where, kind=kind)
            for one, other in zip(before, after, strict=True):
                assert one.ids.tolist() == other.ids.tolist()
                assert one.scores.tolist() == other.scores.tolist()


def test_what_comes_afterwards_is_found_at_once_and_optimised_when_it_is_enough(
    store: EdgeStore,
) -> None:
    new = people(UNOPTIMISED, seed=3)
    store.upsert(points(new[:10], first_id=MANY + 1))
    (matches,) = store.search(new[:1], limit=1, where=ALL)
    assert matches.ids.tolist() == [MANY + 1]
    assert folder.unoptimised(store.path) == 10
    assert not store.optimise()
    store.delete([MANY + 1])
    (matches,) = store.search(new[:1], limit=1, where=ALL)
    assert matches.ids.tolist() != [MANY + 1]
    store.upsert(points(new, first_id=MANY + 1))
    assert store.optimise()
    assert folder.unoptimised(store.path) == 0
    assert store.count() == MANY + UNOPTIMISED
    (matches,) = store.search(new[:1], limit=1, where=ALL)
    assert matches.ids.tolist() == [MANY + 1]


def test_few_vectors_are_compared_one_by_one_and_again_when_many_have_gone(
    store: EdgeStore, tmp_path: Path
) -> None:
    with closing(EdgeStore(tmp_path / "few", dimension=DIMENSION, exact_up_to=20)) as few:
        few.upsert(points(people(20)))
        assert not few.optimise()
        assert few.scan is Scan.EXACT
    store.delete(list(range(1, MANY, 2)))
    store.compact()
    assert store.scan is Scan.EXACT
    assert store.count() == MANY // 2


def test_a_rewritten_collection_of_many_is_optimised_again(store: EdgeStore) -> None:
    store.upsert(points(people(10, seed=3), first_id=MANY + 1))
    store.delete([5])
    store.compact()
    assert store.scan is Scan.QUANTISED
    assert store.count() == MANY + 9


def test_a_collection_with_payload_indexes_in_memory_has_them_on_disk_when_it_is_optimised(
    tmp_path: Path,
) -> None:
    path = tmp_path / "vectors"
    path.mkdir()
    params = qdrant.EdgeVectorParams(size=DIMENSION, distance=qdrant.Distance.Dot)
    shard = qdrant.EdgeShard.create(str(path), qdrant.EdgeConfig(vectors=params))
    for name, kind in (
        ("split", qdrant.PayloadSchemaType.Keyword),
        ("camera", qdrant.PayloadSchemaType.Integer),  # of payloads of an older form
        ("camera_id", qdrant.PayloadSchemaType.Integer),
        ("dataset_id", qdrant.PayloadSchemaType.Integer),
    ):
        shard.update(qdrant.UpdateOperation.create_field_index(name, kind))
    shard.flush()
    shard.close()
    with closing(EdgeStore(path, dimension=DIMENSION, exact_up_to=10)) as store:
        store.upsert(points(people(100)))
        before = everything(store)
        assert store.optimise()
        assert everything(store) == before
    shard = qdrant.EdgeShard.load(str(path))
    schema = shard.info().payload_schema
    shard.close()
    assert set(schema) == {"split", "camera_id", "dataset_id", "time"}
    for info in schema.values():
        assert info.params is not None
        assert info.params.memory == qdrant.Memory.Cold


def test_where_optimising_fails_all_stays_as_it_is(
    filled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vectors"
    shutil.copytree(filled, path)
    monkeypatch.setenv(faults.VARIABLE, "optimiser started")
    with closing(EdgeStore(path, dimension=DIMENSION, exact_up_to=10)) as store:
        before = everything(store)
        assert not store.optimise()
        assert store.scan is Scan.EXACT
        assert everything(store) == before
    assert "could not be optimised" in caplog.text
    assert [path.name for path in tmp_path.iterdir() if path.name != "cwd"] == ["vectors"]


def test_without_space_for_a_copy_nothing_is_optimised(
    filled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vectors"
    shutil.copytree(filled, path)
    monkeypatch.setattr(folder, "RESERVE", shutil.disk_usage(tmp_path).free)
    with closing(EdgeStore(path, dimension=DIMENSION, exact_up_to=10)) as store:
        assert not store.optimise()
        assert store.count() == MANY
    assert "is full" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="Windows ends no process so")
def test_whoever_optimises_dies_with_the_process_that_asked(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    shutil.copytree(filled, path)
    process = subprocess.Popen(
        [sys.executable, "-m", optimiser.__name__, str(path)],
        cwd=Path(folder.__file__).parents[2],
        env={**os.environ, faults.VARIABLE: "optimiser started!SIGSTOP"},
        stdin=subprocess.PIPE,
    )
    found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert found is not None
    assert found.si_code == os.CLD_STOPPED
    assert process.stdin is not None
    process.stdin.close()  # as the end of whoever had it does
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == -signal.SIGIO
    assert "quantization_config" not in json.loads((path / folder.SETTINGS).read_text())
