"""A real PostgreSQL for tests: a cluster of their own in a temporary folder, on a Unix socket, and
at an address of another machine of theirs where that is given, with a database for each test."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import NullPool, create_engine, make_url

from tests.hosts import Host

DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, of the newest version; None where there is none."""
    on_path = shutil.which("initdb")
    found = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    if not found and on_path is None:
        return None
    return (found[-1] if found else Path(str(on_path)).resolve()).parent


class Cluster:
    """A running server, started and stopped with ``start`` and ``stop``."""

    def __init__(self, folder: Path, bin: Path, on: Host | None = None) -> None:
        self.folder = folder
        self._bin = bin
        self._on = on

    @property
    def url(self) -> str:
        """Of its database postgres."""
        return f"postgresql+psycopg://postgres@/postgres?host={quote(str(self.folder), safe='')}"

    def url_of(self, name: str) -> str:
        """Of its database of that name."""
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def url_afar(self, name: str) -> str:
        """The same, for other machines."""
        assert self._on is not None
        return f"postgresql+psycopg://postgres@{self._on.address}/{name}"

    def initialise(self, wal: Path | None = None) -> None:
        elsewhere = [] if wal is None else ["--waldir", str(wal)]
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync",
                  "-E", "UTF8", "--locale=C.UTF-8", "--wal-segsize=1", *elsewhere)  # fmt: skip
        with (self.folder / "data/postgresql.conf").open("a") as conf:
            conf.write("fsync = off\nshared_buffers = 16MB\nautovacuum = off\n")
            conf.write("min_wal_size = 2MB\n")
            address = "" if self._on is None else self._on.address
            conf.write(f"listen_addresses = '{address}'\n")
            conf.write(f"unix_socket_directories = '{self.folder}'\n")
        if self._on is not None:
            with (self.folder / "data/pg_hba.conf").open("a") as access:
                access.write("host all all 10.77.0.0/16 trust\n")

    def start(self) -> None:
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "start")

    def stop(self, mode: str = "fast") -> None:
        """As ``pg_ctl`` calls it: fast ends all sessions, immediate is a crash."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *words: str) -> None:
        command = as_postgres([str(self._bin / program), *words])
        if self._on is not None:
            command = [*self._on.prefix, *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


def as_postgres(command: list[str]) -> list[str]:
    """The command of a server, which refuses to run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]


@contextmanager
def cluster(wal: Path | None = None, on: Host | None = None) -> Iterator[Cluster]:
    """A cluster that runs within the block, with its log of changes in the folder ``wal`` where
    that is given, ``on`` another machine. Only where there are ``programs``."""
    bin = programs()
    assert bin is not None
    folder = Path(tempfile.mkdtemp(prefix="reidsearch-pg-", dir="/tmp"))  # a socket's path is short
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    folder.chmod(0o755)
    server = Cluster(folder, bin, on)
    try:
        server.initialise(wal)
        server.start()
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database there, dropped after the block."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    run_sql(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def run_sql(url: str, *statements: str) -> None:
    """Run statements in a session of their own, each a transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as db:
        for statement in statements:
            db.exec_driver_sql(statement)
