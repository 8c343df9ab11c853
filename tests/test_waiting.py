"""Pushed crops that wait while somebody else changes the gallery: no more than may, and none of
those that are forgotten."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch import Crop, Gallery, StoreError, StoreLocked, UsageError, faults
from reidsearch.catalog.records import ImageRecord
from reidsearch.config import Config
from reidsearch.pushing import aside, waiting
from reidsearch.pushing.add import Added, Outcome
from reidsearch.session import WAITING
from reidsearch.stores import folder
from tests.conftest import COLORS, Run, write_crop
from tests.processes import finish, reidsearch, wait_until_it_stands
from tests.serving import LONG, PACKAGE, served

NOON = 1_714_557_600.0


def picture(seed: int) -> bytes:
    return write_crop(Path("pushed.png"), color=COLORS[1 + seed % 4], seed=seed).read_bytes()


def crop(seed: int, **told: object) -> Crop:
    return Crop(picture(seed), **{"camera": "lobby", "timestamp": NOON + seed, **told})  # type: ignore[arg-type]


def files(settings: Config) -> list[Path]:
    return aside.waiting(settings.data_dir / WAITING)


def stored(gallery: Gallery) -> set[bytes]:
    """What the gallery shows once it has taken in what waits."""
    gallery.add([crop(99, dataset="last")])
    found = {hit.path for hit in gallery.query(picture(99), top_k=100, plain=True).hits}
    return {Path(path).read_bytes() for path in found} - {picture(99)}


def test_no_more_crops_wait_than_may(settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST", 2)
    with Gallery(settings) as gallery:
        one, two, three = gallery.put_aside([crop(0), crop(1), crop(2)])
        assert [getattr(added, "outcome", None) for added in (one, two)] == [Outcome.WAITING] * 2
        assert isinstance(three, StoreLocked)
        assert "2 crops" in str(three)
        (again,) = gallery.put_aside([crop(2)])  # what waits is counted, by whomever it was put
        assert isinstance(again, StoreLocked)
        assert gallery.status().waiting == 2
        assert stored(gallery) == {picture(0), picture(1)}
        assert gallery.status().waiting == 0
        (added,) = gallery.put_aside([crop(2)])
        assert isinstance(added, Added)


def test_no_more_bytes_wait_than_may_and_a_smaller_crop_still_finds_room(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = crop(0)
    large = Crop(write_crop(Path("large.jpg"), color=COLORS[1], seed=1).read_bytes(), camera="1")
    assert len(small.data) < len(large.data)
    monkeypatch.setattr(waiting, "MOST_BYTES", len(large.data) - 1)
    with Gallery(settings) as gallery:
        refused, kept = gallery.put_aside([large, small])
    assert isinstance(refused, StoreLocked)
    assert isinstance(kept, Added)
    assert len(files(settings)) == 1


def test_what_waits_leaves_the_disk_the_space_that_the_store_needs(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.data_dir.mkdir()
    monkeypatch.setattr(folder, "RESERVE", shutil.disk_usage(settings.data_dir).total)
    with Gallery(settings) as gallery:
        (found,) = gallery.put_aside([crop(0)])
    assert isinstance(found, StoreError)
    assert "is full" in str(found)
    assert not files(settings)


def test_whoever_pushes_more_than_may_wait_is_asked_to_come_again(
    settings: Config, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST", 1)
    with Gallery(settings, purpose="serve", address="http://127.0.0.1:1") as gallery:
        gallery.ingest(market)
        with served(gallery) as client, gallery._session.turn("reidsearch ingest", patience=1.0):
            kept = client.post("/api/images", files={"image": picture(0)})
            refused = client.post("/api/images", files={"image": picture(1)})
            told = client.get("/api/status").json()
            metrics = client.get("/metrics").text
    assert (kept.status_code, kept.json()["outcome"]) == (202, "waiting")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert refused.headers["Content-Type"] == "application/problem+json"
    document = refused.json()
    assert "1 crops" in document["detail"]
    assert "no more may" in document["detail"]
    assert (document["kind"], document["hint"][:19]) == ("StoreLocked", "Push it again later")
    assert told["waiting"] == 1
    assert "reidsearch_crops_aside 1.0" in metrics


def test_status_says_how_many_crops_wait(settings: Config, run: Run) -> None:
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0), crop(1)])
        gallery.status()
    assert json.loads(run("status", "--json").stdout)["waiting"] == 2
    assert "2 pushed crops wait" in run("status").stderr


# What each seed's crop is told, beside its camera and time; all at one site but the last.
TOLD: tuple[dict[str, object], ...] = (
    {"identity": "ann"},
    {"identity": "ann", "camera": "0002", "site": "main"},
    {"identity": "bob", "camera": "2"},
    {"name": "door", "dataset": "gate", "timestamp": None},
    {"identity": "cat", "dataset": "roof", "site": "yard"},
)
SELECTIONS: tuple[tuple[dict[str, object], set[int]], ...] = (
    ({"identity": "ann"}, {0, 1}),
    ({"camera": 2}, {1, 2}),
    ({"identity": "ann", "camera": 2}, {1}),
    ({"dataset": "gate"}, {3}),
    ({"dataset": "roof", "site": "yard"}, {4}),
    ({"camera": "lobby", "site": "yard"}, {4}),
    ({"camera": "lobby", "site": "main"}, {0, 3}),
    ({"before": NOON + 1}, {0}),
    ({"before": NOON + 1000}, {0, 1, 2, 4}),
    ({"before": 1e11}, {0, 1, 2, 3, 4}),
    ({"identity": "nobody"}, set()),
)


def told_crops() -> list[Crop]:
    return [crop(seed, **told) for seed, told in enumerate(TOLD)]


@pytest.mark.parametrize(("selection", "meant"), SELECTIONS, ids=str)
def test_what_waits_is_forgotten_as_it_would_be_if_it_were_stored(
    settings: Config, tmp_path: Path, selection: dict[str, object], meant: set[int]
) -> None:
    left = {picture(seed) for seed in range(len(TOLD)) if seed not in meant}
    other = replace(settings, data_dir=tmp_path / "other")
    with Gallery(other) as gallery:
        gallery.add(told_crops())
        assert len(gallery.forget(**selection).images) == len(meant)  # type: ignore[arg-type]
        assert stored(gallery) == left
    with Gallery(settings) as gallery:
        gallery.put_aside(told_crops())
        planned = gallery.forget(**selection, dry_run=True)  # type: ignore[arg-type]
        assert (planned.images, planned.waiting) == ((), len(meant))
        assert len(files(settings)) == len(TOLD)
        done = gallery.forget(**selection)  # type: ignore[arg-type]
        assert (done.images, done.waiting) == ((), len(meant))
        assert {aside.read(file)[1] for file in files(settings)} == left
        assert stored(gallery) == left


def test_a_crop_that_waits_is_forgotten_by_the_path_that_it_will_have(
    settings: Config, tmp_path: Path
) -> None:
    other = replace(settings, data_dir=tmp_path / "other")
    with Gallery(other) as gallery:
        gallery.add([crop(0)])
        (hit,) = gallery.query(picture(0)).hits
    path = Path(hit.path).relative_to(other.data_dir)
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0), crop(1)])
        assert gallery.forget(images=[settings.data_dir / path]).waiting == 1
        assert stored(gallery) == {picture(1)}


def test_a_name_that_waits_at_two_sites_must_be_told_apart(settings: Config) -> None:
    with Gallery(settings) as gallery:
        gallery.add([crop(0, identity="ann")])
        gallery.put_aside([crop(1, identity="ann", site="yard")])
        with pytest.raises(UsageError, match="main, yard"):
            gallery.forget(identity="ann", dry_run=True)
        done = gallery.forget(identity="ann", site="yard")
        assert (len(done.images), done.waiting) == (0, 1)


def test_a_new_data_set_is_where_the_first_of_its_crops_that_waits_says(settings: Config) -> None:
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0, dataset="gate", site="yard"), crop(1, dataset="gate")])
        assert gallery.forget(camera="lobby", site="yard", dry_run=True).waiting == 2


def test_what_is_forgotten_does_not_come_back_pushed_again_without_a_name(
    settings: Config,
) -> None:
    with Gallery(settings) as gallery:
        gallery.add([crop(0, identity="ann"), crop(1, identity="ann", name="door")])
        # The same picture again; and another one in place of what was called so, of nobody known.
        gallery.put_aside([crop(0), crop(2, name="door")])
        gallery.put_aside([crop(3), crop(3, identity="ann")])
        done = gallery.forget(identity="ann")
        assert (len(done.images), done.waiting) == (2, 3)
        assert stored(gallery) == {picture(2)}


def test_the_log_forgets_the_pictures_of_what_waited(settings: Config) -> None:
    with Gallery(settings) as gallery:
        gallery.add([crop(1)])
        gallery.query(picture(0))
        gallery.put_aside([crop(0, identity="ann")])
        gallery.forget(identity="ann")
        (entry,) = gallery.audit()
        assert entry.probe_sha256 == ""


def test_a_file_that_nobody_can_understand_goes_with_whatever_is_forgotten(
    settings: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0)])
        (settings.data_dir / WAITING / "0-damaged.crop").write_bytes(b'{"camera": 1}\nwhose')
        half, mine = (settings.data_dir / WAITING / f"0-{n}.crop.00.partial" for n in "ab")
        half.write_bytes(b"half a crop")
        mine.write_bytes(b"another process writes this one now")
        os.utime(half, (time.time() - 3600,) * 2)
        done = gallery.forget(identity="ann")
        assert (done.images, done.waiting) == ((), 0)
        assert "0-damaged.crop was put aside and cannot be taken in" in caplog.text
        assert len(files(settings)) == 1
        assert mine.exists()
        assert not half.exists()


def test_a_file_that_may_not_be_read_stops_the_forgetting_before_anything_happens(
    settings: Config,
) -> None:
    with Gallery(settings) as gallery:
        gallery.add([crop(0, identity="ann")])
        (settings.data_dir / WAITING / "0-a.crop").mkdir(parents=True)  # not even root can read it
        with pytest.raises(StoreError, match="nobody can say what waits in it"):
            gallery.forget(identity="ann")
        (settings.data_dir / WAITING / "0-a.crop").rmdir()
        assert len(gallery.forget(identity="ann").images) == 1


def test_who_is_asked_sees_what_waits_and_may_refuse(settings: Config, run: Run) -> None:
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0, identity="ann")])
        shown: list[ImageRecord] = []
        gallery.forget(identity="ann", confirm=shown.extend)
        assert [(one.identity, one.camera) for one in shown] == [("ann", "lobby")]
        gallery.put_aside([crop(0, identity="ann")])
    assert "1 image would be forgotten" in run("forget", "--identity", "ann", exit_code=2).stderr
    said = run("forget", "--identity", "ann", "--dry-run").stderr
    assert "1 pushed crop not stored yet" in said
    done = run("forget", "--identity", "ann", "--yes")
    assert "crops that waited" in done.stdout
    assert not files(settings)


def test_a_crop_that_is_stored_while_somebody_is_asked_is_forgotten_all_the_same(
    settings: Config,
) -> None:
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0, identity="ann"), crop(1, identity="bob")])

        def meanwhile(_: object) -> None:
            gallery.add([crop(2, identity="ann")])  # not among those that were shown

        done = gallery.forget(identity="ann", confirm=meanwhile)
        assert (len(done.images), done.waiting) == (1, 0)
        assert stored(gallery) == {picture(1), picture(2)}


def test_what_is_pushed_again_without_a_name_and_stored_while_somebody_is_asked_is_forgotten(
    settings: Config,
) -> None:
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0, identity="ann"), crop(0)])

        def meanwhile(_: object) -> None:
            gallery.keep_current()

        done = gallery.forget(identity="ann", confirm=meanwhile)
        assert (len(done.images), done.waiting) == (1, 0)
        assert stored(gallery) == set()


def test_a_crop_that_was_corrected_while_somebody_is_asked_stays(settings: Config) -> None:
    with Gallery(settings) as gallery:
        gallery.put_aside([crop(0, name="door", identity="ann")])

        def meanwhile(_: object) -> None:
            gallery.add([crop(1, name="door", identity="bob")])

        done = gallery.forget(identity="ann", confirm=meanwhile)
        assert (done.images, done.waiting) == ((), 0)
        assert stored(gallery) == {picture(1)}


ASIDE = """
import sys
from pathlib import Path
from reidsearch import Crop, open
data_dir, encoder, verb, *files = sys.argv[1:]
with open(data_dir, encoder=encoder) as gallery:
    for at, file in enumerate(files):
        told = {"camera": "gate", "identity": "7" if at < 2 else "8", "timestamp": float(at)}
        getattr(gallery, verb)([Crop(Path(file).read_bytes(), **told)])
    if not files:
        gallery.keep_current()
