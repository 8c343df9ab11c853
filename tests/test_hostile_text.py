"""Whatever a manifest, a name or the settings hold: data that can be stored, or our error."""

import os
import sqlite3
import unicodedata
from contextlib import suppress
from dataclasses import FrozenInstanceError, astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidsearch import config, datasets, names
from reidsearch.errors import DatasetError, UsageError
from reidsearch.types import Dataset, Sighting, Split, sightings
from tests.conftest import COLORS, write_crop

HUGE = "99999999999999999999"
NUMBERS = ["", "0", "7", "-1", "-2", HUGE, "-" + HUGE, str(2**63), str(2**63 - 1), "9" * 5000]
NUMBERS += ["1_0", "٣", "²", "0x10", " 5 ", "5\0", "1e400", "nan", "inf", "-inf", "1e15"]
TIMES = ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "10000-01-01", "2024-02-30"]
TIMES += ["20240501", "20240501120000", "01.05.2024", "05/01/24", "2024-05-01 12:00", "1714557600"]
NAMES = [
    "lobby-cam",
    "Zoë",
    "Zoe\u0308",
    "爱丽丝",
    "علي",
    "\u202eeve",
    "👩‍🚒",
    "a'b\"c",
    "[red]x[/red]",
]
NAMES += ["<b>x</b>", "{0}%s{camera}", "../..", "x" * 255, "é" * 128, "a\tb", "NaN", "1.0", "\x85"]
PATHS = ["a.jpg", "../a.jpg", "a/../../b.jpg", "/etc/passwd", "C:\\x.jpg", "\\\\host\\x.jpg"]
PATHS += [
    "..\\a.jpg",
    "a\0.jpg",
    "a\nb.jpg",
    " ",
    ".",
    "..",
    "a" * 5000,
    "\u202egpj.exe",
    "%s%n.jpg",
]
CELLS = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(TIMES),
    st.sampled_from(PATHS),
    st.sampled_from(NAMES),
    st.sampled_from(["query", '"', '""', "'"]),
    st.text(max_size=20),
)
fuzz = settings(max_examples=400)


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE seen (path, split, camera, identity, sequence, frame, timestamp)")
    return db


