"""The command line in processes of its own, killed or stopped midway, and what they leave."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from reidsearch import faults, lock
from reidsearch.config import Config
from reidsearch.session import CATALOG, VECTORS
from reidsearch.types import Split
from tests.conftest import every

LONG = 300  # seconds after which what hangs is given up


def reidsearch(settings: Config, *words: object, fault: str = "") -> "subprocess.Popen[bytes]":
    executable = Path(sys.executable).with_name("reidsearch")
    home, encoder = str(settings.data_dir), str(settings.encoder)
    return subprocess.Popen(
        [str(executable), "--data-dir", home, "--encoder", encoder, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, faults.VARIABLE: fault},
    )


def finish(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    _, stderr = process.communicate(timeout=LONG)
    assert b"Traceback" not in stderr, stderr
    return process.returncode, stderr.decode()


def wait_until_it_stands(process: "subprocess.Popen[bytes]") -> None:
    """Until it has stopped at the fault point that its environment names with ``!SIGSTOP``."""
    found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert found is not None
    assert found.si_code == os.CLD_STOPPED, "it ended and never was there"


def contents(settings: Config) -> dict[str, object]:
    """All that both stores say, vectors bit for bit; times and row numbers left out."""
    with every(settings) as (catalog, galleries):
        found: dict[str, object] = {"images": [], "backups": []}
        found["images"] = [
            (r.id, r.path, r.split, r.camera, r.identity, r.sequence, r.frame, r.sha256, r.size)
            for r in catalog.images.all()
        ]
        found["owed"] = catalog.compaction_owed
        for one in galleries:
            rows = catalog.embeddings.all(one.encoder_id)
            found[one.encoder_name] = sorted((r.image_id, r.state, r.checksum) for r in rows)
            for ids, vectors, payloads in one.store.records():
                for id, vector, payload in zip(ids.tolist(), vectors, payloads, strict=True):
                    found[f"{one.encoder_name} {id}"] = (vector.tobytes(), payload)
            found["neighbours"] = [catalog.learned.neighbours(one.encoder_id, s) for s in Split]
    found["files"] = sorted(p.name for p in (settings.data_dir / VECTORS).iterdir())
    return found


def like(found: dict[str, object]) -> dict[str, object]:
    """Collections are named after their catalog, which differs; their number must not."""
    return {**found, "files": len(found["files"])}  # type: ignore[arg-type]


def wait_until_it_holds(settings: Config, process: "subprocess.Popen[bytes]") -> None:
    """Until the process has the gallery's lock, after which its work begins."""
    deadline = time.monotonic() + LONG
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if json.loads((settings.data_dir / lock.HOLDER).read_text())["pid"] == process.pid:
                return
        except OSError:  # none yet
            pass
        time.sleep(0.005)
    pytest.fail("the ingest ended before it began")


def indexed(settings: Config, copy: Path) -> int:
    """How many crops the catalog calls stored; read from a copy, as reading mends a catalog."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in settings.data_dir.glob(f"{CATALOG}*"):
        shutil.copy(path, copy)
    with closing(sqlite3.connect(copy / CATALOG)) as db:
        try:
            (found,) = db.execute("SELECT count(*) FROM embedding WHERE state = 'indexed'")
        except sqlite3.OperationalError:  # killed before there were tables
            return 0
    return int(found[0])


def seconds_of(process: "subprocess.Popen[bytes]") -> float:
    """What a running process has used of processors."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def seconds_of_children() -> float:
    """What all those that have ended had used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
