"""The world around a gallery: names of every kind, encodings of the terminal, users without a name,
disks that can only be read."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch import config, lock
from reidsearch.catalog import schema, sqlite
from reidsearch.config import Config
from reidsearch.errors import StoreLocked, UsageError
from reidsearch.files import bytes_on_disk
from reidsearch.gallery import Gallery
from reidsearch.session import CATALOG
from tests.conftest import COLORS, Run, catalog_of, write_crop
from tests.test_environment import cli, needs_root, unprivileged

PROBE = "query/0001_c1s1_000001_00.jpg"
NAMES = [
    b'x?mode=memory&y#100%41 it\'s "so"',
    b"new\nline \xff no text",
    "{x} é 😀".encode() + b"n" * 190,
]


def started(
    command: list[object], *, environment: Mapping[str, str] = os.environ, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    words = [os.fsencode(str(word)) for word in command]
    return subprocess.run(words, env=environment, input=stdin, capture_output=True, timeout=120)


@pytest.mark.parametrize("name", NAMES)
def test_a_data_dir_may_have_any_name(
    tmp_path: Path, market: Path, settings: Config, name: bytes
) -> None:
    home = tmp_path / os.fsdecode(name)
    with Gallery(replace(settings, data_dir=home), purpose="test") as gallery:
        assert gallery.ingest(market).ingested == 31
    with Gallery(replace(settings, data_dir=home), purpose="test") as gallery:
        assert gallery.query(market / PROBE).hits[0].identity == 1
        assert gallery.forget(identity=2).vectors == 7
        assert gallery.doctor().left == ()
    assert (home / CATALOG).is_file()


def test_two_data_dirs_are_two_galleries_where_their_names_agree_up_to_a_question_mark(
    tmp_path: Path, market: Path, settings: Config
) -> None:
    first, second = (replace(settings, data_dir=tmp_path / f"x?{n}") for n in (1, 2))
    with Gallery(first, purpose="test") as gallery:
        gallery.ingest(market)
    with Gallery(second, purpose="test") as gallery:
        assert gallery.status().images == ()
    with Gallery(first, purpose="test") as gallery:
        assert gallery.query(market / PROBE).hits
    assert not (tmp_path / "x").exists()


@pytest.fixture
def cyrillic(tmp_path: Path, run: Run) -> Path:
    """A gallery's only crop, whose name neither ASCII nor cp1252 has letters for."""
    picture = write_crop(tmp_path / "кадры/é я.jpg", color=COLORS[1])
    run("--quiet", "ingest", picture.parent)
    return picture


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_an_answer_is_shown_whatever_the_encoding_of_the_terminal(
    tmp_path: Path, cyrillic: Path, settings: Config, environment: dict[str, str]
) -> None:
    surroundings = os.environ | environment

    def shown(*words: object) -> str:
        done = started(cli(settings, *words), environment=surroundings)
        assert (done.returncode, b"defect" in done.stderr) == (0, False), done.stderr
        return done.stdout.decode("cp1252")

    def named(path: str) -> bool:
        """Whether this is the crop's path, with escapes for what the encoding lacks."""
        return path.encode("ascii", "backslashreplace") == str(cyrillic).encode(
            "ascii", "backslashreplace"
        )

    assert json.loads(shown("query", cyrillic, "--json"))["hits"][0]["path"] == str(cyrillic)
    (row,) = csv.DictReader(io.StringIO(shown("query", cyrillic, "--csv")))
    assert named(row["path"])
    assert "\\u044f.jpg" in shown("query", cyrillic)
    assert json.loads(shown("audit", "--json"))[0]["hits"] == 1
    assert "Global options" in shown("query", "--help")
    failed = started(cli(settings, "query", tmp_path / "нет.jpg"), environment=surroundings)
    assert failed.returncode == 1
    assert failed.stderr.isascii()
    assert b".jpg: no such file" in failed.stderr


