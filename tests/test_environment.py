"""What the machine does to a gallery: full disks, missing rights, files that change, others' locks.

Real file systems, real rights and real processes.
"""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from reidsearch import datasets, ingest, lock
from reidsearch.catalog import schema
from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder
from reidsearch.ingest.summary import IngestSummary
from reidsearch.session import CATALOG, VECTORS
from tests.conftest import COLORS, Run, filling, reading, write_crop
from tests.processes import contents, finish, like, reidsearch, wait_until_it_stands

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk takes root on Linux"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def unprivileged(*command: object) -> list[str]:
    """Run it without root's right to pass over permissions, where we are root."""
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *words]
    return words


def cli(settings: Config, *words: object) -> list[object]:
    executable = Path(sys.executable).with_name("reidsearch")
    return [executable, "--data-dir", settings.data_dir, "--encoder", settings.encoder, *words]


@needs_root
def test_a_full_disk_ends_an_ingest_with_an_error_and_room_lets_it_go_on(
    tmp_path: Path, small_disk: Path, market: Path, encoder_file: Path
) -> None:
    settings = Config(small_disk / "home", None, encoder_file, "cpu", {})
    (small_disk / "film.mp4").write_bytes(bytes(100 << 20))
    code, stderr = finish(reidsearch(settings, "ingest", market))
    assert code == 4, stderr
    assert "is full" in stderr
    assert "running the same command again goes on" in stderr
    (small_disk / "film.mp4").unlink()
    assert finish(reidsearch(settings, "ingest", market))[0] == 0
    (small_disk / "film.mp4").write_bytes(bytes(100 << 20))  # full again: what is there, answers
    probe = market / "query/0001_c1s1_000001_00.jpg"
    assert finish(reidsearch(settings, "query", probe))[0] == 0
    fresh = Config(tmp_path / "fresh", None, encoder_file, "cpu", {})
    finish(reidsearch(fresh, "ingest", market))
    assert like(contents(settings)) == like(contents(fresh))


@needs_root
def test_a_disk_without_a_byte_left_loses_nothing(
    small_disk: Path, market: Path, encoder_file: Path
) -> None:
    settings = Config(small_disk / "home", None, encoder_file, "cpu", {})
    assert finish(reidsearch(settings, "ingest", market))[0] == 0
    before = contents(settings)
    with (small_disk / "film.mp4").open("wb", buffering=0) as film, contextlib.suppress(OSError):
        while True:
            film.write(bytes(1 << 12))
    write_crop(market / "query/0009_c1s1_000001_00.jpg", color=COLORS[1])
    code, stderr = finish(reidsearch(settings, "ingest", market))
    assert code in (1, 4), stderr
    assert "full" in stderr or "space" in stderr or "disk" in stderr
    (small_disk / "film.mp4").unlink()
    (market / "query/0009_c1s1_000001_00.jpg").unlink()
    assert finish(reidsearch(settings, "ingest", market, "--prune"))[0] == 0
    assert like(contents(settings)) == like(before)


def test_a_read_only_data_dir_is_an_error_that_says_so(market: Path, settings: Config) -> None:
    assert finish(reidsearch(settings, "ingest", market))[0] == 0
    folders = [settings.data_dir, *settings.data_dir.rglob("*")]
    for path in folders:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        for words in (("ingest", market), ("query", market / "query/0001_c1s1_000001_00.jpg")):
            done = subprocess.run(
                unprivileged(*cli(settings, *words)), capture_output=True, text=True, timeout=60
            )
            assert done.returncode in (1, 4), done.stderr
            assert "Traceback" not in done.stderr
            assert "defect" not in done.stderr
            assert str(settings.data_dir) in done.stderr
    finally:
        for path in folders:
            path.chmod(0o700 if path.is_dir() else 0o600)


