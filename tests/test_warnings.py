"""Pictures that are no crops of one person are searched for and taken in, and told of."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidsearch.config import Config
from reidsearch.gallery import Gallery
from tests.conftest import COLORS, HEIGHT, WIDTH, Run, write_crop


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """A camera's whole frame."""
    Image.new("RGB", (192, 108), COLORS[1]).save(tmp_path / "frame.png")
    return tmp_path / "frame.png"


@pytest.fixture
def infrared(tmp_path: Path) -> Path:
    """A crop in 12 bits."""
    values = np.linspace(0, 4095, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    Image.fromarray(values).save(tmp_path / "infrared.png")
    return tmp_path / "infrared.png"


def test_a_query_says_what_is_odd_about_its_picture(
    market: Path, run: Run, frame: Path, infrared: Path
) -> None:
    run("ingest", market)
    result = run("query", frame, infrared, "--json")
    odd, deep = (json.loads(line) for line in result.stdout.splitlines())
    assert (len(odd["hits"]), len(deep["hits"])) == (10, 10)
    assert "192 x 108 pixels, wider than tall" in odd["warnings"][0]
    assert "12 bits" in deep["warnings"][0]
    said = [line for line in result.stderr.splitlines() if line]
    assert said == [*odd["warnings"], *deep["warnings"]]
    crop = run("query", market / "query/0001_c1s1_000001_00.jpg", "--json")
    assert json.loads(crop.stdout)["warnings"] == []
    assert crop.stderr == ""


def test_a_trace_says_it_too(
    gallery: Gallery, frame: Path, caplog: pytest.LogCaptureFixture
) -> None:
    traced = gallery.trace(frame, min_score=0.9)
    assert "wider than tall" in traced.document()["warnings"][0]
    assert caplog.messages == list(traced.warnings)


def test_an_ingest_counts_what_is_odd_and_takes_it_in(
    tmp_path: Path, run: Run, settings: Config
) -> None:
    crops = tmp_path / "crops"
    write_crop(crops / "a.png", color=COLORS[1])
    Image.new("RGB", (192, 108), COLORS[2]).save(crops / "b.png")
    Image.new("RGB", (2, 2), COLORS[3]).save(crops / "c.png")
    deep = np.full((HEIGHT, WIDTH), 3000, dtype=np.uint16)
    Image.fromarray(deep).save(crops / "d.png")
    result = run("ingest", crops)
    assert "2 are hardly crops of one person, b.png (192 x 108 pixels" in result.stderr
    assert "1 picture of more than 8 bits was read as 12 bits" in result.stderr
    with Gallery(settings, purpose="test") as gallery:
        again = gallery.ingest(crops).document()
        assert (again["unchanged"], again["unlike_crops"], again["scaled"]) == (4, 0, {})
        (crops / "b.png").touch()
        Image.fromarray(deep + 1).save(crops / "d.png")
        document = gallery.ingest(crops).document()
    assert (document["ingested"], document["failed"]) == (2, 0)
    assert (document["unlike_crops"], document["scaled"]) == (1, {"12 bits": 1})


def test_a_name_is_told_as_one_line(market: Path, run: Run, frame: Path) -> None:
    run("ingest", market)
    named = frame.rename(frame.with_name("a\x1b[31m\nb.png"))
    stderr = run("query", named, "--json").stderr
    assert "\x1b" not in stderr
    assert stderr.count("\n") == 1
