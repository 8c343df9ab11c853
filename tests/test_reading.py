"""A data set is read as it was read before, where nothing else is said."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reidsearch.config import Config
from reidsearch.errors import UsageError
from reidsearch.gallery import Gallery
from tests.conftest import COLORS, write_crop


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    for seed, name in enumerate(("lobby/7_1", "lobby/8_2", "garage/7_3")):
        write_crop(tmp_path / f"crops/{name}.jpg", color=COLORS[1], seed=seed)
    return tmp_path / "crops"


@pytest.fixture
def labels(settings: Config) -> Callable[..., set[tuple[object, object]]]:
    """Ingest a folder; which cameras and people are then stored."""

    def ingest(folder: Path, **options: str) -> set[tuple[object, object]]:
        with Gallery(settings, purpose="test") as gallery:
            gallery.ingest(folder, **options)  # type: ignore[arg-type]
            images = gallery._session.catalog.images.all()
            return {(image.camera, image.identity) for image in images}

    return ingest


BY_CAMERA = {("lobby", None), ("garage", None)}
PATTERN = "{camera}/{identity}_*.jpg"


def test_crops_that_come_later_are_read_by_the_layout_that_was_named(
    crops: Path, settings: Config, labels: Callable[..., set[tuple[object, object]]]
) -> None:
    assert labels(crops, layout="cameras") == BY_CAMERA
    write_crop(crops / "gate/9.jpg", color=COLORS[2])
    assert labels(crops) == {*BY_CAMERA, ("gate", None)}
    with Gallery(settings, purpose="test") as gallery:
        done = gallery.ingest(crops)
    assert done.contents.layout == "cameras"
    assert any(note.startswith("It was read as cameras before") for note in done.notes)


def test_a_pattern_is_remembered_likewise(
    crops: Path, labels: Callable[..., set[tuple[object, object]]]
) -> None:
    known = {("lobby", "7"), ("lobby", "8"), ("garage", "7")}
    assert labels(crops, pattern=PATTERN) == known
    assert labels(crops) == known
    assert labels(crops, name="crops") == known


def test_another_way_is_taken_where_it_is_named(
    crops: Path, labels: Callable[..., set[tuple[object, object]]]
) -> None:
    labels(crops, pattern=PATTERN)
    assert labels(crops, layout="cameras") == BY_CAMERA
    assert labels(crops) == BY_CAMERA
    assert labels(crops, layout="folder") == {(None, None)}
    assert labels(crops) == {(None, None)}  # a plain folder is what it is now


def test_a_guess_is_kept_where_another_folder_would_spoil_it(
    tmp_path: Path, labels: Callable[..., set[tuple[object, object]]]
) -> None:
    for camera in ("cam1", "cam2"):
        write_crop(tmp_path / f"crops/{camera}/a.jpg", color=COLORS[1])
    assert labels(tmp_path / "crops") == {("cam1", None), ("cam2", None)}
    write_crop(tmp_path / "crops/query/b.jpg", color=COLORS[2])
    assert {("cam1", None), ("cam2", None)} < labels(tmp_path / "crops")


def test_what_is_recognised_as_what_it_was_needs_no_word(market: Path, settings: Config) -> None:
    for _ in range(2):
        with Gallery(settings, purpose="test") as gallery:
            assert gallery.ingest(market).notes == []


def test_a_folder_whose_crops_a_table_in_it_describes_is_not_read_without_it(
    crops: Path, settings: Config, labels: Callable[..., set[tuple[object, object]]]
) -> None:
    table = crops / "crops.csv"
    table.write_text("path,camera,identity\nlobby/7_1.jpg,lobby,alice\n")
    assert labels(table) == {("lobby", "alice")}
    with pytest.raises(UsageError, match="is described by a table") as error:
        labels(crops)
    assert "Ingest the table again" in error.value.hint
    assert labels(table) == {("lobby", "alice")}
    # Under another name it has what the table leaves.
    assert labels(crops, name="rest") == {("lobby", "alice"), (None, None)}
    assert labels(crops, layout="cameras") >= {("lobby", None)}
