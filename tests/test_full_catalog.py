"""The disk of the catalog's PostgreSQL is full in the middle of an ingest: a real one, of a few
megabytes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from reidsearch import CatalogError, Gallery
from reidsearch.catalog import postgres
from reidsearch.config import Config
from reidsearch.settings import CatalogUrl
from tests.postgres import Cluster, cluster, programs, run_sql
from tests.qdrant_server import QdrantStandIn
from tests.test_many import crops


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A disk of that size, in memory, within the block."""
    folder = Path(tempfile.mkdtemp(prefix="reidsearch-disk-", dir="/tmp"))
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no disk can be mounted here: that takes root")
        folder.chmod(0o755)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
        folder.rmdir()


def fill(disk: Path) -> Path:
    """Leave no byte free there; the file that takes them all."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), 4096)
    return ballast


@contextmanager
def with_tables_on(disk: Path) -> Iterator[tuple[Cluster, str]]:
    """A server, and the URL of a database there whose tables are on that disk."""
    with cluster() as server:
        run_sql(
            server.url,
            f"CREATE TABLESPACE small LOCATION '{folder_on(disk)}'",
            "CREATE DATABASE people TABLESPACE small",
        )
        yield server, server.url_of("people")


@contextmanager
def with_log_on(disk: Path) -> Iterator[tuple[Cluster, str]]:
    """The same of a server that has its log of changes there: it stops where that is full."""
    with cluster(wal=folder_on(disk)) as server:
        run_sql(server.url, "CREATE DATABASE people")
        yield server, server.url_of("people")


def folder_on(disk: Path) -> Path:
    folder = disk / "postgres"
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    return folder


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
@pytest.mark.parametrize("server_on", [with_tables_on, with_log_on])
def test_a_full_disk_of_the_catalogs_server_costs_nothing_that_was_confirmed(
    settings: Config,
    qdrant: QdrantStandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server_on: Callable[[Path], AbstractContextManager[tuple[Cluster, str]]],
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 1.0)
    folder = crops(tmp_path / "crops", 40)
    with small_disk(64) as disk, server_on(disk) as (server, url):
        given = replace(
            settings, catalog_url=CatalogUrl(url), qdrant_url=qdrant.url, thumbnails=True
        )
        with closing(Gallery(given, purpose="test")) as opened:
            assert opened.ingest(folder).ingested == 40
            crops(folder, 200, first=100)
            ballast: list[Path] = []

            def fill_it(summary: object) -> None:
                if not ballast:
                    ballast.append(fill(disk))

            with pytest.raises(CatalogError, match="No space left on device") as caught:
                opened.ingest(folder, on_progress=fill_it)
            assert "Free some of its disk" in caught.value.hint
        ballast[0].unlink()
        with suppress(CalledProcessError):  # it may have stopped by itself
            server.stop("immediate")
        server.start()
        with closing(Gallery(given, purpose="test")) as opened:
            rest = opened.ingest(folder)
            assert rest.unchanged >= 40
            assert rest.ingested + rest.unchanged == 240
            checkup = opened.doctor()
            assert checkup.left == ()
            assert checkup.images == checkup.vectors == 240
