"""Folders as people have them: published data sets, a folder for each person or camera, links."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidsearch import datasets
from reidsearch.errors import DatasetError, UsageError
from reidsearch.types import Dataset, Sighting, Split


def touch(root: Path, *paths: str) -> Path:
    """Files that only have names; readers open none."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def seen(found: Dataset) -> dict[str, tuple[str | None, str | None, str]]:
    return {s.path: (s.camera, s.identity, str(s.split)) for s in found.sightings}


MARKET = ("query/0001_c1s1_000001_00.jpg", "bounding_box_test/0002_c3s2_000002_01.jpg")
DUKE = ("query/0005_c2_f0046985.jpg", "bounding_box_test/0006_c8_f0000001.jpg")
VERI = ("image_query/0002_c002_00030600_0.jpg", "image_test/0003_c019_00000015_1.jpg")
MARS = ("bbox_train/0001/0001C1T0001F001.jpg", "bbox_test/00-1/00-1C6T0002F010.jpg")
CUHK = ("images_labeled/1_001_1_01.png", "images_labeled/5_010_2_08.png")
MSMT = tuple(
    f"{part}/{person}/{person}_000_{camera}_0303morning_0015_0{extra}.jpg"
    for part, person in (("train", "0000"), ("test", "0000"), ("test", "0007"))
    for camera, extra in (("01", ""), ("15", "_ex"))
)


def msmt17(root: Path, *, train: str = "train", test: str = "test") -> Path:
    for path in MSMT:
        part, _, file = path.partition("/")
        touch(root, f"{train if part == 'train' else test}/{file}")
    lists = {"list_train.txt": MSMT[:1], "list_val.txt": MSMT[1:2]}
    lists |= {"list_query.txt": MSMT[2:3], "list_gallery.txt": MSMT[3:]}
    for name, paths in lists.items():
        text = "".join(f"{path.partition('/')[2]} {int(path.split('/')[1])}\n" for path in paths)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("layout", "paths", "expected"),
    [
        ("market1501", MARKET, [("1", "1", "query"), ("3", "2", "gallery")]),
        ("dukemtmc", DUKE, [("2", "5", "query"), ("8", "6", "gallery")]),
        ("veri", VERI, [("2", "2", "query"), ("19", "3", "gallery")]),
        ("mars", MARS, [("1", "1", "train"), ("6", "-1", "gallery")]),
        ("cuhk03", CUHK, [("1-1", "1-001", "gallery"), ("5-2", "5-010", "gallery")]),
    ],
)
def test_published_data_sets_are_recognised_and_are_sites_of_their_own(
    tmp_path: Path,
    layout: str,
    paths: tuple[str, ...],
    expected: list[tuple[str, str, str]],
) -> None:
    root = touch(tmp_path / "downloaded" / "data set", *paths)
    for path in (root, root.parent):
        found = datasets.read(path, splits=Split)
        assert seen(found) == dict(zip(paths, expected, strict=True))
        assert (found.layout, found.name, found.site) == (layout, "data set", "data set")
        assert found.root == root
    assert datasets.read(root, splits=Split, name="mine").site == "mine"


def test_msmt17_is_read_by_its_lists_and_its_two_people_0_are_two_people(tmp_path: Path) -> None:
    root = msmt17(tmp_path / "MSMT17_V1")
    found = datasets.read(root, splits=Split)
    assert found.layout == "msmt17"
    assert seen(found) == {
        MSMT[0]: ("1", "train-0000", "train"),
        MSMT[1]: ("15", "train-0000", "train"),
        MSMT[2]: ("1", "test-0000", "query"),
        MSMT[3]: ("15", "test-0000", "gallery"),
        MSMT[4]: ("1", "test-0007", "gallery"),
        MSMT[5]: ("15", "test-0007", "gallery"),
    }
    assert {s.split for s in datasets.read(root).sightings} == {Split.QUERY, Split.GALLERY}


