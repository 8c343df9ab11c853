"""Many processes on one gallery, on two real servers' protocols: nothing lost, nothing twice, and
the work of those that die is taken over."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

import reidsearch as package
from reidsearch import CatalogError, Gallery, faults
from reidsearch.config import Config
from reidsearch.settings import CatalogUrl
from tests.conftest import COLORS, write_crop
from tests.postgres import Cluster, cluster, database, run_sql
from tests.processes import LONG, wait_until_it_stands
from tests.qdrant_server import QdrantStandIn


@pytest.fixture
def shared(settings: Config, catalog_url: str, qdrant: QdrantStandIn) -> Config:
    return replace(settings, catalog_url=CatalogUrl(catalog_url), qdrant_url=qdrant.url)


def crops(folder: Path, count: int, *, first: int = 0) -> Path:
    for seed in range(first, first + count):
        name = f"{seed % 7:04d}_c{seed % 3}s1_{seed:06d}_00.jpg"
        write_crop(folder / name, color=COLORS[1 + seed % 4], seed=seed)
    return folder


def start(settings: Config, *words: object, fault: str = "") -> "subprocess.Popen[str]":
    """The command line in a process of its own, as on a machine of its own: without a data dir in
    common."""
    assert settings.catalog_url is not None
    here = settings.data_dir.with_name(f"{settings.data_dir.name}-{os.urandom(4).hex()}")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(package.__file__).parent.parent),
        "REIDSEARCH_CATALOG_URL": settings.catalog_url.secret,
        "REIDSEARCH_QDRANT_URL": str(settings.qdrant_url),
        "REIDSEARCH_ENCODER": str(settings.encoder),
        "REIDSEARCH_DATA_DIR": str(here),
        faults.VARIABLE: fault,
    }
    command = [sys.executable, "-m", "reidsearch", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def ended(process: "subprocess.Popen[str]") -> dict[str, object]:
    """What it printed as JSON, where it ended well."""
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    found: dict[str, object] = json.loads(out)
    return found


def files(settings: Config) -> list[str]:
    """All images, by their files; nothing is wrong with any."""
    with Gallery(settings, purpose="test") as opened:
        checkup = opened.doctor()
        assert checkup.left == ()
        assert checkup.images == checkup.vectors
        return [str(image.file) for image in opened._session.catalog.images.all()]


def test_ten_processes_take_in_what_they_share_and_what_they_do_not(
    shared: Config, tmp_path: Path
) -> None:
    same = crops(tmp_path / "same", 60)
    sub = crops(same / "sub", 20, first=100)
    alone = [crops(tmp_path / f"alone{n}", 10, first=200 + 10 * n) for n in range(4)]
    ingests = [start(shared, "ingest", folder, "--json") for folder in (same, same, same, sub, sub)]
    ingests += [start(shared, "ingest", folder, "--json") for folder in alone]
    others = [start(shared, "status", "--json")]
    told = [ended(process) for process in ingests]
    for process in others:
        process.communicate(timeout=LONG)
    assert sum(int(str(one["ingested"])) for one in told) == 120
    stored = files(shared)
    every = [*tmp_path.glob("same/**/*.jpg"), *tmp_path.glob("alone?/*.jpg")]
    assert sorted(stored) == sorted(map(str, every))


def test_queries_and_what_is_learned_go_on_beside_ingests(shared: Config, tmp_path: Path) -> None:
    first = crops(tmp_path / "first", 40)
    with Gallery(shared, purpose="test") as opened:
        opened.ingest(first)
        opened.calibrate(source="gallery")
    probe = sorted(first.iterdir())[0]
    beside = [
        start(shared, "ingest", crops(tmp_path / f"more{n}", 30, first=100 * n), "--json")
        for n in (1, 2, 3)
    ]
    asked = [start(shared, "query", probe, "--json"), start(shared, "calibrate", "--json")]
    asked.append(start(shared, "forget", "--identity", 5, "--yes", "--json"))
    for process in (*asked, *beside):
        ended(process)
    with Gallery(shared, purpose="test") as opened:
        opened.keep_current()
        assert opened.doctor().left == ()
        assert {one.current for one in opened.status().expanded} == {True}
        assert opened.query(probe, camera="0", plain=True).hits[0].path == str(probe)


@pytest.mark.parametrize("point", ["recorded", "flushed"])
def test_the_work_of_a_process_that_dies_is_taken_over_by_one_that_waits_for_it(
    shared: Config, tmp_path: Path, point: str
) -> None:
    folder = crops(tmp_path / "crops", 50)
    dying = start(shared, "ingest", folder, "--json", fault=f"{point}!SIGSTOP")
    wait_until_it_stands(dying)  # type: ignore[arg-type]
    other = start(shared, "ingest", folder, "--json")
    with pytest.raises(subprocess.TimeoutExpired):
        other.wait(3)  # as the first one lives
    dying.kill()
    dying.communicate()
    assert ended(other)["ingested"] == 50
    assert len(files(shared)) == 50


def test_who_was_thought_dead_stores_nothing_twice(shared: Config, tmp_path: Path) -> None:
    folder = crops(tmp_path / "crops", 50)
    asleep = start(shared, "ingest", folder, "--json", fault="encoded!SIGSTOP")
    wait_until_it_stands(asleep)  # type: ignore[arg-type]
    assert shared.catalog_url is not None
    run_sql(  # as where the network between is cut
        shared.catalog_url.secret,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    with Gallery(shared, purpose="test") as opened:
        assert opened.ingest(folder).ingested == 50
    asleep.send_signal(signal.SIGCONT)
    told = ended(asleep)
    assert told["ingested"] == 0
    assert len(files(shared)) == 50


@pytest.fixture
def restartable(settings: Config, qdrant: QdrantStandIn) -> Iterator[tuple[Cluster, Config]]:
    """A gallery's settings, and the server of its catalog, which nobody else uses."""
    with cluster() as server, database(server.url) as url:
        given = replace(settings, catalog_url=CatalogUrl(url), qdrant_url=qdrant.url)
        yield server, given


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_that_is_restarted_during_an_ingest_costs_nothing_that_was_confirmed(
    restartable: tuple[Cluster, Config], tmp_path: Path, how: str
) -> None:
    server, settings = restartable
    folder = crops(tmp_path / "crops", 120)
    times = iter(range(100))

    def restart(summary: object) -> None:
        if next(times) in (1, 3):
            server.stop(how)
            server.start()

    with closing(Gallery(settings, purpose="test")) as opened:
        assert opened.ingest(folder, on_progress=restart).ingested == 120
        assert opened.doctor().left == ()


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_that_is_restarted_within_transactions_costs_nothing_that_was_confirmed(
    restartable: tuple[Cluster, Config], tmp_path: Path, how: str
) -> None:
    server, settings = restartable
    folder = crops(tmp_path / "crops", 120)
    commits = iter(range(1000))
    confirmed, refused = 0, list[str]()
    with closing(Gallery(settings, purpose="test")) as opened:
        assert opened.ingest(crops(tmp_path / "first", 1)).ingested == 1

        @event.listens_for(opened._session.catalog.engine, "commit")
        def _restart(connection: object) -> None:
            if next(commits) in (1, 3, 6, 10):  # all is written, and none of it confirmed
                server.stop(how)
                server.start()

        while not confirmed:
            try:
                confirmed = opened.ingest(folder).found
            except CatalogError as error:  # it may have been done, and must not be twice
                refused.append(error.hint)
        assert next(commits) > 10
        assert confirmed == 120
        assert len(refused) <= 4
        assert all("Run the same call again" in hint for hint in refused)
        checkup = opened.doctor()
        assert checkup.left == ()
        assert checkup.images == checkup.vectors == 121
