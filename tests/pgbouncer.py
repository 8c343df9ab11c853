"""A real PgBouncer for tests, before a PostgreSQL of theirs: on a Unix socket in a folder of its
own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from tests.postgres import Cluster, as_postgres
from tests.serving import until

PROGRAM = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
PORT = 6432  # of the socket's name alone


class Pooler:
    """A pooler that runs, ended and begun anew with ``stop`` and ``start``."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder = folder
        self._program = program

    def url(self, direct: str) -> str:
        """The URL of a database's, through this pooler."""
        host = quote(str(self._folder), safe="")
        name = make_url(direct).database
        return f"postgresql+psycopg://postgres@/{name}?host={host}&port={PORT}"

    def start(self) -> None:
        command = as_postgres([self._program, str(self._folder / "ini")])
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/")
        until(lambda: "process up" in (self._folder / "log").read_text())

    def stop(self) -> None:
        """As a crash does: nobody is told."""
        self._process.kill()
        self._process.wait()
        (self._folder / "log").write_text("")


@contextmanager
def pooler(server: Cluster, mode: str, **settings: object) -> Iterator[Pooler]:
    """A pooler before ``server`` within the block, with one of PgBouncer's pool modes and any of
    its settings. Where there is no ``PROGRAM``, its test is skipped."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    folder = Path(tempfile.mkdtemp(prefix="reidsearch-pool-", dir="/tmp"))
    told = {
        "pool_mode": mode,
        "unix_socket_dir": folder,
        "listen_port": PORT,
        "auth_type": "trust",
        "auth_file": folder / "users",
        "logfile": folder / "log",
        **settings,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in told.items())
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "log").touch()
    (folder / "ini").write_text(f"[databases]\n* = host={server.folder}\n[pgbouncer]\n{lines}\n")
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "postgres", "postgres")
    folder.chmod(0o755)
    running = Pooler(folder, PROGRAM)
    running.start()
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
