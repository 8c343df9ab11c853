import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch import datasets, ingest
from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder, fingerprint
from reidsearch.errors import UsageError
from reidsearch.gallery import Gallery
from reidsearch.session import VECTORS
from reidsearch.types import Split
from reidsearch.vectors.collection import Collection
from tests.conftest import (
    COLORS,
    Run,
    catalog_of,
    every,
    filling,
    reading,
    write_crop,
    write_encoder,
)
from tests.qdrant_server import QdrantStandIn

DAY = 86_400


@pytest.fixture
def ingested(market: Path, run: Run) -> Path:
    run("--quiet", "ingest", market)
    return market


def paths(settings: Config) -> set[str]:
    with catalog_of(settings) as catalog:
        return {image.path for image in catalog.images.all()}


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--identity", 1), 8),
        (("--camera", 2), 9),
        (("--identity", 1, "--camera", 2), 2),
        (("--image", "query/0001_c1s1_000001_00.jpg"), 1),
        (("--identity", -1), 1),
        (("--before", "2001-01-01"), 0),
        (("--before", "2999-01-01"), 31),
        (("--identity", 4711), 0),
    ],
)
def test_what_is_named_goes_from_both_stores_and_the_rest_stays(
    ingested: Path, settings: Config, run: Run, words: tuple[object, ...], count: int
) -> None:
    before = paths(settings)
    planned = json.loads(run("forget", *words, "--dry-run", "--json").stdout)
    assert planned["images"] == len(planned["paths"]) == count
    assert paths(settings) == before
    done = json.loads(run("forget", *words, "--yes", "--json").stdout)
    assert (done["images"], done["vectors"]) == (count, count)
    gone = {str(Path(p).relative_to(ingested)) for p in planned["paths"]}
    assert paths(settings) == before - gone
    with every(settings) as (catalog, (one,)):
        assert one.store.ids() == {row.id for row in catalog.images.all()}


def test_a_path_may_be_given_as_the_hits_show_it(
    ingested: Path, settings: Config, run: Run
) -> None:
    full = ingested / "query/0001_c1s1_000001_00.jpg"
    assert json.loads(run("forget", "--image", full, "--yes", "--json").stdout)["images"] == 1


def test_the_rows_of_an_identity_itself_go_too(ingested: Path, settings: Config, run: Run) -> None:
    run("forget", "--identity", 2, "--yes")
    with catalog_of(settings) as catalog, catalog.engine.connect() as db:
        names = db.exec_driver_sql("SELECT name FROM identity ORDER BY name").all()
    assert [n for (n,) in names] == ["-1", "0", "1", "3", "4"]


def test_images_of_every_encoder_go(
    tmp_path: Path, ingested: Path, settings: Config, run: Run
) -> None:
    other = Encoder(write_encoder(tmp_path / "other.onnx", cell=8))
    with filling(replace(settings, encoder=other.path)) as opened:
        ingest.take_in(opened, datasets.read(ingested), encoder=other)
    done = json.loads(run("forget", "--identity", 1, "--yes", "--json").stdout)
    assert (done["images"], done["vectors"]) == (8, 16)
    with every(settings) as (_, galleries):
        assert [len(one.store.ids()) for one in galleries] == [23, 23]


def test_it_asks_where_there_is_somebody_and_refuses_where_there_is_nobody(
    ingested: Path, settings: Config, run: Run
) -> None:
    result = run("forget", "--identity", 1, exit_code=2)
    assert "--yes" in result.stderr
    assert len(paths(settings)) == 31


def test_nothing_named_is_an_error(ingested: Path, run: Run) -> None:
    assert "--identity" in run("forget", "--yes", exit_code=2).stderr


def test_a_name_at_two_sites_must_be_told_apart(
    tmp_path: Path, ingested: Path, settings: Config, run: Run
) -> None:
    write_crop(tmp_path / "other/0001_c1.jpg", color=COLORS[2])
    run("ingest", tmp_path / "other")
    with (
        Gallery(settings, purpose="test") as gallery,
        pytest.raises(UsageError, match="main, market"),
    ):
        gallery.forget(identity=1, dry_run=True)
    done = run("forget", "--identity", 1, "--dataset", "other", "--yes", "--json")
    assert json.loads(done.stdout)["images"] == 1


