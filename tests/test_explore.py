"""What explore tells of a data set, and of what is stored."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reidsearch
from reidsearch.errors import DatasetError, EmptyGallery, ImageError, UsageError
from reidsearch.gallery import Gallery
from reidsearch.pictures import decoding
from reidsearch.ranking import looks
from reidsearch.ranking.suspects import suspicions
from reidsearch.types import Labels
from tests.conftest import COLORS, Run, write_crop
from tests.page import loads_nothing, parsed

MARKET = os.environ.get("MARKET1501", "")
WRONG_LABELS = ("query/0196_c5s3_009840_00.jpg", "query/0538_c5s1_152995_00.jpg")


def test_it_counts_what_the_names_tell(market: Path, run: Run) -> None:
    found = json.loads(run("explore", market, "--json").stdout)
    assert found["splits"] == {
        "train": {"people": 4, "junk": 0, "distractors": 0, "unknown": 0},
        "query": {"people": 4, "junk": 0, "distractors": 0, "unknown": 0},
        "gallery": {"people": 25, "junk": 1, "distractors": 1, "unknown": 0},
    }
    assert (found["images"], found["people"], found["junk"], found["distractors"]) == (35, 4, 1, 1)
    assert found["cameras"] == [1, 2, 3]
    assert found["sequences"] == 4  # one each, and camera 2 has a second one
    assert found["images_per_person"] == {"8": 3, "9": 1}
    assert found["cameras_per_person"] == {"3": 4}
    assert found["images_per_camera"] == {"1": 12, "2": 13, "3": 10}
    assert found["shared_people"] == {a: dict.fromkeys("123", 4) for a in "123"}
    assert found["width"] == {"least": 8, "median": 8, "mean": 8, "most": 8}
    assert found["aspect"]["median"] == 2
    assert found["suspects"] is None


def test_only_the_parts_asked_for_are_looked_at(market: Path, run: Run) -> None:
    found = json.loads(run("explore", market, "--split", "query", "--json").stdout)
    assert list(found["splits"]) == ["query"]
    assert found["images"] == 4


def test_what_is_stored_is_told_alike(gallery: Gallery, market: Path) -> None:
    there = gallery.explore(market, splits=["query", "gallery"]).document()
    stored = gallery.explore().document()
    assert stored["suspects"] == []
    for key in ("splits", "people", "cameras", "sequences", "shared_people", "images_per_person"):
        assert stored[key] == there[key]
    assert stored["brightness"] == there["brightness"]


def test_a_crop_with_somebody_elses_label_is_the_worst_suspect(
    market: Path, gallery: Gallery
) -> None:
    wrong = "bounding_box_test/0002_c1s1_000099_01.jpg"
    for camera in (2, 3):  # ten strangers from other cameras are to be nearer than any own crop
        for frame in range(100, 106):
            name = f"0001_c{camera}s1_{frame:06d}_01.jpg"
            write_crop(market / "bounding_box_test" / name, color=COLORS[1], seed=frame)
    write_crop(market / wrong, color=COLORS[1], seed=300)
    gallery.ingest(market)
    found = gallery.explore().suspects
    assert found
    assert found[0].crop.path == wrong
    assert (found[0].own.identity, found[0].other.identity) == ("2", "1")
    assert found[0].crop.camera not in (found[0].own.camera, found[0].other.camera)
    assert found[0].margin > 0


def test_suspicions_are_those_that_comparing_one_by_one_finds() -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(120, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = Labels(random.integers(-1, 6, 120), random.choice([-2, 1, 2], 120))
    of, among = np.arange(60), np.arange(40, 120)
    expected = {}
    for i in of.tolist():
        if labels.identity[i] <= 0:
            continue
        others = [
            j
            for j in among.tolist()
            if labels.identity[j] > 0
            and j != i
            and (labels.camera[i] == -2 or labels.camera[i] != labels.camera[j])
        ]
        others.sort(key=lambda j: -float(vectors[i] @ vectors[j]))
        same = [labels.identity[j] == labels.identity[i] for j in others]
        if True in same and not any(same[:5]):
            own, other = others[same.index(True)], others[0]
            expected[i] = (own, other)
    found = suspicions(vectors, labels, of=of, among=among, strangers=5, at_once=7)
    pairs = zip(found.own.tolist(), found.other.tolist(), strict=True)
    assert dict(zip(found.rows.tolist(), pairs, strict=True)) == expected
    assert len(expected) > 5
    assert (np.diff(found.margin) <= 0).all()


def test_near_pairs_are_those_that_comparing_all_finds() -> None:
    random = np.random.default_rng(2)
    some = random.integers(0, 2**63, 200, dtype=np.uint64)
    flipped = some.copy()
    for row, bits in enumerate(random.integers(1, 6, 200)):
        for bit in random.permutation(64)[:bits]:
            flipped[row] ^= np.uint64(1) << np.uint64(bit)
    hashes = np.unique(np.concatenate([some, flipped]))
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    first, second = np.nonzero(np.triu(apart <= looks.NEAR, k=1))
    found = looks.near_pairs(hashes)
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == list(
        zip(first.tolist(), second.tolist(), strict=True)
    )
    assert len(first) > 50


def test_duplicates_join_through_one_another_and_equal_ones_are_cheap() -> None:
    chain = np.array([0b0, 0b111, 0b111111, 1 << 40 | 1 << 50 | 1 << 60 | 1 << 30], np.uint64)
    groups = looks.near_duplicates(np.concatenate([chain, np.full(50_000, 2**63, np.uint64)]))
    # 2**63 is one bit from 0, and so all but the last of the chain belong together.
    assert [len(group) for group in groups] == [50_003]
    assert looks.near_duplicates(np.empty(0, np.uint64)) == []


def test_sharpness_and_brightness_follow_their_formulas() -> None:
    flat = np.full((32, 16), 90, np.uint8)
    board = (np.indices((32, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)
    grey = np.stack([flat, board])
    assert looks.brightness(grey).tolist() == [90, 127.5]
    # On a chessboard the Laplacian is 4 x 255 with either sign, in equal numbers.
    assert looks.sharpness(grey) == pytest.approx([0, (4 * 255) ** 2])


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_grey_pictures_are_those_of_the_whole_decoder(tmp_path: Path, ending: str) -> None:
    rows, columns = np.indices((600, 300))
    pixels = np.stack([rows / 3, columns / 2, 200 - rows / 4], axis=-1).astype(np.uint8)
    file = tmp_path / f"large.{ending}"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(pixels).save(file, exif=exif)
    found = decoding.grey(file.read_bytes(), size=(64, 128))
    whole = decoding.picture(file.read_bytes(), size=(64, 128))
    assert (found.width, found.height) == (whole.width, whole.height) == (600, 300)
    expected = np.asarray(Image.fromarray(whole.pixels).convert("L"), np.int16)
    assert np.abs(found.pixels - expected).max() <= 4


def test_grey_refuses_what_the_whole_decoder_refuses(market: Path) -> None:
    data = next((market / "query").iterdir()).read_bytes()
    for bad in (b"", b"no picture", data[:200], data[:2] + b"rest"):
        with pytest.raises(ImageError):
            decoding.grey(bad, size=looks.SIZE)


def test_damaged_tiny_and_huge_pictures_are_counted_and_never_fatal(
    tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "odd"
    write_crop(folder / "good_c1.jpg", color=COLORS[1])
    (folder / "torn.jpg").write_bytes((folder / "good_c1.jpg").read_bytes()[:300])
    (folder / "empty.png").write_bytes(b"")
    Image.new("L", (1, 1)).save(folder / "tiny.png")
    Image.new("L", (5000, 4000), 60).save(folder / "huge.jpg")
    Image.new("1", (9000, 9000)).save(folder / "bomb.png")
    page = tmp_path / "page.html"
    result = run("explore", folder, "--save", page)
    assert "Cannot be read: torn.jpg" in result.stderr
    found = json.loads(run("explore", folder, "--json").stdout)
    assert {one["path"] for one in found["failures"]} == {"torn.jpg", "empty.png", "bomb.png"}
    assert found["unlike_crops"] == 2
    assert (found["width"]["least"], found["width"]["most"]) == (1, 5000)
    assert "torn.jpg" in page.read_text()


def test_an_unlabelled_folder_of_one_picture_makes_a_table_and_a_page(
    tmp_path: Path, run: Run
) -> None:
    write_crop(tmp_path / "one/a.jpg", color=COLORS[2])
    page = tmp_path / "page.html"
    assert "without a person" in run("explore", tmp_path / "one", "--save", page).stdout
    found = json.loads(run("explore", tmp_path / "one", "--json").stdout)
    assert (found["images"], found["people"], found["without_person"]) == (1, 0, 1)
    assert found["images_per_person"] == found["shared_people"] == {}
    assert "<svg" in page.read_text()


def test_of_a_set_that_cannot_be_read_at_all_the_numbers_are_missing(
    tmp_path: Path, run: Run
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_bytes(b"no picture")
    found = json.loads(
        run("explore", tmp_path / "bad", "--json", "--save", tmp_path / "bad.html").stdout
    )
    assert found["sharpness"] == {"least": None, "median": None, "mean": None, "most": None}
    assert len(found["failures"]) == 1


def test_what_is_stored_and_has_lost_its_files_is_still_told_of(
    market: Path, gallery: Gallery, tmp_path: Path
) -> None:
    shutil.rmtree(market)
    found = gallery.explore()
    assert found.people == 4
    assert {one.reason for one in found.failures} == {"no such file"}
    found.save(tmp_path / "page.html")


def test_copies_are_near_duplicates_and_labels_that_differ_are_at_odds(
    market: Path, gallery: Gallery
) -> None:
    test = market / "bounding_box_test"
    shutil.copy(test / "0001_c1s1_000010_01.jpg", test / "0002_c2s1_000011_01.jpg")
    found = gallery.explore(market)
    names = {"0001_c1s1_000010_01.jpg", "0002_c2s1_000011_01.jpg"}
    (group,) = [g for g in found.duplicates if names <= {Path(c.path).name for c in g}]
    assert group in found.at_odds


def test_the_page_holds_all_it_shows_and_no_markup_from_names(
    market: Path, gallery: Gallery, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    write_crop(folder / "<script>alert(1)<" / "a.jpg", color=COLORS[1])
    page = tmp_path / "page.html"
    gallery.explore(folder, pattern="{identity}/*.jpg").save(page)
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script" in text
    assert "http://" not in text
    loads_nothing(parsed(text))
    assert "data:image/jpeg;base64," in text
    assert gallery.explore(folder, pattern="{identity}/*.jpg")._repr_html_().startswith("<!doctype")


def test_two_sites_with_a_camera_of_one_name_have_two_cameras(
    market: Path, gallery: Gallery, tmp_path: Path
) -> None:
    write_crop(tmp_path / "other/0001_c1.jpg", color=COLORS[3])
    gallery.ingest(tmp_path / "other", site="elsewhere")
    found = gallery.explore()
    assert [name for name in found.cameras if name.endswith("1")] == ["elsewhere/1", "market/1"]
    assert found.people == 5


def test_an_empty_gallery_and_an_empty_folder_say_what_to_do(tmp_path: Path, run: Run) -> None:
    assert (
        "reidsearch ingest" in run("explore", "--stored", exit_code=EmptyGallery.exit_code).stderr
    )
    (tmp_path / "none").mkdir()
    run("explore", tmp_path / "none", exit_code=DatasetError.exit_code)
    for words in ([], [tmp_path, "--stored"], [tmp_path, "--save", "page.pdf"]):
        run("explore", *words, exit_code=UsageError.exit_code)


@pytest.mark.skipif(not MARKET, reason="MARKET1501 names no data set")
def test_market_1501s_two_known_label_errors_are_among_the_worst_suspects(tmp_path: Path) -> None:
    root = Path(MARKET)
    wrong = {Path(name).name for name in WRONG_LABELS}
    some = tmp_path / "some"
    for folder, every in (("query", 100), ("bounding_box_test", 40)):
        (some / folder).mkdir(parents=True)
        for number, file in enumerate(sorted((root / folder).glob("*.jpg"))):
            own = file.name.startswith(("0196_", "0538_")) and file.name[6] != "5"
            if file.name in wrong or own or not number % every:
                (some / folder / file.name).symlink_to(file)
    with reidsearch.open(tmp_path / "gallery") as gallery:
        gallery.ingest(some, follow_links=True)
        found = gallery.explore(splits=["query", "gallery"]).suspects
    assert found is not None
    assert wrong <= {Path(one.crop.path).name for one in found[:10]}