def test_the_second_edition_of_msmt17_says_the_same(tmp_path: Path) -> None:
    """Its faces are blurred, and its folders are called otherwise."""
    first = datasets.read(msmt17(tmp_path / "MSMT17_V1"), splits=Split)
    root = msmt17(tmp_path / "MSMT17_V2", train="mask_train_v2", test="mask_test_v2")
    second = datasets.read(root, splits=Split)
    assert second.layout == "msmt17"
    assert list(seen(second).values()) == list(seen(first).values())


def test_msmt17_without_its_lists_is_all_gallery_and_it_is_said(tmp_path: Path) -> None:
    found = datasets.read(touch(tmp_path, *MSMT), splits=Split)
    assert {row[2] for row in seen(found).values()} == {"gallery"}
    assert "list_query.txt" in " ".join(found.notes)


def test_as_many_people_as_msmt17_has_are_looked_through(tmp_path: Path) -> None:
    root = msmt17(tmp_path / "MSMT17_V1")
    for person in range(1, 1100):
        (root / f"train/{person:04d}").mkdir()
        (root / f"test/{person:04d}").mkdir(exist_ok=True)
    assert datasets.read(root).layout == "msmt17"


def test_a_probe_of_msmt17_tells_its_camera_and_person() -> None:
    told = datasets.parse_name(f"/data/MSMT17_V1/{MSMT[4]}")
    assert (told.camera, told.identity) == ("1", "test-0007")
    assert datasets.parse_name(MSMT[4].rpartition("/")[2]).identity is None


def test_a_list_of_msmt17_cannot_lead_out_and_what_it_lacks_is_rejected(tmp_path: Path) -> None:
    root = msmt17(tmp_path / "MSMT17_V1")
    name = "0009_000_01_0303morning_0015_0.jpg"
    touch(tmp_path, name)
    lines = [f"../../{name} 9", f"/etc/{name} 9", "x\0y 1", "x" * 10_000, "0000/no.jpg 0", " "]
    touch(root, "test/0000/somebody.jpg", *(f"test/0000/{i:04d}{name[4:]}" for i in range(9)))
    lines.insert(0, "0000/somebody.jpg 0")
    (root / "list_query.txt").write_text("\r\n".join([*lines, f"{MSMT[2][5:]} 0", ""]))
    found = datasets.read(root, splits=[Split.QUERY])
    assert [s.path for s in found.sightings] == [MSMT[2]]
    assert len(found.rejected) == len(lines) - 1
    assert all(len(r.path) <= 300 and "list_query.txt" in r.reason for r in found.rejected)
    (there,) = [r for r in found.rejected if r.path == "test/0000/somebody.jpg"]
    assert "does not follow" in there.reason


def test_cuhk03_cut_out_by_hand_and_by_a_detector_are_two_data_sets(tmp_path: Path) -> None:
    touch(tmp_path, *CUHK, *(path.replace("labeled", "detected") for path in CUHK))
    with pytest.raises(DatasetError) as error:
        datasets.read(tmp_path)
    assert "images_labeled" in error.value.hint
    assert datasets.read(tmp_path / "images_detected").site == "images_detected"


def test_a_folder_called_query_does_not_make_market1501(tmp_path: Path) -> None:
    rooms = [f"{room}/{i}.jpg" for room in ("garage", "lobby") for i in range(20)]
    probes = ["query/0001_c1s1_000001_00.jpg", "query/probe.jpg"]
    found = datasets.read(touch(tmp_path, *rooms, *probes))
    assert found.layout == "folder"
    assert {s.path for s in found.sightings} == {*rooms, *probes}
    assert {s.split for s in found.sightings} == {Split.GALLERY}


@pytest.mark.parametrize("folder", ["query", "bounding_box_test"])
def test_market1501s_folders_without_its_names_are_plain_folders(
    tmp_path: Path, folder: str
) -> None:
    found = datasets.read(touch(tmp_path, f"{folder}/alice.jpg", f"{folder}/bob.jpg"))
    assert (found.layout, len(found.sightings)) == ("folder", 2)


def test_what_a_published_data_set_is_no_part_of_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "all", *(f"Market/{path}" for path in MARKET), "lobby/a.jpg")
    found = datasets.read(tmp_path / "all")
    assert (found.name, len(found.sightings)) == ("Market", 2)
    assert "lobby" in " ".join(found.notes)
    touch(tmp_path / "all/Market", "garage/a.jpg", "notes/readme.txt")
    inside = datasets.read(tmp_path / "all/Market")
    assert "garage" in " ".join(inside.notes)
    assert "notes" not in " ".join(inside.notes)


