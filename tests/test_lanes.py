"""A trace as a picture: lanes, stays in time order, frames by verdict."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from reidsearch.errors import UsageError
from reidsearch.ranking.ranking import Ranking
from reidsearch.stays import Stay
from reidsearch.trace import Trace
from reidsearch.views import lanes
from reidsearch.views.palette import LIGHT
from reidsearch.yardstick import Origin
from tests.conftest import COLORS, write_crop
from tests.test_sheet import hit


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Of person 1: a stay at camera 3, one of somebody else at 1, one at a camera not known."""
    crops = [write_crop(tmp_path / f"{i}.jpg", color=COLORS[i]) for i in (1, 2, 3)]
    stays = (
        Stay(
            *(3, "main", 1, 10.0, 20.0),
            (hit(1, crops[0], identity=1), hit(4, crops[2], identity=2)),
        ),
        Stay(1, "main", 1, 30.0, 30.0, (hit(2, crops[1], identity=2),)),
        Stay(None, "main", None, None, None, (hit(3, tmp_path / "gone.jpg", identity=None),)),
    )
    return Trace(
        query=str(crops[0]),
        camera=1,
        identity=1,
        site="main",
        threshold=0.5,
        rate=None,
        crowd=None,
        origin=Origin.GIVEN,
        nearest=0.9,
        ranking=Ranking(),
        calibrated=None,
        unit="frames",
        stays=stays,
    )


def boxes(image: Image.Image, color: str) -> list[tuple[int, int]]:
    """Where pixels of a colour begin: left and top, or nothing."""
    rows, columns = np.nonzero((np.asarray(image) == ImageColor.getrgb(color)).all(2))
    return [(int(columns.min()), int(rows.min()))] if len(rows) else []


def test_each_stay_stands_in_its_cameras_lane_in_time_order(trace: Trace) -> None:
    image = lanes.draw(trace)
    assert image.size == (
        lanes.LABEL + 3 * lanes.STEP + 2 * lanes.PICTURE[1], lanes.HEAD + 3 * lanes.LANE + 12
    )  # fmt: skip
    first = lanes.LABEL + lanes.PICTURE[1] + 24 - 3
    # Lanes from above: the camera that is not known, 1, 3.
    for color, column, lane in ((LIGHT.right, 0, 2), (LIGHT.wrong, 1, 1), (LIGHT.unsure, 2, 0)):
        corner = (first + column * lanes.STEP, lanes.HEAD + lane * lanes.LANE + 1)
        assert boxes(image, color) == [corner]


def test_a_trace_without_stays_still_shows_its_probe(trace: Trace) -> None:
    image = lanes.draw(replace(trace, stays=()))
    probe = image.crop((16, lanes.HEAD + 4, 80, lanes.HEAD + 4 + lanes.PICTURE[0]))
    assert np.abs(np.asarray(probe).mean((0, 1)) - COLORS[1]).max() < 10
    for color in (LIGHT.right, LIGHT.wrong, LIGHT.unsure):
        assert boxes(image, color) == []


def test_a_probe_that_is_no_file_shows_by_its_bytes(trace: Trace) -> None:
    unnamed = replace(trace, query="from memory", picture=Path(trace.query).read_bytes())
    assert lanes.draw(unnamed).tobytes() == lanes.draw(trace).tobytes()


def test_it_is_saved_as_png_whole_or_not_at_all(tmp_path: Path, trace: Trace) -> None:
    path = tmp_path / "trace.PNG"
    lanes.save(trace, path)
    before = path.read_bytes()
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", lanes.draw(trace).size)
    torn = replace(trace, stays=(*trace.stays, replace(trace.stays[0], hits=())))
    with pytest.raises(IndexError):
        lanes.save(torn, path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_another_ending_is_refused(tmp_path: Path, trace: Trace) -> None:
    with pytest.raises(UsageError, match=r"cannot save as trace\.html") as error:
        lanes.save(trace, tmp_path / "trace.html")
    assert error.value.hint == "End its name in .png."
    assert not list(tmp_path.glob("trace*"))