def test_kept_neighbours_and_calibrations_do_not_know_the_forgotten_any_more(
    ingested: Path, settings: Config, run: Run
) -> None:
    run("calibrate", "--source", "gallery")
    run("query", ingested / "query/0002_c1s1_000001_00.jpg", "--rerank")

    def derived() -> tuple[int, int]:
        with reading(settings) as opened:
            row = opened.catalog.learned.calibration(opened.encoder_id)
            kept = opened.catalog.learned.neighbours(opened.encoder_id, Split.GALLERY)
            return (row.images if row else 0), len(kept or b"")

    assert derived() == (25, derived()[1])
    assert derived()[1] > 0
    run("forget", "--identity", 1, "--yes")
    assert derived() == (18, 0)


def test_the_newcomer_of_a_renamed_file_keeps_the_vector(
    ingested: Path, settings: Config, encoder: Encoder
) -> None:
    old, new = "query/0001_c1s1_000001_00.jpg", "query/0001_c2s1_000001_00.jpg"
    with filling(settings) as opened:
        stored, vectors = opened.load([Split.QUERY])
        (before,) = vectors[stored.path == old]
        (ingested / old).rename(ingested / new)
        report = ingest.take_in(opened, datasets.read(ingested), encoder=encoder)
        assert (report.moved, report.ingested, report.unchanged) == (1, 0, 30)
        assert report.done == report.found
        assert report.vanished == []
        stored, vectors = opened.load([Split.QUERY])
        (after,) = vectors[stored.path == new]
        assert before.tobytes() == after.tobytes()
        (camera,) = stored.labels.camera[stored.path == new].tolist()
        assert stored.cameras[camera] == "2"
        assert opened.store.ids() == {row.id for row in opened.catalog.images.all()}


def test_vanished_images_are_reported_and_removed_with_prune_alone(
    ingested: Path, settings: Config, run: Run
) -> None:
    gone = "query/0001_c1s1_000001_00.jpg"
    (ingested / gone).unlink()
    report = json.loads(run("ingest", ingested, "--json").stdout)
    assert (report["vanished"], report["pruned"]) == ([gone], 0)
    assert gone in paths(settings)
    report = json.loads(run("ingest", ingested, "--split", "gallery", "--json").stdout)
    assert report["vanished"] == []  # queries were not looked for
    report = json.loads(run("ingest", ingested, "--prune", "--json").stdout)
    assert (report["vanished"], report["pruned"]) == ([], 1)
    assert gone not in paths(settings)
    assert len(paths(settings)) == 30


def manifest(folder: Path, ages: list[float]) -> Path:
    lines = ["path,camera,timestamp"]
    for number, age in enumerate(ages):
        write_crop(folder / f"{number}.jpg", color=COLORS[1 + number % 4], seed=number)
        lines.append(f"{number}.jpg,1,{time.time() - age * DAY:.0f}")
    (folder / "crops.csv").write_text("\n".join(lines))
    return folder / "crops.csv"