def check(found: Dataset, database: sqlite3.Connection) -> None:
    """All that was read can be stored, lies below the root, and every rejection has its reason."""
    rows = [astuple(seen) for seen in found.sightings]
    database.executemany("INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    for seen in found.sightings:
        assert Path(os.path.normpath(found.root / seen.path)).is_relative_to(found.root)
        assert not any(unicodedata.category(c) == "Cc" for c in seen.path)
        assert seen.path == os.path.normpath(seen.path)
        for name in (seen.camera, seen.identity):
            assert name is None or 0 < len(name.encode()) <= 255
            assert name is None or not any(c in "\n\r\t\0\u202e\x85" for c in name)
        assert seen.timestamp is None or abs(seen.timestamp) < 1e12
    for rejected in found.rejected:
        assert rejected.reason
        assert len(rejected.reason) < 500
        inside = Path(os.path.normpath(found.root / rejected.path)).is_relative_to(found.root)
        assert inside or not rejected.is_picture
        rejected.path.encode()


def read(path: Path, content: bytes, database: sqlite3.Connection) -> set[str]:
    """What was read or rejected."""
    path.write_bytes(content)
    try:
        found = datasets.read(path, splits=list(Split))
    except DatasetError:
        return set()
    check(found, database)
    return {seen.path for seen in found.sightings} | {one.path for one in found.rejected}


@fuzz
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_a_manifest_of_random_bytes_is_read_or_an_error(
    tmp_path: Path, database: sqlite3.Connection, content: bytes
) -> None:
    read(tmp_path / "m.csv", content, database)
    read(tmp_path / "m.csv", b"path,camera,timestamp\n" + content, database)
    read(tmp_path / "m.tsv", b"path\tframe\n" + content, database)


@fuzz
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=9), min_size=1, max_size=9))
def test_a_manifest_of_nasty_cells_is_read_row_by_row(
    tmp_path: Path, database: sqlite3.Connection, rows: list[list[str]]
) -> None:
    quoted = "\n".join(",".join('"' + c.replace('"', '""') + '"' for c in row) for row in rows)
    header = ",".join(datasets.COLUMNS)
    found = read(tmp_path / "m.csv", f"{header}\n{quoted}\n".encode(), database)
    for row in rows:
        path = row[0].strip()
        known = {path, path[:4096] + "…", os.path.normpath(path.replace("\\", "/"))}
        if path:
            assert known & found
        elif any(cell.strip() for cell in row):
            assert any(one.startswith("line ") for one in found)
    assert found or not any(cell.strip() for row in rows for cell in row)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd.jpg", "absolute"),
        ("//etc/passwd.jpg", "absolute"),
        ("C:\\secret.jpg", "absolute"),
        ("c:/secret.jpg", "absolute"),
        ("\\\\host\\share\\secret.jpg", "absolute"),
        ("../secret.jpg", "leads out"),
        ("a/../../secret.jpg", "leads out"),
        ("a/..\\..\\secret.jpg", "leads out"),
        ("..", "leads out"),
        ("a\0b.jpg", "control characters"),
        ("a\x1bb.jpg", "control characters"),
        ("a\x7fb.jpg", "control characters"),
        ('"two\nlines.jpg"', "control characters"),
        ("a" * 5000, "5000 characters"),
    ],
)
def test_a_path_that_cannot_lie_in_the_manifests_folder_is_rejected_with_its_line(
    tmp_path: Path, path: str, reason: str
) -> None:
    (tmp_path / "m.csv").write_text(f"path\n{path}\na/../good.jpg\n", encoding="utf-8", newline="")
    found = datasets.read(tmp_path / "m.csv")
    (rejected,) = found.rejected
    assert reason in rejected.reason
    assert rejected.reason.startswith(f"line {2 + path.count(chr(10))}: ")
    assert [seen.path for seen in found.sightings] == ["good.jpg"]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (f",,{HUGE},,", "sequence is too large"),
        (f",,,{2**63},", "frame is too large"),
        (",,-2,,", "sequence -2 is negative"),
        (",,,-2,", "frame -2 is negative"),
        (f"{'9' * 5000},,,,", "more than 255 bytes"),
        (f",,{'9' * 5000},,", "not a whole number"),
        (",,1_0,,", "not a whole number"),
        (",,٣,,", "not a whole number"),
        (",-4,,,", "negative"),
        (",,,,inf", "not in seconds"),
        (",,,,-1.5", "not in seconds"),
        (",,,,-inf", "not in seconds"),
        (",,,,1e400", "not in seconds"),
        (",,,,1714557600000", "not in seconds"),
        (",,,,10000-01-01", "neither seconds since 1970 nor"),
    ],
)
def test_numbers_that_cannot_be_stored_are_rejected(
    tmp_path: Path, cells: str, reason: str
) -> None:
    header = "path,camera,identity,sequence,frame,timestamp"
    (tmp_path / "m.csv").write_text(f"{header}\nx.jpg,{cells}\n")
    (rejected,) = datasets.read(tmp_path / "m.csv").rejected
    assert reason in rejected.reason
    assert len(rejected.reason) < 200


