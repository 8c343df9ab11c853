import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch import datasets, ingest
from reidsearch.catalog import State
from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder
from reidsearch.inspection.findings import Kind
from reidsearch.session import CATALOG, VECTORS
from reidsearch.stores import payload
from reidsearch.types import Ids, Payload, Points, Split, Vectors
from reidsearch.vectors.collection import Collection
from tests.conftest import COLORS, Run, filling, write_crop, write_encoder
from tests.test_ingest import snapshot


@pytest.fixture
def whole(market: Path, settings: Config, encoder: Encoder) -> dict[str, object]:
    """The market set, ingested; what its stores hold."""
    with filling(settings) as opened:
        ingest.take_in(opened, datasets.read(market), encoder=encoder)
        return snapshot(opened)


def first(opened: Collection, count: int = 1) -> tuple[Ids, Vectors, list[Payload]]:
    ids, vectors, payloads = next(iter(opened.store.records()))
    return ids[:count], vectors[:count].copy(), payloads[:count]


def lose_vectors(opened: Collection, settings: Config, market: Path) -> None:
    opened.store.delete(first(opened, 3)[0].tolist())


def leave_orphans(opened: Collection, settings: Config, market: Path) -> None:
    _, vectors, payloads = first(opened, 2)
    opened.store.upsert(Points(np.array([5, 6]), vectors, payloads))


def swap_vectors(opened: Collection, settings: Config, market: Path) -> None:
    ids, vectors, payloads = first(opened, 2)
    opened.store.upsert(Points(ids, vectors[::-1], payloads))


def spoil_vectors(opened: Collection, settings: Config, market: Path) -> None:
    ids, vectors, payloads = first(opened, 2)
    points = Points(ids, vectors, payloads)
    vectors[0] = np.nan  # past the check that Points makes
    vectors[1] *= 3
    opened.store.upsert(points)


def spoil_payloads(opened: Collection, settings: Config, market: Path) -> None:
    ids, vectors, payloads = first(opened)
    opened.store.upsert(Points(ids, vectors, [{**payloads[0], "camera_id": 99}]))


def leave_pending(opened: Collection, settings: Config, market: Path) -> None:
    opened.catalog.embeddings.set_pending(opened.encoder_id, first(opened, 4)[0].tolist())


def stray(opened: Collection, settings: Config, market: Path) -> None:
    folder = settings.data_dir / VECTORS / "reidsearch-of-somebody-else"
    folder.mkdir()
    (folder / "segment").write_bytes(b"vectors")


def touch(opened: Collection, settings: Config, market: Path) -> None:
    os.utime(market / "query/0001_c1s1_000001_00.jpg", (1, 1))


@pytest.mark.parametrize(
    ("plant", "kind", "count"),
    [
        (lose_vectors, "missing-vector", 3),
        (leave_orphans, "orphan-vector", 2),
        (swap_vectors, "altered-vector", 2),
        (spoil_vectors, "unusable-vector", 2),
        (spoil_payloads, "stale-payload", 1),
        (leave_pending, "pending", 4),
        (stray, "stray-collection", 1),
        (touch, "touched", 1),
    ],
)
def test_a_planted_defect_is_found_left_alone_and_mended_with_fix(
    market: Path,
    settings: Config,
    encoder: Encoder,
    whole: dict[str, object],
    run: Run,
    plant: object,
    kind: str,
    count: int,
) -> None:
    with filling(settings) as opened:
        plant(opened, settings, market)  # type: ignore[operator]
        spoilt = list(opened.store.records())
    (finding,) = json.loads(run("doctor", "--json", exit_code=1).stdout)["findings"]
    assert (finding["kind"], finding["found"], finding["left"]) == (kind, count, count)
    assert len(finding["subjects"]) == count
    with filling(settings) as opened:
        for (_, before, _), (_, now, _) in zip(spoilt, opened.store.records(), strict=True):
            assert before.tobytes() == now.tobytes()  # nothing was changed
    fixed = json.loads(run("doctor", "--fix", "--json").stdout)
    assert fixed["healthy"]
    assert [(f["kind"], f["found"], f["left"]) for f in fixed["findings"]] == [(kind, count, 0)]
    assert json.loads(run("doctor", "--json").stdout)["findings"] == []
    with filling(settings) as opened:
        assert snapshot(opened) == whole


