"""A gallery whose catalog is on a PostgreSQL server, with its vectors on a Qdrant server: every
verb does as with files."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import reidsearch
from reidsearch import CatalogError, Gallery, ImageError, UsageError
from reidsearch.config import Config
from reidsearch.settings import CatalogUrl
from tests.conftest import write_crop
from tests.qdrant_server import QdrantStandIn

PROBE = "query/0002_c1s1_000001_00.jpg"


@pytest.fixture
def shared(settings: Config, catalog_url: str, qdrant: QdrantStandIn) -> Config:
    """The settings of a new gallery on both servers."""
    return replace(settings, catalog_url=CatalogUrl(catalog_url), qdrant_url=qdrant.url)


@pytest.fixture
def filled(shared: Config, market: Path) -> Iterator[Gallery]:
    """Such a gallery with the market set in it, open."""
    with Gallery(shared, purpose="test") as opened:
        opened.ingest(market)
        yield opened


def test_what_a_gallery_answers_does_not_depend_on_where_its_catalog_is(
    filled: Gallery, gallery: Gallery, market: Path
) -> None:
    for one in (filled, gallery):
        one.calibrate(source="gallery")
    ours, theirs = (one.query(market / PROBE, exclude_camera=True) for one in (filled, gallery))
    assert [(h.id, round(h.score, 5)) for h in ours.hits] == [
        (h.id, round(h.score, 5)) for h in theirs.hits
    ]
    told, known = (one.evaluate().document() for one in (filled, gallery))
    assert (told["mAP"], told["mINP"], told["cmc"]) == (known["mAP"], known["mINP"], known["cmc"])


def test_every_verb_works_on_a_server(filled: Gallery, market: Path, tmp_path: Path) -> None:
    assert filled.ingest(market).unchanged == 31
    assert filled.doctor().left == ()
    assert [e.command for e in filled.audit()] == []
    filled.query(market / PROBE)
    assert [e.command for e in filled.audit()] == ["query"]
    filled.calibrate(source="gallery")
    assert filled.trace(market / PROBE, min_score=0.9).stays
    assert filled.export(tmp_path / "out.csv")["images"] == 31
    (market / PROBE).rename(market / "query/0002_c1s1_000009_00.jpg")
    assert filled.ingest(market).moved == 1
    gone = filled.forget(identity=1)
    assert (len(gone.images), gone.vectors, gone.compacted) == (8, 8, False)
    assert filled.doctor().left == ()
    assert filled.status().document()["images"]
    filled.forget_encoder("colours")
    assert filled.doctor().images == 0


def test_crops_may_be_pushed_by_name_from_every_machine(
    filled: Gallery, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for machine in ("north", "south"):
        monkeypatch.setenv("REIDSEARCH_MACHINE", machine)
        crop = reidsearch.Crop((market / PROBE).read_bytes(), camera="lobby", name="one")
        (added,) = filled.add([crop])
        assert added.outcome == "stored"  # type: ignore[union-attr]
    assert {one.dataset for one in filled.status().images} >= {"pushed on north", "pushed on south"}
    assert filled.keep_current().removed == 0


def test_forgetting_reaches_what_waits_here_and_names_the_machines_where_more_may(
    filled: Gallery,
    market: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    crop = reidsearch.Crop((market / PROBE).read_bytes(), camera="lobby", identity="ann")
    monkeypatch.setenv("REIDSEARCH_MACHINE", "south")
    filled.add([crop])
    monkeypatch.setenv("REIDSEARCH_MACHINE", "north")
    filled.put_aside([crop])
    done = filled.forget(identity="ann")
    assert (len(done.images), done.waiting) == (1, 1)
    assert "wait on south" in caplog.text
    assert filled.keep_current().removed == 0
    assert filled.forget(identity="ann", dry_run=True).images == ()


def test_vectors_of_a_catalog_for_many_machines_are_on_a_server(
    settings: Config, catalog_url: str, market: Path
) -> None:
    with (
        Gallery(replace(settings, catalog_url=CatalogUrl(catalog_url)), purpose="test") as opened,
        pytest.raises(UsageError, match="for many machines") as error,
    ):
        opened.ingest(market)
    assert "qdrant_url" in error.value.hint


def test_hits_say_on_whose_disk_they_are(
    filled: Gallery, shared: Config, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_MACHINE", "south")
    with Gallery(shared, purpose="test") as there:
        hit = there.query(market / PROBE).hits[0]
        assert hit.machine not in (None, "south")
        other = market.parent / "elsewhere" / "market"
        write_crop(other / "bounding_box_test/0009_c1s1_000001_00.jpg", color=(9, 9, 9))
        with pytest.raises(UsageError, match="other pictures") as error:
            there.ingest(other)
        assert "`name=...`" in error.value.hint
        assert there.ingest(other, name="south").ingested == 1


def picture_of(gallery: Gallery, id: int) -> bytes:
    found = gallery.pictures([id])[id]
    assert isinstance(found, bytes)
    return found


def test_small_pictures_are_for_machines_that_cannot_read_the_files_and_are_forgotten_with_them(
    shared: Config, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gallery(replace(shared, thumbnails=True), purpose="test") as there:
        there.ingest(market)
        probe = (market / PROBE).read_bytes()
        (market / PROBE).rename(market / "query/0002_c1s1_000009_00.jpg")
        assert there.ingest(market).moved == 1
        market.rename(tmp_path / "away")  # as it is for all other machines
        monkeypatch.setenv("REIDSEARCH_MACHINE", "south")
        answer = there.query(probe, camera=1)
        small = answer.hits[0]
        with Image.open(io.BytesIO(picture_of(there, small.id))) as picture:
            assert picture.format == "JPEG"
            assert picture.height == 128
            assert picture.width == 64
        answer.save(tmp_path / "sheet.html")
        assert "data:image/jpeg" in (tmp_path / "sheet.html").read_text()
        assert "no such file" not in (tmp_path / "sheet.html").read_text()
        with pytest.raises(ImageError, match="on the disk of"):
            there.stored(small.id)
        assert there.doctor().left == ()  # files are looked at where they are
        every = there._session.catalog.images
        ids = [image.id for image in every.all()]
        assert len(every.thumbnails(ids)) == 31
        there.forget(identity=2)
        assert len(every.thumbnails(ids)) == 24


def test_without_small_pictures_it_is_said_where_the_file_is(
    filled: Gallery, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = filled.query(market / PROBE).hits[0]
    market.rename(tmp_path / "away")
    monkeypatch.setenv("REIDSEARCH_MACHINE", "south")
    error = filled.pictures([hit.id])[hit.id]
    assert isinstance(error, ImageError)
    assert "no small picture" in error.message
    assert "thumbnails = true" in error.hint


def test_a_database_without_a_catalog_is_an_empty_gallery_and_stays_empty(
    postgres: object, settings: Config, market: Path
) -> None:
    from sqlalchemy import create_engine, inspect

    from tests.postgres import Cluster, database

    assert isinstance(postgres, Cluster)
    with database(postgres.url) as url:
        with (
            Gallery(replace(settings, catalog_url=CatalogUrl(url)), purpose="test") as opened,
            pytest.raises(reidsearch.EmptyGallery),
        ):
            opened.query(market / PROBE)
        engine = create_engine(url)
        assert inspect(engine).get_table_names() == []
        with engine.begin() as db:
            db.exec_driver_sql("CREATE TABLE recipes (name TEXT)")
        engine.dispose()
        with pytest.raises(CatalogError, match="another program"):
            Gallery(replace(settings, catalog_url=CatalogUrl(url)), purpose="test")