def test_the_largest_numbers_and_times_before_1970_are_taken(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        f"path,camera,frame,timestamp\nx.jpg,{HUGE},{2**63 - 1},1969-12-31T23:59:58.5Z\n"
    )
    (seen,) = datasets.read(tmp_path / "m.csv").sightings
    assert (seen.camera, seen.frame, seen.timestamp) == (HUGE, 2**63 - 1, -1.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,camera,path\nx.jpg,1,y.jpg\n", "more than one column 'path'"),
        ("path,camera\n" + "x" * 200_000 + ",1\n", "field larger than"),
        ("path" + "," * 1_500_000, "a line has more than"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_an_error(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        datasets.read(tmp_path / "m.csv")


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{HUGE}_c1s1_000451_03.jpg", (None, None, None, None)),
        (f"0002_c{HUGE}s1_000451_03.jpg", (None, None, None, None)),
        (f"0002_c1s{HUGE}_000451_03.jpg", ("2", "1", None, None)),
        (f"0002_c1s1_{HUGE}_03.jpg", ("2", "1", 1, None)),
        ("9" * 18 + "_c1s1_000451_03.jpg", ("9" * 18, "1", 1, 451)),
        ("9" * 5000 + "_c1.jpg", (None, None, None, None)),
    ],
)
def test_numbers_in_names_that_cannot_be_stored_are_unknown(
    name: str, expected: tuple[str | int | None, ...]
) -> None:
    seen = datasets.parse_name(name)
    assert (seen.identity, seen.camera, seen.sequence, seen.frame) == expected


@fuzz
@given(st.text(alphabet="0123456789_csf-.j٣\0\n/%", max_size=80))
def test_any_name_tells_what_can_be_stored(database: sqlite3.Connection, name: str) -> None:
    row = astuple(datasets.parse_name(name))
    database.execute("INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def test_strange_names_in_a_folder_are_read_and_those_no_store_takes_rejected(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    crop = write_crop(tmp_path / "crop.jpg", color=COLORS[1]).read_bytes()
    names = ["\u202egpj.jpg", "%s%n.jpg", "a\nb.jpg", "\x1b[31m.jpg", "人" * 80 + ".jpg", "\\.jpg"]
    names += [f"{HUGE}_c1s1.jpg", "C:\\x.jpg", "..jpg", "...jpg", "~.jpg", "[red].jpg", " .jpg"]
    bad = [b"\xff.jpg", b"\xf0\x9f.png", b"\xed\xa0\x80.jpg"]
    for name in [*map(os.fsencode, names), *bad]:
        (tmp_path / os.fsdecode(name)).write_bytes(crop)
    os.mkdir(os.fsencode(tmp_path) + b"/\xfe")
    (tmp_path / os.fsdecode(b"\xfe") / "x.jpg").write_bytes(crop)
    found = datasets.read(tmp_path)
    assert {seen.path for seen in found.sightings} == {"crop.jpg", *names}
    assert len(found.rejected) == len(bad) + 1
    for rejected in found.rejected:
        assert "not valid UTF-8" in rejected.reason
        rejected.path.encode()
    for seen in found.sightings:
        database.execute("INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(seen))


def test_a_folder_whose_own_name_no_store_takes_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    write_crop(folder / "x.jpg", color=COLORS[1])
    for path in (folder, folder / "m.csv"):
        (folder / "m.csv").write_text("path\nx.jpg\n")
        with pytest.raises(DatasetError, match=r"\\xff is not valid UTF-8"):
            datasets.read(path, name="fine")


def test_folders_deeper_than_pythons_stack_are_read(tmp_path: Path) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("a")
        os.chdir("a")
    Path("x.jpg").write_bytes(b"x")
    os.chdir(here)
    (seen,) = datasets.read(tmp_path).sightings
    assert seen.path == "a/" * 1200 + "x.jpg"
    os.chdir(tmp_path)  # pytest would leave them, for shutil recurses
    os.remove(seen.path)
    for depth in range(1200, 0, -1):
        os.rmdir("a/" * depth)
    os.chdir(here)


def test_a_path_too_long_to_exist_does_not_exist(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(DatasetError, match="does not exist"):
            datasets.read(path)


@pytest.mark.parametrize("text", ["9" * 5000, "-1", "1\0", "a\x85b", "lobby,\u202eeve"])
def test_camera_lists_are_names_that_can_be_stored_or_an_error(text: str) -> None:
    with pytest.raises(UsageError):
        [Sighting("x.jpg", camera=name) for name in names.listed([text])]


@pytest.mark.parametrize(
    ("text", "parts"),
    [("", ()), ("1,,2", ("1", "2")), (" lobby , \u05d0", ("lobby", "\u05d0")), (",", ())],
)
def test_lists_of_names_are_split_at_commas(text: str, parts: tuple[str, ...]) -> None:
    assert names.listed([text]) == names.listed([text, text]) == parts


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf"), 1e300, -1e300])
def test_a_sighting_refuses_a_time_that_is_none(timestamp: float) -> None:
    with pytest.raises(UsageError, match="timestamp"):
        Sighting("x.jpg", timestamp=timestamp)


SIGHTINGS = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["a.jpg", "b.jpg"]),
        "split": st.sampled_from(Split),
        "camera": st.sampled_from([None, "lobby", "0002", " Zoe\u0308 ", "", "-1", "x" * 256]),
        "identity": st.sampled_from([None, "alice", "-1", "007", "a\0b"]),
        "sequence": st.sampled_from([None, 0, 7, -1, 2**63]),
        "frame": st.sampled_from([None, 0, 2**63 - 1, -2]),
        "timestamp": st.sampled_from([None, 1714557600.0, float("nan"), 1e300]),
    }
)


@fuzz
@given(rows=st.lists(SIGHTINGS, min_size=1, max_size=3))
def test_sightings_out_of_columns_are_those_made_one_by_one(rows: list[dict[str, Any]]) -> None:
    def by_columns() -> list[Sighting]:
        told = {of: [row[of] for row in rows] for of in rows[0]}
        return sightings(
            told["path"],
            splits=told["split"],
            cameras=told["camera"],
            identities=told["identity"],
            sequences=told["sequence"],
            frames=told["frame"],
            timestamps=told["timestamp"],
        )

    try:
        expected = [Sighting(**row) for row in rows]
    except UsageError:
        with pytest.raises(UsageError):
            by_columns()
    else:
        assert by_columns() == expected
        assert sightings(["a.jpg", "b.jpg"]) == [Sighting("a.jpg"), Sighting("b.jpg")]
        with pytest.raises(FrozenInstanceError):
            by_columns()[0].path = "c.jpg"  # type: ignore[misc]


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 values of camera for 2 paths"):
        sightings(["a.jpg", "b.jpg"], cameras=["lobby"])


# ---- settings ---------------------------------------------------------------------------------

TOML = st.one_of(
    st.binary(max_size=100),
    st.text(max_size=100).map(str.encode),
    st.text(max_size=20).map(lambda text: f"data_dir = {text}".encode()),
    st.sampled_from(["[" * 5000, "a=" + "[" * 5000, "a={b=" * 3000, "device = " + "9" * 5000]).map(
        str.encode
    ),
)


@fuzz
@given(content=TOML)
def test_settings_of_random_bytes_are_read_or_an_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "reidsearch.toml"
    file.write_bytes(content)
    with suppress(UsageError):
        assert config.load({}, environment={}, file=file).data_dir.name


@pytest.mark.parametrize("key", ["data_dir", "encoder"])
def test_the_home_of_somebody_unknown_is_an_error(key: str) -> None:
    with pytest.raises(UsageError, match=key):
        config.load({key: "~nobody-of-that-name/x"}, environment={})


@pytest.mark.parametrize("key", ["data_dir", "encoder"])
def test_a_path_with_a_nul_is_an_error(key: str, tmp_path: Path) -> None:
    (tmp_path / "reidsearch.toml").write_text(f'{key} = "a\\u0000b"')
    with pytest.raises(UsageError, match="cannot be a path"):
        config.load({}, environment={}, file=tmp_path / "reidsearch.toml")
