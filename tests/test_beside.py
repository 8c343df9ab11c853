"""Everybody at once: the command line, and Python, beside a service that holds the gallery."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from reidsearch import faults, lock
from reidsearch.config import Config
from reidsearch.environment import OPERATOR
from reidsearch.errors import StoreError, StoreLocked
from reidsearch.gallery import Gallery
from reidsearch.session import WAITING, access
from reidsearch.stores import Matches, lender
from reidsearch.stores.lent import LentStore, Loan
from tests import serving
from tests.conftest import COLORS, write_crop
from tests.processes import contents, like, wait_until_it_stands
from tests.serving import LONG, PACKAGE

PROBE = "query/0001_c1s1_000001_00.jpg"
SECONDS = re.compile(r'("\w*second\w*": )(?:\{[^}]*\}|[\d.]+)|\b[\d.]+ s\b|\d+ images/s')

MADE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")  # when a page was


def spawn(settings: Config, *words: object, fault: str = "") -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            sys.executable, "-m", "reidsearch", "--data-dir", str(settings.data_dir),
            "--encoder", str(settings.encoder), *map(str, words),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, faults.VARIABLE: fault, "PYTHONPATH": str(PACKAGE)},
    )  # fmt: skip


def ran(settings: Config, *words: object) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a command, without how long it took."""
    process = spawn(settings, *words)
    out, err = process.communicate(timeout=LONG)

    def without(text: bytes) -> str:
        return SECONDS.sub(lambda found: f"{found[1] or ''}0", text.decode())

    return process.returncode, without(out), without(err)


@contextmanager
def serving_it(
    settings: Config, *words: str, fault: str = ""
) -> Iterator["subprocess.Popen[bytes]"]:
    """``reidsearch serve`` in a process of its own, for as long as this lasts."""
    process = serving.start(settings, *words, fault=fault)
    assert process.poll() is None, process.communicate()
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONG)


def url_of(settings: Config) -> str:
    found = lock.holder(settings.data_dir)
    assert found is not None
    assert found.address is not None
    return found.address


@pytest.fixture
def served(gallery: Gallery, settings: Config) -> Iterator[Config]:
    """A gallery with the market set in it, which somebody in this process serves."""
    gallery.close()
    with Gallery(settings, purpose="serve", address="http://127.0.0.1:1") as serving:
        serving.hold()
        yield settings


def test_commands_say_the_same_beside_a_service_to_the_last_byte(
    market: Path, settings: Config, tmp_path: Path
) -> None:
    probe = market / PROBE
    assert ran(settings, "ingest", market)[0] == 0
    assert ran(settings, "calibrate", "--source", "gallery")[0] == 0
    assert ran(settings, "query", probe, "--rerank")[0] == 0  # finds the neighbours, and keeps them
    commands = [
        ("query", probe, "--save", tmp_path / "sheet.html"),
        ("query", market / "query", "--json", "--exclude-camera"),
        ("query", probe, "--csv", "--rerank", "--by-stay"),
        ("query", market / "nobody.jpg"),
        ("query", probe, "--only-camera", "9"),
        ("trace", probe, "--min-score", "0.5", "--save", tmp_path / "trace.html"),
        ("evaluate", "--json", "--rerank", "--camera-pairs"),
        ("explore", "--stored", "--json"),
        ("export", tmp_path / "all.csv", "--json"),
        ("doctor", "--json"),
        ("forget", "--identity", "3"),
        ("calibrate", "--source", "gallery"),
        ("ingest", market),
    ]
    files = ("sheet.html", "trace.html", "all.csv")

    def all_of_it(at_once: int) -> list[object]:
        with ThreadPoolExecutor(at_once) as pool:
            said: list[object] = list(pool.map(lambda words: ran(settings, *words), commands))
        return [*said, *(MADE.sub("", (tmp_path / one).read_text()) for one in files)]

    alone = all_of_it(1)
    with serving_it(settings):
        beside = all_of_it(4)
    for words, one, other in zip([*commands, *files], alone, beside, strict=True):
        assert one == other, words
    assert {one[0] for one in beside if isinstance(one, tuple)} == {0, 1, 2}


