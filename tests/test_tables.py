"""Tables on terminals: no line is wider, no word broken, and paths are cut in their middle."""

import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from reidsearch.cli import tables

NAME = "0001_c1s1_001051_00.jpg"
CELLS = st.one_of(
    st.sampled_from([1, 0.5, None, "", "2024-05-01 09:00:42+02:00", "Lobby Süd", "人物 7"]),
    st.integers(1, 60).map(lambda length: "x" * length),
    st.integers(1, 60).map(lambda length: Path("/d" * length) / NAME),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(
    rows: Sequence[Sequence[object]], width: int, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The lines below the header."""
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        for key, value in {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "xterm"}.items():
            patch.setenv(key, value)
        tables.print_table(rows, columns=[""] * len(rows[0]))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    return lines[3:]


@given(data=st.data(), width=st.integers(40, 140), columns=st.integers(1, 6))
def test_every_word_is_whole_or_cut_in_its_middle_however_narrow_the_terminal(
    monkeypatch: pytest.MonkeyPatch, data: st.DataObject, width: int, columns: int
) -> None:
    row = st.lists(CELLS, min_size=columns, max_size=columns)
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    words = [word for row in rows for value in row for word in tables._cell(value).split(" ")]
    for one in " ".join(shown(rows, width, monkeypatch)).split():
        head, cut, tail = one.partition("…")
        assert any(
            word.endswith(tail)
            and (head in word)
            and (cut or word == one or PurePath(word).name == one)
            for word in words
        ), one


def test_times_are_broken_between_words_where_there_is_room_for_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = "2024-05-01 09:00:42+02:00", "09:01:36+02:00"
    rows = [
        [n, "Lobby Süd", first, last, 3, 0.678, "Person 1", Path("crops/of/the/day/P0003.JPG")]
        for n in (1, 2)
    ]
    words = " ".join(shown(rows, 80, monkeypatch)).split()
    assert words.count("2024-05-01") == words.count("09:00:42+02:00") == 2
    assert words.count(last) == 2
    assert len(shown(rows, 120, monkeypatch)) < len(shown(rows, 80, monkeypatch))


def test_a_path_takes_one_line_and_keeps_its_files_name(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("/srv/data/Market-1501-v15.09.15/bounding_box_test") / NAME
    for width in (50, 60, 80):
        (line, _) = shown([[1, 0.886, path]], width, monkeypatch)
        assert line.rstrip().endswith(f"/{NAME}")
        assert "…" in line
    (line, _) = shown([[1, 0.886, path]], 140, monkeypatch)
    assert str(path) in line


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("/a/b/c.jpg", 10, "/a/b/c.jpg"),
        ("/a/bcd/c.jpg", 10, "/a/…/c.jpg"),
        ("/data/somebody.jpg", 12, "somebody.jpg"),
        ("/data/somebody.jpg", 9, "some….jpg"),
        ("x" * 9, 5, "xx…xx"),
        ("人物人物人物", 7, "人物…物"),
        ("ab", 1, "…"),
    ],
)
def test_what_is_too_long_is_cut_in_its_middle(text: str, width: int, short: str) -> None:
    assert tables.shortened(text, width) == short
    assert cell_len(short) <= width


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("/data" * 40) / NAME
    tables.print_table([[1, path]], columns=("rank", "path"))
    assert str(path) in capsys.readouterr().out
