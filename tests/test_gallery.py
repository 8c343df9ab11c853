"""The front door: what Python programs are promised."""

import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import reidsearch
from reidsearch import (
    CatalogError,
    EmptyGallery,
    EncoderMismatch,
    Gallery,
    GalleryClosed,
    ImageError,
    NewerSchema,
    StoreLocked,
    UnknownCamera,
    UsageError,
    lock,
)
from reidsearch.config import Config
from reidsearch.session import CATALOG
from tests.conftest import COLORS, Run, catalog_of, write_crop, write_encoder


@pytest.fixture
def probe(market: Path) -> Path:
    return market / "query/0002_c1s1_000001_00.jpg"


def test_a_gallery_is_opened_filled_and_searched_in_three_lines(
    tmp_path: Path, market: Path, encoder_file: Path, probe: Path
) -> None:
    with reidsearch.open(tmp_path / "people", encoder=encoder_file) as gallery:
        assert gallery.ingest(market).ingested == 31
        answer = gallery.query(probe, exclude_camera=True, top_k=4)
        assert {hit.identity for hit in answer.hits} == {2}
        assert gallery.config.sources["data_dir"] == "argument"


def test_arguments_beat_the_environment(
    tmp_path: Path, encoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("REIDSEARCH_RETAIN_DAYS", "30")
    with reidsearch.open(tmp_path / "here", encoder=encoder_file) as gallery:
        assert gallery.config.data_dir == tmp_path / "here"
        assert gallery.config.retain_days == 30
    with reidsearch.open(encoder=encoder_file, retain_days=7) as gallery:
        assert gallery.config.data_dir == tmp_path / "elsewhere"
        assert gallery.config.retain_days == 7
    with pytest.raises(UsageError, match="audit"):
        reidsearch.open(tmp_path / "here", audit="sometimes")


def test_every_search_is_recorded_with_the_hash_of_what_was_searched_with(
    gallery: Gallery, probe: Path
) -> None:
    data = probe.read_bytes()
    with Image.open(probe) as image:
        gallery.query(data, top_k=2)
        gallery.query(image, name="from PIL")
    gallery.trace(probe, min_score=0.9)
    first, second, third = gallery.audit()
    assert first.probe_sha256 == third.probe_sha256 == hashlib.sha256(data).hexdigest()
    assert (first.command, first.hits, third.command) == ("query", 2, "trace")
    assert first.filters["top_k"] == 2
    assert second.probe_sha256 != first.probe_sha256  # of the file that holds the pixels


def test_the_log_keeps_what_was_searched_with_though_the_file_is_gone(
    market: Path, settings: Config, probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = probe.read_bytes()
    with reidsearch.open(settings.data_dir, encoder=settings.encoder, audit="pictures") as gallery:
        gallery.ingest(market)
        asked = reidsearch.Probe.of(probe)
        probe.unlink()
        gallery.query(asked)
        gallery.audit(save=tmp_path / "probes")
    (kept,) = (tmp_path / "probes").iterdir()
    assert kept.read_bytes() == data
    assert kept.name == hashlib.sha256(data).hexdigest()


def test_a_search_that_cannot_be_recorded_is_not_answered(
    gallery: Gallery, settings: Config, probe: Path
) -> None:
    with catalog_of(settings) as catalog, catalog.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE query_log")
    for search in (gallery.query, lambda one: gallery.trace(one, min_score=0.5)):
        with pytest.raises(CatalogError):
            search(probe)


def test_an_answer_is_never_from_mixed_encoders(
    tmp_path: Path, gallery: Gallery, settings: Config, probe: Path
) -> None:
    gallery.close()
    # Of the same dimension, so that nothing but the fingerprint tells.
    swapped = write_encoder(tmp_path / "swapped.onnx", cell=4)
    assert swapped.read_bytes() != settings.encoder.read_bytes()
    with reidsearch.open(settings.data_dir, encoder=swapped) as other:
        for verb in (other.query, other.trace):
            with pytest.raises(EncoderMismatch):
                verb(probe)
        for read in (other.evaluate, other.calibrate):
            with pytest.raises(EncoderMismatch):
                read()


def test_an_encoder_replaced_while_the_gallery_is_open_is_noticed(
    tmp_path: Path, market: Path, probe: Path
) -> None:
    mine = write_encoder(tmp_path / "mine.onnx", cell=4)
    with reidsearch.open(tmp_path / "people", encoder=mine) as gallery:
        gallery.ingest(market)
    with reidsearch.open(tmp_path / "people", encoder=mine) as gallery:
        gallery.evaluate()  # opens the vectors, and not yet the encoder
        other = write_encoder(tmp_path / "other.onnx", cell=4)
        mine.write_bytes(other.read_bytes())
        with pytest.raises(EncoderMismatch, match="replaced"):
            gallery.query(probe)


def test_a_closed_gallery_says_so_whatever_is_asked_of_it(
    gallery: Gallery, market: Path, probe: Path, tmp_path: Path
) -> None:
    gallery.close()
    gallery.close()
    asked: list[Callable[[], object]] = [
        lambda: gallery.ingest(market),
        lambda: gallery.query(probe),
        lambda: gallery.trace(probe, min_score=0.5),
        gallery.evaluate,
        lambda: gallery.compare(gallery.config.encoder),
        gallery.calibrate,
        lambda: gallery.export(tmp_path / "out.npz"),
        gallery.status,
        gallery.doctor,
        lambda: gallery.forget(identity=1),
        gallery.audit,
        gallery.claim,
    ]
    for ask in asked:
        with pytest.raises(GalleryClosed):
            ask()


def test_a_file_is_no_gallery(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CatalogError, match="no folder"):
        reidsearch.open(tmp_path / "file")


def test_a_folder_without_a_gallery_is_left_as_it_is(
    tmp_path: Path, encoder_file: Path, probe: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/holiday.jpg").write_bytes(b"")
    for folder in (tmp_path / "photos", tmp_path / "nothing"):
        with reidsearch.open(folder, encoder=encoder_file) as gallery:
            for ask in (lambda g=gallery: g.query(probe), gallery.evaluate):
                with pytest.raises(EmptyGallery, match="is empty"):
                    ask()
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["holiday.jpg"]
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("content", [b"garbage" * 200, b"SQLite format 3\0" + bytes(2000)])
def test_a_catalog_that_is_none_is_an_error_at_opening(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CATALOG).write_bytes(content)
    with pytest.raises(CatalogError):
        reidsearch.open(tmp_path)
    assert (tmp_path / CATALOG).read_bytes() == content


def test_a_gallery_of_a_newer_version_is_an_error_at_opening(
    gallery: Gallery, settings: Config
) -> None:
    gallery.close()
    with catalog_of(settings) as catalog, catalog.engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NewerSchema):
        reidsearch.open(settings.data_dir)


def test_a_gallery_held_elsewhere_names_its_holder_and_leaves_nothing_held(
    gallery: Gallery, settings: Config, probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.3)  # as long as it does not lend
    other = reidsearch.open(settings.data_dir, encoder=settings.encoder)
    with pytest.raises(StoreLocked, match=r"reidsearch test \(process"):
        other.query(probe)
    assert other.status().cameras == (1, 2, 3)  # the catalog can be read all the same
    gallery.close()
    assert other.query(probe).hits  # once it is free
    other.close()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (None, TypeError),
        (7, TypeError),
        ({"probe.jpg"}, TypeError),
        (np.zeros((8, 8, 3), dtype=np.float32), TypeError),
        (np.zeros((8, 8, 3), dtype=np.int64), TypeError),
        (np.zeros((8, 8), dtype=np.uint8), ImageError),
        (np.zeros((8, 8, 4), dtype=np.uint8), ImageError),
        (np.zeros((0, 8, 3), dtype=np.uint8), ImageError),
        (np.zeros((2, 8, 8, 3), dtype=np.uint8), ImageError),
        (np.array(3, dtype=np.uint8), ImageError),
        (b"", ImageError),
        (b"no picture", ImageError),
        ("no/such/file.jpg", ImageError),
        (Path("no/such/file.jpg"), ImageError),
        ("a\0b.jpg", ImageError),
    ],
)
def test_a_probe_that_is_none_says_what_a_probe_is(
    gallery: Gallery, bad: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        gallery.query(bad)
    with pytest.raises(error):
        gallery.trace(bad, min_score=0.5)
    assert gallery.audit() == []


def test_a_probe_of_more_bytes_than_a_picture_has_is_refused_unread(gallery: Gallery) -> None:
    with pytest.raises(ImageError, match="too large"):
        gallery.query(bytes(100_000_001))


def test_a_probe_is_the_same_in_every_form(gallery: Gallery, tmp_path: Path) -> None:
    path = write_crop(tmp_path / "somebody.png", color=COLORS[3], seed=9)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
        forms: list[Any] = [
            path,
            str(path),
            path.read_bytes(),
            image,
            pixels,
            pixels[:, ::-1][:, ::-1],
        ]
        answers = [gallery.query(form, camera=1, exclude_camera=True) for form in forms]
    first = answers[0]
    assert first.hits
    for answer in answers[1:]:
        assert answer.hits == first.hits
    assert {answer.query for answer in answers} == {str(path), "probe"}


def test_a_picture_in_memory_is_turned_as_its_exif_says(gallery: Gallery, tmp_path: Path) -> None:
    upright = write_crop(tmp_path / "upright.png", color=COLORS[1], seed=3)
    with Image.open(upright) as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6  # turn it clockwise to see it upright
        buffer = io.BytesIO()
        turned.save(buffer, "PNG", exif=exif)
    expected = gallery.query(upright)
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        assert gallery.query(image).hits == expected.hits
    assert gallery.query(buffer.getvalue()).hits == expected.hits


def test_an_unknown_choice_is_an_error_that_lists_the_known_ones(
    gallery: Gallery, market: Path, probe: Path
) -> None:
    with pytest.raises(UsageError, match="train, query, gallery, multi-query"):
        gallery.query(probe, split="test")
    with pytest.raises(UsageError, match="train, query, gallery, multi-query"):
        gallery.ingest(market, splits=["test"])
    with pytest.raises(UsageError, match="train, gallery, matches"):
        gallery.calibrate(source="nowhere")
    with pytest.raises(UsageError, match="0 hits"):
        gallery.query(probe, top_k=0)
    with pytest.raises(UsageError, match="no rate"):
        gallery.trace(probe, false_matches=1.5)


def test_what_is_told_of_a_probe_beats_its_name(gallery: Gallery, probe: Path) -> None:
    asked = reidsearch.Probe.of(probe, camera=3, time="2024-05-01T12:00:00+02:00", name="x")
    assert (asked.seen.camera, asked.seen.identity, asked.name) == ("3", "2", "x")
    assert asked.seen.timestamp == 1714557600.0
    assert gallery.query(asked, top_k=1).camera == 3
    assert gallery.query(asked, camera=2, top_k=1).camera == 2
    with pytest.raises(UsageError, match="neither seconds since 1970 nor ISO"):
        gallery.query(probe, time="yesterday")
    with pytest.raises(UsageError, match="negative"):
        gallery.query(probe, camera=-4)
    with pytest.raises(UnknownCamera):
        gallery.query(probe.read_bytes(), exclude_camera=True)


def test_an_ingest_keeps_calibration_and_neighbours_current(
    gallery: Gallery, market: Path, probe: Path
) -> None:
    gallery.calibrate(source="matches")
    gallery.query(probe, rerank=True)
    collection = gallery._session.collection()
    for seed in range(8):
        name = f"bounding_box_test/0003_c2s1_{seed + 700:06d}_01.jpg"
        write_crop(market / name, color=COLORS[3], seed=300 + seed)
    summary = gallery.ingest(market)
    assert (summary.ingested, summary.calibrated) == (8, 35)
    from reidsearch.learning import neighbours
    from reidsearch.types import Split

    assert neighbours.current(collection, Split.GALLERY).computed == 0  # found by the ingest
    answer = gallery.query(probe, rerank=True, top_k=50)
    assert len(answer.hits) == 35
    (market / name).unlink()
    assert gallery.ingest(market, prune=True).pruned == 1
    assert neighbours.current(collection, Split.GALLERY).computed == 0
    assert len(gallery.query(probe, rerank=True, top_k=50).hits) == 34


def test_old_images_go_with_an_ingest(
    tmp_path: Path, market: Path, settings: Config, encoder_file: Path
) -> None:
    write_crop(tmp_path / "own/a.jpg", color=COLORS[1])
    write_crop(tmp_path / "own/b.jpg", color=COLORS[2])
    (tmp_path / "own.csv").write_text("path,timestamp\nown/a.jpg,2001-01-01\nown/b.jpg,\n")
    with reidsearch.open(tmp_path / "people", encoder=encoder_file) as gallery:
        assert gallery.ingest(tmp_path / "own.csv").ingested == 2
    with reidsearch.open(tmp_path / "people", encoder=encoder_file, retain_days=30) as gallery:
        summary = gallery.ingest(tmp_path / "own.csv")
        assert (summary.expired, summary.pruned) == (1, 1)
        assert gallery.status().images[0].images == 1


def test_eight_threads_get_the_answers_they_get_alone_beside_an_ingest(
    gallery: Gallery, market: Path, tmp_path: Path
) -> None:
    probes = sorted((market / "query").iterdir())
    alone = {p: gallery.query(p, only_cameras=(1,), top_k=8).hits for p in probes}
    for seed in range(300):  # of another camera, so that the answers stay what they are
        name = f"more/0001_c9s1_{seed:06d}_01.jpg"
        write_crop(tmp_path / name, color=COLORS[1 + seed % 4], seed=seed)
    ended = threading.Event()

    def ask(thread: int) -> int:
        asked = 0
        while not ended.is_set() or asked < 4:
            one = probes[(asked + thread) % len(probes)]
            assert gallery.query(one, only_cameras=(1,), top_k=8).hits == alone[one]
            asked += 1
        return asked

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, thread) for thread in range(8)]
        try:
            assert gallery.ingest(tmp_path / "more").ingested == 300
            gallery.forget(camera=9)  # rewrites the stores under the searches
        finally:
            ended.set()
        asked = sum(one.result() for one in asking)
    assert asked >= 32
    assert len(gallery.audit()) == asked + len(probes)
    assert gallery.doctor().left == ()


def test_the_face_is_what_it_promises() -> None:
    homes = {name for names in reidsearch._HOMES.values() for name in names}
    assert homes | {"__version__"} == set(reidsearch.__all__)
    for name in reidsearch.__all__:
        assert getattr(reidsearch, name).__doc__ or name == "__version__", name
    assert set(dir(reidsearch)) >= set(reidsearch.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        reidsearch.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_importing_reidsearch_loads_nothing_heavy() -> None:
    code = "import sys, reidsearch; reidsearch.UsageError; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "reidsearch.errors" in loaded
    heavy = {"numpy", "onnxruntime", "qdrant_client", "qdrant_edge", "sqlalchemy", "PIL", "typer"}
    assert not heavy & set(loaded)


def test_python_and_the_command_line_answer_alike(gallery: Gallery, probe: Path, run: Run) -> None:
    import json

    answer = gallery.query(probe, exclude_camera=True).document()
    evaluation = gallery.evaluate(camera_pairs=True).document()
    gallery.close()
    assert json.loads(run("query", probe, "--exclude-camera", "--json").stdout) == answer
    printed = json.loads(run("evaluate", "--camera-pairs", "--json").stdout)
    assert {**printed, "seconds": 0} == {**evaluation, "seconds": 0}
