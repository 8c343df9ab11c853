"""Crops that were taken in as they lie, and described, changed or searched with later."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reidsearch import Gallery
from reidsearch.config import Config
from reidsearch.errors import UnknownCamera
from reidsearch.types import Split
from tests.conftest import COLORS, Run, every, write_crop


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Four people, each in the lobby and in the garage; nothing tells who they are."""
    for who, color in COLORS.items():
        for seed, where in enumerate(("lobby", "garage")):
            write_crop(tmp_path / f"crops/{where}/{who}.png", color=color, seed=10 * who + seed)
    return tmp_path / "crops"


@pytest.fixture
def opened(crops: Path, settings: Config) -> Iterator[Gallery]:
    """A gallery of these, by camera."""
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops, layout="cameras")
        yield gallery


def described(crops: Path, *, name: str = "crops.csv", camera: str = "{}") -> Path:
    """A table beside the folder that says who they are."""
    rows = [
        f"crops/{where}/{who}.png,{camera.format(where)},{name_of}"
        for who, name_of in zip(COLORS, ("alice", "bob", "carol", "dan"), strict=True)
        for where in ("lobby", "garage")
    ]
    path = crops.parent / name
    path.write_text("path,camera,identity\n" + "\n".join(rows) + "\n")
    return path


# ---- a table that describes what a folder had ---------------------------------------------------


def test_a_table_beside_a_folder_describes_its_crops_anew_without_encoding_them(
    opened: Gallery, crops: Path, settings: Config
) -> None:
    table = described(crops)
    done = opened.ingest(table)
    assert (done.ingested, done.relabelled, done.unchanged, done.done) == (0, 8, 0, 8)
    assert any("8 of these files were stored by the data set crops" in n for n in done.notes)
    answer = opened.query(crops / "lobby/1.png", top_k=20)
    assert len(answer.hits) == 8
    assert [(h.identity, h.camera) for h in answer.hits[:2]] == [
        ("alice", "lobby"),
        ("alice", "garage"),
    ]
    assert answer.hits[0].score == pytest.approx(1, abs=1e-3)
    assert {hit.dataset for hit in answer.hits} == {"crops.csv"}  # the folder's has its stem
    assert opened.doctor().left == ()


def test_a_table_is_read_again_without_a_change_and_the_folder_leaves_it_its_word(
    opened: Gallery, crops: Path
) -> None:
    opened.ingest(described(crops))
    again = opened.ingest(described(crops))
    assert (again.ingested, again.relabelled, again.unchanged, again.notes) == (0, 0, 8, [])
    folder = opened.ingest(crops, layout="cameras", prune=True)
    assert (folder.ingested, folder.pruned, folder.vanished) == (0, 0, [])
    assert any("stored already, by the data set crops.csv" in note for note in folder.notes)
    assert opened.query(crops / "lobby/2.png", top_k=1).hits[0].identity == "bob"


def test_a_file_that_changed_before_it_is_described_is_encoded_again(
    opened: Gallery, crops: Path
) -> None:
    write_crop(crops / "lobby/1.png", color=COLORS[4], seed=99)
    done = opened.ingest(described(crops))
    assert (done.ingested, done.relabelled, done.done) == (1, 7, 8)
    assert opened.query(crops / "lobby/4.png", top_k=3, min_score=0.9).hits[1].identity in (
        "alice",
        "dan",
    )
    assert opened.doctor().left == ()


def test_what_a_table_describes_stays_at_the_site_of_the_folder(
    crops: Path, settings: Config
) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops, layout="cameras", site="shop")
        gallery.ingest(described(crops))
        assert {hit.site for hit in gallery.query(crops / "lobby/1.png").hits} == {"shop"}


def test_a_published_data_set_keeps_its_pictures_whatever_a_table_says(
    gallery: Gallery, market: Path
) -> None:
    name = "bounding_box_test/0001_c1s1_000010_01.jpg"
    table = market.parent / "mine.csv"
    table.write_text(f"path,identity\nmarket/{name},alice\n")
    done = gallery.ingest(table)
    assert done.relabelled == 0
    assert any("left as described there" in note for note in done.notes)
    assert gallery.query(market / name, top_k=1).hits[0].identity == 1


def test_tables_of_one_name_that_do_not_belong_together_ask_for_another(
    crops: Path, run: Run
) -> None:
    run("ingest", described(crops))
    (crops.parent / "b").mkdir()
    other = crops.parent / "b/crops.csv"
    other.write_text("path\nx.png\n")
    write_crop(other.parent / "x.png", color=COLORS[1], seed=77)
    assert "--name" in run("ingest", other, exit_code=2).stderr


# ---- a file that changed ------------------------------------------------------------------------


