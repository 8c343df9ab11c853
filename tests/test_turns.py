"""Several ingests into one data dir at the same time: each waits for its turn, says for whom, and
has it, whoever is stopped, interrupted or killed meanwhile."""

import json
import math
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reidsearch import lock
from reidsearch.config import Config
from reidsearch.errors import StoreLocked
from reidsearch.gallery import Gallery
from reidsearch.lock import Held, waited_for
from tests.conftest import COLORS, write_crop
from tests.processes import wait_until_it_stands
from tests.qdrant_server import QdrantStandIn
from tests.serving import LONG
from tests.test_beside import ran, serving_it, spawn

Process = subprocess.Popen[bytes]

OVERDUE = lock.PATIENCE + 2.0  # seconds after which others than an ingest wait no longer


def folder(parent: Path, name: str, count: int = 20) -> Path:
    for seed in range(count):
        file = parent / name / f"{seed % 5:04d}_c{seed % 3}s1_{seed:06d}_00.png"
        write_crop(file, color=COLORS[1 + seed % 4], seed=hash_of(name) + seed)
    return parent / name


def hash_of(name: str) -> int:
    return sum(map(ord, name)) * 1000


def stopped(settings: Config, crops: Path, at: str) -> Process:
    """An ingest that stands still at a fault point."""
    process = spawn(settings, "ingest", crops, "--json", fault=f"{at}!SIGSTOP")
    wait_until_it_stands(process)
    return process


@contextmanager
def waiting(settings: Config, crops: Path, for_whom: Process) -> Iterator[Process]:
    """Another ingest, once it has said that it waits."""
    process = spawn(settings, "ingest", crops, "--json")
    assert process.stderr is not None
    said = process.stderr.readline().decode()
    assert f"reidsearch ingest (process {for_whom.pid}" in said
    assert "Waiting" in said
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ingested(process: Process) -> int:
    """How many crops it took in, where it ended well."""
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    return int(json.loads(out)["ingested"])


def stored(settings: Config) -> int:
    """How many crops are stored; none is stored twice, and nothing is wrong with any."""
    with Gallery(settings, purpose="test") as opened:
        checkup = opened.doctor()
        assert checkup.left == ()
        assert checkup.images == checkup.vectors
        return checkup.images


def test_ingests_that_begin_at_the_same_moment_in_a_new_gallery_all_end_well(
    settings: Config, tmp_path: Path
) -> None:
    folders = [folder(tmp_path, name) for name in ("north", "south", "east")]
    every = [spawn(settings, "ingest", one, "--json") for one in (*folders, folders[0])]
    assert sum(map(ingested, every)) == 60
    assert stored(settings) == 60