def test_a_name_that_is_no_text_is_shown_as_json_that_can_be_read(
    tmp_path: Path, market: Path, settings: Config, run: Run
) -> None:
    run("--quiet", "ingest", market)
    probe = tmp_path / os.fsdecode(b"\xff.jpg")
    shutil.copyfile(market / PROBE, probe)
    done = started(cli(settings, "query", probe, "--json"))
    assert json.loads(done.stdout)["query"] == str(probe)
    assert started(cli(settings, "query", probe, "--csv")).returncode == 0


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="takes root on Linux")
def test_a_user_without_a_name_or_a_home_can_work(
    tmp_path: Path, market: Path, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    # So that the interpreter and the package can be read, wherever they are.
    rights = [f"--{kind}-caps=+dac_override,+dac_read_search" for kind in ("inh", "ambient")]
    executable = Path(sys.executable).with_name("reidsearch")
    home = tmp_path / "nobodys"
    bare = {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}
    environment = bare | {
        "REIDSEARCH_DATA_DIR": home.name,
        "REIDSEARCH_ENCODER": str(settings.encoder),
    }
    if started([*nobody, *rights, "true"]).returncode:
        pytest.skip("no rights can be handed to another user here")
    tmp_path.chmod(0o777)  # and is where it works: the folders above are not for it to see
    monkeypatch.chdir(tmp_path)
    for words in (("ingest", market.name), ("query", f"{market.name}/{PROBE}"), ("status",)):
        done = started([*nobody, *rights, executable, *words], environment=environment)
        assert done.returncode == 0, done.stderr.decode()
    assert home.stat().st_uid == 12345
    done = started([*nobody, *rights, executable, "audit", "--json"], environment=environment)
    assert json.loads(done.stdout)[0]["operator"] == "unknown"
    done = started([*nobody, *rights, executable, "status"], environment=bare)
    assert done.returncode == 2
    assert b"--data-dir" in done.stderr


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_settings_file_may_begin_with_a_byte_order_mark(tmp_path: Path, line_end: str) -> None:
    file = tmp_path / "reidsearch.toml"
    text = f'data_dir = "gal"{line_end}retain_days = 30{line_end}'
    file.write_bytes(text.encode("utf-8-sig"))
    found = config.load({}, environment={}, file=file)
    assert (found.data_dir, found.retain_days) == (Path("gal"), 30)
    file.write_bytes(text.encode("utf-16"))
    with pytest.raises(UsageError, match="UTF-16") as error:
        config.load({}, environment={}, file=file)
    assert "UTF-8" in error.value.hint


def test_probes_come_from_stdin(market: Path, settings: Config, run: Run) -> None:
    run("--quiet", "ingest", market)
    data = (market / PROBE).read_bytes()
    done = started(cli(settings, "query", "-", "--camera", 1, "--json"), stdin=data)
    answer = json.loads(done.stdout)
    assert (answer["query"], answer["hits"][0]["identity"]) == ("stdin", 1)
    entry = json.loads(run("audit", "--json").stdout)[0]
    assert entry["probe_sha256"] == hashlib.sha256(data).hexdigest()
    done = started(cli(settings, "trace", "-", "--min-score", 0.5, "--json"), stdin=data)
    assert json.loads(done.stdout)["query"] == "stdin"
    for stdin in (b"", b"no picture"):
        done = started(cli(settings, "query", "-"), stdin=stdin)
        assert (done.returncode, b"picture" in done.stderr) == (1, True)
    assert b"once" in started(cli(settings, "query", "-", "-"), stdin=data).stderr


def test_probes_come_from_a_folder_and_what_is_passed_over_is_said(market: Path, run: Run) -> None:
    run("--quiet", "ingest", market)
    (market / "query/notes.txt").write_text("nothing")
    (market / "query/.hidden.jpg").write_bytes(b"")
    (market / "query/more.jpg").mkdir()
    result = run("query", market / "query", "--json")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["hits"][0]["identity"] for answer in answers] == [1, 2, 3, 4]
    assert "more.jpg, notes.txt" in result.stderr
    assert ".hidden" not in result.stderr
    (market / "empty").mkdir()
    assert "no pictures" in run("query", market / "empty", exit_code=1).stderr


