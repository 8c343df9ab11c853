"""Paths told apart by a pattern of one's own."""

import string
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidsearch import datasets
from reidsearch.datasets.pattern import FIELDS, Pattern, compile_pattern
from reidsearch.errors import DatasetError, UsageError
from reidsearch.types import Sighting, Split
from tests.test_layouts import touch

fuzz = settings(max_examples=300)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("{camera}/{identity}_{frame}.jpg", "lobby/alice_7.jpg", {"camera": "lobby", "identity": "alice", "frame": "7"}),  # noqa: E501
        ("{camera}_{identity}_{frame}.jpg", "cam01_person01_0001.jpg", {"camera": "cam01", "identity": "person01", "frame": "0001"}),  # noqa: E501
        ("{identity}_{frame}", "a_b_12.png", {"identity": "a_b", "frame": "12"}),
        ("{identity}_{frame}", "a_b.png", None),
        ("{camera}/*.jpg", "2024/lobby/x.jpg", {"camera": "lobby"}),
        ("{camera}/*/*", "lobby/day/x.jpg", {"camera": "lobby"}),
        ("{camera}/*/*", "lobby/x.jpg", None),
        ("./{camera}-*.jpg", "lobby-.jpg", {"camera": "lobby"}),
        ("c{camera}s{sequence}_*", "c1s2_x.jpg", {"camera": "1", "sequence": "2"}),
        ("{camera}.jpg", ".jpg", None),
        ("{camera}.jpg", "lobby.jpg.jpg", {"camera": "lobby.jpg"}),
        ("[{camera}](.*).jpg", "[a](.x).jpg", {"camera": "a"}),
        ("{camera}é/*", "a" + "e\u0301/x.jpg", {"camera": "a"}),
        ("{split}/{identity}/*", "query/7/x.jpg", {"split": "query", "identity": "7"}),
    ],
)  # fmt: skip
def test_a_pattern_takes_a_path_apart(
    pattern: str, path: str, expected: dict[str, str] | None
) -> None:
    assert compile_pattern(pattern).match(path) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{camra}/{identity}.jpg", "unknown field 'camra'"),
        ("{}/{identity}.jpg", "unknown field ''"),
        ("{camera}/{camera}.jpg", r"\{camera\} twice"),
        ("{camera}{identity}.jpg", "where camera ends and identity begins"),
        ("{camera}*.jpg", r"where camera ends and \* begins"),
        ("{camera/{identity}.jpg", "brace"),
        ("camera}/{identity}.jpg", "brace"),
        ("*/*.jpg", "no field"),
        ("", "no field"),
        ("{camera}//{identity}.jpg", "empty folder"),
        ("{camera}" + "x" * 2000, "characters"),
        ("{camera}" + "a*" * 200, "too many"),
    ],
)
def test_a_text_that_is_no_pattern_is_an_error(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        compile_pattern(pattern)
    assert error.value.hint


def test_a_folder_is_read_by_a_pattern_and_what_does_not_fit_is_rejected(tmp_path: Path) -> None:
    touch(tmp_path, "lobby/alice_0007.jpg", "lobby/odd.jpg", "bad\x07/bob_1.jpg")
    found = datasets.read(tmp_path, pattern="{camera}/{identity}_{frame}.jpg")
    assert found.sightings == [
        Sighting("lobby/alice_0007.jpg", Split.GALLERY, "lobby", "alice", None, 7)
    ]
    reasons = {r.path: r.reason for r in found.rejected}
    assert "does not fit {camera}/{identity}_{frame}.jpg" in reasons["lobby/odd.jpg"]
    assert "control characters" in reasons["bad\x07/bob_1.jpg"]


def test_times_and_splits_come_from_a_pattern_too(tmp_path: Path) -> None:
    touch(tmp_path, "query/1_1714557600.jpg", "gallery/1_2024-05-01.jpg", "train/1_soon.jpg")
    touch(tmp_path, "holdout/1_0.jpg")
    found = datasets.read(tmp_path, pattern="{split}/{camera}_{timestamp}.jpg")
    assert {s.path: s.timestamp for s in found.sightings}["query/1_1714557600.jpg"] == 1714557600
    assert {s.split for s in found.sightings} == {Split.QUERY, Split.GALLERY}
    reasons = [r.reason for r in found.rejected]
    assert "holdout" in reasons[0]
    assert "soon" in reasons[1]


def test_times_in_names_without_an_offset_are_told_of(tmp_path: Path) -> None:
    for name in ("a_20240501T120000.jpg", "a_20240501T120001Z.jpg"):
        touch(tmp_path, name)
    found = datasets.read(
        tmp_path, pattern="{camera}_{timestamp}.jpg", zone=ZoneInfo("Asia/Kolkata")
    )
    assert [s.timestamp for s in found.sightings] == [1714545000, 1714564801]
    (note,) = found.notes
    assert note.startswith("1 time has no offset, and is taken to be of the zone Asia/Kolkata")


def test_a_pattern_that_nothing_fits_shows_a_path_that_did_not(tmp_path: Path) -> None:
    touch(tmp_path, "lobby/a.jpg", "lobby/b.jpg")
    with pytest.raises(DatasetError, match=r"none of 2 pictures .*'lobby/a\.jpg'"):
        datasets.read(tmp_path, pattern="{camera}_{frame}.jpg")


def test_a_pattern_and_a_layout_exclude_each_other_and_tables_need_neither(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "m.csv").write_text("path\na.jpg\n")
    for path, options in (
        (tmp_path, {"pattern": "{camera}", "layout": "people"}),
        (tmp_path / "m.csv", {"pattern": "{camera}"}),
        (tmp_path / "m.csv", {"layout": "people"}),
    ):
        with pytest.raises(UsageError):
            datasets.read(path, **options)  # type: ignore[arg-type]


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@fuzz
@given(camera=NAMES, identity=NAMES, frame=st.integers(0, 10**17))
def test_what_a_pattern_put_together_it_takes_apart(camera: str, identity: str, frame: int) -> None:
    pattern = compile_pattern("{camera}/{identity}_{frame}.jpg")
    fields = pattern.match(f"{camera}/{identity}_{frame}.jpg")
    assert fields is not None
    assert int(fields["frame"]) == frame
    assert pattern.match(f"{fields['camera']}/{fields['identity']}_{frame}.jpg") == fields


PIECES = st.sampled_from([f"{{{field}}}" for field in FIELDS] + ["*", "/", "_", "a", "{", "}", "."])


@fuzz
@given(
    pattern=st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=40)),
    path=st.text(alphabet="a_/.0٣*{}\n\U0001f469é", max_size=80),
)
def test_any_text_is_a_pattern_or_an_error_and_any_path_fits_or_not(
    pattern: str, path: str
) -> None:
    try:
        compiled = compile_pattern(pattern)
    except UsageError:
        return
    fields = compiled.match(path)
    if fields is not None:
        assert set(fields) == set(compiled.fields)
        assert all(text and "/" not in text for text in fields.values())


@pytest.mark.parametrize(
    "pattern",
    ["{camera}_{identity}_{sequence}_{frame}_{split}_*_!.jpg", "*a" * 19 + "{camera}b.jpg"],
)
@pytest.mark.parametrize("name", ["_" * 251, "a" * 251, "0_" * 125, "a_1" * 83])
def test_no_name_takes_a_pattern_long(pattern: str, name: str) -> None:
    compiled: Pattern = compile_pattern(pattern)
    started = time.thread_time()  # what others do meanwhile does not count
    assert compiled.match(f"{name}.jpg") is None
    assert time.thread_time() - started < 0.5


def test_fields_are_those_that_the_help_names() -> None:
    assert all(set(field) <= set(string.ascii_lowercase) for field in FIELDS)
    with pytest.raises(UsageError) as error:
        compile_pattern("{x}")
    assert all(field in error.value.hint for field in FIELDS)
