"""A trace as a page and a picture: a lane for each camera, stays along one time axis."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from reidsearch.errors import UsageError
from reidsearch.ranking.ranking import Expanded, Ranking
from reidsearch.search.stays import Stay
from reidsearch.search.trace import Trace
from reidsearch.search.yardstick import Origin
from reidsearch.times import named
from reidsearch.views import lanes, painter, tracks
from reidsearch.views.made import Made
from reidsearch.views.palette import LIGHT
from tests.conftest import COLORS, write_crop
from tests.page import Element, facts, loads_nothing, parsed
from tests.test_sheet import HOSTILE, Tags, hit

NOON = 1714557600.0  # 2024-05-01 10:00 UTC


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Of person 1: a stay at camera 3, one of somebody else at 1, one at a camera not known."""
    crops = [write_crop(tmp_path / f"{i}.jpg", color=COLORS[i]) for i in (1, 2, 3)]
    stays = (
        Stay(
            *(3, "main", 2, 110.0, 120.0),
            (
                replace(hit(1, crops[0], identity=1), frame=20),
                replace(hit(4, crops[2], identity=2), frame=10),
            ),
        ),
        Stay(1, "main", 1, 130.0, 130.0, (replace(hit(2, crops[1], identity=2), frame=130),)),
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
        not_learned=None,
        unit="frames",
        stays=stays,
    )


def timed(trace: Trace, *starts: float) -> Trace:
    """Stays of a minute each, which begin so many seconds after noon."""
    stays = tuple(
        replace(trace.stays[0], camera=1 + n % 2, start=NOON + s, end=NOON + s + 60)
        for n, s in enumerate(starts)
    )
    return replace(trace, unit="seconds", zone=named("Europe/Berlin"), stays=stays)


def page_of(trace: Trace) -> Element:
    page = parsed(lanes.html(trace, Made("reidsearch trace x.jpg", NOON)))
    loads_nothing(page)
    return page


def marks(page: Element) -> list[tuple[float, float]]:
    """From where to where the stays' marks reach, in percent of the width, in time order."""
    found = {}
    for link in page.all("a"):
        bar = next(one for one in link.all("line") if "moment" not in one.classes)
        ends = tuple(float(bar.values[name].removesuffix("%")) for name in ("x1", "x2"))
        found[int(link.values["href"].removeprefix("#stay-"))] = (ends[0], ends[1])
    return [found[number] for number in sorted(found)]


def test_every_camera_has_a_lane_with_its_stays_and_what_is_known_of_them(trace: Trace) -> None:
    page = page_of(trace)
    lanes_shown = {lane.one("h3").text: lane for lane in page.all("section", "lane")}
    assert list(lanes_shown) == ["camera not known", "camera 1", "camera 3"]
    captions = {name: lane.one("figcaption").text for name, lane in lanes_shown.items()}
    # Frames are those in the files' names, not the clock's.
    assert captions["camera 3"] == "1 0.900 id 1 2 crops frame 10-20 1.jpg"
    assert captions["camera 1"] == "2 0.800 id 2 1 crop frame 130 10 frames later 2.jpg"
    assert captions["camera not known"].startswith("3 0.700 1 crop")
    kinds = {name: lane.one("figure").classes[1] for name, lane in lanes_shown.items()}
    assert kinds == {"camera 3": "right", "camera 1": "wrong", "camera not known": "unsure"}
    assert lanes_shown["camera not known"].one("div", "gone").text == "no such file"
    ids = [one.values["id"] for one in page.all("figure") if "id" in one.values]
    assert sorted(ids) == ["stay-1", "stay-2", "stay-3"]
    for link in page.all("a"):
        assert link.values["href"].removeprefix("#") in ids


def test_time_is_to_scale(trace: Trace) -> None:
    first, second, third = marks(page_of(timed(trace, 0, 73, 5 * 3600)))
    gap, long_gap = second[0] - first[0], third[0] - second[0]
    assert long_gap / gap == pytest.approx((5 * 3600 - 73) / 73, rel=0.2)
    assert all(0 < left < right < 100 for left, right in (first, second, third))
    told = [one.text for one in page_of(timed(trace, 0, 73, 5 * 3600)).all("figcaption")]
    assert any("13 s later" in text for text in told)
    assert any("4 h 57 min later" in text for text in told)
    assert any("2024-05-01 12:00:00-12:01:00" in text for text in told)


def test_the_axis_shows_round_times_of_day_in_the_gallerys_zone(trace: Trace) -> None:
    axis = page_of(timed(trace, 0, 5 * 3600)).one("div", "axis")
    words = [one.text for one in axis.all("text") if one.text]
    assert words[:2] == ["2024-05-01", "12:00"]
    assert set(words[1:]) <= {f"{hour}:00" for hour in range(12, 18)}
    over_midnight = page_of(timed(trace, 0, 14 * 3600)).one("div", "axis")
    assert "2024-05-02" in [one.text for one in over_midnight.all("text")]


