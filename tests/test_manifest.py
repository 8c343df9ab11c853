"""Manifests as spreadsheets and programs write them."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch import datasets
from reidsearch.errors import DatasetError
from reidsearch.types import Dataset, Sighting, Split
from tests.conftest import Run, write_crop


def read(
    folder: Path, text: str | bytes, *, file: str = "crops.csv", root: Path | None = None
) -> Dataset:
    path = folder / file
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return datasets.read(path, root=root)


def said(found: Dataset, *words: str) -> bool:
    """Whether one note has all these words."""
    return any(all(word in note for word in words) for note in found.notes)


@pytest.mark.parametrize(
    "header",
    [
        "path,camera,identity,timestamp,frame,sequence,split",
        "Path,Camera,Identity,Timestamp,Frame,Sequence,Split",
        "path,camera_id,person_id,time,frame_id,seq_id,subset",
        "img_path,camid,pid,datetime,frameid,seq,set",
        "Image Path,Cam ID,Person-ID,Date Time,Frame_No,SEQUENCE_ID,SubSet",
        "\ufefffilename ,cam, person,date,frame_number,seq,split",
        'FILE,"CAM_ID",PersonId,TIME,frame,Seq,SPLIT',
    ],
)
def test_the_usual_names_of_columns_are_understood_in_any_case(tmp_path: Path, header: str) -> None:
    found = read(tmp_path, f"{header}\na.jpg,lobby,alice,1714557600,7,2,Query\n")
    assert found.sightings == [Sighting("a.jpg", Split.QUERY, "lobby", "alice", 2, 7, 1714557600.0)]
    assert not said(found, "not used")


def test_columns_that_are_not_used_are_named_and_those_of_row_numbers_are_not(
    tmp_path: Path,
) -> None:
    found = read(tmp_path, ",Unnamed: 0.1,path,id,label,index\n0,0,a.jpg,7,alice,0\n")
    assert found.sightings == [Sighting("a.jpg")]
    (note,) = [note for note in found.notes if "not used" in note]
    assert "'id', 'label'." in note


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("path,camera,cam_id", ("'camera'", "'cam_id'")),
        ("file,Image", ("'file'", "'Image'")),
        ("path,date,time", ("'date'", "'time'")),
        ("path,pid,PID", ("'pid'", "'PID'")),
    ],
)
def test_two_columns_of_one_meaning_are_an_error_that_names_both(
    tmp_path: Path, header: str, named: tuple[str, str]
) -> None:
    with pytest.raises(DatasetError, match="more than one column") as error:
        read(tmp_path, f"{header}\na,b,c\n")
    assert all(name in error.value.message for name in named)


def test_whole_floats_are_whole_numbers_and_gaps_are_not_known(tmp_path: Path) -> None:
    """As pandas writes columns of numbers with gaps."""
    found = read(
        tmp_path,
        "path,camera,identity,frame\na.jpg,1.0,7.0,12.0\nb.jpg,NaN,,\nc.jpg,None,NA,<NA>\n"
        "d.jpg,2.5,1.000,3\ne.jpg,Na,Nan,3\n",
    )
    assert not found.rejected
    assert [(s.camera, s.identity, s.frame) for s in found.sightings] == [
        ("1", "7", 12),
        (None, None, None),
        (None, None, None),
        ("2.5", "1.000", 3),
        ("Na", "Nan", 3),
    ]


def test_empty_rows_are_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "path,camera,identity\na.jpg,1,2\n,,\n\n , ,\n,,,,,\nb.jpg\n,,\n")
    assert found.sightings == [Sighting("a.jpg", camera="1", identity="2"), Sighting("b.jpg")]
    assert not found.rejected


def test_a_row_with_more_cells_than_the_header_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, "path,camera\na, b.jpg,1\nc.jpg,1,\n")
    assert [s.path for s in found.sightings] == ["c.jpg"]
    assert found.rejected[0].reason == "line 2: it has 3 cells, and the first line 2"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("file", ["crops.csv", "crops.TSV"])
@pytest.mark.parametrize("sep", [False, True])
def test_any_usual_delimiter_is_understood(
    tmp_path: Path, delimiter: str, file: str, sep: bool
) -> None:
    first = f"sep={delimiter}\r\n" if sep else ""
    rows = [["path", "camera", "time"], ["x,y;z/a b.jpg", "lobby", "1714557600,5"], ["?", "", "?"]]
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
    found = read(tmp_path, first + "\r\n".join(lines) + "\r\n", file=file)
    assert found.sightings == [Sighting("x,y;z/a b.jpg", camera="lobby", timestamp=1714557600.5)]
    assert found.rejected[0].reason.startswith(f"line {3 + sep}:")


@pytest.mark.parametrize(
    ("encoding", "mark", "guessed"),
    [
        ("utf-8", b"", False),
        ("utf-8", b"\xef\xbb\xbf", False),
        ("utf-16-le", b"\xff\xfe", False),
        ("utf-16-be", b"\xfe\xff", False),
        ("utf-16-le", b"", False),
        ("utf-16-be", b"", False),
        ("utf-32-le", b"\xff\xfe\0\0", False),
        ("cp1252", b"", True),
        ("latin-1", b"", True),
    ],
)
def test_the_usual_encodings_are_understood_and_guesses_are_told(
    tmp_path: Path, encoding: str, mark: bytes, guessed: bool
) -> None:
    text = "path;camera;identity\r\nHöfe/a.jpg;Tür;Zoë\r\n"
    found = read(tmp_path, mark + text.encode(encoding))
    assert found.sightings == [Sighting("Höfe/a.jpg", camera="Tür", identity="Zoë")]
    assert said(found, "not UTF-8") == guessed


def test_bytes_that_windows_1252_has_not_are_latin_1(tmp_path: Path) -> None:
    found = read(tmp_path, b"path,camera\nh\xf6fe.jpg,\x81\nb.jpg,caf\xe9\n")
    assert [s.path for s in found.sightings] == ["b.jpg"]
    assert "control characters" in found.rejected[0].reason
    assert said(found, "Latin-1")


def test_one_file_is_one_picture_however_its_path_is_written(tmp_path: Path) -> None:
    paths = ["x/a.jpg", "./x/a.jpg", "x//a.jpg", "x/../x/a.jpg", "x\\a.jpg", f"{tmp_path}/x/a.jpg"]
    found = read(tmp_path, "path\n" + "\n".join(paths) + "\n")
    assert found.sightings == [Sighting("x/a.jpg")]
    assert said(found, "5 rows repeat")
    assert not found.rejected


def test_a_picture_that_rows_describe_differently_is_not_taken_in(tmp_path: Path) -> None:
    found = read(tmp_path, "path,camera\na.jpg,1\n./a.jpg,2\nb.jpg,1\na.jpg,3\n")
    assert [s.path for s in found.sightings] == ["b.jpg"]
    assert [(r.path, r.reason[:7]) for r in found.rejected] == [("a.jpg", "line 3:")]


def test_a_name_is_found_in_the_other_unicode_form(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Zoë/é.jpg") for form in ("NFC", "NFD"))
    (tmp_path / apart).parent.mkdir()
    (tmp_path / apart).write_bytes(b"x")
    there = "/".join(next((at.name, at2.name) for at in tmp_path.iterdir() for at2 in at.iterdir()))
    for written in (composed, apart):
        (seen,) = read(tmp_path, f"path,identity\n{written},Zoë\n").sightings
        assert (tmp_path / seen.path).exists()
        assert seen.path == there
    found = read(tmp_path, f"path\n{composed}\n{apart}\n")
    assert len(found.sightings) == 1


def test_absolute_paths_and_another_root_lead_below_it_and_nowhere_else(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    (root / "cam1").mkdir(parents=True)
    (root / "cam1/a.jpg").write_bytes(b"x")
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    (tmp_path / "lists").mkdir()
    text = (
        f"path\ncam1/a.jpg\n{root}/cam1/b.jpg\n{tmp_path}/link/../pictures/c.jpg\n"
        f"{root}/../secret.jpg\n{root}-2/d.jpg\n../secret.jpg\n{root}\n"
    )
    for base in (root, tmp_path / "link"):
        found = read(tmp_path / "lists", text, root=base)
        assert found.root == root.resolve()
        assert [s.path for s in found.sightings] == ["c.jpg", "cam1/a.jpg", "cam1/b.jpg"]
        assert len(found.rejected) == 4
        assert said(found, "3 paths are absolute and not below", "root")
    found = read(tmp_path / "lists", text)
    assert [s.path for s in found.sightings] == ["cam1/a.jpg"]
    assert said(found, "None of the pictures is there", str(tmp_path / "lists"))
    with pytest.raises(DatasetError, match="is no folder") as error:
        read(tmp_path / "lists", text, root=tmp_path / "nowhere")
    assert "root=" in error.value.hint


def test_a_table_read_from_a_wrong_root_is_read_from_the_right_one_by_the_same_name(
    tmp_path: Path, run: Run
) -> None:
    write_crop(tmp_path / "disk/crops/1.png", color=(200, 30, 40))
    table = tmp_path / "tables/crops.csv"
    table.parent.mkdir()
    table.write_text("path,camera\n1.png,lobby\n")
    told = run("ingest", table, exit_code=3).stderr
    assert "give that folder as root" in told.replace("\n", " ")
    run("ingest", table, "--root", tmp_path / "disk/crops")
    assert "lobby" in run("query", tmp_path / "disk/crops/1.png").stdout
    # From now on the name is taken.
    write_crop(tmp_path / "other/1.png", color=(30, 180, 60))
    again = run("ingest", table, "--root", tmp_path / "other", exit_code=2).stderr
    assert "a data set named 'crops' is already stored" in again.replace("\n", " ")


def test_the_usual_names_of_parts_are_understood(tmp_path: Path) -> None:
    parts = {"train": "train", "Test": "gallery", "probe": "query", "GALLERY": "gallery"}
    rows = [f"{name}.jpg,{name}" for name in parts]
    (tmp_path / "m.csv").write_text("path,subset\n" + "\n".join(rows) + "\n")
    found = datasets.read(tmp_path / "m.csv", splits=list(Split))
    assert {s.path[:-4]: str(s.split) for s in found.sightings} == parts


def test_people_numbered_from_0_are_told_of(tmp_path: Path) -> None:
    rows = [f"{i}.jpg,{i % 3}" for i in range(9)] + ["x.jpg,-1"]
    found = read(tmp_path, "path,pid\n" + "\n".join(rows))
    assert said(found, "3 crops have the identity 0", "from 1")
    assert said(found, "1 crop has the identity -1")
    assert not said(read(tmp_path, "path,pid\na.jpg,1\nb.jpg,2\n"), "identity")


def test_times_without_an_offset_are_told_of_and_compact_dates_are_dates(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "path,date\na.jpg,20240501\nb.jpg,20240501T100000Z\nc.jpg,01.05.2024\nd.jpg,NaT\n",
    )
    a, b, d = found.sightings
    assert a.timestamp is not None
    assert abs(a.timestamp - 1714521600) <= 14 * 3600  # whichever zone this machine is in
    assert (b.timestamp, d.timestamp) == (1714557600.0, None)
    assert "2024-05-01" in found.rejected[0].reason
    assert said(found, "1 time has no offset")


def test_what_is_no_manifest_is_told_what_it_begins_with(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no column 'path'") as error:
        read(tmp_path, "{query_path}\x1b[31m,1\n")
    assert "{query_path}" in error.value.hint
    assert error.value.hint.isprintable()
    for content in (b"", b"\n\n", b"PK\x03\x04" + bytes(range(256)) * 9, b"\0" * 999):
        with pytest.raises(DatasetError):
            read(tmp_path, content)


CHARACTERS = st.characters(codec="utf-8", exclude_characters='"\r\n;')
TEXTS = st.text(CHARACTERS, min_size=1, max_size=300)


@given(
    cells=st.tuples(TEXTS, TEXTS, TEXTS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
)
def test_any_name_in_any_encoding_is_read_as_it_is_or_rejected(
    tmp_path: Path, cells: tuple[str, str, str], encoding: str
) -> None:
    path, camera, identity = cells
    text = f'path;camera;identity\r\n"{path}";"{camera}";"{identity}"\r\n'
    found = read(tmp_path, text.encode(encoding))
    for rejected in found.rejected:
        assert rejected.reason.startswith("line 2: ")
        assert len(rejected.reason) < 500
    for seen in found.sightings:
        assert os.path.normpath(path.strip().replace("\\", "/")) in (
            unicodedata.normalize("NFC", seen.path), seen.path, *_forms(seen.path)
        )  # fmt: skip
        if seen.camera and not any(c.isdigit() for c in camera):
            assert seen.camera == unicodedata.normalize("NFC", camera.strip())
        for name in (seen.camera, seen.identity):
            assert name is None or len(name.encode()) <= 255


def _forms(text: str) -> tuple[str, ...]:
    return tuple(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