def test_query_and_gallery_with_a_folder_for_each_person(tmp_path: Path) -> None:
    paths = ["gallery/1/a.jpg", "gallery/alice/b/c.jpg", "query/1/x.jpg", "train/7/t.jpg"]
    found = datasets.read(touch(tmp_path, *paths))
    assert found.layout == "people"
    assert seen(found) == {
        "gallery/1/a.jpg": (None, "1", "gallery"),
        "gallery/alice/b/c.jpg": (None, "alice", "gallery"),
        "query/1/x.jpg": (None, "1", "query"),
    }
    assert "train" in " ".join(found.notes)
    assert found.splits == frozenset({Split.QUERY, Split.GALLERY})
    assert len(datasets.read(tmp_path, splits=[Split.TRAIN]).sightings) == 1


@pytest.mark.parametrize(
    ("folders", "layout", "column"),
    [
        (("cam1", "cam2"), "cameras", 0),
        (("Camera 01", "camera_2"), "cameras", 0),
        (("person1", "Person_22"), "people", 1),
    ],
)
def test_folders_that_are_called_cameras_or_people_are_and_it_is_said(
    tmp_path: Path, folders: tuple[str, ...], layout: str, column: int
) -> None:
    found = datasets.read(touch(tmp_path, *(f"{folder}/day/x.jpg" for folder in folders)))
    assert found.layout == layout
    assert [row[column] for row in seen(found).values()] == sorted(folders)
    assert layout in " ".join(found.notes)
    assert found.site is None


def test_people_numbered_from_0_are_told_of_however_they_are_read(tmp_path: Path) -> None:
    root = touch(tmp_path / "crops", "0/a.jpg", "0/b.jpg", "1/a.jpg")
    for found in (
        datasets.read(root, layout="people"),
        datasets.read(root, pattern="{identity}/*.jpg"),
    ):
        assert "2 crops have the identity 0" in " ".join(found.notes)


def test_distractors_of_a_published_data_set_need_no_word_but_a_probe_of_nobody_does(
    tmp_path: Path,
) -> None:
    nobody = "0000_c1s1_000001_00.jpg"
    root = touch(tmp_path, *MARKET, f"bounding_box_test/{nobody}")
    assert datasets.read(root).notes == ()
    assert "1 crop has the identity 0" in " ".join(
        datasets.read(touch(root, f"query/{nobody}")).notes
    )


@pytest.mark.parametrize("beside", ["x.jpg", "lobby/x.jpg"])
def test_what_is_not_clear_is_a_plain_folder(tmp_path: Path, beside: str) -> None:
    found = datasets.read(touch(tmp_path, "cam1/a.jpg", "cam2/b.jpg", beside))
    assert found.layout == "folder"
    assert {s.camera for s in found.sightings} == {None}
    assert "cameras" in " ".join(found.notes)  # what to ask for


def test_names_that_tell_their_cameras_go_before_a_guess(tmp_path: Path) -> None:
    found = datasets.read(touch(tmp_path, "cam7/0001_c1s1_000001_00.jpg"))
    assert (found.layout, found.sightings[0].camera) == ("folder", "1")


@pytest.mark.parametrize(("layout", "column"), [("people", 1), ("cameras", 0)])
def test_a_layout_that_is_asked_for_takes_folders_of_any_name(
    tmp_path: Path, layout: str, column: int
) -> None:
    names = ["lobby", "Zoë", "עברית", "\U0001f469\u200d\U0001f680", '"; DROP', "{camera}", "0007"]
    touch(tmp_path, *(f"{name}/x.jpg" for name in names), "beside.jpg")
    (tmp_path / "a\u202eb").mkdir()
    touch(tmp_path, "a\u202eb/x.jpg", "new\nline/x.jpg")
    found = datasets.read(tmp_path, layout=layout)
    assert {row[column] for row in seen(found).values()} == {*names[:-1], "7"}
    reasons = {r.path: r.reason for r in found.rejected}
    assert set(reasons) == {"beside.jpg", "a\u202eb/x.jpg", "new\nline/x.jpg"}
    assert "control characters" in reasons["new\nline/x.jpg"]