def test_searching_tells_nobody_else_and_leaves_nothing_at_home(
    market: Path, settings: Config, tmp_path: Path
) -> None:
    """ONNX Runtime would keep what it reports, and who from, in a folder of its own."""
    home = tmp_path / "somebody"
    home.mkdir()
    noisy = ("CI", "ORT_", "XDG_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(noisy)}
    environment |= {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parent.parent)}
    module = [sys.executable, "-m", "reidsearch"]
    for words in (("ingest", market), ("query", market / "query/0001_c1s1_000001_00.jpg")):
        done = subprocess.run(
            [*module, *map(str, cli(settings, *words)[1:])],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "elemetry" not in done.stderr
    assert list(home.rglob("*")) == []


def test_a_folder_that_cannot_be_listed_is_reported_and_its_images_are_not_pruned(
    tmp_path: Path, settings: Config, encoder: Encoder
) -> None:
    for seed in range(6):
        write_crop(tmp_path / f"crops/{seed % 2}/{seed}.jpg", color=COLORS[1], seed=seed)
    assert finish(reidsearch(settings, "ingest", tmp_path / "crops"))[0] == 0
    before = contents(settings)
    (tmp_path / "crops/0").chmod(0)
    try:
        done = subprocess.run(
            unprivileged(*cli(settings, "ingest", tmp_path / "crops", "--prune", "--json")),
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        (tmp_path / "crops/0").chmod(0o700)
    report = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr
    assert [f["path"] for f in report["failures"]] == ["0"]
    assert (report["vanished"], report["pruned"]) == ([], 0)
    finish(reidsearch(settings, "ingest", tmp_path / "crops"))
    after = contents(settings)
    images = [row for row in after["images"] if row[1] != "0"]  # type: ignore[attr-defined]
    assert images == before["images"]


def test_files_deleted_and_rewritten_between_scan_and_decoding_are_noticed(
    market: Path, settings: Config, encoder: Encoder
) -> None:
    gone, rewritten = "query/0001_c1s1_000001_00.jpg", "query/0002_c1s1_000001_00.jpg"
    found = datasets.read(market)
    (market / gone).unlink()
    with filling(settings) as opened:

        def rewrite(report: IngestSummary) -> None:  # called once all files were looked at
            write_crop(market / rewritten, color=COLORS[4], seed=77)
            os.utime(market / rewritten, (2, 2))

        report = ingest.take_in(opened, found, encoder=encoder, on_progress=rewrite)
        assert [(f.path, f.reason) for f in report.failures] == [(gone, "no such file")]
        again = ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert (again.ingested, again.vanished) == (1, [gone])
        final = ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert final.ingested == 0
        stored, vectors = opened.load()
        (vector,) = vectors[stored.path == rewritten]
    fresh = Config(settings.data_dir.parent / "fresh", None, settings.encoder, "cpu", {})
    with filling(fresh) as opened:
        ingest.take_in(opened, datasets.read(market), encoder=encoder)
        stored, vectors = opened.load()
        assert vectors[stored.path == rewritten][0].tobytes() == vector.tobytes()


def test_a_catalog_that_another_program_writes_is_waited_for_and_then_named(
    market: Path, run: Run, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--quiet", "ingest", market)
    impatient = partial(schema.open_catalog, lock_seconds=0.3)
    monkeypatch.setattr(schema, "open_catalog", impatient)
    with closing(sqlite3.connect(settings.data_dir / CATALOG)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("ingest", market, exit_code=4)
        assert CATALOG in result.stderr
        other.execute("ROLLBACK")
    run("ingest", market)


def test_a_second_process_waits_and_then_says_who_holds_the_gallery(
    market: Path, run: Run, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--quiet", "ingest", market)
    monkeypatch.setattr(lock, "PATIENCE", 0.3)
    probe = market / "query/0001_c1s1_000001_00.jpg"
    with reading(settings):
        for words in (
            ("query", probe),
            ("doctor",),
            ("forget", "--image", probe),
        ):
            extra = ("--yes",) if words[0] == "forget" else ()
            result = run(*words, *extra, exit_code=4)
            assert f"reidsearch test (process {os.getpid()}" in result.stderr
        run("status")  # needs the catalog alone
    run("query", probe)
    assert not (settings.data_dir / lock.HOLDER).exists()


def test_the_lock_of_a_killed_process_holds_nobody_up(
    market: Path, settings: Config, run: Run
) -> None:
    code, _ = finish(reidsearch(settings, "ingest", market, fault="confirmed"))
    assert code == -signal.SIGKILL
    assert (settings.data_dir / lock.HOLDER).exists()
    run("ingest", market)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for seed in range(1500):
        name = f"crops/{seed % 50:04d}_c{seed % 3}s1_{seed:06d}_00.jpg"
        write_crop(tmp_path / name, color=COLORS[1 + seed % 4], seed=seed)
    return tmp_path / "crops"


def test_what_runs_at_once_waits_or_is_told_and_nothing_is_half_applied(
    many: Path, settings: Config, tmp_path: Path
) -> None:
    first = reidsearch(settings, "ingest", many, fault="confirmed!SIGSTOP")
    wait_until_it_stands(first)
    probe = next(many.iterdir())
    processes = {
        "ingest": first,
        "ingest too": reidsearch(settings, "ingest", many),
        "query": reidsearch(settings, "query", probe),
        "doctor": reidsearch(settings, "doctor", "--fix"),
        "forget": reidsearch(settings, "forget", "--identity", 3, "--yes"),
        "status": reidsearch(settings, "status"),
    }
    first.send_signal(signal.SIGCONT)
    codes = {}
    for name, process in processes.items():
        code, stderr = finish(process)
        codes[name] = code
        assert code in (0, 1, 4), (name, stderr)
        if code == 4:
            assert "holds the gallery" in stderr
    assert codes["ingest"] == codes["status"] == 0
    assert finish(reidsearch(settings, "ingest", many))[0] == 0
    assert finish(reidsearch(settings, "doctor"))[0] == 0
    fresh = Config(tmp_path / "fresh", None, settings.encoder, "cpu", {})
    finish(reidsearch(fresh, "ingest", many))
    assert like(contents(settings)) == like(contents(fresh))


def test_a_data_dir_that_lost_its_vectors_is_filled_again(
    market: Path, run: Run, settings: Config
) -> None:
    run("--quiet", "ingest", market)
    shutil.rmtree(settings.data_dir / VECTORS)
    run("doctor", "--fix")
    assert json.loads(run("doctor", "--json").stdout)["vectors"] == 31
