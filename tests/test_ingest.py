import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidsearch import datasets, ingest
from reidsearch.catalog import State
from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import StoreError
from reidsearch.gallery import Gallery
from reidsearch.pictures import contents, decoding
from reidsearch.types import Points, Split
from reidsearch.vectors.collection import Collection
from tests.conftest import COLORS, filling, write_crop, write_encoder


def snapshot(opened: Collection) -> dict[str, object]:
    """Everything both stores hold, to compare bit for bit."""
    stored, vectors = opened.load()
    return {
        "ids": stored.ids.tolist(),
        "paths": stored.path.tolist(),
        "identity": stored.labels.identity.tolist(),
        "camera": stored.labels.camera.tolist(),
        "frame": stored.frame.tolist(),
        "points": sorted(opened.store.ids()),
        "vectors": vectors.tobytes(),
        "counts": opened.catalog.images.counts(),
    }


def test_what_is_stored_is_what_the_encoder_says_of_each_file(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    stored, vectors = filled.load()
    assert len(stored) == 4 + 27
    for path, vector in zip(stored.path, vectors, strict=True):
        pixels = decoding.decode(contents.read_bytes(market / str(path)), size=encoder.size)
        assert np.array_equal(encoder.encode(pixels[None])[0], vector)
    assert filled.store.ids() == set(stored.ids.tolist())


def test_running_again_changes_nothing(market: Path, filled: Collection, encoder: Encoder) -> None:
    before = snapshot(filled)
    report = ingest.take_in(filled, datasets.read(market), encoder=encoder)
    assert (report.found, report.ingested, report.unchanged) == (31, 0, 31)
    assert snapshot(filled) == before


def test_only_new_and_changed_files_are_encoded(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    write_crop(market / "query/0002_c2s1_000009_00.jpg", color=COLORS[2], seed=500)
    write_crop(market / "query/0001_c1s1_000001_00.jpg", color=COLORS[3], seed=501)
    report = ingest.take_in(filled, datasets.read(market), encoder=encoder)
    assert (report.ingested, report.unchanged) == (2, 30)
    fresh = filled.catalog.images.stored(filled.encoder_id, [Split.QUERY])
    assert len(fresh) == 5


def test_bad_files_are_reported_and_recorded_and_the_rest_goes_on(
    market: Path, settings: Config, encoder: Encoder
) -> None:
    good = (market / "query/0001_c1s1_000001_00.jpg").read_bytes()
    bad = {
        "query/0001_c1s1_000002_00.jpg": b"",
        "query/0001_c1s1_000003_00.jpg": good[: len(good) // 2],
        "query/0001_c1s1_000004_00.jpg": b"just some text",
    }
    for name, data in bad.items():
        (market / name).write_bytes(data)
    with filling(settings) as opened:
        report = ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert report.ingested == 31
        assert {f.path for f in report.failures} == set(bad)
        assert report.done == report.found == 34
        states = {(row.split, row.state): row.images for row in opened.catalog.images.counts()}
        assert states[Split.QUERY, State.FAILED] == 3
        # The file is mended: next time it is taken in.
        (market / "query/0001_c1s1_000004_00.jpg").write_bytes(good)
        report = ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert (report.ingested, len(report.failures)) == (1, 2)


def test_a_file_that_went_bad_loses_its_vector(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    victim = market / "query/0003_c1s1_000001_00.jpg"
    victim.write_bytes(b"overwritten")
    ingest.take_in(filled, datasets.read(market), encoder=encoder)
    stored, _ = filled.load()
    assert "query/0003_c1s1_000001_00.jpg" not in stored.path.tolist()
    assert filled.store.ids() == set(stored.ids.tolist())


def test_a_picture_without_usable_vector_is_a_failure(tmp_path: Path) -> None:
    metadata = {"input_size": "16x8", "mean": "0,0,0", "std": "1,1,1"}
    encoder = Encoder(write_encoder(tmp_path / "zero.onnx", metadata=metadata))
    (tmp_path / "crops").mkdir()
    Image.new("RGB", (8, 16)).save(tmp_path / "crops/black.png")
    write_crop(tmp_path / "crops/red.png", color=COLORS[1])
    settings = Config(tmp_path / "home", None, encoder.path, "cpu", {})
    with filling(settings) as opened:
        report = ingest.take_in(opened, datasets.read(tmp_path / "crops"), encoder=encoder)
        assert report.ingested == 1
        assert [f.path for f in report.failures] == ["black.png"]
        assert len(opened.store.ids()) == 1


def test_vectors_that_the_store_lost_are_encoded_again(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    before = snapshot(filled)
    filled.store.delete(sorted(filled.store.ids())[:5])
    report = ingest.take_in(filled, datasets.read(market), encoder=encoder)
    assert (report.ingested, report.unchanged) == (5, 26)
    assert snapshot(filled) == before


def test_a_store_that_fails_midway_leaves_pending_images_and_the_next_run_completes(
    market: Path,
    gallery: Gallery,
    filled: Collection,
    settings: Config,
    encoder: Encoder,
    tmp_path: Path,
) -> None:
    expected = snapshot(filled)
    gallery.close()
    shutil.rmtree(settings.data_dir)
    with filling(settings) as opened:
        upsert = opened.store.upsert

        def fail(points: Points) -> None:
            upsert(points)  # stored, but never confirmed
            raise StoreError("the disk is full")

        opened.store.upsert = fail  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert {row.state for row in opened.catalog.images.counts()} == {"pending"}
        opened.store.upsert = upsert  # type: ignore[method-assign]
        ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert snapshot(opened) == expected