def test_a_layout_that_is_none_is_an_error_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        datasets.read(touch(tmp_path, "a.jpg"), layout="folders")
    assert all(name in error.value.hint for name in ("market1501", "people", "cameras", "folder"))


@settings(max_examples=300)
@given(st.text(alphabet="0123456789_csfCTF-.jmorning٣\0\n/%é\U0001f469", max_size=80))
def test_any_name_tells_names_and_numbers_or_nothing(name: str) -> None:
    told = datasets.parse_name(name)
    assert told.path == name
    for text in (told.camera, told.identity):
        assert text is None or text.isascii() or text.lstrip("-").isdecimal()


# ---- what is no crop ---------------------------------------------------------------------------


def test_files_that_are_no_crops_are_counted_by_ending_and_small_copies_are_none(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "cam1/a.jpg", "..jpg", "cam1/b.CR2", "c.cr2", "notes.txt", "README")
    touch(tmp_path, "._a.jpg", "cam1/._b.jpg", "Thumbs.db", "x." + "y" * 100)
    touch(tmp_path, "@eaDir/a.jpg", ".thumbnails/a.jpg", "__MACOSX/a.jpg", ".git/annex/a.jpg")
    found = datasets.read(tmp_path)
    assert [s.path for s in found.sightings] == ["..jpg", "cam1/a.jpg"]
    assert found.passed_over == {
        ".cr2": 2, ".txt": 1, "no ending": 1, "._*": 2, ".db": 1, "others": 1,
        "@eaDir/": 1, "__MACOSX/": 1, ".*/": 2,
    }  # fmt: skip
    assert (found.rejected, found.unseen) == ([], ())


