"""A move, a backup or a restore that is killed anywhere, and run again, ends as one that was not.

Every kill is a real SIGKILL of a real process; stores and databases are real, but for the stand-in
of a Qdrant server.
"""

import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch import Crop, Gallery, faults
from reidsearch.catalog import schema
from reidsearch.config import Config
from reidsearch.files import copy_folder
from reidsearch.session import CATALOG
from reidsearch.settings import CatalogUrl
from reidsearch.stores import EMBEDDED
from tests.conftest import COLORS, write_crop
from tests.processes import finish, reidsearch
from tests.qdrant_server import QdrantStandIn
from tests.test_move import stored

CROPS = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder_file: Path) -> Config:
    """An embedded gallery with all that is derived from it."""
    home = tmp_path_factory.mktemp("whole")
    for seed in range(CROPS):
        person, camera = 1 + seed % 4, 1 + seed // 4 % 3
        name = f"{person:04d}_c{camera}s1_{seed:06d}_00.jpg"
        write_crop(home / "crops" / name, color=COLORS[person], seed=seed)
    settings = Config(home / "home", None, encoder_file, "cpu", {})
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(home / "crops")
        gallery.calibrate(source="gallery")
    return settings


@pytest.fixture
def copied(tmp_path: Path, whole: Config) -> Config:
    copy_folder(whole.data_dir, tmp_path / "home")
    return replace(whole, data_dir=tmp_path / "home")


@pytest.fixture(scope="module")
def expected(whole: Config) -> dict[str, object]:
    with Gallery(whole, purpose="test") as gallery:
        return stored(gallery)


@pytest.fixture
def server() -> Iterator[QdrantStandIn]:
    with QdrantStandIn() as running:
        yield running


def killed(settings: Config, *words: object, fault: str) -> None:
    code, stderr = finish(reidsearch(settings, *words, fault=fault))
    assert code == -signal.SIGKILL, f"{fault} was never reached: {stderr}"


def ended(settings: Config, *words: object) -> None:
    code, stderr = finish(reidsearch(settings, *words))
    assert code == 0, stderr


def is_whole(settings: Config, expected: dict[str, object]) -> None:
    with Gallery(settings, purpose="test") as gallery:
        assert stored(gallery) == expected
        assert gallery.doctor().left == ()


@pytest.mark.parametrize("fault", faults.MOVE_VECTORS)
def test_vectors_on_their_way_to_a_server_and_back(
    copied: Config, server: QdrantStandIn, expected: dict[str, object], fault: str
) -> None:
    for place in (server.url, EMBEDDED):
        if fault == "vectors carried" and place == EMBEDDED:
            return  # what the server's snapshot brought, and the old place still had, is right
        killed(copied, "move", "--to", place, fault=fault)
        is_whole(copied, expected)  # wherever it is
        ended(copied, "move", "--to", place)
        is_whole(copied, expected)
        with Gallery(copied, purpose="test") as gallery:
            assert gallery._session.address == place


@pytest.mark.parametrize("fault", faults.MOVE_CATALOG)
def test_a_catalog_on_its_way_to_postgresql_and_back(
    copied: Config,
    server: QdrantStandIn,
    expected: dict[str, object],
    catalog_url: str,
    fault: str,
) -> None:
    with Gallery(copied, purpose="test") as gallery:
        gallery.move(server.url)
    killed(copied, "move", "--to", catalog_url, fault=fault)
    is_whole(copied, expected)
    if fault in ("catalog in place", "catalog switched"):  # before, there is nothing at all
        is_whole(replace(copied, catalog_url=CatalogUrl(catalog_url)), expected)
    ended(copied, "move", "--to", catalog_url)
    is_whole(copied, expected)
    killed(copied, "move", "--to", EMBEDDED, "--to", server.url, fault=fault)
    is_whole(copied, expected)
    ended(copied, "move", "--to", EMBEDDED)
    is_whole(copied, expected)
    with Gallery(copied, purpose="test") as gallery:
        assert gallery._session.address == EMBEDDED
        assert not gallery._session.shared


