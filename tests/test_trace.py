"""Where was this person: stays, in time order, from hits above a threshold."""

import json
from pathlib import Path

import pytest
from PIL import Image

from reidsearch import calibrate, trace
from reidsearch.encoder import Encoder
from reidsearch.errors import NotCalibrated, UsageError
from reidsearch.gallery import Gallery
from reidsearch.ranking import clock
from tests.conftest import COLORS, Run, write_crop


@pytest.fixture
def probe(market: Path) -> Path:
    return market / "query/0002_c1s1_000001_00.jpg"


def found(probe: Path, gallery: Gallery, encoder: Encoder, **changes: float) -> trace.Trace:
    return trace.trace(
        probe,
        gallery=gallery,
        encoder=encoder,
        calibration=calibrate.load(gallery) if "min_score" not in changes else None,
        rate=changes.get("rate"),
        min_score=changes.get("min_score"),
    )


def test_hits_above_the_score_are_grouped_by_camera_and_set_in_time_order(
    market: Path, filled: Gallery, encoder: Encoder, probe: Path
) -> None:
    whole = found(probe, filled, encoder, min_score=0.9)
    assert whole.unit == "frames"
    assert whole.rate is None
    assert [(s.camera, s.sequence, s.start, s.end) for s in whole.stays] == [
        (1, 1, 10.0, 20.0),
        (2, 1, 10.0, 20.0),
        (3, 1, 10.0, 20.0),
    ]
    for stay in whole.stays:
        assert {hit.identity for hit in stay.hits} == {2}
        assert [hit.rank for hit in stay.hits] == sorted(hit.rank for hit in stay.hits)
        assert all(hit.score >= 0.9 for hit in stay.hits)
    assert sum(len(stay.hits) for stay in whole.stays) == 6


def test_a_pause_ends_a_stay(
    market: Path, filled: Gallery, encoder: Encoder, probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trace.PAUSE, "frames", 5.0)
    stays = found(probe, filled, encoder, min_score=0.9).stays
    assert [(s.start, s.end) for s in stays] == [(10.0, 10.0)] * 3 + [(20.0, 20.0)] * 3


def test_the_threshold_is_the_calibrated_one_and_asks_for_calibration(
    filled: Gallery, encoder: Encoder, probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotCalibrated, match="which score") as error:
        trace.trace(probe, gallery=filled, encoder=encoder, calibration=None)
    assert "--min-score" in error.value.hint
    learned = calibrate.calibrate(filled, source=calibrate.Source.GALLERY)
    whole = found(probe, filled, encoder, rate=0.05)
    assert whole.spatio_temporal
    assert whole.threshold == learned.scores.threshold(0.05)
    assert whole.rate == 0.05
    with pytest.raises(UsageError, match="too few pairs"):
        found(probe, filled, encoder, rate=1e-6)
    # By default the strictest rate that can be told: here one in a hundred has too few pairs, too.
    with pytest.raises(UsageError, match=r"rate of 0\.01"):
        found(probe, filled, encoder)
    monkeypatch.setattr(trace, "DEFAULT_RATES", (1e-3, 0.1, 0.2))
    assert found(probe, filled, encoder).rate == 0.1


def test_a_probe_of_unknown_camera_is_traced_by_its_looks_alone(
    tmp_path: Path, filled: Gallery, encoder: Encoder
) -> None:
    learned = calibrate.calibrate(filled, source=calibrate.Source.GALLERY)
    somebody = write_crop(tmp_path / "somebody.jpg", color=COLORS[3], seed=5)
    whole = found(somebody, filled, encoder, rate=0.05)
    assert not whole.spatio_temporal
    assert whole.threshold == learned.cosines.threshold(0.05)
    assert {hit.identity for stay in whole.stays for hit in stay.hits} == {3}


def test_the_command_prints_a_table_json_and_a_picture(
    run: Run, market: Path, probe: Path, tmp_path: Path
) -> None:
    run("ingest", market)
    assert "--min-score" in run("trace", probe, exit_code=1).output
    picture = tmp_path / "trace.png"
    table = run("trace", probe, "--min-score", 0.9, "--save", picture).stdout
    assert table.count("frame 10") == 3
    # Three lanes, three stays beside the labels.
    with Image.open(picture) as image:
        assert image.size == (96 + 3 * 112 + 2 * 64, 52 + 3 * 176 + 12)
    document = json.loads(run("trace", probe, "--min-score", 0.9, "--json").stdout)
    assert [stay["camera"] for stay in document["stays"]] == [1, 2, 3]
    assert document["stays"][0]["hits"][0]["identity"] == 2
    run("trace", probe, "--min-score", 0.9, "--save", tmp_path / "x.gif", exit_code=2)
    nothing = json.loads(run("trace", probe, "--min-score", 1.4, "--json").stdout)
    assert nothing["stays"] == []
    run("trace", probe, "--min-score", 1.4, "--save", picture)


def test_moments_are_frames_or_times_of_day() -> None:
    assert clock.in_words(None, "frames") == ""
    assert clock.in_words(451.0, "frames") == "frame 451"
    assert clock.in_words(1714557600.4, "seconds") == "2024-05-01 10:00:00"