def test_images_past_their_retention_are_not_taken_in_and_go_when_they_get_there(
    tmp_path: Path, settings: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = manifest(tmp_path / "crops", [1, 20, 40])
    run("ingest", file)
    monkeypatch.setenv("REIDSEARCH_RETAIN_DAYS", "30")
    document = json.loads(run("doctor", "--json", exit_code=1).stdout)
    assert [(f["kind"], f["subjects"]) for f in document["findings"]] == [("expired", ["2.jpg"])]
    report = json.loads(run("ingest", file, "--json").stdout)
    assert (report["expired"], report["pruned"]) == (1, 1)
    assert paths(settings) == {"0.jpg", "1.jpg"}
    report = json.loads(run("ingest", file, "--json").stdout)
    assert (report["expired"], report["pruned"], report["unchanged"]) == (1, 0, 2)
    monkeypatch.setenv("REIDSEARCH_RETAIN_DAYS", "10")
    assert json.loads(run("doctor", "--fix", "--json").stdout)["healthy"]
    assert paths(settings) == {"0.jpg"}


def test_hits_of_images_being_deleted_are_not_shown(filled: Collection) -> None:
    row = filled.catalog.images.all()[0]
    filled.catalog.embeddings.mark_deleting([row.id], compact=False)
    assert row.id not in filled.catalog.images.describe(filled.encoder_id, [row.id])
    assert row.id not in filled.catalog.images.stored(filled.encoder_id).ids


def test_an_encoder_is_forgotten_with_all_that_was_made_with_it(
    tmp_path: Path, ingested: Path, settings: Config, run: Run
) -> None:
    other = write_encoder(tmp_path / "other.onnx", cell=8)
    write_crop(tmp_path / "more/a.png", color=COLORS[2])
    run("--encoder", other, "ingest", ingested)
    run("--encoder", other, "calibrate", "--source", "gallery")
    with every(settings) as (catalog, _):
        (id,) = (one.id for one in catalog.encoders() if one.name == "other")
        catalog.runs.start(1, id)  # cut short
    run("--encoder", other, "ingest", tmp_path / "more")
    before = run("query", ingested / "query/0001_c1s1_000001_00.jpg", "--json").stdout
    words = ("forget", "--vectors-of", "other")
    planned = json.loads(run(*words, "--dry-run", "--json").stdout)
    assert planned["paths"] == [str(tmp_path / "more/a.png")]
    assert "32 vectors of other" in run(*words, exit_code=2).stderr
    assert json.loads(run(*words, "--yes", "--json").stdout) == {
        "images": 1,
        "vectors": 32,
        "compacted": True,
        "backups": 0,
        "left": [],
        "waiting": 0,
    }
    with every(settings) as (catalog, collections):
        assert [one.encoder_name for one in collections] == ["colours"]
        assert len(catalog.images.all()) == 31
        for table in ("calibration", "neighbours", "ingest_run", "embedding"):
            with catalog.engine.connect() as db:
                query = f"SELECT count(*) FROM {table} WHERE encoder_id = {id}"
                assert db.exec_driver_sql(query).scalar() == 0
    assert len(list((settings.data_dir / VECTORS).iterdir())) == 1
    run("doctor")
    assert run("query", ingested / "query/0001_c1s1_000001_00.jpg", "--json").stdout == before


def test_an_encoder_is_named_by_name_or_fingerprint_and_must_be_one(
    tmp_path: Path, ingested: Path, settings: Config, run: Run
) -> None:
    twin = write_encoder(tmp_path / "twin.onnx", cell=8)
    twin = twin.rename(tmp_path / "colours.onnx")
    run("--encoder", write_encoder(twin, cell=8), "ingest", ingested)
    prints = [fingerprint(settings.encoder), fingerprint(twin)]
    stderr = run("forget", "--vectors-of", "colours", "--yes", exit_code=2).stderr
    assert all(f"colours ({one[:8]})" in stderr for one in prints)
    assert "Stored: colours" in run("forget", "--vectors-of", "nobody", exit_code=2).stderr
    assert "alone" in run("forget", "--vectors-of", "colours", "--camera", 1, exit_code=2).stderr
    run("forget", "--vectors-of", prints[1][:8], "--yes")
    with every(settings) as (_, collections):
        assert [one.fingerprint for one in collections] == prints[:1]


def test_an_encoder_is_forgotten_on_a_server(
    tmp_path: Path, market: Path, settings: Config, qdrant: QdrantStandIn, run: Run
) -> None:
    other = write_encoder(tmp_path / "other.onnx", cell=8)
    for encoder in (settings.encoder, other):
        run("--qdrant-url", qdrant.url, "--encoder", encoder, "ingest", market)
    assert len(qdrant.collections) == 2
    run("forget", "--vectors-of", "other", "--yes")
    (left,) = qdrant.collections
    assert fingerprint(settings.encoder)[:16] in left
