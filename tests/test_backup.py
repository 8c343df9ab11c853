"""A backup holds the whole gallery, is checked before anything is made of it, and becomes a gallery
of its own."""

import hashlib
import json
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import reidsearch
from reidsearch import Added, BackupError, Crop, Gallery, StoreError, UsageError
from reidsearch.config import Config
from reidsearch.errors import EmptyGallery
from reidsearch.session import CATALOG
from reidsearch.settings import CatalogUrl
from reidsearch.transport import archive, restoring
from tests.conftest import Run
from tests.qdrant_server import QdrantStandIn
from tests.test_move import stored

PROBE = "query/0002_c1s1_000001_00.jpg"


@pytest.fixture
def learned(gallery: Gallery) -> Gallery:
    gallery.calibrate(source="gallery")
    return gallery


@pytest.fixture
def packed(learned: Gallery, tmp_path: Path) -> Path:
    """A backup of it."""
    return learned.backup(tmp_path / "backup.zip").file


def test_what_is_restored_is_what_was_there_and_shares_nothing(
    learned: Gallery, settings: Config, packed: Path, tmp_path: Path
) -> None:
    done = reidsearch.restore(packed, tmp_path / "restored")
    assert (done.images, done.vectors, done.expanded) == (31, 31, 27)
    assert done.found == ()
    with Gallery(replace(settings, data_dir=tmp_path / "restored"), purpose="test") as copy:
        assert stored(copy) == stored(learned)
        assert copy.evaluate().mAP == learned.evaluate().mAP
        assert copy._session.catalog.key == done.gallery != learned._session.catalog.key
        copy.forget(identity=2)
    assert learned.doctor().images == 31
    assert learned.doctor().left == ()


def test_a_backup_goes_from_servers_to_a_data_dir_and_back(
    learned: Gallery, settings: Config, qdrant: QdrantStandIn, catalog_url: str, tmp_path: Path
) -> None:
    before = stored(learned)
    learned.move([qdrant.url, catalog_url])
    file = learned.backup(tmp_path / "served.zip").file
    reidsearch.restore(file, tmp_path / "embedded")
    with Gallery(replace(settings, data_dir=tmp_path / "embedded"), purpose="test") as copy:
        assert copy.status().store == "embedded"
        assert stored(copy) == before
    assert learned.doctor().left == ()
    reidsearch.restore(file, tmp_path / "served", qdrant_url=qdrant.url)
    with Gallery(replace(settings, data_dir=tmp_path / "served"), purpose="test") as copy:
        assert copy.status().store == qdrant.url
        assert stored(copy) == before
        copy.forget(identity=2)
    assert len(qdrant.collections) == 2  # the original's is its own
    assert learned.doctor().left == ()


def test_pushed_crops_are_in_it_and_come_out_where_the_gallery_is(
    gallery: Gallery, settings: Config, market: Path, tmp_path: Path
) -> None:
    data = (market / PROBE).read_bytes()
    gallery.add([Crop(data, camera="gate")])
    done = gallery.backup(tmp_path)
    assert done.crops == 1
    reidsearch.restore(done.file, tmp_path / "restored")
    gallery.close()
    shutil.rmtree(settings.data_dir)
    with Gallery(replace(settings, data_dir=tmp_path / "restored"), purpose="test") as copy:
        (pushed,) = (i for i in copy._session.catalog.images.all() if i.camera == "gate")
        assert pushed.file.read_bytes() == data
        assert pushed.file.is_relative_to((tmp_path / "restored").resolve())
        assert copy.doctor().left == ()


