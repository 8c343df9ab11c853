"""A gallery knows where its vectors are, and a copy of it is another gallery."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch import CopiedGallery, Gallery, StoreElsewhere, UsageError
from reidsearch.config import Config
from reidsearch.session import VECTORS
from tests.conftest import Run, catalog_of
from tests.qdrant_server import QdrantStandIn
from tests.test_server_faults import PATIENT, open_stores_with


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    open_stores_with(PATIENT, monkeypatch)


@pytest.fixture
def remote(settings: Config, market: Path, qdrant: QdrantStandIn) -> Config:
    """The settings of a gallery whose vectors are on the server; filled."""
    given = replace(settings, qdrant_url=qdrant.url)
    with Gallery(given, purpose="test") as gallery:
        gallery.ingest(market)
    return given


def on(qdrant: QdrantStandIn) -> int:
    """How many vectors the server holds in all."""
    return sum(len(points) for points in qdrant.collections.values())


def test_commands_without_the_address_use_the_server_that_the_gallery_is_on(
    remote: Config, settings: Config, market: Path, qdrant: QdrantStandIn
) -> None:
    assert settings.qdrant_url is None
    with Gallery(settings, purpose="test") as gallery:
        assert gallery.status().store == qdrant.url
        assert gallery.query(market / "query/0002_c1s1_000001_00.jpg").hits
        again = gallery.ingest(market)
        assert (again.ingested, again.unchanged) == (0, 31)
        gone = gallery.forget(identity=1)
        assert (len(gone.images), gone.vectors) == (8, 8)
        assert gallery.doctor().left == ()
    assert on(qdrant) == 23
    assert not (settings.data_dir / VECTORS).exists()  # no second store was filled


def test_another_server_than_the_gallerys_is_an_error_that_names_both(
    remote: Config, settings: Config, run: Run
) -> None:
    with QdrantStandIn() as another:
        result = run("--qdrant-url", another.url, "evaluate", exit_code=1)
        assert not another.collections
    assert another.url in result.stderr
    assert remote.qdrant_url is not None
    assert remote.qdrant_url in result.stderr


def test_the_same_server_at_another_address_is_known_by_what_it_holds(
    remote: Config, settings: Config, qdrant: QdrantStandIn, run: Run
) -> None:
    address = qdrant.url.replace("127.0.0.1", "localhost")
    run("--qdrant-url", address, "evaluate")
    assert on(qdrant) == 31
    with Gallery(settings, purpose="test") as gallery:
        assert gallery.status().store == address


def test_an_embedded_gallery_is_not_looked_for_on_a_server(
    gallery: Gallery, settings: Config, qdrant: QdrantStandIn, market: Path
) -> None:
    gallery.close()
    with Gallery(replace(settings, qdrant_url=qdrant.url), purpose="test") as other:
        for ask in (other.evaluate, lambda: other.ingest(market)):
            with pytest.raises(StoreElsewhere, match="its data dir"):
                ask()
    assert on(qdrant) == 0


def test_a_copy_that_shares_its_server_is_told_and_changes_nothing(
    remote: Config, tmp_path: Path, qdrant: QdrantStandIn, market: Path, run: Run
) -> None:
    copied = replace(remote, data_dir=tmp_path / "copy", qdrant_url=None)
    shutil.copytree(remote.data_dir, copied.data_dir)
    (market / "query/0001_c1s1_000001_00.jpg").unlink()
    with Gallery(copied, purpose="test") as copy:
        for ask in (
            copy.evaluate,
            lambda: copy.doctor(fix=True),
            lambda: copy.forget(identity=2),
            lambda: copy.ingest(market, prune=True),
        ):
            with pytest.raises(CopiedGallery):
                ask()
    assert on(qdrant) == 31
    with Gallery(remote, purpose="test") as original:
        assert original.doctor().images == 31


def test_a_copy_can_become_a_gallery_of_its_own(
    remote: Config, tmp_path: Path, qdrant: QdrantStandIn, market: Path
) -> None:
    copied = replace(remote, data_dir=tmp_path / "copy", qdrant_url=None)
    shutil.copytree(remote.data_dir, copied.data_dir)
    with Gallery(copied, purpose="test") as copy:
        copy.claim(copy=True)
        summary = copy.ingest(market)
        assert (summary.ingested, summary.unchanged) == (31, 0)
        copy.forget(identity=2)
        assert copy.doctor().left == ()
    with Gallery(remote, purpose="test") as original:
        assert original.doctor().left == ()
        assert len(original.query(market / "query/0002_c1s1_000001_00.jpg", top_k=50).hits) == 27
    assert on(qdrant) == 31 + 24


def test_a_restored_gallery_can_claim_what_is_its_own(
    remote: Config, tmp_path: Path, qdrant: QdrantStandIn, run: Run
) -> None:
    broken = tmp_path / "broken"
    remote.data_dir.rename(broken)
    shutil.copytree(broken, remote.data_dir)
    assert "reidsearch claim" in run("evaluate", exit_code=1).stderr
    assert "this gallery's" in run("claim").stderr
    run("evaluate")
    assert on(qdrant) == 31
    # Now the other one is the copy.
    with (
        Gallery(replace(remote, data_dir=broken), purpose="test") as other,
        pytest.raises(CopiedGallery),
    ):
        other.evaluate()


def test_a_gallery_that_is_only_renamed_needs_no_claim(
    remote: Config, tmp_path: Path, market: Path
) -> None:
    moved = replace(remote, data_dir=tmp_path / "moved", qdrant_url=None)
    remote.data_dir.rename(moved.data_dir)
    with Gallery(moved, purpose="test") as gallery:
        assert gallery.ingest(market).unchanged == 31


def test_what_is_no_copy_cannot_become_another_gallery(
    remote: Config, market: Path, qdrant: QdrantStandIn
) -> None:
    with Gallery(remote, purpose="test") as gallery:
        with pytest.raises(UsageError, match="no copy"):
            gallery.claim(copy=True)
        assert gallery.ingest(market).unchanged == 31
    assert on(qdrant) == 31


def test_there_is_nothing_to_claim_where_vectors_are_in_the_data_dir(gallery: Gallery) -> None:
    with pytest.raises(UsageError, match="in its data dir"):
        gallery.claim()


def test_a_copy_of_an_embedded_gallery_has_vectors_of_its_own(
    gallery: Gallery, settings: Config, tmp_path: Path
) -> None:
    gallery.close()
    shutil.copytree(settings.data_dir, tmp_path / "copy")
    with Gallery(replace(settings, data_dir=tmp_path / "copy"), purpose="test") as copy:
        copy.forget(identity=2)
        assert copy.doctor().left == ()
    with Gallery(settings, purpose="test") as original:
        assert original.doctor().images == 31
        assert original.doctor().left == ()


def test_a_gallery_filled_before_addresses_were_written_down_asks_for_its_server_once(
    remote: Config, settings: Config, market: Path, qdrant: QdrantStandIn, run: Run
) -> None:
    with catalog_of(remote) as catalog, catalog.engine.begin() as db:
        db.exec_driver_sql("DELETE FROM setting WHERE key IN ('store', 'home')")
    for command in (("evaluate",), ("ingest", market), ("doctor",)):
        assert "--qdrant-url" in run(*command, exit_code=1).stderr
    assert not (settings.data_dir / VECTORS).exists()
    run("--qdrant-url", qdrant.url, "ingest", market)
    run("evaluate")
    assert on(qdrant) == 31


def test_the_address_in_the_catalog_holds_no_secret(
    remote: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with catalog_of(remote) as catalog:
        assert catalog.store == remote.qdrant_url
