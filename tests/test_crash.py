"""Killed without warning at any point, or interrupted, and run again: the stores end as if nothing
had happened.

Every kill is a real SIGKILL of a real process over a real SQLite file and a real Edge shard.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from reidsearch import datasets, faults, ingest
from reidsearch.catalog import schema, sqlite
from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder
from reidsearch.files import copy_folder
from reidsearch.gallery import Gallery
from reidsearch.session import CATALOG
from reidsearch.types import Scan
from tests.conftest import COLORS, every, filling, write_crop, write_encoder
from tests.processes import (
    LONG,
    contents,
    finish,
    indexed,
    like,
    reidsearch,
    seconds_of,
    seconds_of_children,
    wait_until_it_holds,
    wait_until_it_stands,
)
from tests.test_schema import IMAGE, made_by

CROPS = 700  # two of the pipeline's STORE, and some
FORGET_ONE = ("forget", "--identity", 7, "--yes")


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "crops"
    for seed in range(CROPS):
        name = f"{seed % 50:04d}_c{seed % 3}s1_{seed:06d}_00.jpg"
        write_crop(folder / name, color=COLORS[1 + seed % 4], seed=seed)
    (folder / "0001_c1s1_999999_00.jpg").write_bytes(b"not a picture")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, crops: Path, encoder_file: Path) -> Config:
    """A gallery of the crops that was never interrupted."""
    home = tmp_path_factory.mktemp("whole") / "home"
    settings = Config(home, None, encoder_file, "cpu", {})
    encoder = Encoder(encoder_file)
    with filling(settings) as opened:
        ingest.take_in(opened, datasets.read(crops), encoder=encoder)
    return settings


@pytest.fixture
def copied(tmp_path: Path, whole: Config) -> Config:
    """A gallery of its own to a test, like ``whole``; its catalog has a key in common with it."""
    copy_folder(whole.data_dir, tmp_path / "copy")
    return Config(tmp_path / "copy", None, whole.encoder, "cpu", {})


@pytest.fixture(scope="module")
def expected(whole: Config) -> dict[str, object]:
    return {**contents(whole), "files": 1}


REPEATED = ("decoded", "encoded", "upserted", "flushed", "confirmed")  # for each batch


@pytest.mark.parametrize("fault", [*faults.INGEST, *(f"{point}#2" for point in REPEATED)])
def test_an_ingest_killed_at_a_fault_point_is_completed_by_the_next(
    crops: Path, settings: Config, expected: dict[str, object], fault: str
) -> None:
    code, _ = finish(reidsearch(settings, "ingest", crops, fault=fault))
    assert code == -signal.SIGKILL, f"{fault} was never reached"
    code, stderr = finish(reidsearch(settings, "ingest", crops))
    assert code == 3, stderr  # the one file that is no picture
    assert like(contents(settings)) == expected


@pytest.mark.parametrize("fault", [one for one in faults.OPTIMISE if one != "optimiser started"])
def test_an_ingest_killed_while_it_optimises_is_completed_by_the_next(
    crops: Path,
    settings: Config,
    expected: dict[str, object],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REIDSEARCH_EXACT_UP_TO", "100")
    code, _ = finish(reidsearch(settings, "ingest", crops, fault=fault))
    assert code == -signal.SIGKILL, f"{fault} was never reached"
    code, stderr = finish(reidsearch(settings, "ingest", crops))
    assert code == 3, stderr
    with every(settings) as (_, (one,)):
        assert one.store.scan is Scan.QUANTISED
    assert like(contents(settings)) == expected


@pytest.mark.parametrize(
    "kills", [5, pytest.param(50, marks=pytest.mark.soak)], ids=lambda n: f"{n} kills"
)
def test_an_ingest_killed_at_random_moments_again_and_again_is_completed_by_the_last(
    crops: Path, tmp_path: Path, encoder_file: Path, expected: dict[str, object], kills: int
) -> None:
    rng = random.Random(0)
    calm = Config(tmp_path / "calm", None, encoder_file, "cpu", {})
    process = reidsearch(calm, "ingest", crops)
    wait_until_it_holds(calm, process)
    started = time.monotonic()
    assert finish(process)[0] == 3
    span = time.monotonic() - started

    landed, halfway, homes, tries = 0, 0, 0, 0
    while landed < kills or not halfway:  # one at least with some crops stored and some not
        assert tries < 20 * kills, f"{landed} of {tries} kills came before the end"
        settings = Config(tmp_path / f"home{homes}", None, encoder_file, "cpu", {})
        homes += 1
        for _ in range(5):  # on the way to one gallery, which may be whole before
            tries += 1
            process = reidsearch(settings, "ingest", crops)
            wait_until_it_holds(settings, process)
            time.sleep(rng.uniform(0.0, span))
            process.kill()
            code, _ = finish(process)
            stored = indexed(settings, tmp_path / "looked at")
            if code != -signal.SIGKILL or stored == CROPS:
                span *= 0.8  # it had ended, or had nothing left to do: others will not
                break
            span *= 1.1  # the machine's speed changes, and the end is to be reached, too
            landed += 1
            halfway += stored > 0
        assert finish(reidsearch(settings, "ingest", crops))[0] == 3
        assert like(contents(settings)) == expected


@pytest.mark.parametrize("point", faults.MOVE)
def test_a_rename_killed_midway_ends_as_one_that_was_not(
    tmp_path: Path, crops: Path, settings: Config, point: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in sorted(path.name for path in crops.iterdir())[:40]:
        shutil.copy2(crops / name, data)
    finish(reidsearch(settings, "ingest", data))
    (data / "0000_c0s1_000000_00.jpg").rename(data / "0000_c0s1_000000_99.jpg")
    code, _ = finish(reidsearch(settings, "ingest", data, fault=point))
    assert code == -signal.SIGKILL
    finish(reidsearch(settings, "ingest", data))
    fresh = Config(tmp_path / "fresh", None, settings.encoder, "cpu", {})
    finish(reidsearch(fresh, "ingest", data))
    assert like(contents(settings)) == like(contents(fresh))


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory: pytest.TempPathFactory, whole: Config) -> dict[str, object]:
    """What is left of ``whole`` when a person is forgotten without an interruption."""
    calm = Config(tmp_path_factory.mktemp("calm") / "home", None, whole.encoder, "cpu", {})
    copy_folder(whole.data_dir, calm.data_dir)
    assert finish(reidsearch(calm, *FORGET_ONE))[0] == 0
    left = contents(calm)
    assert len(left["images"]) == CROPS + 1 - 14  # type: ignore[arg-type]
    return left


@pytest.mark.parametrize("point", faults.FORGET)
def test_a_forget_killed_at_a_fault_point_is_completed_by_the_next(
    copied: Config, forgotten: dict[str, object], point: str
) -> None:
    code, _ = finish(reidsearch(copied, *FORGET_ONE, fault=point))
    assert code == -signal.SIGKILL
    code, stderr = finish(reidsearch(copied, *FORGET_ONE))
    assert code == 0, stderr
    assert contents(copied) == forgotten


@pytest.mark.parametrize("point", [*faults.FORGET[:3], "catalog compacted"])
def test_a_doctor_finishes_a_forget_that_was_killed(copied: Config, point: str) -> None:
    code, _ = finish(reidsearch(copied, *FORGET_ONE, fault=point))
    assert code == -signal.SIGKILL
    assert finish(reidsearch(copied, "doctor", "--fix"))[0] == 0
    found = contents(copied)
    assert found["owed"] is False
    assert not [row for row in found["images"] if row[4] == "7"]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def two_encoders(
    tmp_path_factory: pytest.TempPathFactory, whole: Config, crops: Path
) -> tuple[Config, Config]:
    """A gallery as ``whole``, with vectors of another encoder beside its own; and settings to go
    on with that one."""
    home = tmp_path_factory.mktemp("two") / "home"
    copy_folder(whole.data_dir, home)
    other = write_encoder(home.parent / "coarse.onnx", cell=8)
    with filling(Config(home, None, other, "cpu", {})) as opened:
        ingest.take_in(opened, datasets.read(crops), encoder=Encoder(other))
    return Config(home, None, whole.encoder, "cpu", {}), Config(home, None, other, "cpu", {})


@pytest.mark.parametrize("point", faults.FORGET_ENCODER)
def test_the_forgetting_of_an_encoder_killed_at_a_fault_point_is_completed_by_the_next(
    tmp_path: Path, two_encoders: tuple[Config, Config], expected: dict[str, object], point: str
) -> None:
    copy_folder(two_encoders[0].data_dir, tmp_path / "copy")
    settings = Config(tmp_path / "copy", None, two_encoders[0].encoder, "cpu", {})
    words = ("forget", "--vectors-of", "coarse", "--yes")
    code, _ = finish(reidsearch(settings, *words, fault=point))
    assert code == -signal.SIGKILL
    code, stderr = finish(reidsearch(settings, *words))
    assert code == (0 if point != "catalog compacted" else 2), stderr  # then it was done
    assert like(contents(settings)) == expected
    assert finish(reidsearch(settings, "doctor"))[0] == 0


@pytest.mark.parametrize("point", faults.FORGET_ENCODER[:4])
def test_a_doctor_finishes_the_forgetting_of_an_encoder_that_was_killed(
    tmp_path: Path, two_encoders: tuple[Config, Config], expected: dict[str, object], point: str
) -> None:
    copy_folder(two_encoders[0].data_dir, tmp_path / "copy")
    settings = Config(tmp_path / "copy", None, two_encoders[0].encoder, "cpu", {})
    code, _ = finish(reidsearch(settings, "forget", "--vectors-of", "coarse", "--yes", fault=point))
    assert code == -signal.SIGKILL
    assert finish(reidsearch(settings, "doctor", "--fix"))[0] == 0
    left = contents(settings)
    assert left.pop("coarse") == []
    assert {**left, "files": 1} == expected


@pytest.mark.parametrize("point", faults.UPGRADE)
def test_an_upgrade_killed_at_a_fault_point_is_completed_by_the_next(
    settings: Config, point: str
) -> None:
    settings.data_dir.mkdir()
    path = settings.data_dir / CATALOG
    made_by(path, "0001")
    with closing(sqlite3.connect(path)) as db:
        db.execute(IMAGE + "(7, 1, 'gallery', 'a.jpg', 1, 1, 'ff')")
        db.commit()
    code, _ = finish(reidsearch(settings, "status", fault=point))
    assert code == -signal.SIGKILL
    assert finish(reidsearch(settings, "status"))[0] == 0
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.HEAD,)]
        assert db.execute("SELECT id, path FROM image").fetchall() == [(7, "a.jpg")]
    (backup,) = sqlite.backups(path)
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert db.execute("SELECT id, path FROM image").fetchall() == [(7, "a.jpg")]


@pytest.mark.parametrize("point", faults.DESCRIBE)
def test_payloads_of_an_earlier_version_are_brought_along_whatever_happens(
    tmp_path: Path, copied: Config, expected: dict[str, object], point: str
) -> None:
    with every(copied) as (catalog, (one,)):
        images = catalog.images.all()
        ids = [image.id for image in images if image.sha256 is not None]
        one.store.describe(ids, [{"split": "gallery", "camera": 7}] * len(ids))
        catalog.record_payloads(one.encoder_id, 1)
    probe = write_crop(tmp_path / "probe_c1.jpg", color=COLORS[1])
    words = ("query", probe, "--only-camera", "1", "--top-k", "3", "--json")
    code, _ = finish(reidsearch(copied, *words, fault=point))
    assert code == -signal.SIGKILL
    process = reidsearch(copied, *words)
    stdout, stderr = process.communicate(timeout=LONG)
    assert process.returncode == 0, stderr
    assert [hit["camera"] for hit in json.loads(stdout)["hits"]] == [1, 1, 1]
    assert like(contents(copied)) == expected


@pytest.mark.parametrize("point", faults.RELABEL)
def test_labels_that_change_reach_both_stores_whatever_happens(
    tmp_path: Path, crops: Path, settings: Config, point: str
) -> None:
    names = sorted(path.name for path in crops.glob("*_c*s1_0*.jpg"))[:40]

    def manifest(camera: str) -> Path:
        for name in names:
            shutil.copy2(crops / name, tmp_path / name)
        path = tmp_path / "m.csv"
        path.write_text("path,camera\n" + "".join(f"{name},{camera}\n" for name in names))
        return path

    assert finish(reidsearch(settings, "ingest", manifest("lobby")))[0] == 0
    code, _ = finish(reidsearch(settings, "ingest", manifest("garage"), fault=point))
    assert code == -signal.SIGKILL
    process = reidsearch(settings, "ingest", manifest("garage"), "--json")
    stdout, stderr = process.communicate(timeout=LONG)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["ingested"] == 0  # no picture was encoded again
    with every(settings) as (catalog, (one,)):
        ((ids, _, payloads),) = one.store.records()
        listed = {image.id: image for image in catalog.images.all()}
        assert len(ids) == len(names)
        for id, told in zip(ids.tolist(), payloads, strict=True):
            assert listed[id].camera == "garage"
            assert told["camera_id"] == listed[id].camera_id
    assert finish(reidsearch(settings, "doctor"))[0] == 0


PUSHING = """
import sys
from pathlib import Path
from reidsearch import Crop, open
data_dir, encoder, *files = sys.argv[1:]
with open(data_dir, encoder=encoder) as gallery:
    crops = [Crop(Path(file).read_bytes(), camera="gate", name=Path(file).name) for file in files]
    print(*(one.outcome for one in gallery.add(crops)))