@pytest.mark.parametrize("fault", faults.REMOVE_OLD)
def test_the_removal_of_an_old_place(
    copied: Config, server: QdrantStandIn, expected: dict[str, object], fault: str
) -> None:
    ended(copied, "move", "--to", server.url)
    killed(copied, "move", "--remove-old", fault=fault)
    is_whole(copied, expected)
    ended(copied, "move", "--remove-old")
    with Gallery(copied, purpose="test") as gallery:
        assert gallery.remove_old() == ()
    is_whole(copied, expected)


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_a_move_killed_at_random_moments_again_and_again(
    copied: Config,
    server: QdrantStandIn,
    expected: dict[str, object],
    catalog_url: str,
    kills: int,
) -> None:
    rng = random.Random(0)
    there, back = (server.url, catalog_url), (EMBEDDED,)
    began = time.monotonic()
    ended(copied, "move", *(word for place in there for word in ("--to", place)))
    span = time.monotonic() - began
    for at in range(kills):
        places = there if at % 2 else back
        process = reidsearch(copied, "move", *(w for place in places for w in ("--to", place)))
        time.sleep(rng.uniform(0.2, 1.0) * span)
        process.kill()
        finish(process)
        is_whole(copied, expected)
    ended(copied, "move", "--to", EMBEDDED)
    is_whole(copied, expected)


@pytest.mark.parametrize("fault", faults.BACKUP)
def test_a_backup(copied: Config, expected: dict[str, object], tmp_path: Path, fault: str) -> None:
    out = tmp_path / "backups"
    out.mkdir()
    killed(copied, "backup", out, fault=fault)
    assert not list(out.glob("*.zip"))  # nothing that could be taken for one
    ended(copied, "backup", out)
    (file,) = out.iterdir()  # nor is anything of the other left
    restored = replace(copied, data_dir=tmp_path / "restored")
    ended(restored, "restore", file)
    is_whole(restored, expected)


@pytest.mark.parametrize("fault", faults.RESTORE)
def test_a_restore(
    copied: Config,
    server: QdrantStandIn,
    expected: dict[str, object],
    tmp_path: Path,
    fault: str,
) -> None:
    file = tmp_path / "backup.zip"
    picture = write_crop(tmp_path / "pushed.jpg", color=COLORS[1]).read_bytes()
    with Gallery(copied, purpose="test") as gallery:
        gallery.put_aside([Crop(picture)])
    ended(copied, "backup", file)
    for name, words in (("embedded", ()), ("served", ("--qdrant-url", server.url))):
        restored = replace(copied, data_dir=tmp_path / name)
        killed(restored, "restore", file, *words, fault=fault)
        assert not (restored.data_dir / CATALOG).exists()  # no gallery yet
        ended(restored, "restore", file, *words)
        is_whole(restored, expected)
        left = {path.name for path in restored.data_dir.iterdir()}
        assert left <= {CATALOG, "lock", "vectors", "waiting"}
        (waiting,) = (restored.data_dir / "waiting").iterdir()
        assert waiting.read_bytes().endswith(picture)
    assert len(server.collections) == 1  # what the kill left was used


def test_a_restore_onto_two_servers(
    copied: Config,
    server: QdrantStandIn,
    expected: dict[str, object],
    catalog_url: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / "backup.zip"
    ended(copied, "backup", file)
    restored = replace(copied, data_dir=tmp_path / "restored")
    words = ("restore", file, "--qdrant-url", server.url, "--catalog-url", catalog_url)
    ended(restored, *words)
    is_whole(restored, expected)
    found = schema.find_shared(catalog_url, purpose="test")
    assert found is not None
    assert found.store == server.url
    found.close()
    shutil.rmtree(restored.data_dir)
    is_whole(replace(restored, catalog_url=CatalogUrl(catalog_url)), expected)