def test_a_gallery_that_is_not_optimised_is_with_fix(
    settings: Config, whole: dict[str, object], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_EXACT_UP_TO", "30")  # of 31
    (finding,) = json.loads(run("doctor", "--json", exit_code=1).stdout)["findings"]
    assert (finding["kind"], finding["found"], finding["left"]) == ("unoptimised", 1, 1)
    assert set(json.loads(run("status", "--json").stdout)["scan"].values()) == {"exact"}
    assert json.loads(run("doctor", "--fix", "--json").stdout)["healthy"]
    assert set(json.loads(run("status", "--json").stdout)["scan"].values()) == {"quantised"}
    assert json.loads(run("doctor", "--json").stdout)["findings"] == []
    with filling(settings) as opened:
        assert snapshot(opened) == whole


def test_a_healthy_gallery_has_no_findings(whole: dict[str, object], run: Run) -> None:
    document = json.loads(run("doctor", "--json").stdout)
    assert document == {
        "images": 31, "vectors": 31, "healthy": True, "fixed": False, "findings": []
    }  # fmt: skip
    assert "agree" in run("doctor").stderr


def test_a_damaged_catalog_is_an_error(
    settings: Config, whole: dict[str, object], run: Run
) -> None:
    path = settings.data_dir / CATALOG
    data = bytearray(path.read_bytes())
    middle = len(data) // 8192 * 4096  # the start of a page
    data[middle : middle + 512] = b"\xff" * 512
    path.write_bytes(data)
    error = run("doctor", "--fix", exit_code=1).stderr
    assert "malformed" in error or "damaged" in error
    assert "backup" in error


def test_a_collection_of_another_dimension_is_made_anew(
    settings: Config, whole: dict[str, object], run: Run, encoder: Encoder
) -> None:
    from reidsearch.stores.edge import EdgeStore

    (folder,) = (settings.data_dir / VECTORS).iterdir()
    shutil.rmtree(folder)
    other = EdgeStore(folder, dimension=3)
    other.upsert(Points(np.array([5]), np.array([[1, 0, 0]], dtype=np.float32), [{}]))
    other.close()
    document = json.loads(run("doctor", "--json", exit_code=1).stdout)
    assert [f["kind"] for f in document["findings"]] == ["wrong-dimension"]
    assert json.loads(run("doctor", "--fix", "--json").stdout)["healthy"]
    with filling(settings) as opened:
        assert snapshot(opened) == whole


def test_a_changed_file_is_encoded_again(
    market: Path, settings: Config, encoder: Encoder, whole: dict[str, object], run: Run
) -> None:
    write_crop(market / "query/0001_c1s1_000001_00.jpg", color=COLORS[3], seed=9)
    (finding,) = json.loads(run("doctor", "--json", exit_code=1).stdout)["findings"]
    assert (finding["kind"], finding["subjects"]) == (
        "changed",
        ["query/0001_c1s1_000001_00.jpg"],
    )
    run("doctor", "--fix")
    with filling(settings) as opened:
        now = snapshot(opened)
    assert now["ids"] == whole["ids"]
    assert now["vectors"] != whole["vectors"]


def test_a_moved_file_keeps_its_vector(
    market: Path, settings: Config, encoder: Encoder, whole: dict[str, object], run: Run
) -> None:
    old, new = "query/0001_c1s1_000001_00.jpg", "query/0001_c1s1_000001_77.jpg"
    (market / old).rename(market / new)
    with filling(settings) as opened:
        stored, vectors = opened.load([Split.QUERY])
        (before,) = vectors[stored.path == old]
    (finding,) = json.loads(run("doctor", "--json", exit_code=1).stdout)["findings"]
    assert (finding["kind"], finding["subjects"]) == ("moved", [old])
    assert json.loads(run("doctor", "--fix", "--json").stdout)["healthy"]
    with filling(settings) as opened:
        stored, vectors = opened.load([Split.QUERY])
        assert old not in stored.path
        (after,) = vectors[stored.path == new]
        (labels,) = stored.labels.identity[stored.path == new].tolist()
    assert before.tobytes() == after.tobytes()
    assert stored.people[labels] == "1"


def test_a_vanished_file_is_reported_and_stays(
    market: Path, settings: Config, whole: dict[str, object], run: Run
) -> None:
    (market / "query/0001_c1s1_000001_00.jpg").unlink()
    document = json.loads(run("doctor", "--fix", "--json", exit_code=1).stdout)
    assert [(f["kind"], f["left"]) for f in document["findings"]] == [("vanished", 1)]
    assert document["images"] == 31
    shutil.rmtree(market)
    document = json.loads(run("doctor", "--fix", "--json", exit_code=1).stdout)
    assert [(f["kind"], f["left"]) for f in document["findings"]] == [("root-gone", 1)]


def test_what_cannot_be_mended_without_image_or_encoder_is_left_and_said(
    tmp_path: Path, market: Path, settings: Config, whole: dict[str, object], run: Run
) -> None:
    other = Encoder(write_encoder(tmp_path / "other.onnx", cell=8))
    with filling(replace(settings, encoder=other.path)) as opened:
        ingest.take_in(opened, datasets.read(market), encoder=other)
        opened.store.delete(first(opened)[0].tolist())
    document = json.loads(run("doctor", "--fix", "--json", exit_code=1).stdout)
    assert {f["kind"]: f["left"] for f in document["findings"]} == {
        "missing-vector": 0,
        "pending": 1,
    }
    result = run("--encoder", other.path, "doctor", "--fix")
    assert "agree" not in result.stderr


def test_vectors_from_before_there_were_checksums_get_one(
    settings: Config, encoder: Encoder, whole: dict[str, object], run: Run
) -> None:
    with filling(settings) as opened:
        ids = opened.catalog.embeddings.indexed_ids(opened.encoder_id)
        before = {e.image_id: e.checksum for e in opened.catalog.embeddings.all(opened.encoder_id)}
        with opened.catalog.engine.begin() as db:
            db.exec_driver_sql("UPDATE embedding SET checksum = NULL")
        opened.store.delete(sorted(ids)[:1])  # so that there is something to mend
    run("doctor", "--fix")
    with filling(settings) as opened:
        after = {e.image_id: e.checksum for e in opened.catalog.embeddings.all(opened.encoder_id)}
    assert after == before
    assert None not in before.values()


def test_an_interrupted_ingest_counts_as_ended_when_the_doctor_has_completed_it(
    settings: Config, encoder: Encoder, whole: dict[str, object], run: Run
) -> None:
    with filling(settings) as opened:
        leave_pending(opened, settings, Path())
        opened.catalog.runs.start(1, opened.encoder_id)
    run("evaluate", exit_code=1)
    run("doctor", "--fix")
    run("evaluate")


def test_the_table_names_what_is_wrong_and_what_to_do(
    settings: Config, encoder: Encoder, whole: dict[str, object], run: Run
) -> None:
    with filling(settings) as opened:
        lose_vectors(opened, settings, Path())
    result = run("doctor", exit_code=1)
    assert "missing-vector" in result.stdout
    assert Kind.MISSING_VECTOR.meaning in result.stdout
    assert "doctor --fix" in result.stderr
    assert State.PENDING not in result.stdout


def test_payloads_hold_what_is_known_of_what_searches_filter_on() -> None:
    told = payload(split=Split.GALLERY, dataset_id=5, camera_id=3, timestamp=12.5)
    assert told == {"split": "gallery", "dataset_id": 5, "camera_id": 3, "time": 12.5}
    untold = payload(split=Split.TRAIN, dataset_id=5, camera_id=None, timestamp=None)
    assert untold == {"split": "train", "dataset_id": 5}
