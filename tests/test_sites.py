"""A camera is a name at a site: one over many days, and never another site's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reidsearch.config import Config
from reidsearch.errors import UnknownCamera, UsageError
from reidsearch.gallery import Gallery
from tests.conftest import COLORS, write_crop


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """A folder for each of three days, with crops of the same two cameras."""
    for seed, day in enumerate(("day1", "day2", "day3")):
        for camera in ("1", "2"):
            path = tmp_path / day / f"cam{camera}" / f"{seed}.jpg"
            write_crop(path, color=COLORS[1], seed=10 * seed + int(camera))
    return tmp_path


@pytest.fixture
def opened(settings: Config, days: Path) -> Iterator[Gallery]:
    """The first two days are of the gallery's site, the third one is of another."""
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(days / "day1")
        gallery.ingest(days / "day2")
        gallery.ingest(days / "day3", site="yard")
        yield gallery


def found(gallery: Gallery, picture: Path, **asked: object) -> set[tuple[str, object]]:
    """Data sets and cameras of the hits."""
    hits = gallery.query(picture, **asked).hits  # type: ignore[arg-type]
    return {(hit.dataset, hit.camera) for hit in hits}


def test_a_camera_is_one_over_the_days_of_a_site_and_another_at_another_site(
    opened: Gallery, days: Path
) -> None:
    left = found(opened, days / "day1/cam1/0.jpg", exclude_camera=True)
    assert left == {("day1", "cam2"), ("day2", "cam2"), ("day3", "cam1"), ("day3", "cam2")}
    assert found(opened, days / "day3/cam1/2.jpg", exclude_camera=True) == {
        ("day1", "cam1"), ("day1", "cam2"), ("day2", "cam1"), ("day2", "cam2"), ("day3", "cam2")
    }  # fmt: skip
    asked = {"only_cameras": ["cam1"], "site": "main"}
    assert found(opened, days / "day1/cam1/0.jpg", **asked) == {("day1", "cam1"), ("day2", "cam1")}
    asked = {"only_cameras": ["cam1"], "dataset": "day3"}
    assert found(opened, days / "day1/cam1/0.jpg", **asked) == {("day3", "cam1")}


def test_a_camera_of_two_sites_asks_for_the_site(opened: Gallery, days: Path) -> None:
    picture = (days / "day1/cam1/0.jpg").read_bytes()
    with pytest.raises(
        UnknownCamera, match="several sites have a camera cam1: main, yard"
    ) as error:
        opened.query(picture, camera="cam1", exclude_camera=True)
    assert "site" in error.value.hint
    hits = opened.query(picture, camera="cam1", exclude_camera=True, site="yard").hits
    assert {(hit.dataset, hit.camera) for hit in hits} == {("day3", "cam2")}
    assert opened.trace(picture, min_score=0.5, site="yard").stays
    with pytest.raises(UsageError, match="several sites have images of that name"):
        opened.forget(camera="cam1", dry_run=True)
    assert len(opened.forget(camera="cam1", site="yard", dry_run=True).images) == 1


def test_a_camera_that_is_not_stored_cannot_be_ruled_out(opened: Gallery, days: Path) -> None:
    with pytest.raises(UnknownCamera, match="no stored image is from camera 12") as error:
        opened.query(days / "day1/cam1/0.jpg", camera=12, exclude_camera=True)
    assert "cam1" in error.value.hint