"""


def aside_by(settings: Config, verb: str, *paths: Path, fault: str = "") -> int:
    return subprocess.run(
        [sys.executable, "-c", ASIDE, settings.data_dir, settings.encoder, verb, *paths],
        env={**os.environ, faults.VARIABLE: fault, "PYTHONPATH": str(PACKAGE)},
        timeout=LONG,
        check=False,
    ).returncode


def everything(settings: Config) -> bytes:
    return b"".join(one.read_bytes() for one in settings.data_dir.rglob("*") if one.is_file())


@pytest.mark.parametrize(
    "point",
    [*faults.FORGET_WAITING, "waiting deleted#2", "deletion recorded", "deletions flushed"],
)
def test_a_forget_killed_at_a_fault_point_lets_nothing_come_back_that_waited(
    settings: Config, tmp_path: Path, point: str
) -> None:
    paths = [write_crop(tmp_path / f"{n}.png", color=COLORS[1 + n], seed=n) for n in range(4)]
    assert aside_by(settings, "add", *paths[:1]) == 0
    assert aside_by(settings, "put_aside", *paths[1:]) == 0  # two of person 7, and one of 8
    words = ("forget", "--identity", "7", "--yes")
    assert finish(reidsearch(settings, *words, fault=point))[0] == -signal.SIGKILL
    if point in faults.FORGET:  # the doctor goes on with what was begun, and nothing waits for it
        assert finish(reidsearch(settings, "doctor", "--fix"))[0] == 0
        assert len(files(settings)) == 1
    else:
        assert finish(reidsearch(settings, *words))[0] == 0
    assert aside_by(settings, "keep_current") == 0
    assert not files(settings)
    left = everything(settings)
    assert [path.read_bytes() in left for path in paths] == [False, False, False, True]
    assert finish(reidsearch(settings, "doctor"))[0] == 0


@pytest.mark.parametrize("point", faults.STORE_WAITING)
def test_what_was_stored_and_waits_still_after_a_kill_is_stored_once_or_forgotten_twice(
    settings: Config, tmp_path: Path, point: str
) -> None:
    paths = [write_crop(tmp_path / f"{n}.png", color=COLORS[1 + n], seed=n) for n in range(3)]
    assert aside_by(settings, "put_aside", *paths) == 0
    assert aside_by(settings, "keep_current", fault=point) == -signal.SIGKILL
    assert len(files(settings)) == 3
    with Gallery(settings) as gallery:
        done = gallery.forget(identity=7)
        assert (len(done.images), done.waiting) == (2, 2)
        gallery.keep_current()
        assert len(gallery.query(paths[2]).hits) == 1
    assert not files(settings)
    assert paths[0].read_bytes() not in everything(settings)


def test_a_forget_waits_until_what_is_stored_just_now_is_an_image(
    settings: Config, tmp_path: Path, market: Path
) -> None:
    assert finish(reidsearch(settings, "ingest", market))[0] == 0
    path = write_crop(tmp_path / "0.png", color=COLORS[1], seed=77)
    assert aside_by(settings, "put_aside", path) == 0
    storing = subprocess.Popen(
        [sys.executable, "-c", ASIDE, settings.data_dir, settings.encoder, "keep_current"],
        env={**os.environ, faults.VARIABLE: "crops written!SIGSTOP", "PYTHONPATH": str(PACKAGE)},
    )
    wait_until_it_stands(storing)
    words = ("forget", "--identity", "7", "--camera", "gate", "--site", "main", "--yes")
    assert finish(reidsearch(settings, *words))[0] == 4  # it is held; nothing has happened
    forgetting = reidsearch(settings, *words)
    storing.send_signal(signal.SIGCONT)
    assert storing.wait(LONG) == 0
    code, said = finish(forgetting)
    assert code == 0, said
    assert not files(settings)
    assert path.read_bytes() not in everything(settings)
