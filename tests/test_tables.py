"""Tables on terminals: all of every cell is there, and no line is wider."""

import io
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from reidsearch.cli import output

CELLS = st.one_of(
    st.sampled_from([1, 0.5, None, "", "2024-05-01 09:00:42+02:00", "Lobby Süd", "人物 7"]),
    st.integers(1, 60).map(lambda length: "x" * length),
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
        output.print_table(rows, columns=[""] * len(rows[0]))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    return lines[3:]


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), width=st.integers(40, 140), columns=st.integers(1, 8))
def test_no_letter_of_a_cell_is_lost_however_narrow_the_terminal(
    monkeypatch: pytest.MonkeyPatch, data: st.DataObject, width: int, columns: int
) -> None:
    row = st.lists(CELLS, min_size=columns, max_size=columns)
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    letters = "".join(output._cell(value) for row in rows for value in row)
    lines = "".join(shown(rows, width, monkeypatch))
    assert Counter(lines.replace(" ", "")) == Counter(letters.replace(" ", ""))


def test_times_are_broken_between_words_where_there_is_room_for_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = "2024-05-01 09:00:42+02:00", "09:01:36+02:00"
    rows = [
        [n, "Lobby Süd", first, last, 3, 0.678, "Person 1", "crops/of/the/day/P0003.JPG"]
        for n in (1, 2)
    ]
    words = " ".join(shown(rows, 80, monkeypatch)).split()
    assert words.count("2024-05-01") == words.count("09:00:42+02:00") == 2
    assert words.count(last) == 2
