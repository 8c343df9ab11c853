"""A file is written whole or not at all, whatever happens and whoever else writes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reidsearch.files import bytes_on_disk, copy_folder, replacing
from tests.test_environment import unprivileged

posix = pytest.mark.skipif(os.name == "nt", reason="permissions and links as POSIX has them")

DIES = """
import os, signal, sys
from pathlib import Path
from reidsearch.files import bytes_on_disk, copy_folder, replacing

with replacing(Path(sys.argv[1])) as partial, partial.open("wb") as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITES = """
import sys
from pathlib import Path
from reidsearch.files import bytes_on_disk, copy_folder, replacing

for _ in range(40):
    with replacing(Path(sys.argv[1])) as partial:
        partial.write_bytes(sys.argv[2].encode() * 1_000_000)
"""


def python(code: str, *words: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)])


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != "cwd")


def test_a_file_appears_when_all_of_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with replacing(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["page.html"]


def write_half(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as partial:
        partial.write_bytes(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    for before in (None, b"before"):
        path = tmp_path / "page.html"
        if before is not None:
            path.write_bytes(before)
        with pytest.raises(error):
            write_half(path, error)
        assert names(tmp_path) == ([] if before is None else ["page.html"])
    assert path.read_bytes() == b"before"


@posix
def test_a_kill_leaves_what_was_there_and_the_next_writer_is_not_in_its_way(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"before")
    assert python(DIES, path).wait(30) == -signal.SIGKILL
    assert path.read_bytes() == b"before"
    left = [name for name in names(tmp_path) if name != "page.html"]
    assert [name.startswith("page.html.") and name.endswith(".partial") for name in left] == [True]
    with replacing(path) as partial:
        partial.write_bytes(b"after")
    assert path.read_bytes() == b"after"


def test_of_two_processes_that_write_at_once_a_reader_sees_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    writers = [python(WRITES, path, letter) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            data = path.read_bytes()
            seen.add((len(data), data[:1], data.count(data[:1]) == len(data)))
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {(1_000_000, b"a", True), (1_000_000, b"b", True)}
    assert seen
    assert names(tmp_path) == ["page.html"]


@posix
def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(b"before")
    old.chmod(0o604)
    before = os.umask(0o027)
    try:
        for path in (new, old):
            with replacing(path) as partial:
                assert partial.stat().st_mode & 0o777 == (0o640 if path == new else 0o600)
    finally:
        os.umask(before)
    assert new.stat().st_mode & 0o777 == 0o640
    assert old.stat().st_mode & 0o777 == 0o604


@posix
def test_through_a_link_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there/file")
    for text in ("one", "two"):
        with replacing(tmp_path / "link") as partial:
            partial.write_text(text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there/file").read_text() == text
    assert names(tmp_path / "there") == ["file"]


def test_the_longest_names_that_a_file_can_have_will_do(tmp_path: Path) -> None:
    for name in ("x" * 255, "\N{PERSON WITH BALL}" * 63):
        with replacing(tmp_path / name) as partial:
            partial.write_bytes(b"whole")
        assert (tmp_path / name).read_bytes() == b"whole"


def test_what_cannot_be_written_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"a file")
    for path, reason in (
        (tmp_path / "none/page.html", "No such file"),
        (tmp_path / "file/page.html", "Not a directory"),
        (tmp_path / "folder", "not a regular file"),
    ):
        with pytest.raises(OSError, match=reason) as raised, replacing(path):
            pytest.fail("there is nothing to write to")
        assert raised.value.filename == str(path)
        assert raised.value.filename2 is None
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"a file"


@posix
def test_a_pipe_and_a_write_protected_file_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"), replacing(tmp_path / "pipe"):
        pytest.fail("a pipe cannot be replaced")
    path = tmp_path / "precious"
    path.write_bytes(b"before")
    path.chmod(0o444)
    code = WRITES.replace("range(40)", "range(1)")
    command = unprivileged(sys.executable, "-c", code, path, "a")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Permission denied: '{path}'" in done.stderr
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["pipe", "precious"]


def test_a_copied_folder_holds_the_same_bytes_and_takes_no_more_of_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "in it").mkdir(parents=True)
    (folder / "empty").touch()
    with (folder / "hole").open("wb") as file:
        file.truncate(3 << 20)
    (folder / "in it/whole").write_bytes(os.urandom((2 << 20) + 7))
    for name, places in {
        "begins": (0, 8192),
        "ends": (4095,),
        "between": (1 << 16, 5 << 20),
    }.items():
        with (folder / name).open("wb") as file:
            for place in places:
                file.seek(place)
                file.write(os.urandom(4000))
            file.truncate(6 << 20)
    copy_folder(folder, tmp_path / "copy")
    files = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    assert len(files) == 6
    for beneath, path in files.items():
        assert (tmp_path / "copy" / beneath).read_bytes() == path.read_bytes(), beneath
    assert bytes_on_disk(tmp_path / "copy") < 2 * bytes_on_disk(folder)
