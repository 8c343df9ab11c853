import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reidsearch import datasets
from reidsearch.errors import DatasetError
from reidsearch.types import Sighting, Split
from tests.conftest import write_crop

GREY = (128, 128, 128)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0002_c1s1_000451_03.jpg", ("2", "1", 1, 451)),
        ("-1_c3s2_012345_01.jpg", ("-1", "3", 2, 12345)),
        ("0000_c6s4_000001_02.jpg.jpg", ("0", "6", 4, 1)),
        ("0005_c2_f0046985.jpg", ("5", "2", None, 46985)),  # DukeMTMC
        ("12_c103.png", ("12", "103", None, None)),
        ("holiday.jpg", (None, None, None, None)),
        ("-2_c1s1_000451_03.jpg", (None, None, None, None)),
        ("0002_cs1_000451.jpg", (None, None, None, None)),
    ],
)
def test_names_tell_identity_camera_sequence_and_frame(
    name: str, expected: tuple[str | int | None, ...]
) -> None:
    seen = datasets.parse_name(name)
    assert (seen.identity, seen.camera, seen.sequence, seen.frame) == expected


def test_a_market_root_is_read_whole_with_its_double_endings_and_without_thumbs_db(
    market: Path,
) -> None:
    found = datasets.read(market)
    assert not found.rejected
    by_split = {s: [x for x in found.sightings if x.split == s] for s in Split}
    assert len(by_split[Split.QUERY]) == 4
    assert len(by_split[Split.GALLERY]) == 4 * 3 * 2 + 3
    assert not by_split[Split.TRAIN]
    assert Sighting(
        "bounding_box_test/0001_c3s1_000060_01.jpg.jpg", Split.GALLERY, "3", "1", 1, 60
    ) in (found.sightings)
    assert found.name == "market"
    assert [s.path for s in found.sightings] == sorted(s.path for s in found.sightings)


def test_other_splits_are_read_when_asked_for(market: Path) -> None:
    found = datasets.read(market, splits=[Split.TRAIN])
    assert {s.split for s in found.sightings} == {Split.TRAIN}
    assert len(found.sightings) == 4


def test_a_folder_above_the_root_finds_it(market: Path) -> None:
    assert datasets.read(market.parent).root == market.resolve()


def test_two_roots_below_a_folder_are_an_error_that_names_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_crop(tmp_path / name / "query/0001_c1s1_000001_00.jpg", color=GREY)
    with pytest.raises(DatasetError, match=r"one.*two"):
        datasets.read(tmp_path)


def test_a_split_that_is_not_there_is_an_error_that_names_what_is(tmp_path: Path) -> None:
    write_crop(tmp_path / "bounding_box_train/0001_c1s1_000001_00.jpg", color=GREY)
    with pytest.raises(DatasetError) as error:
        datasets.read(tmp_path)
    assert "bounding_box_train" in error.value.hint


def test_a_picture_in_a_market_folder_that_breaks_the_pattern_is_rejected(market: Path) -> None:
    write_crop(market / "query/somebody.jpg", color=GREY)
    (rejected,) = datasets.read(market).rejected
    assert rejected.path == "query/somebody.jpg"
    assert "0002_c1s1_000451_03.jpg" in rejected.reason


def test_a_plain_folder_is_all_gallery_with_or_without_telling_names(tmp_path: Path) -> None:
    names = ["a b/holiday [1].jpg", "-dash.png", "人.jpg", "line\nbreak.jpg", "0007_c2_f3.JPG"]
    for name in names:
        write_crop(tmp_path / "crops" / name, color=GREY)
    found = datasets.read(tmp_path / "crops")
    assert {s.path for s in found.sightings} == set(names)
    assert {s.split for s in found.sightings} == {Split.GALLERY}
    (told,) = [s for s in found.sightings if s.camera is not None]
    assert (told.identity, told.camera, told.frame) == ("7", "2", 3)


