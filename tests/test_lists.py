"""The lists that say which pictures of a published data set are its queries, and MATLAB's files."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reidsearch import datasets
from reidsearch.datasets import matlab
from reidsearch.errors import DatasetError
from reidsearch.types import Split
from tests.test_layouts import seen, touch

Value = NDArray[np.generic] | list[str]
FORMS = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12}


def element(kind: int, content: bytes, order: str) -> bytes:
    """As MATLAB writes it: up to four bytes beside their size, others padded to eight."""
    if 0 < len(content) <= 4:
        return struct.pack(f"{order}I", len(content) << 16 | kind) + content.ljust(4, b"\0")
    padding = b"\0" * (-len(content) % 8)
    return struct.pack(f"{order}II", kind, len(content)) + content + padding


def matrix(name: str, value: Value, order: str) -> bytes:
    """A matrix of numbers, or a column of cells with a text each."""

    def whole(kind: int, shape: tuple[int, ...], content: bytes, called: str = "") -> bytes:
        flags = element(6, struct.pack(f"{order}II", kind, 0), order)
        dimensions = element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
        return element(14, flags + dimensions + element(1, called.encode(), order) + content, order)

    if isinstance(value, list):
        utf16 = "utf-16-le" if order == "<" else "utf-16-be"
        cells = [whole(4, (1, len(t)), element(4, t.encode(utf16), order)) for t in value]
        return whole(1, (len(value), 1), b"".join(cells), name)
    stored = value.astype(f"{order}{value.dtype.str[1:]}")
    form = FORMS[value.dtype.str[1:]]
    return whole(6, value.shape, element(form, stored.tobytes("F"), order), name)


def mat(values: Mapping[str, Value], *, order: str = "<", packed: bool = True) -> bytes:
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100)
    parts = [matrix(name, value, order) for name, value in values.items()]
    if packed:
        parts = [
            struct.pack(f"{order}II", 15, len(body)) + body for body in map(zlib.compress, parts)
        ]
    return header + (b"IM" if order == "<" else b"MI") + b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("form", list(FORMS))
def test_numbers_and_texts_come_back_as_they_were_written(
    tmp_path: Path, order: str, packed: bool, form: str
) -> None:
    numbers = np.array([[1, 2, 3], [4, 5, 127]], form)
    words = ["a.png", "עברית", "", "x" * 9]
    path = tmp_path / "x.mat"
    path.write_bytes(
        mat({"other": numbers + 0, "n": numbers, "t": words}, order=order, packed=packed)
    )
    assert np.array_equal(matlab.numbers(path, "n"), numbers)
    assert matlab.texts(path, "t") == words
    for read in (matlab.numbers, matlab.texts):
        with pytest.raises(DatasetError, match=r"x\.mat has no .* called absent"):
            read(path, "absent")


def test_what_is_no_whole_number_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_bytes(mat({"n": np.array([[1.5, np.nan]])}))
    with pytest.raises(DatasetError, match="no whole numbers"):
        matlab.numbers(tmp_path / "x.mat", "n")


def test_a_file_that_unpacks_to_gigabytes_does_not(tmp_path: Path) -> None:
    body = zlib.compress(bytes(1 << 27))
    data = mat({}) + struct.pack("<II", 15, len(body)) + body
    twice = zlib.compress(struct.pack("<II", 15, len(body)) + body)
    for content in (data, mat({}) + struct.pack("<II", 15, len(twice)) + twice):
        (tmp_path / "x.mat").write_bytes(content)
        with pytest.raises(DatasetError, match="too much"):
            matlab.numbers(tmp_path / "x.mat", "n")


VALUES: dict[str, Value] = {"n": np.array([[1, 2]], "u1"), "t": ["a.png"]}
SOUND = mat(VALUES, packed=False)


@settings(
    derandomize=True,
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    at=st.integers(0, len(SOUND)),
    put=st.binary(max_size=8),
    cut=st.integers(0, 16),
    packed=st.booleans(),
)
def test_a_damaged_file_is_read_or_an_error(
    tmp_path: Path, at: int, put: bytes, cut: int, packed: bool
) -> None:
    whole = mat(VALUES) if packed else SOUND
    path = tmp_path / "x.mat"
    path.write_bytes(whole[:at] + put + whole[at + cut :])
    for read in (matlab.numbers, matlab.texts):
        for name in ("n", "t"):
            try:
                read(path, name)
            except DatasetError:
                continue


# ---- CUHK03 ------------------------------------------------------------------------------------

CUHK = [f"1_{person:03d}_{camera}_0{camera}.png" for person in (1, 2, 3) for camera in (1, 2)]


def cuhk03(root: Path, kind: str, **lists: list[int]) -> Path:
    touch(root, *(f"images_{kind}/{name}" for name in CUHK))
    columns: dict[str, Value] = {n: np.array([rows], "u2").T for n, rows in lists.items()}
    path = root / f"cuhk03_new_protocol_config_{kind}.mat"
    path.write_bytes(mat({"filelist": CUHK, **columns}))
    return root


@pytest.mark.parametrize("kind", ["labeled", "detected"])
@pytest.mark.parametrize("below", [True, False])
def test_cuhk03_is_parted_by_the_list_beside_it(tmp_path: Path, kind: str, below: bool) -> None:
    root = cuhk03(tmp_path, kind, train_idx=[1, 2], query_idx=[3, 5], gallery_idx=[4, 6])
    found = datasets.read(root / f"images_{kind}" if below else root, splits=Split)
    expected = ["train", "train", "query", "gallery", "query", "gallery"]
    assert [split for _, _, split in seen(found).values()] == expected
    assert (found.layout, found.notes) == ("cuhk03", ())
    assert {s.split for s in datasets.read(root).sightings} == {Split.QUERY, Split.GALLERY}


def test_cuhk03_without_the_list_is_all_gallery_and_says_what_is_missing(tmp_path: Path) -> None:
    found = datasets.read(touch(tmp_path, *(f"images_labeled/{name}" for name in CUHK)))
    assert {s.split for s in found.sightings} == {Split.GALLERY}
    assert "cuhk03_new_protocol_config_labeled.mat" in " ".join(found.notes)


def test_what_the_list_of_cuhk03_lacks_is_rejected_and_what_it_cannot_mean_is_an_error(
    tmp_path: Path,
) -> None:
    root = cuhk03(tmp_path, "labeled", train_idx=[1], query_idx=[2], gallery_idx=[3, 4, 5])
    (rejected,) = datasets.read(root).rejected
    assert (rejected.path, "does not list" in rejected.reason) == (
        f"images_labeled/{CUHK[5]}",
        True,
    )
    cuhk03(tmp_path, "labeled", train_idx=[7], query_idx=[0], gallery_idx=[1])
    with pytest.raises(DatasetError, match="does not have"):
        datasets.read(root)


@pytest.mark.parametrize("kind", ["labeled", "detected"])
def test_cuhk03_np_is_market1501_whose_numbers_are_no_times(tmp_path: Path, kind: str) -> None:
    """The form that its authors hand out, where the last number counts a person's pictures."""
    paths = ["bounding_box_train/0001_c1_1.png", "bounding_box_test/0003_c1_21.png"]
    root = touch(tmp_path / "cuhk03-np" / kind, *paths, "query/0003_c2_27.png")
    found = datasets.read(root, splits=Split)
    assert found.layout == "market1501"
    assert seen(found)["query/0003_c2_27.png"] == ("2", "3", "query")
    assert {s.frame for s in found.sightings} == {None}