def test_a_million_endings_are_no_million_counts(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", *(f"x.{number}" for number in range(300)))
    os.rename(tmp_path / "x.7", os.fsencode(tmp_path) + b"/x.\xff")
    found = datasets.read(tmp_path)
    assert len(found.passed_over) <= 101
    assert sum(found.passed_over.values()) == 300
    assert all(kind.encode() for kind in found.passed_over)


def test_a_folder_of_other_files_says_which(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no picture to take in, but 2 \.cr2"):
        datasets.read(touch(tmp_path, "a.cr2", "b.cr2"))


def test_pictures_inside_a_matlab_file_are_to_be_saved_as_such(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as error:
        datasets.read(touch(tmp_path, "cuhk03_release/cuhk-03.mat"))
    assert "MATLAB" in error.value.hint


def test_names_that_tell_nothing_are_told_of_with_a_way_to_say_what_they_mean(
    tmp_path: Path,
) -> None:
    found = datasets.read(touch(tmp_path, "cam01_alice_0001.jpg"))
    assert "cam01_alice_0001.jpg" in " ".join(found.notes)
    assert "{camera}_{identity}_{frame}.jpg" in " ".join(found.notes)
    assert datasets.read(touch(tmp_path / "told", "0001_c1.jpg")).notes == ()


@pytest.mark.parametrize("name", ["archive.zip", "a.tar.gz", "A.7Z", "a.tgz", "a.rar"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as error:
        datasets.read(touch(tmp_path, name) / name)
    assert "Unpack" in error.value.hint


# ---- links -------------------------------------------------------------------------------------


def linked(tmp_path: Path) -> Path:
    """cam1 lies on another disk, cam2 here."""
    root = touch(tmp_path / "crops", "cam2/b.jpg")
    (root / "cam1").symlink_to(touch(tmp_path / "disk/cam1", "a.jpg"))
    return root


def test_linked_folders_are_named_and_followed_only_when_asked(tmp_path: Path) -> None:
    root = linked(tmp_path)
    found = datasets.read(root)
    assert [s.path for s in found.sightings] == ["cam2/b.jpg"]
    assert found.unseen == ("cam1",)
    assert "cam1" in " ".join(found.notes)
    followed = datasets.read(root, follow_links=True)
    assert seen(followed) == {
        "cam1/a.jpg": ("cam1", None, "gallery"),
        "cam2/b.jpg": ("cam2", None, "gallery"),
    }
    assert (followed.unseen, followed.follow_links) == ((), True)


def test_followed_links_end_and_each_folder_is_read_once_by_its_own_path(tmp_path: Path) -> None:
    root = linked(tmp_path)
    (root / "a loop").symlink_to(root)
    (root / "cam2/up").symlink_to("..")
    (root / "above").symlink_to(tmp_path)
    (root / "again").symlink_to(root / "cam2")
    (tmp_path / "disk/cam1/back").symlink_to(root / "cam1")
    found = datasets.read(root, follow_links=True, layout="folder")
    assert [s.path for s in found.sightings] == ["cam1/a.jpg", "cam2/b.jpg"]
    assert sum(found.passed_over.values()) == 5


def test_a_link_that_leads_nowhere_may_be_a_disk_that_is_not_there(tmp_path: Path) -> None:
    root = linked(tmp_path)
    os.rename(tmp_path / "disk", tmp_path / "unmounted")
    for follow_links in (False, True):
        found = datasets.read(root, follow_links=follow_links)
        assert found.unseen == ("cam1",)
        assert "cam1" in " ".join(found.notes)


def test_a_market_root_of_links_is_read_when_links_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "cluster", *MARKET)
    root = tmp_path / "market"
    root.mkdir()
    for folder in ("query", "bounding_box_test"):
        (root / folder).symlink_to(tmp_path / "cluster" / folder)
    with pytest.raises(DatasetError) as error:
        datasets.read(root)
    assert "follow_links" in error.value.hint
    found = datasets.read(root, follow_links=True)
    assert (found.layout, [s.path for s in found.sightings]) == ("market1501", sorted(MARKET))


# ---- layouts of installed packages --------------------------------------------------------------

PACKAGE = """
from pathlib import Path
from reidsearch.datasets import Wanted
from reidsearch.types import Dataset, Sighting

class Prid:
    name = "prid"
    def recognises(self, root: Path) -> bool:
        return (root / "prid.txt").is_file()
    def read(self, root: Path, wanted: Wanted) -> Dataset:
        sightings = [Sighting(p.name, camera="a") for p in sorted(root.glob("*.jpg"))]
        return Dataset(wanted.name or "prid", root.resolve(), sightings, layout=self.name)

PRID = Prid()
BROKEN = 7
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    """A package that brings a layout, one that is no reader, and one that cannot be loaded."""
    site = tmp_path / "site-packages"
    info = site / "tiny_prid-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tiny_prid.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-prid\nVersion: 1.0\n")
    points = "prid = tiny_prid:PRID\nbroken = tiny_prid:BROKEN\nabsent = not_installed:X\n"
    (info / "entry_points.txt").write_text(f"[reidsearch.datasets]\n{points}")
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("tiny_prid", None)


@pytest.mark.usefixtures("installed")
def test_an_installed_package_brings_a_layout(tmp_path: Path) -> None:
    root = touch(tmp_path / "crops", "prid.txt", "a.jpg")
    found = datasets.read(root)
    assert (found.layout, found.sightings) == ("prid", [Sighting("a.jpg", camera="a")])
    assert datasets.read(touch(tmp_path / "other", "b.jpg"), layout="prid").layout == "prid"
    assert "prid" in datasets.layouts()


@pytest.mark.usefixtures("installed")
def test_an_installed_layout_that_cannot_be_used_is_told_and_stops_nobody_else(
    tmp_path: Path,
) -> None:
    root = touch(tmp_path / "crops", "a.jpg")
    found = datasets.read(root)
    assert found.layout == "folder"
    said = " ".join(found.notes)
    assert all(word in said for word in ("'broken'", "'absent'", "tiny-prid"))
    with pytest.raises(DatasetError, match="no reader"):
        datasets.read(root, layout="broken")
    with pytest.raises(DatasetError, match="not_installed"):
        datasets.read(root, layout="absent")
    assert not datasets.read(touch(tmp_path / "market", *MARKET)).notes  # nor is it loaded