def test_crops_that_wait_are_in_it_and_are_stored_by_who_takes_in_next(
    gallery: Gallery,
    settings: Config,
    market: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = (market / PROBE).read_bytes()
    waits = [Crop(data, camera=camera, identity="ann") for camera in ("gate", "hall")]
    ids = [one.id for one in gallery.put_aside(waits) if isinstance(one, Added)]
    (gallery._session.waiting_folder / "00001700000000000000-0123abcd.crop").write_bytes(b"{")
    done = gallery.backup(tmp_path / "backup.zip")
    assert (done.crops, done.waiting) == (0, 2)
    assert "0123abcd.crop was put aside and cannot be taken in" in caplog.text
    made = reidsearch.restore(done.file, tmp_path / "restored")
    assert made.waiting == made.document()["waiting"] == 2
    assert made.found == ()
    gallery.close()
    shutil.rmtree(settings.data_dir)
    with Gallery(replace(settings, data_dir=tmp_path / "restored"), purpose="test") as copy:
        assert copy.status().waiting == 2
        for file in copy._session.waiting_folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        again = Crop(data, camera="gate", identity="ann")
        (added,) = copy.add([again])
        assert isinstance(added, Added)
        assert (added.id, added.outcome) == (ids[0], "unchanged")  # it was stored just before
        assert copy.status().waiting == 0
        assert {one.id for one in copy._session.catalog.images.all()} >= set(ids)
        assert copy.doctor().left == ()


def test_crops_that_wait_there_already_stay(
    gallery: Gallery, settings: Config, market: Path, tmp_path: Path
) -> None:
    data = (market / PROBE).read_bytes()
    gallery.put_aside([Crop(data, camera="gate")])
    done = gallery.backup(tmp_path / "backup.zip")
    gallery.put_aside([Crop(data, camera="hall")])
    gallery.close()
    (settings.data_dir / CATALOG).unlink()  # which is lost
    reidsearch.restore(done.file, settings.data_dir)
    with Gallery(settings, purpose="test") as copy:
        assert copy.status().waiting == 2


def test_a_folder_that_is_not_there_yet_is_made(gallery: Gallery, tmp_path: Path) -> None:
    done = gallery.backup(tmp_path / "weekly" / "backups")
    assert done.file.parent == tmp_path / "weekly" / "backups"
    assert done.file.name.endswith(".reidsearch.zip")
    assert [one.name for one in done.file.parent.iterdir()] == [done.file.name]


def test_nothing_is_overwritten(
    gallery: Gallery, packed: Path, settings: Config, qdrant: QdrantStandIn, catalog_url: str
) -> None:
    with pytest.raises(UsageError, match="exists already"):
        gallery.backup(packed)
    with pytest.raises(UsageError, match="a gallery in"):
        reidsearch.restore(packed, settings.data_dir)
    assert gallery.doctor().left == ()
    elsewhere = settings.data_dir.with_name("elsewhere")
    with pytest.raises(UsageError, match="for many machines"):
        reidsearch.restore(packed, elsewhere, catalog_url=catalog_url)
    theirs = replace(settings, data_dir=elsewhere, qdrant_url=qdrant.url)
    with Gallery(replace(theirs, catalog_url=CatalogUrl(catalog_url)), purpose="test") as other:
        other.ingest(Path(gallery._session.catalog.places.datasets()[0].root))
    with pytest.raises(UsageError, match="holds a gallery's catalog"):
        reidsearch.restore(packed, elsewhere, qdrant_url=qdrant.url, catalog_url=catalog_url)


def test_an_empty_gallery_has_no_backup(settings: Config, tmp_path: Path) -> None:
    with Gallery(settings, purpose="test") as opened, pytest.raises(EmptyGallery):
        opened.backup(tmp_path / "backup.zip")


def test_nobody_else_can_read_a_backup_and_a_damaged_gallery_has_none(
    gallery: Gallery, tmp_path: Path
) -> None:
    done = gallery.backup(tmp_path / "backup.zip")
    assert stat.S_IMODE(done.file.stat().st_mode) == 0o600
    (one,) = gallery._session.collections()
    one.store.delete(sorted(one.store.ids())[:2])
    with pytest.raises(StoreError, match="2 of the vectors"):
        gallery.backup(tmp_path / "second.zip")
    assert not (tmp_path / "second.zip").exists()


def test_a_service_that_holds_the_gallery_lends_what_a_backup_takes(
    learned: Gallery, settings: Config, tmp_path: Path
) -> None:
    before = stored(learned)
    learned.close()
    with Gallery(settings, purpose="serve", address="http://127.0.0.1:1") as service:
        service.hold()
        with Gallery(settings, purpose="test") as beside:
            beside.backup(tmp_path / "backup.zip")
    reidsearch.restore(tmp_path / "backup.zip", tmp_path / "restored")
    with Gallery(replace(settings, data_dir=tmp_path / "restored"), purpose="test") as copy:
        assert stored(copy) == before


def rewritten(
    packed: Path, change: Callable[[dict[str, bytes]], None], *, manifest: bool = True
) -> Path:
    """The archive with changed members; their sizes and checksums, too, unless the ``manifest`` is
    to stay as it is."""
    with zipfile.ZipFile(packed) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    if manifest:
        told = json.loads(members[archive.MANIFEST])
        told["members"] = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
            if name != archive.MANIFEST
        }
        members[archive.MANIFEST] = json.dumps(told).encode()
    new = packed.with_name("hostile.zip")
    new.unlink(missing_ok=True)
    with zipfile.ZipFile(new, "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
    return new


def _told(members: dict[str, bytes], **changes: object) -> None:
    told = json.loads(members[archive.MANIFEST])
    members[archive.MANIFEST] = json.dumps(told | changes).encode()


def _encoder(members: dict[str, bytes], **changes: object) -> None:
    told = json.loads(members[archive.MANIFEST])
    told["encoders"][0] |= changes
    members[archive.MANIFEST] = json.dumps(told).encode()


WAITS = "waiting/00001700000000000000-0123abcd.crop"
HOSTILE: dict[str, Callable[[dict[str, bytes]], object]] = {
    "a path out of the folder": lambda m: m.update({"crops/../../evil": b"x"}),
    "an absolute path": lambda m: m.update({"/tmp/evil": b"x"}),
    "a file that belongs to nothing": lambda m: m.update({"notes.txt": b"x"}),
    "no catalog": lambda m: m.pop(archive.CATALOG),
    "no manifest": lambda m: m.pop(archive.MANIFEST),
    "a manifest that is no JSON": lambda m: m.update({archive.MANIFEST: b"{"}),
    "a manifest that is a list": lambda m: m.update({archive.MANIFEST: b"[]"}),
    "a deep manifest": lambda m: m.update({archive.MANIFEST: b"[" * 100_000}),
    "a newer format": lambda m: _told(m, format=3),
    "a crop that waits elsewhere": lambda m: m.update({"waiting/../evil.crop": b"{}\nx"}),
    "a crop that waits and is none": lambda m: m.update({WAITS: b"{}\nx"}),
    "a crop that waits and says more": lambda m: m.update({WAITS: b'{"data": "x"}\nx'}),
    "an encoder that is a path": lambda m: _encoder(m, fingerprint="../../../etc"),
    "more vectors than there are": lambda m: _encoder(m, vectors=10**12),
    "a dimension below zero": lambda m: _encoder(m, dimension=-1),
    "another dimension": lambda m: _encoder(m, dimension=3),
    "a catalog that is none": lambda m: m.update({archive.CATALOG: b"x" * 5000}),
    "a catalog of another program": lambda m: m.update({archive.CATALOG: _foreign()}),
}


def _foreign() -> bytes:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
        return db.serialize()


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    packed: Path, tmp_path: Path, what: str
) -> None:
    file = rewritten(
        packed, lambda m: (HOSTILE[what](m), None)[1], manifest="manifest" not in what
    )  # fmt: skip
    home = tmp_path / "restored"
    with pytest.raises((BackupError, reidsearch.CatalogError)):
        reidsearch.restore(file, home)
    assert not (home / CATALOG).exists()
    left = {path.name for path in home.iterdir()} if home.exists() else set()
    assert left <= {"lock", f"{CATALOG}.restoring"}
    assert not (tmp_path / "evil").exists()