# ---- MARS --------------------------------------------------------------------------------------

TRACKS = {  # tracklet -> its pictures
    (name, f"{name}C{camera}T0001"): [f"{name}C{camera}T0001F00{i}.jpg" for i in (1, 2)]
    for name in ("00-1", "0000", "0002")
    for camera in (1, 6)
}


def mars(root: Path, *, queries: list[int]) -> Path:
    names = [name for pictures in TRACKS.values() for name in pictures]
    touch(root, "bbox_train/0001/0001C1T0001F001.jpg", *(f"bbox_test/{n[:4]}/{n}" for n in names))
    (root / "info").mkdir(exist_ok=True)
    (root / "info/test_name.txt").write_text("\n".join(names) + "\n")
    spans = [[2 * i + 1, 2 * i + 2, 0, 1] for i in range(len(TRACKS))]
    (root / "info/tracks_test_info.mat").write_bytes(
        mat({"track_test_info": np.array(spans, "f8")})
    )
    (root / "info/query_IDX.mat").write_bytes(mat({"query_IDX": np.array([queries], "u2")}))
    return root


def test_the_queries_of_mars_are_the_pictures_of_the_listed_tracklets(tmp_path: Path) -> None:
    root = mars(tmp_path / "MARS", queries=[5])
    found = datasets.read(root)
    assert (found.layout, found.splits) == ("mars", frozenset({Split.QUERY, Split.GALLERY}))
    queries = {s.path: s for s in found.sightings if s.split is Split.QUERY}
    assert set(queries) == {f"bbox_test/0002/0002C1T0001F00{i}.jpg" for i in (1, 2)}
    assert {(s.identity, s.camera, s.frame) for s in queries.values()} == {("2", "1", None)}
    gallery = [s for s in found.sightings if s.split is Split.GALLERY]
    assert {s.identity for s in gallery} == {"-1", "0", "2"}
    assert len(datasets.read(root, splits=[Split.QUERY]).sightings) == 2
    assert {s.split for s in datasets.read(root, splits=[Split.TRAIN]).sightings} == {Split.TRAIN}
    assert "tracklets" in " ".join(found.notes)


def test_mars_without_its_lists_is_all_gallery_and_says_what_is_missing(tmp_path: Path) -> None:
    root = mars(tmp_path / "MARS", queries=[5])
    (root / "info/query_IDX.mat").unlink()
    found = datasets.read(root)
    assert {s.split for s in found.sightings} == {Split.GALLERY}
    assert "info/query_IDX.mat" in " ".join(found.notes)
    with pytest.raises(DatasetError, match=r"info/query_IDX\.mat"):
        datasets.read(root, splits=[Split.QUERY])


@pytest.mark.parametrize("queries", [[0], [7], []])
def test_lists_of_mars_that_do_not_belong_together_are_an_error(
    tmp_path: Path, queries: list[int]
) -> None:
    with pytest.raises(DatasetError):
        datasets.read(mars(tmp_path / "MARS", queries=queries))