def test_the_head_says_who_what_where_from_which_score_on_and_when(trace: Trace) -> None:
    ranking = Ranking(expanded=Expanded.APPEARANCE)
    known = replace(trace, rate=1e-4, origin=Origin.GALLERY, ranking=ranking)
    page = page_of(known)
    assert page.one("h1").text == "Where was the person in 1.jpg in crops?"
    told = facts(page)
    assert told["found"] == "3 stays of 4 crops at 3 cameras, over 20 frames"
    assert told["matches"] == (
        "scores by cosine, expanded, of at least 0.500, which 1 in 10,000 pairs of "
        "different people reach, as this gallery's calibration tells"
    )
    assert told["command"] == "reidsearch trace x.jpg"
    assert told["made"].startswith("2024-05-01 ")
    assert len(page.one("ul", "legend").all("li")) == 3
    seconds = facts(page_of(timed(trace, 0, 3600)))
    assert seconds["found"] == (
        "2 stays of 4 crops at 2 cameras, from 2024-05-01 12:00:00+02:00 to 13:01:00+02:00 (1 h 1 "
        "min)"
    )


def test_an_empty_trace_says_how_near_the_best_was(trace: Trace) -> None:
    nobody = replace(trace, stays=(), threshold=0.95)
    page = page_of(nobody)
    assert facts(page)["found"] == "nobody: the nearest has 0.900, 0.050 below the threshold"
    assert not page.all("section", "lane")
    assert len(page.all("figure")) == 1
    nothing = facts(page_of(replace(nobody, nearest=None)))
    assert nothing["found"] == "nothing is stored of what was asked for"
    image = lanes.draw(nobody, Made(when=NOON))
    probe = image.crop((26, 26, 80, 140))
    assert np.abs(np.asarray(probe).mean((0, 1)) - COLORS[1]).max() < 10
    assert image.tobytes() != lanes.draw(replace(nobody, nearest=None), Made(when=NOON)).tobytes()


def boxes(image: Image.Image, color: str, *, below: int) -> tuple[int, int]:
    """Where a colour begins below a line: left and top."""
    pixels = np.asarray(image)[below:, painter.MARGIN + lanes.LABEL :]
    rows, columns = np.nonzero((pixels == ImageColor.getrgb(color)).all(2))
    return int(columns.min()), int(rows.min())


def test_in_the_picture_marks_are_to_scale_and_nothing_runs_through_words(trace: Trace) -> None:
    image = lanes.draw(trace, Made(when=NOON))
    axis, _ = tracks.of(trace)
    assert axis is not None
    room = lanes.WIDTH - lanes.LABEL
    head = 200  # the legend has the colours, too
    for color, start in ((LIGHT.right, 110.0), (LIGHT.wrong, 130.0)):
        pixels = np.asarray(image)[head:, painter.MARGIN + lanes.LABEL :]
        found = (pixels == ImageColor.getrgb(color)).all(2)
        # A mark is above its card, and so is the first to be met from above.
        top = int(np.nonzero(found.any(1))[0][0])
        left = int(np.nonzero(found[top])[0][0])
        assert abs(left - axis.at(start) * room) <= lanes.BAR
    grey = ImageColor.getrgb(LIGHT.line)
    columns = (np.asarray(image) == grey).all(2).sum(axis=0)
    assert columns.max() < 200  # no line goes down through the lanes


def test_stays_that_are_close_share_a_number(trace: Trace) -> None:
    many = timed(trace, *range(0, 4000, 200), 500_000)
    _, found = tracks.of(many)
    assert [text for _, text in found[0].numbers] == ["1 … 19", "21"]
    assert [text for _, text in found[1].numbers] == ["2 … 20"]
    assert lanes.draw(many).height > lanes.draw(timed(trace, 0, 200)).height


def test_several_sites_are_told_apart(trace: Trace) -> None:
    elsewhere = replace(trace.stays[1], site="harbour")
    _, found = tracks.of(replace(trace, stays=(*trace.stays, elsewhere)))
    assert [track.name for track in found] == [
        "harbour: camera 1", "main: camera not known", "main: camera 1", "main: camera 3",
    ]  # fmt: skip


def test_hostile_names_are_text_in_the_page(trace: Trace) -> None:
    def of(name: str, command: str) -> str:
        stays = tuple(
            replace(s, camera=name, site=name, hits=tuple(replace(h, path=name) for h in s.hits))
            for s in trace.stays[:1]
        )
        return lanes.html(replace(trace, query=name, stays=stays), Made(command))

    words = re.sub(r"[^ ]+", "x", HOSTILE)  # each of a command's is an element
    harmless, found = Tags(of("gone.jpg", words)), Tags(of(HOSTILE, HOSTILE))
    assert found.names == harmless.names


def test_a_probe_that_is_no_file_shows_by_its_bytes(trace: Trace) -> None:
    made = Made(when=NOON)
    data = Path(trace.query).read_bytes()
    unnamed = replace(trace, query="from memory/1.jpg", picture=data)
    assert lanes.draw(unnamed, made).tobytes() == lanes.draw(trace, made).tobytes()


@pytest.mark.parametrize("name", ["trace.PNG", "trace.html"])
def test_it_is_saved_whole_or_not_at_all(tmp_path: Path, trace: Trace, name: str) -> None:
    path = tmp_path / name
    trace.save(path)
    before = path.read_bytes()
    if name == "trace.PNG":
        with Image.open(path) as image:
            assert (image.format, image.width) == ("PNG", lanes.WIDTH + 2 * painter.MARGIN)
    torn = replace(trace, stays=(*trace.stays, replace(trace.stays[0], hits=())))
    with pytest.raises(IndexError):
        torn.save(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_another_ending_is_refused(tmp_path: Path, trace: Trace) -> None:
    with pytest.raises(UsageError, match=r"cannot save as trace\.gif") as error:
        lanes.save(trace, tmp_path / "trace.gif")
    assert error.value.hint == "End its name in .png or .html."
    assert not list(tmp_path.glob("trace*"))