def test_status_tells_from_when_to_when_how_large_and_who_is_at_work(
    tmp_path: Path, run: Run, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        write_crop(tmp_path / "crops" / name, color=COLORS[1], seed=seed)
    manifest = tmp_path / "crops/list.csv"
    manifest.write_text("path,timestamp\na.jpg,1700000000\nb.jpg,1700003600\nc.jpg,\n")
    run("--quiet", "ingest", manifest)
    status = json.loads(run("status", "--json").stdout)
    assert (status["first_taken"], status["last_taken"]) == (1.7e9, 1.7e9 + 3600)
    du = subprocess.run(["du", "-ab", settings.data_dir], capture_output=True, text=True)
    assert 0 < status["bytes"] < 2 * int(du.stdout.splitlines()[-1].split()[0])
    assert status["running"] is None
    shown = run("status").stdout
    assert "2023-11-14" in shown
    assert re.search(r"on disk +[0-9.]+ MB", shown)
    held = (
        "from reidsearch.lock import Held; from pathlib import Path; import sys\n"
        "with Held(Path(sys.argv[1]), purpose='ingest'): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", held, settings.data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        running = json.loads(run("status", "--json").stdout)["running"]
        assert (running["pid"], running["command"]) == (other.pid, "ingest")
        assert f"An ingest is running (process {other.pid})." in run("status").stderr
        other.kill()
    assert (settings.data_dir / lock.HOLDER).exists()  # what it left says nothing any more
    assert json.loads(run("status", "--json").stdout)["running"] is None


def test_the_log_as_csv_holds_filters_as_json(market: Path, run: Run) -> None:
    run("--quiet", "ingest", market)
    run("query", market / PROBE, "--only-camera", "2,3")
    (row,) = csv.DictReader(io.StringIO(run("audit", "--csv").stdout))
    (entry,) = json.loads(run("audit", "--json").stdout)
    assert json.loads(row["filters"]) == entry["filters"]


def test_of_a_search_for_somebody_forgotten_the_log_keeps_all_but_the_probe(
    market: Path, settings: Config, run: Run
) -> None:
    run("--quiet", "ingest", market)
    run("query", market / PROBE)
    run("query", market / "query/0002_c1s1_000001_00.jpg")
    digest = hashlib.sha256((market / PROBE).read_bytes()).hexdigest()
    run("forget", "--identity", 1, "--yes")
    first, second = json.loads(run("audit", "--json").stdout)
    assert (first["command"], first["probe_sha256"], first["hits"]) == ("query", "", 10)
    assert len(second["probe_sha256"]) == 64
    for file in settings.data_dir.rglob("*"):
        if file.is_file():
            assert digest.encode() not in file.read_bytes(), file


@pytest.fixture
def mounts() -> Iterator[ExitStack]:
    """What the test mounts; undone at its end."""
    with ExitStack() as stack:
        yield stack


def mounted(stack: ExitStack, folder: Path) -> None:
    """Mount the folder over itself, to be read only, until ``stack`` ends."""
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    stack.callback(lambda: subprocess.run(["umount", folder], check=True))
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_root
def test_a_gallery_on_a_read_only_mount_can_be_searched_without_a_log(
    tmp_path: Path,
    market: Path,
    settings: Config,
    run: Run,
    mounts: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    run("--quiet", "ingest", market)
    run("calibrate", "--source", "gallery")
    words = [
        ("query", market / PROBE, "--json"),
        ("query", market / PROBE, "--rerank", "--json"),
        ("trace", market / PROBE, "--min-score", 0.5, "--json"),
        ("doctor", "--json"),
    ]
    expected = [run(*one).stdout for one in words]
    numbers = json.loads(run("evaluate", "--json").stdout)["mAP"]
    before = contents(settings.data_dir)
    mounted(mounts, settings.data_dir)
    result = run("query", market / PROBE, exit_code=1)
    assert "can only be read" in result.stderr
    assert "REIDSEARCH_AUDIT=off" in result.stderr
    assert "REIDSEARCH_AUDIT=off" in run("trace", market / PROBE, exit_code=1).stderr
    monkeypatch.setenv("REIDSEARCH_AUDIT", "off")
    again = [run(*one) for one in words]
    assert [one.stdout for one in again] == expected
    assert all(done.stderr.count("its vectors are copied to") == 1 for done in again)
    assert json.loads(run("evaluate", "--json").stdout)["mAP"] == numbers
    run("export", tmp_path / "out.npz")
    assert "copied" not in run("status").stderr  # which needs no vector
    run("audit")
    for one in (("ingest", market), ("doctor", "--fix"), ("calibrate",)):
        assert "can only be read" in run(*one, exit_code=1).stderr
    assert "can only be read" in run("forget", "--identity", 1, "--yes", exit_code=1).stderr
    assert list(temporary.iterdir()) == []  # the copies went with their sessions
    mounts.close()
    assert contents(settings.data_dir) == before


def test_a_gallery_whose_folder_is_write_protected_can_be_searched_without_a_log(
    tmp_path: Path, market: Path, settings: Config, run: Run
) -> None:
    run("--quiet", "ingest", market)
    out = tmp_path / "out.npz"
    everything = [settings.data_dir, *settings.data_dir.rglob("*")]
    for path in everything:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        environment = os.environ | {"REIDSEARCH_AUDIT": "off"}
        query, status, trace, evaluate, export = [
            started(list[object](unprivileged(*cli(settings, *one))), environment=environment)
            for one in (
                ("query", market / PROBE, "--json"),
                ("status",),
                ("trace", market / PROBE, "--min-score", 0.5, "--json"),
                ("evaluate", "--json"),
                ("export", out),
            )
        ]
        logged = started(list[object](unprivileged(*cli(settings, "query", market / PROBE))))
    finally:
        for path in everything:
            path.chmod(0o700 if path.is_dir() else 0o600)
    for done in (query, status, trace, evaluate, export):
        assert done.returncode == 0, done.stderr
    assert json.loads(query.stdout)["hits"][0]["identity"] == 1
    assert json.loads(trace.stdout)["stays"]
    assert json.loads(evaluate.stdout)["queries"] == 4
    assert len(np.load(out)["id"]) == 31
    assert "its vectors are copied to" in query.stderr.decode()
    assert logged.returncode == 1
    assert "REIDSEARCH_AUDIT=off" in logged.stderr.decode()


def test_who_can_only_read_waits_for_who_writes_and_reads_beside_others(tmp_path: Path) -> None:
    with lock.shared(tmp_path):
        pass  # never written, so there is nothing to wait for
    with (
        lock.Held(tmp_path, purpose="ingest"),
        pytest.raises(StoreLocked, match="reidsearch ingest"),
        lock.shared(tmp_path, patience=0.1),
    ):
        pass
    with lock.shared(tmp_path), lock.shared(tmp_path, patience=0.0), pytest.raises(StoreLocked):
        lock.Held(tmp_path, purpose="ingest", patience=0.1)
    lock.Held(tmp_path, purpose="ingest", patience=0.1).release()


def test_a_copied_catalog_has_what_its_writer_has_not_yet_moved_out_of_the_log(
    tmp_path: Path, market: Path, settings: Config, run: Run
) -> None:
    run("--quiet", "ingest", market)
    with catalog_of(settings) as catalog:
        catalog.record_store("http://qdrant.example:6333")
        wal = settings.data_dir / f"{CATALOG}-wal"
        assert wal.stat().st_size
        sqlite.copy(settings.data_dir / CATALOG, tmp_path / "beside.sqlite")  # while it is open
        left = tmp_path / "left"  # as by a process that was killed
        left.mkdir()
        for path in (settings.data_dir / CATALOG, wal):
            shutil.copyfile(path, left / path.name)
    sqlite.copy(left / CATALOG, tmp_path / "after.sqlite")
    for name in ("beside.sqlite", "after.sqlite"):
        copied = schema.open_catalog(tmp_path / name)
        assert copied.store == "http://qdrant.example:6333"
        copied.close()


def test_bytes_on_disk_leave_out_the_holes_of_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/full").write_bytes(bytes(range(256)) * 4096)
    with (tmp_path / "hollow").open("wb") as file:
        file.truncate(1 << 30)
    assert 1 << 20 <= bytes_on_disk(tmp_path) < 1 << 22