def test_a_name_that_is_not_utf8_is_rejected_and_shown(tmp_path: Path) -> None:
    write_crop(tmp_path / "good.jpg", color=GREY)
    os.rename(write_crop(tmp_path / "x.jpg", color=GREY), os.fsencode(tmp_path) + b"/\xff.jpg")
    (rejected,) = datasets.read(tmp_path).rejected
    assert rejected.path == "\\xff.jpg"


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_a_folder_without_pictures_is_an_error(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    if content:
        (folder / content).write_text("hello")
    with pytest.raises(DatasetError, match="no picture"):
        datasets.read(folder)


def test_a_path_that_is_missing_or_no_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        datasets.read(tmp_path / "nowhere")
    with pytest.raises(DatasetError) as error:
        datasets.read(write_crop(tmp_path / "one.jpg", color=GREY))
    assert "gallery.query" in error.value.hint


def manifest(folder: Path, text: str, *, name: str = "crops.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_may_leave_out_everything_but_the_path(tmp_path: Path) -> None:
    found = datasets.read(manifest(tmp_path, "path\nb.jpg\na.jpg\n"))
    assert found.sightings == [Sighting("a.jpg"), Sighting("b.jpg")]
    assert found.root == tmp_path.resolve()
    assert found.name == "crops"


def test_a_manifest_gives_every_column(tmp_path: Path) -> None:
    text = (
        "\ufeffpath,camera,identity,sequence,frame,timestamp,split\n"
        "x.jpg,3,-1,2,7,2024-05-01T12:00:00+02:00,query\n"
        '"a, b.jpg",,,,,1714557600.5,\n'
    )
    first, second = datasets.read(manifest(tmp_path, text)).sightings
    assert (first.path, first.timestamp) == ("a, b.jpg", 1714557600.5)
    noon = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert second == Sighting("x.jpg", Split.QUERY, "3", "-1", 2, 7, noon.timestamp())


def test_a_timestamp_without_offset_is_of_the_zone_that_is_given_and_that_is_said(
    tmp_path: Path,
) -> None:
    path = manifest(tmp_path, "path\ttimestamp\nx.jpg\t2024-05-01 12:00\n", name="m.tsv")
    for zone in (UTC, ZoneInfo("Asia/Kolkata")):
        found = datasets.read(path, zone=zone)
        assert found.sightings[0].timestamp == datetime(2024, 5, 1, 12, tzinfo=zone).timestamp()
        assert any(str(zone) in note for note in found.notes)


def test_rows_that_make_no_sense_are_rejected_with_their_line_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    text = (
        "path,camera,identity,split,timestamp\n"
        "a.jpg,\x07,,,\n"
        "b.jpg,-4,,,\n"
        "c.jpg,1,-9,,\n"
        "d.jpg,1,1,holdout,\n"
        "e.jpg,1,1,,yesterday\n"
        ",1,1,,\n"
        "good.jpg,1,1,,\n"
        "good.jpg,1,1,,\n"
        "both.jpg,1,1,,\n"
        "./both.jpg,2,1,,\n"
    )
    found = datasets.read(manifest(tmp_path, text))
    assert [s.path for s in found.sightings] == ["good.jpg"]
    reasons = {r.path: r.reason for r in found.rejected}
    assert set(reasons) == {"a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "line 7", "both.jpg"}
    assert "line 2" in reasons["a.jpg"]
    assert [r.path for r in found.rejected if not r.is_picture] == ["line 7"]
    assert "control characters" in reasons["a.jpg"]
    assert "yesterday" in reasons["e.jpg"]
    assert reasons["both.jpg"].startswith("line 11")
    assert "twice" in reasons["both.jpg"]
    assert any("1 row repeats" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"crop,camera\na.jpg,1\n", "no column 'path'"),
        (b"\xef\xbb\xbfpath\n\xff\xfe.jpg\n", "not a readable"),
    ],
)
def test_a_csv_that_is_no_manifest_is_an_error(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        datasets.read(path)