def test_files_that_changed_are_counted(opened: Gallery, crops: Path, run: Run) -> None:
    write_crop(crops / "lobby/1.png", color=COLORS[2], seed=50)
    write_crop(crops / "lobby/9.png", color=COLORS[2], seed=51)
    done = opened.ingest(crops, layout="cameras")
    assert (done.ingested, done.changed, done.unchanged) == (2, 1, 7)
    assert done.document()["changed"] == 1


# ---- rows that name no file ---------------------------------------------------------------------


def test_a_row_without_a_file_is_a_failure_and_no_image(
    tmp_path: Path, settings: Config, run: Run
) -> None:
    write_crop(tmp_path / "a.png", color=COLORS[1])
    (tmp_path / "m.csv").write_text("path,camera\na.png,1\n,2\n/elsewhere/b.png,3\nc.png,-4\n")
    for _ in range(2):
        result = run("ingest", tmp_path / "m.csv", exit_code=3)
        assert "Rejected line 3: the path is empty" in result.stderr
        assert "not in the data set any more" not in result.stderr
    with every(settings) as (catalog, _):
        assert [image.path for image in catalog.images.all()] == ["a.png", "c.png"]
    assert "Catalog, vectors and files agree" in run("doctor").stderr


# ---- a probe that is stored ---------------------------------------------------------------------


def test_a_stored_picture_tells_its_camera_when_it_is_searched_with(
    opened: Gallery, crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(crops / "lobby")
    for probe in (crops / "lobby/1.png", Path("1.png"), Path("../garage/../lobby/1.png")):
        answer = opened.query(probe, exclude_camera=True)
        assert answer.camera == "lobby"
        assert {hit.camera for hit in answer.hits} == {"garage"}


def test_what_is_given_of_a_stored_picture_goes_before_what_is_stored(
    opened: Gallery, crops: Path
) -> None:
    answer = opened.query(crops / "lobby/1.png", camera="garage", exclude_camera=True)
    assert {hit.camera for hit in answer.hits} == {"lobby"}


def test_what_is_stored_of_a_picture_goes_before_what_its_name_tells(
    tmp_path: Path, settings: Config
) -> None:
    told = write_crop(tmp_path / "crops/lobby/0007_c3s1_000010_01.png", color=COLORS[1])
    write_crop(tmp_path / "crops/garage/x.png", color=COLORS[1], seed=3)
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(tmp_path / "crops", layout="cameras")
        answer = gallery.query(told, exclude_camera=True)
        assert (answer.camera, answer.identity, len(answer.hits)) == ("lobby", 7, 1)


def test_a_picture_that_changed_since_or_lies_elsewhere_is_told_by_its_name_alone(
    opened: Gallery, crops: Path, tmp_path: Path
) -> None:
    write_crop(crops / "lobby/1.png", color=COLORS[1], seed=60)
    copy = tmp_path / "copy.png"
    copy.write_bytes((crops / "lobby/2.png").read_bytes())
    for probe in (crops / "lobby/1.png", copy, copy.read_bytes()):
        with pytest.raises(UnknownCamera):
            opened.query(probe, exclude_camera=True)


@pytest.mark.parametrize("name", ["a\0b.png", os.fsdecode(b"\xff.png"), "x" * 5000, ""])
def test_a_probe_may_be_called_anything(opened: Gallery, crops: Path, name: str) -> None:
    data = (crops / "lobby/1.png").read_bytes()
    assert opened.query(data, name=name, split=Split.GALLERY).hits


# ---- what the command line says -----------------------------------------------------------------


def test_an_encoder_is_forgotten_everywhere_or_not_at_all(opened: Gallery, run: Run) -> None:
    opened.close()
    for option in ("--site", "--dataset", "--camera", "--identity"):
        result = run("forget", "--vectors-of", "x", option, "main", "--yes", exit_code=2)
        assert "stands alone" in result.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_on_a_terminal_lines_are_broken_between_words_and_elsewhere_not_at_all(
    tmp_path: Path,
) -> None:
    """A line that a terminal breaks itself is broken within words."""
    home = str(tmp_path / "g")
    command = [sys.executable, "-m", "reidsearch", "--data-dir", home, "evaluate"]
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "COLUMNS": "40", "NO_COLOR": "1", "PYTHONPATH": root}
    piped = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    ours, theirs = os.openpty()
    try:
        subprocess.run(command, env=environment, stderr=theirs, check=False)
        shown = os.read(ours, 10_000).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)
    assert shown.split() == piped.stderr.split()
    assert max(map(len, piped.stderr.splitlines())) > 40
    for line in shown.splitlines():
        assert len(line) <= 40 or " " not in line.strip()
    assert [line for line in shown.splitlines() if line.startswith("  ")]  # the hint, all of it
