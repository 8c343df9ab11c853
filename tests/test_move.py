"""A gallery is moved whole: vectors between stores, the catalog between databases, and what was
left stays as it was until it is removed."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch import Added, CopiedGallery, Crop, Gallery, StoreError, UsageError
from reidsearch.catalog import schema
from reidsearch.catalog.records import Left, Part
from reidsearch.config import Config
from reidsearch.errors import CatalogMoved, EmptyGallery
from reidsearch.session import CATALOG, VECTORS
from reidsearch.settings import CatalogUrl
from reidsearch.stores import EMBEDDED
from reidsearch.transport import vectors
from reidsearch.types import Kind, Points
from tests.conftest import Run, write_crop
from tests.qdrant_server import Fault, QdrantStandIn
from tests.test_server_faults import PATIENT, open_stores_with

PROBE = "query/0002_c1s1_000001_00.jpg"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    open_stores_with(PATIENT, monkeypatch)


@pytest.fixture
def learned(gallery: Gallery, market: Path) -> Gallery:
    """The market set, embedded, with all that is derived from it, and a search in its log."""
    gallery.calibrate(source="gallery")
    gallery.query(market / PROBE)
    return gallery


@pytest.fixture
def another() -> Iterator[QdrantStandIn]:
    with QdrantStandIn() as server:
        yield server


def stored(gallery: Gallery) -> dict[str, object]:
    """All vectors and payloads bit for bit, and all that the catalog says; row numbers of what is
    counted again are left out, and so are the settings."""
    session = gallery._session
    with session.changing():
        (one,) = session.collections()
        plain = {
            int(id): (vector.tobytes(), payload)
            for ids, vectors, payloads in one.store.records()
            for id, vector, payload in zip(ids, vectors, payloads, strict=True)
        }
        expanded = {
            int(id): vector.tobytes()
            for ids, vectors in one.store.scroll(kind=Kind.EXPANDED)
            for id, vector in zip(ids, vectors, strict=True)
        }
        catalog = session.catalog
        return {
            "plain": plain,
            "expanded": expanded,
            "images": [replace(image, machine=None) for image in catalog.images.all()],
            "embeddings": sorted(
                catalog.embeddings.all(one.encoder_id), key=lambda row: row.image_id
            ),
            "calibration": catalog.learned.calibration(one.encoder_id),
            "expansion": catalog.expansions.of(one.encoder_id),
            "log": [(e.time, e.probe_sha256, e.hits) for e in gallery.audit()],
        }


def test_vectors_go_to_a_server_to_another_and_back_bit_for_bit(
    learned: Gallery, settings: Config, qdrant: QdrantStandIn, another: QdrantStandIn
) -> None:
    before = stored(learned)
    assert len(before["expanded"]) == 27  # type: ignore[arg-type]
    for place in (qdrant.url, another.url, EMBEDDED):
        (part,) = learned.move(place).parts
        assert (part.part, part.target) == (Part.VECTORS, place)
        assert part.counts == {"vectors": 31, "expanded": 27, "anew": 0}
        with Gallery(settings, purpose="test") as later:  # which is not told where
            assert later.status().store == place
            assert stored(later) == before
            assert later.doctor().left == ()
    assert learned.move(EMBEDDED).parts == ()


def test_crops_that_wait_stay_and_are_stored_in_the_new_place(
    gallery: Gallery, qdrant: QdrantStandIn, catalog_url: str, market: Path
) -> None:
    data = (market / PROBE).read_bytes()
    for at, places in enumerate(([qdrant.url], [qdrant.url, catalog_url], [EMBEDDED])):
        (kept,) = gallery.put_aside([Crop(data, camera=f"gate {at}")])
        assert isinstance(kept, Added)
        gallery.move(places)
        assert gallery.status().waiting == 1
        gallery.keep_current()
        assert gallery.status().waiting == 0
        (image,) = gallery._session.catalog.images.of([kept.id])
        assert image.file.read_bytes() == data
        assert gallery.doctor().left == ()


def test_the_catalog_goes_to_postgresql_and_back_and_counts_on(
    learned: Gallery,
    settings: Config,
    qdrant: QdrantStandIn,
    catalog_url: str,
    market: Path,
) -> None:
    before = stored(learned)
    done = learned.move([qdrant.url, catalog_url])
    assert [part.part for part in done.parts] == [Part.VECTORS, Part.CATALOG]
    assert stored(learned) == before
    learned.close()
    with Gallery(settings, purpose="test") as later:
        assert later._session.shared
        assert stored(later) == before
        # New rows get numbers that none has.
        write_crop(market / "bounding_box_test/0005_c9s1_000001_01.jpg", color=(9, 9, 90))
        assert later.ingest(market).ingested == 1
        assert later.query(market / PROBE).hits
        assert len(later.audit()) == 2
        grown = stored(later)
        done = later.move(EMBEDDED)
        assert [part.part for part in done.parts] == [Part.CATALOG, Part.VECTORS]
        assert stored(later) == grown
    with Gallery(settings, purpose="test") as back:
        assert not back._session.shared
        assert back.status().store == EMBEDDED
        assert stored(back) == grown
        write_crop(market / "bounding_box_test/0006_c9s1_000001_01.jpg", color=(90, 9, 90))
        assert back.ingest(market).ingested == 1
        assert back.doctor().left == ()


def test_the_catalog_comes_back_alone_where_the_vectors_stay(
    gallery: Gallery, qdrant: QdrantStandIn, catalog_url: str
) -> None:
    gallery.move([qdrant.url, catalog_url])
    (part,) = gallery.move([EMBEDDED, qdrant.url]).parts
    assert part.part is Part.CATALOG
    assert gallery.status().store == qdrant.url
    assert gallery.doctor().left == ()


def test_a_gallery_that_is_open_elsewhere_follows(
    gallery: Gallery,
    settings: Config,
    qdrant: QdrantStandIn,
    another: QdrantStandIn,
    catalog_url: str,
    market: Path,
) -> None:
    gallery.move(qdrant.url)
    with Gallery(settings, purpose="test") as other:
        assert other.query(market / PROBE).hits
        for places in ([another.url], [catalog_url], [EMBEDDED, another.url], [qdrant.url]):
            gallery.move(places)
            gallery.remove_old()
            assert other.query(market / PROBE).hits
            assert other.ingest(market).unchanged == 31
            assert other.doctor().left == ()


def test_nothing_can_be_written_to_a_catalog_that_has_moved(
    gallery: Gallery, settings: Config, qdrant: QdrantStandIn, catalog_url: str
) -> None:
    gallery.move(qdrant.url)
    with closing(schema.open_catalog(settings.data_dir / CATALOG)) as before:
        gallery.move(catalog_url)
        with pytest.raises(CatalogMoved):
            before.record_store("http://elsewhere")
        assert before.store == qdrant.url


def test_a_place_that_is_another_gallerys_is_refused(
    gallery: Gallery, settings: Config, qdrant: QdrantStandIn, catalog_url: str, market: Path
) -> None:
    with pytest.raises(UsageError, match="for many machines"):
        gallery.move(catalog_url)
    home = settings.data_dir.with_name("other")
    theirs = replace(
        settings, data_dir=home, qdrant_url=qdrant.url, catalog_url=CatalogUrl(catalog_url)
    )
    with Gallery(theirs, purpose="test") as other:
        other.ingest(market)
    gallery.move(qdrant.url)
    with pytest.raises(UsageError, match="another gallery's catalog"):
        gallery.move(catalog_url)
    assert gallery.doctor().left == ()
    gallery.close()
    copy = settings.data_dir.with_name("copy")
    shutil.copytree(settings.data_dir, copy)
    with (
        Gallery(replace(settings, data_dir=copy), purpose="test") as copied,
        pytest.raises(CopiedGallery),
    ):
        copied.move(EMBEDDED)


@pytest.mark.parametrize(
    "words", [(), ("ftp://here",), ("http://a", "http://b"), ("http://u:p@a",)]
)
def test_what_is_no_place_is_refused(gallery: Gallery, words: tuple[str, ...]) -> None:
    with pytest.raises((UsageError, StoreError)) as error:
        gallery.move(words)
    assert "u:p" not in error.value.message + error.value.hint


def test_an_empty_gallery_has_nothing_to_move(settings: Config, qdrant: QdrantStandIn) -> None:
    with Gallery(settings, purpose="test") as opened, pytest.raises(EmptyGallery):
        opened.move(qdrant.url)


def test_a_vector_that_is_not_the_one_that_was_stored_stops_the_move(
    gallery: Gallery, qdrant: QdrantStandIn
) -> None:
    (one,) = gallery._session.collections()
    ids, vectors, payloads = next(one.store.records())
    one.store.upsert(Points(ids[:1], np.roll(vectors[:1], 1, axis=1), payloads[:1]))
    one.store.delete([int(ids[1])])
    with pytest.raises(
        StoreError, match=r"2 of the vectors in embedded .* \(1 are missing"
    ) as error:
        gallery.move(qdrant.url)
    assert "doctor" in error.value.hint
    assert gallery.status().store == EMBEDDED
    gallery.doctor(fix=True)
    assert gallery.move(qdrant.url).parts[0].counts["vectors"] == 31


def test_expanded_vectors_that_are_wrong_are_made_anew(
    learned: Gallery, qdrant: QdrantStandIn
) -> None:
    before = stored(learned)
    (one,) = learned._session.collections()
    ids, vectors = next(one.store.scroll(kind=Kind.EXPANDED))
    one.store.write_expanded(ids[:1], vectors[1:2])
    (part,) = learned.move(qdrant.url).parts
    assert part.counts["anew"] == 1
    assert stored(learned)["expanded"] == before["expanded"]
    assert learned.doctor().left == ()


def test_what_is_wrong_in_the_new_place_is_put_right(
    learned: Gallery, settings: Config, qdrant: QdrantStandIn
) -> None:
    before = stored(learned)
    learned.move(qdrant.url)
    learned.move(EMBEDDED)
    (points,) = qdrant.collections.values()
    first, second, third, fourth, *_ = sorted(points)
    points[first]["vectors"][""] = points[second]["vectors"][""]
    points[second]["payload"] = {"split": "train"}
    points[third]["vectors"]["expanded"] = points[first]["vectors"][""]
    points[7] = points.pop(fourth)
    learned.move(qdrant.url)
    assert stored(learned) == before


def test_a_store_that_gives_back_something_else_is_not_used(
    gallery: Gallery, qdrant: QdrantStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = qdrant.answers

    def forgetful(
        method: str, path: str, query: Mapping[str, str], body: dict[str, object]
    ) -> object:
        found = answers(method, path, query, body)
        if path.endswith("/points") and method == "PUT":
            for points in qdrant.collections.values():
                points.pop(min(points), None)
        return found

    monkeypatch.setattr(qdrant, "answers", forgetful)
    with pytest.raises(StoreError, match="not those that were written"):
        gallery.move(qdrant.url)
    assert gallery.status().store == EMBEDDED
    assert gallery.doctor().left == ()


def test_a_server_that_goes_away_leaves_the_gallery_where_it_was(
    gallery: Gallery, qdrant: QdrantStandIn
) -> None:
    qdrant.plan = lambda number, path: Fault.AWAY if number > 6 else None
    with pytest.raises(StoreError):
        gallery.move(qdrant.url)
    assert gallery.status().store == EMBEDDED
    assert gallery.doctor().left == ()
    qdrant.plan = lambda number, path: None
    assert gallery.move(qdrant.url).parts[0].counts["vectors"] == 31


@pytest.mark.parametrize("works", [True, False])
def test_from_a_server_to_the_data_dir_its_own_snapshot_is_used_where_it_works(
    learned: Gallery, qdrant: QdrantStandIn, works: bool
) -> None:
    before = stored(learned)
    learned.move(qdrant.url)
    learned.remove_old()
    qdrant.plan = lambda number, path: (
        Fault.BROKEN if path.endswith("/snapshot") and not works else None
    )
    qdrant.requests.clear()
    learned.move(EMBEDDED)
    assert stored(learned) == before
    assert learned.doctor().left == ()
    assert any(one.endswith("/shards/0/snapshot") for one in qdrant.requests)
    fetched = [one for one in qdrant.requests if one.startswith("POST") and one.endswith("points")]
    assert bool(fetched) is not works


def test_the_old_places_stay_until_they_are_removed(
    gallery: Gallery, settings: Config, qdrant: QdrantStandIn, catalog_url: str, market: Path
) -> None:
    (folder,) = (settings.data_dir / VECTORS).iterdir()
    done = gallery.move([qdrant.url, catalog_url])
    assert {one.part for one in done.left} == {Part.VECTORS, Part.CATALOG}
    assert folder.exists()
    assert set(gallery.remove_old()) == set(done.left)
    assert not folder.exists()
    assert gallery.remove_old() == ()
    gallery.close()
    for file in settings.data_dir.glob(f"{CATALOG}*"):
        assert b"0002_c1s1" not in file.read_bytes()
    with Gallery(settings, purpose="test") as later:  # the file still tells where it is
        assert later.query(market / PROBE).hits


def test_what_is_forgotten_is_not_kept_by_places_that_were_left(
    gallery: Gallery, settings: Config, qdrant: QdrantStandIn, another: QdrantStandIn
) -> None:
    gallery.move(qdrant.url)
    gallery.move(another.url)
    qdrant.down()
    gone = gallery.forget(identity=2)
    assert gone.left == (Left(part=Part.VECTORS, address=qdrant.url),)
    assert gone.document()["left"] == [{"part": "vectors", "address": qdrant.url}]
    assert not list((settings.data_dir / VECTORS).iterdir())
    qdrant.up()
    assert gallery.forget(identity=3).left == ()
    assert not qdrant.collections


def test_a_disk_without_room_is_noticed_before(
    gallery: Gallery, qdrant: QdrantStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.move(qdrant.url)
    monkeypatch.setattr(vectors, "RESERVE", 1 << 60)
    with pytest.raises(StoreError, match="MB free, and the move needs"):
        gallery.move(EMBEDDED)
    assert gallery.status().store == qdrant.url


def test_the_command_tells_what_was_moved_and_what_was_left(
    gallery: Gallery, settings: Config, qdrant: QdrantStandIn, catalog_url: str, run: Run
) -> None:
    gallery.close()
    told = json.loads(run("move", "--to", qdrant.url, "--json").stdout)
    (part,) = told["moved"]
    assert (part["source"], part["target"]) == (EMBEDDED, qdrant.url)
    assert told["left"] == [{"part": "vectors", "address": EMBEDDED}]
    result = run("move", "--catalog-url", catalog_url)
    assert "31 image" in result.stdout
    assert "PGPASSWORD" in result.stderr
    assert "reidsearch move --remove-old" in result.stderr
    assert "already" in run("move", "--to", catalog_url).stderr
    run("evaluate")
    assert "are gone" in run("move", "--remove-old").stderr
    assert json.loads(run("move", "--remove-old", "--json").stdout) == {"removed": []}
    assert "--to" in run("move", exit_code=2).stderr
    run("doctor")


def test_no_password_is_kept_or_shown(
    gallery: Gallery, settings: Config, qdrant: QdrantStandIn, catalog_url: str
) -> None:
    secret = catalog_url.replace("postgres@", "postgres:s3cret@")
    done = gallery.move([qdrant.url, secret])
    assert "s3cret" not in json.dumps(done.document())
    gallery.close()
    for file in settings.data_dir.glob(f"{CATALOG}*"):
        assert b"s3cret" not in file.read_bytes()
    with Gallery(settings, purpose="test") as later:
        assert "s3cret" not in str(later.status())
        assert later.doctor().left == ()
