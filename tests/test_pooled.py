"""Many processes on one gallery whose catalog is behind a real PgBouncer, in both pool modes that
it may be asked in: as without one, nothing is lost, and nothing is twice."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch import Gallery
from reidsearch.config import Config
from reidsearch.settings import CatalogUrl
from tests import pgbouncer
from tests.pgbouncer import Pooler
from tests.postgres import Cluster
from tests.processes import wait_until_it_stands
from tests.qdrant_server import QdrantStandIn
from tests.test_many import crops, ended, files, start


@pytest.fixture(params=["session", "transaction"])
def pooler(request: pytest.FixtureRequest, postgres: Cluster) -> Iterator[Pooler]:
    with pgbouncer.pooler(postgres, request.param) as running:
        yield running


@pytest.fixture
def shared(settings: Config, pooler: Pooler, catalog_url: str, qdrant: QdrantStandIn) -> Config:
    url = CatalogUrl(pooler.url(catalog_url))
    return replace(settings, catalog_url=url, qdrant_url=qdrant.url)


def test_every_verb_works_beside_ingests(shared: Config, tmp_path: Path) -> None:
    first = crops(tmp_path / "first", 40)
    with Gallery(shared, purpose="test") as opened:
        assert opened.ingest(first).ingested == 40
        opened.calibrate(source="gallery")
    probe = sorted(first.iterdir())[0]
    same = crops(tmp_path / "same", 40, first=100)
    ingests = [start(shared, "ingest", same, "--json") for _ in range(2)]
    beside = [
        start(shared, "query", probe, "--json"),
        start(shared, "calibrate", "--json"),
        start(shared, "forget", "--identity", 5, "--yes", "--json"),
    ]
    assert sum(int(str(ended(process)["ingested"])) for process in ingests) == 40
    for process in beside:
        ended(process)
    with Gallery(shared, purpose="test") as opened:
        opened.ingest(same)  # of whom an ingest was about to take in while 5 was forgotten
        opened.keep_current()
        assert opened.doctor().left == ()
        assert opened.query(probe, camera="0", plain=True).hits[0].path == str(probe)
    assert len([file for file in files(shared) if file.startswith(str(same))]) == 40


def test_the_work_of_a_process_that_dies_is_taken_over(shared: Config, tmp_path: Path) -> None:
    folder = crops(tmp_path / "crops", 50)
    dying = start(shared, "ingest", folder, "--json", fault="flushed!SIGSTOP")
    wait_until_it_stands(dying)  # type: ignore[arg-type]
    other = start(shared, "ingest", folder, "--json")
    dying.kill()
    dying.communicate()
    assert ended(other)["ingested"] == 50
    assert len(files(shared)) == 50


def test_a_pooler_that_is_restarted_during_an_ingest_costs_nothing_that_was_confirmed(
    shared: Config, pooler: Pooler, tmp_path: Path
) -> None:
    folder = crops(tmp_path / "crops", 120)
    times = iter(range(100))

    def restart(summary: object) -> None:
        if next(times) in (1, 3):
            pooler.stop()
            pooler.start()

    with closing(Gallery(shared, purpose="test")) as opened:
        assert opened.ingest(folder, on_progress=restart).ingested == 120
        assert opened.doctor().left == ()