@pytest.mark.parametrize("where", ["in the data dir", "on a server"])
def test_who_comes_second_waits_for_as_long_as_the_first_takes(
    settings: Config,
    tmp_path: Path,
    qdrant: QdrantStandIn,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if where == "on a server":
        monkeypatch.setenv("REIDSEARCH_QDRANT_URL", qdrant.url)
    first, second = folder(tmp_path, "first"), folder(tmp_path, "second")
    running = stopped(settings, first, "encoded")
    with waiting(settings, second, running) as other:
        time.sleep(OVERDUE)
        assert other.poll() is None
        running.send_signal(signal.SIGCONT)
        assert ingested(running) == 20
        assert ingested(other) == 20
    assert stored(settings) == 40


@pytest.mark.parametrize("at", ["run started", "recorded", "flushed", "run finished"])
def test_when_the_first_is_killed_the_second_goes_on_and_nothing_is_lost(
    settings: Config, tmp_path: Path, at: str
) -> None:
    first, second = folder(tmp_path, "first"), folder(tmp_path, "second")
    running = stopped(settings, first, at)
    with waiting(settings, second, running) as other:
        running.kill()
        running.communicate()
        assert ingested(other) == 20
    assert ran(settings, "ingest", first)[0] == 0
    assert stored(settings) == 40


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_who_waits_may_be_ended_and_is_in_nobodys_way(
    settings: Config, tmp_path: Path, how: signal.Signals
) -> None:
    first, second, third = (folder(tmp_path, name) for name in ("first", "second", "third"))
    running = stopped(settings, first, "encoded")
    with waiting(settings, second, running) as ending, waiting(settings, third, running) as other:
        ending.send_signal(how)
        _, said = ending.communicate(timeout=LONG)
        assert b"Traceback" not in said
        assert ending.returncode == (130 if how == signal.SIGINT else -how)
        running.send_signal(signal.SIGCONT)
        assert ingested(running) == 20
        assert ingested(other) == 20
    assert stored(settings) == 40


def test_beside_a_service_ingests_wait_for_each_other_and_outlast_it(
    settings: Config, market: Path, tmp_path: Path
) -> None:
    assert ran(settings, "ingest", market)[0] == 0
    first, second = folder(tmp_path, "first"), folder(tmp_path, "second")
    probe = market / "query/0001_c1s1_000001_00.jpg"
    with serving_it(settings) as service:
        running = stopped(settings, first, "encoded")
        with waiting(settings, second, running) as other:
            assert ran(settings, "query", probe)[0] == 0
            service.send_signal(signal.SIGTERM)
            service.communicate(timeout=LONG)
            assert ingested(other) == 20  # which has the gallery itself now
        running.send_signal(signal.SIGCONT)
        _, said = running.communicate(timeout=LONG)
        assert running.returncode == 4  # what it had on loan was taken back
        assert b"Run the same command again" in said
    assert ran(settings, "ingest", first)[0] == 0
    assert stored(settings) == 71


def test_others_are_refused_after_a_while_and_what_never_ends_is_not_waited_for(
    settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.6)
    crops = folder(tmp_path, "crops")
    settings.data_dir.mkdir()
    with (
        Held(settings.data_dir, purpose="backup"),
        Gallery(settings) as other,
        pytest.raises(StoreLocked, match="reidsearch backup"),
    ):
        other.forget(identity=1)
    with (  # a service of another user, to whom it does not lend
        Held(settings.data_dir, purpose="serve", address="http://127.0.0.1:1"),
        Gallery(settings) as other,
        pytest.raises(StoreLocked, match="serve") as refused,
    ):
        other.ingest(crops)
    assert "`server=...`" in refused.value.hint


def test_it_is_said_once_for_whom_one_waits_and_again_when_that_is_another(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="reidsearch")
    refusals = iter(["ann holds it", "ann holds it", "ben holds it"])
    given = []

    def attempt(seconds: float) -> str:
        given.append(seconds)
        try:
            raise StoreLocked(next(refusals))
        except StopIteration:
            return "done"

    assert waited_for(attempt, patience=math.inf) == "done"
    said = [one.getMessage() for one in caplog.records]
    assert said == ["ann holds it. Waiting ...", "ben holds it. Waiting ..."]
    assert given == [lock.QUIETLY, lock.STEP, lock.STEP, lock.STEP]


@pytest.mark.parametrize(
    "kills", [4, pytest.param(60, marks=pytest.mark.soak)], ids=lambda n: f"{n} kills"
)
def test_ingests_that_are_killed_at_random_moments_among_others_lose_nothing(
    settings: Config, tmp_path: Path, kills: int
) -> None:
    rng = random.Random(0)
    folders = [folder(tmp_path, f"crops{n}", 60) for n in range(3)]
    running = {one: spawn(settings, "ingest", one) for one in folders}
    for _ in range(kills):
        time.sleep(rng.uniform(0.2, 2.5))
        one = rng.choice(folders)
        running[one].kill()
        running[one].communicate()
        running[one] = spawn(settings, "ingest", one)
    for process in running.values():
        _, said = process.communicate(timeout=LONG)
        assert process.returncode == 0, said
    assert stored(settings) == 180