def test_what_is_changed_beside_a_service_is_what_would_be_changed_alone(
    market: Path, settings: Config, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    for n in range(5):
        write_crop(more / f"2/0001_c2s1_{n:06d}_01.png", color=COLORS[1], seed=500 + n)
    changes = (
        ("ingest", more, "--layout", "cameras"),
        ("forget", "--identity", "2", "--yes"),
        ("calibrate", "--source", "gallery"),
        ("doctor", "--fix"),
    )
    other = replace(settings, data_dir=tmp_path / "other")
    for one in (settings, other):
        assert ran(one, "ingest", market)[0] == 0
    alone = [ran(other, *words) for words in changes]
    with serving_it(settings):
        assert [ran(settings, *words) for words in changes] == alone
        crop = more / "2/0001_c2s1_000003_01.png"
        with crop.open("rb") as file:
            answer = httpx.post(
                f"{url_of(settings)}/api/query", files={"image": file}, trust_env=False
            ).json()
        assert answer["hits"][0]["path"] in map(str, (more / "2").iterdir())
        assert 2 not in {hit["identity"] for hit in answer["hits"]}
        code, log, _ = ran(settings, "audit", "--json")
        assert code == 0
        assert [entry["command"] for entry in json.loads(log)] == ["query"]
    assert like(contents(settings)) == like(contents(other))


def test_people_search_while_somebody_takes_in_and_nobody_else_changes_anything(
    market: Path, settings: Config, tmp_path: Path
) -> None:
    assert ran(settings, "ingest", market)[0] == 0
    folder = tmp_path / "lobby"
    crop = write_crop(folder / "1.png", color=COLORS[2], seed=900)

    def found(picture: Path) -> set[int]:
        url = f"{url_of(settings)}/api/query"
        files = {"image": picture.read_bytes()}
        answer = httpx.post(url, files=files, data={"top_k": 1000}, trust_env=False, timeout=LONG)
        return {hit["id"] for hit in answer.json()["hits"]}

    with serving_it(settings):
        ingest = spawn(settings, "ingest", folder, fault="encoded!SIGSTOP")
        wait_until_it_stands(ingest)
        code, out, _ = ran(settings, "query", market / PROBE, "--json")
        assert code == 0
        assert len(json.loads(out)["hits"]) == 10
        code, _, err = ran(settings, "forget", "--identity", "1", "--yes")
        assert code == 4
        assert f"reidsearch ingest (process {ingest.pid}) changes the gallery" in err
        with crop.open("rb") as file:
            answer = httpx.post(
                f"{url_of(settings)}/api/images", files={"image": file}, trust_env=False, timeout=60
            )
        assert answer.status_code == 202  # it is kept, and will be stored
        assert answer.json()["outcome"] == "waiting"
        waiting = answer.json()["id"]
        ingest.send_signal(signal.SIGKILL)  # and what it had the right to do, others have again
        ingest.communicate(timeout=LONG)
        code, out, _ = ran(settings, "ingest", folder, "--json")
        assert (code, json.loads(out)["ingested"]) == (0, 1), out
        serving.until(lambda: waiting in found(crop))  # in a few seconds, by itself
    assert not list((settings.data_dir / WAITING).iterdir())


def test_whoever_holds_a_gallery_for_long_lends_it_as_a_service_does(
    market: Path, gallery: Gallery, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.close()
    alone = ran(settings, "query", market / PROBE, "--json")
    monkeypatch.setattr(access, "LENDS_AFTER", 0.0)
    with Gallery(settings) as notebook:
        answer = notebook.query(market / PROBE)
        serving.until(lambda: (settings.data_dir / lender.FILE).exists())
        assert ran(settings, "query", market / PROBE, "--json") == alone
        assert ran(settings, "ingest", market / "query", "--name", "again")[0] == 0
        assert notebook.query(market / PROBE, dataset="market").hits == answer.hits
    assert not (settings.data_dir / lender.FILE).exists()


def test_people_search_while_somebody_takes_in_without_any_service(
    market: Path, gallery: Gallery, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.close()
    alone = ran(settings, "query", market / PROBE, "--json")
    monkeypatch.setattr(access, "LENDS_AFTER", 0.0)
    begun, go_on = threading.Event(), threading.Event()

    def progress(_: object) -> None:
        begun.set()
        assert go_on.wait(LONG)

    with Gallery(settings, purpose="ingest") as mine, ThreadPoolExecutor(1) as pool:
        more = write_crop(
            market.parent / "more/2/0001_c2s1_000001_01.png", color=COLORS[1], seed=77
        ).parent.parent
        ingest = pool.submit(mine.ingest, more, layout="cameras", on_progress=progress)
        try:
            assert begun.wait(LONG)
            serving.until(lambda: (settings.data_dir / lender.FILE).exists())
            assert ran(settings, "query", market / PROBE, "--json") == alone
            code, _, err = ran(settings, "forget", "--identity", "1", "--yes")
            assert code == 4
            assert f"reidsearch ingest (process {os.getpid()}, since " in err
        finally:
            go_on.set()
        assert ingest.result(LONG).ingested == 1


def test_who_waits_for_a_short_command_says_so_and_then_works(
    market: Path, gallery: Gallery, settings: Config
) -> None:
    gallery.close()
    with lock.Held(settings.data_dir, purpose="export"):
        query = spawn(settings, "query", market / PROBE, "--json")
        assert query.stderr is not None
        said = query.stderr.readline()
    assert said.startswith(b"reidsearch export (process")
    assert b"Waiting" in said
    out, _ = query.communicate(timeout=LONG)
    assert query.returncode == 0
    assert json.loads(out)["hits"]


def test_a_search_whose_lender_ends_in_the_middle_begins_anew(
    market: Path, gallery: Gallery, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.close()
    with Gallery(settings) as other:
        serving = Gallery(settings, purpose="serve", address="http://127.0.0.1:1")
        serving.hold()
        first = other.query(market / PROBE)
        search = LentStore.search

        def ends(self: LentStore, *given: Any, **named: Any) -> list[Matches]:
            serving.close()
            return search(self, *given, **named)

        monkeypatch.setattr(LentStore, "search", ends)
        assert other.query(market / PROBE) == first
        assert [one.command for one in other.audit()] == ["query", "query"]


def test_who_waits_for_their_turn_has_it_when_the_lender_ends(
    market: Path, gallery: Gallery, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.close()
    with Gallery(settings) as other:
        lending = Gallery(settings, purpose="ingest", address="http://127.0.0.1:1")
        lending.hold()
        turn = Loan.turn

        def ends(self: Loan, *, patience: float) -> AbstractContextManager[None]:
            lending.close()
            return turn(self, patience=patience)

        monkeypatch.setattr(Loan, "turn", ends)
        assert other.query(market / PROBE).hits
        assert other.forget(identity=1).images
        assert lock.holder(settings.data_dir) is not None  # by now it is the other's own


def test_what_ends_waits_for_who_changes_the_gallery_through_it(
    market: Path,
    gallery: Gallery,
    settings: Config,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gallery.close()
    caplog.set_level("INFO", logger="reidsearch")
    monkeypatch.setattr(access, "LENDS_AFTER", 0.0)
    notebook = Gallery(settings, purpose="notebook")
    assert notebook.query(market / PROBE).hits
    serving.until(lambda: (settings.data_dir / lender.FILE).exists())
    forget = spawn(
        settings, "forget", "--identity", "1", "--yes", fault="deletion recorded!SIGSTOP"
    )
    wait_until_it_stands(forget)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(notebook.close)
        who = f"reidsearch forget (process {forget.pid})"
        serving.until(lambda: any(who in one.getMessage() for one in caplog.records))
        assert not closing.done()
        forget.send_signal(signal.SIGCONT)
        _, said = forget.communicate(timeout=LONG)
        assert forget.returncode == 0, said
        closing.result(LONG)


def test_a_service_that_ends_takes_back_what_it_lent_at_once(
    market: Path, settings: Config, tmp_path: Path
) -> None:
    assert ran(settings, "ingest", market)[0] == 0
    folder = tmp_path / "lobby"
    write_crop(folder / "1.png", color=COLORS[2], seed=900)
    with serving_it(settings) as service:
        ingest = spawn(settings, "ingest", folder, fault="encoded!SIGSTOP")
        wait_until_it_stands(ingest)
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=LONG)
        assert service.returncode == 0, said
    ingest.send_signal(signal.SIGCONT)
    _, said = ingest.communicate(timeout=LONG)
    assert ingest.returncode == 4, said
    assert b"has ended" in said
    assert b"Run the same command again" in said
    assert ran(settings, "ingest", folder)[0] == 0


def test_a_service_that_was_killed_is_in_nobodys_way(market: Path, settings: Config) -> None:
    assert ran(settings, "ingest", market)[0] == 0
    with serving_it(settings) as service:
        alone = ran(settings, "query", market / PROBE)
        service.send_signal(signal.SIGKILL)
        service.communicate(timeout=LONG)
        assert (settings.data_dir / lender.FILE).exists()  # what it left says nothing any more
        assert ran(settings, "query", market / PROBE) == alone


def test_the_key_is_the_users_alone_and_goes_with_the_service(served: Config) -> None:
    record = served.data_dir / lender.FILE
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert json.loads(record.read_text())["key"] not in (served.data_dir / lock.HOLDER).read_text()
    assert ".new" not in "".join(one.name for one in served.data_dir.iterdir())


def test_without_the_key_the_gallery_is_held_by_another(
    served: Config, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.3)
    record = served.data_dir / lender.FILE
    told = json.loads(record.read_text())
    for text in ("", "{", json.dumps(told | {"key": "00" * 32}), json.dumps(told | {"port": 1})):
        record.write_text(text)
        with Gallery(served) as other, pytest.raises(StoreLocked, match="reidsearch serve"):
            other.query(market / PROBE)
    record.write_text(json.dumps(told))
    with Gallery(served) as other:
        assert other.query(market / PROBE).hits


def test_another_version_is_told_so(
    served: Config, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lender, "__version__", "99.0")
    with Gallery(served) as other, pytest.raises(StoreError, match=r"reidsearch 99\.0 holds"):
        other.query(market / PROBE)


def test_a_gallery_that_stays_open_finds_its_way_when_the_service_ends(
    market: Path, gallery: Gallery, settings: Config
) -> None:
    gallery.close()
    with Gallery(settings) as other:
        with Gallery(settings, purpose="serve", address="http://127.0.0.1:1") as serving:
            serving.hold()
            first = other.query(market / PROBE)
        assert other.query(market / PROBE) == first  # it has the gallery itself now
        with Gallery(settings) as third, pytest.MonkeyPatch.context() as patch:
            patch.setattr(lock, "PATIENCE", 0.3)
            with pytest.raises(StoreLocked):
                third.query(market / PROBE)


def test_an_encoder_that_is_forgotten_beside_a_service_is_gone_from_it(
    served: Config, market: Path
) -> None:
    with Gallery(served) as other:
        assert other.forget_encoder("colours").vectors
        assert other.ingest(market).ingested
        assert other.query(market / PROBE).hits
    assert not list(served.data_dir.glob("vectors/*.old"))


def test_two_services_do_not_share_a_gallery(
    served: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.3)
    with (
        Gallery(served, purpose="serve", address="http://127.0.0.1:2") as second,
        pytest.raises(StoreLocked, match="serve"),
    ):
        second.hold()


def test_who_searched_beside_a_service_is_the_user_and_not_the_service(
    served: Config, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OPERATOR, "ann")
    with Gallery(served) as other:
        other.query(market / PROBE)
        monkeypatch.setenv(OPERATOR, "ben")
        other.trace(market / PROBE, min_score=0.5)
        log = other.audit()
    assert [(one.operator, one.command) for one in log] == [("ann", "query"), ("ben", "trace")]