def test_an_archive_that_was_cut_off_or_altered_is_refused(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    for at in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:at])
        with pytest.raises(BackupError):
            reidsearch.restore(tmp_path / "cut.zip", tmp_path / "restored")
    with zipfile.ZipFile(packed) as members:
        begins = {info.filename: info.header_offset for info in members.infolist()}
    for name, at in begins.items():
        altered = bytearray(whole)
        altered[at + 150] ^= 1
        (tmp_path / "altered.zip").write_bytes(altered)
        with pytest.raises(BackupError):
            reidsearch.restore(tmp_path / "altered.zip", tmp_path / "restored")
        assert name
    assert not (tmp_path / "restored").exists()


def test_members_that_are_compressed_or_have_one_name_are_refused(
    packed: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(packed) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr(archive.CATALOG, b"x")
    for name in ("bomb.zip", "twice.zip"):
        with pytest.raises(BackupError):
            reidsearch.restore(tmp_path / name, tmp_path / "restored")


def test_a_catalog_that_would_do_something_by_itself_is_refused(
    packed: Path, tmp_path: Path
) -> None:
    def add_trigger(members: dict[str, bytes]) -> None:
        file = tmp_path / "catalog"
        file.write_bytes(members[archive.CATALOG])
        with closing(sqlite3.connect(file)) as db:
            db.execute("CREATE TRIGGER evil AFTER DELETE ON setting BEGIN DELETE FROM image; END")
            db.commit()
            db.execute("PRAGMA journal_mode = DELETE")
        members[archive.CATALOG] = file.read_bytes()

    with pytest.raises(BackupError, match="evil"):
        reidsearch.restore(rewritten(packed, add_trigger), tmp_path / "restored")


def test_vectors_that_are_not_the_catalogs_are_refused(packed: Path, tmp_path: Path) -> None:
    def swap(members: dict[str, bytes]) -> None:
        (name,) = (name for name in members if name.endswith("plain.f4"))
        members[name] = members[name][::-1]

    with pytest.raises(StoreError, match="not those that were stored"):
        reidsearch.restore(rewritten(packed, swap), tmp_path / "restored")
    assert not (tmp_path / "restored" / CATALOG).exists()
    reidsearch.restore(packed, tmp_path / "restored")  # and a good one goes on from there


def test_a_disk_without_room_is_noticed_before(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "RESERVE", 1 << 60)
    with pytest.raises(BackupError, match="MB free"):
        reidsearch.restore(packed, tmp_path / "restored")


def test_the_commands_tell_what_they_did(
    gallery: Gallery, settings: Config, run: Run, tmp_path: Path, market: Path
) -> None:
    gallery.close()
    told = json.loads(run("backup", tmp_path, "--json").stdout)
    assert (told["images"], told["vectors"]) == (31, 31)
    assert Path(told["file"]).stat().st_size == told["bytes"]
    market.rename(tmp_path / "away")
    home = str(tmp_path / "restored")
    result = run("restore", told["file"], "--data-dir", home)
    assert "31 images, 31 vectors" in result.stderr
    assert "root-gone" in result.stdout
    assert "already" in run("restore", told["file"], "--data-dir", home, exit_code=2).stderr
    assert "backup.zip" in run("backup", tmp_path / "backup.zip").stderr