"""


@pytest.mark.parametrize("point", faults.PUSH)
def test_crops_whose_push_was_killed_are_taken_in_by_the_next_and_stored_once(
    tmp_path: Path, encoder_file: Path, point: str
) -> None:
    settings = Config(tmp_path / "home", None, encoder_file, "cpu", {})
    files = [write_crop(tmp_path / f"{at}.jpg", color=COLORS[1 + at % 4], seed=at) for at in (1, 2)]

    def push(fault: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", PUSHING, settings.data_dir, encoder_file, *files],
            env={**os.environ, faults.VARIABLE: fault},
            capture_output=True,
            text=True,
            timeout=LONG,
        )
        return done.returncode, done.stdout.strip()

    assert push(point) == (-signal.SIGKILL, "")
    outcome = "unchanged" if point == "confirmed" else "stored"
    assert push() == (0, f"{outcome} {outcome}")
    assert push() == (0, "unchanged unchanged")
    assert finish(reidsearch(settings, "doctor"))[0] == 0
    assert indexed(settings, tmp_path / "copy") == 2


def test_every_fault_point_in_the_code_is_tested() -> None:
    named = {
        *(*faults.INGEST, *faults.RELABEL, *faults.MOVE, *faults.FORGET, *faults.FORGET_ENCODER),
        *(*faults.UPGRADE, *faults.DESCRIBE, *faults.EXPAND, *faults.PUSH),
        *(*faults.OPTIMISE, *faults.MOVE_VECTORS, *faults.MOVE_CATALOG, *faults.REMOVE_OLD),
        *(*faults.BACKUP, *faults.RESTORE, *faults.FORGET_WAITING, *faults.STORE_WAITING),
    }
    reached = set()
    for path in Path(faults.__file__).parent.rglob("*.py"):
        for part in path.read_text(encoding="utf-8").split('faults.reach("')[1:]:
            reached.add(part.split('"')[0])
    assert reached == named


@pytest.mark.parametrize("point", ["run started", "encoded", "upserted", "confirmed"])
def test_an_interrupted_ingest_says_how_to_go_on_and_is_completed_by_the_next(
    tmp_path: Path, crops: Path, settings: Config, expected: dict[str, object], point: str
) -> None:
    process = reidsearch(settings, "ingest", crops, fault=f"{point}!SIGSTOP")
    wait_until_it_stands(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    code, stderr = finish(process)
    assert code == 130, stderr
    assert "run the same command again" in stderr
    stored = indexed(settings, tmp_path / "looked at")
    # What was on its way to the store gets there, and nothing after it.
    assert 0 < stored < CROPS if point in ("upserted", "confirmed") else stored == 0
    assert finish(reidsearch(settings, "ingest", crops))[0] == 3
    assert like(contents(settings)) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process has used from /proc")
def test_an_interruption_waits_for_no_more_than_the_batch_at_hand(
    tmp_path: Path, crops: Path
) -> None:
    encoder = write_encoder(tmp_path / "slow.onnx", cell=1, rounds=4000)
    settings = Config(tmp_path / "home", None, encoder, "cpu", {})
    process = reidsearch(settings, "ingest", crops, fault="encoded!SIGSTOP")
    wait_until_it_stands(process)
    others, before = seconds_of_children(), seconds_of(process)
    process.send_signal(signal.SIGCONT)
    time.sleep(0.1)  # by then it encodes the second batch of more than twenty
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    after = seconds_of_children() - others - before
    # Seconds of a processor, which a busy machine does not make more of. Starting, and the first
    # batch, take a third of what all the others would.
    assert after < before


def test_nothing_forgotten_is_left_in_any_file(
    tmp_path: Path, copied: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copied.data_dir / f"{CATALOG}.0003.backup").write_bytes(
        (copied.data_dir / CATALOG).read_bytes()
    )
    with every(copied) as (catalog, (one,)):
        rows = [image for image in catalog.images.all() if image.identity == "7"]
        ids = [row.id for row in rows]
        _, vectors = one.store.retrieve(ids)
        paths = [row.path.encode() for row in rows]
    tokens = (
        [bytes(v.tobytes()) for v in vectors]
        + paths
        + [r.sha256.encode() for r in rows if r.sha256]
    )
    # The log holds numbers in the other order of bytes, and ids as text nowhere.
    tokens += [np.asarray(v, dtype=">f4").tobytes() for v in vectors]
    longest = max(map(len, tokens))

    def written(path: Path) -> bytes:
        """All that a file holds, without most of the zeros that Edge's files of 32 MB end with."""
        return path.read_bytes().rstrip(b"\0") + bytes(longest)

    def holders() -> set[str]:
        files = ((p.name, written(p)) for p in copied.data_dir.rglob("*") if p.is_file())
        return {name for name, data in files if any(token in data for token in tokens)}

    assert len(rows) == 14
    assert holders()  # they are there to be found
    with Gallery(copied, purpose="test") as gallery:
        gallery.forget(identity=7)
    assert holders() == set()
    assert not list(copied.data_dir.glob("*.backup"))
