"""Where was this person: stays, in time order, from hits above a threshold."""

import json
from datetime import UTC
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

import reidsearch
from reidsearch.config import Config
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.errors import NotCalibrated, UsageError
from reidsearch.gallery import Gallery
from reidsearch.ranking import clock
from reidsearch.search import trace
from reidsearch.search.question import Question
from reidsearch.stores import Matches
from reidsearch.types import Filter, Kind, Pixels, Vectors
from reidsearch.views import lanes, painter
from tests.conftest import COLORS, HEIGHT, WIDTH, Run, write_crop, write_encoder
from tests.page import facts, parsed
from tests.test_expand import crops


@pytest.fixture
def probe(market: Path) -> Path:
    return market / "query/0002_c1s1_000001_00.jpg"


def test_hits_above_the_score_are_grouped_by_camera_and_set_in_time_order(
    gallery: Gallery, probe: Path
) -> None:
    whole = gallery.trace(probe, min_score=0.9)
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


def test_a_pause_ends_a_stay(gallery: Gallery, probe: Path) -> None:
    pauses = {"frames": 5.0}
    asked = Question.of(probe)
    stays = trace.trace(gallery._session, asked, min_score=0.9, pauses=pauses).stays
    assert [(s.start, s.end) for s in stays] == [(10.0, 10.0)] * 3 + [(20.0, 20.0)] * 3


def test_the_threshold_is_the_calibrated_one_and_asks_for_calibration(
    gallery: Gallery, probe: Path
) -> None:
    with pytest.raises(NotCalibrated, match="which score") as error:
        gallery.trace(probe)
    assert "min_score=" in error.value.hint
    learned = gallery.calibrate(source="gallery")
    whole = gallery.trace(probe, false_matches=0.05)
    assert learned.expanded is not None
    assert (whole.spatio_temporal, whole.ranking.is_expanded) == (True, True)
    assert whole.threshold == learned.expanded[1].threshold(0.05)
    assert (whole.rate, whole.origin, whole.crowd) == (0.05, "gallery", None)
    with pytest.raises(UsageError, match="too few pairs"):
        gallery.trace(probe, false_matches=1e-6)
    # By default the strictest rate that can be told: here one in a hundred has too few pairs, too.
    with pytest.raises(UsageError, match=r"rate of 0\.01: too few pairs"):
        gallery.trace(probe)
    traced = trace.trace(gallery._session, Question.of(probe), rates=(1e-3, 0.1, 0.2))
    assert traced.rate == 0.1


def test_a_probe_of_unknown_camera_is_traced_by_its_looks_alone(
    tmp_path: Path, gallery: Gallery
) -> None:
    learned = gallery.calibrate(source="gallery")
    somebody = write_crop(tmp_path / "somebody.jpg", color=COLORS[3], seed=5)
    whole = gallery.trace(somebody, false_matches=0.05)
    assert learned.expanded is not None
    assert (whole.spatio_temporal, whole.ranking.is_expanded) == (False, True)
    assert whole.threshold == learned.expanded[0].threshold(0.05)
    assert {hit.identity for stay in whole.stays for hit in stay.hits} == {3}


def test_the_command_prints_a_table_json_and_a_picture(
    run: Run, market: Path, probe: Path, tmp_path: Path
) -> None:
    run("ingest", market)
    assert "--min-score" in run("trace", probe, exit_code=1).output
    picture = tmp_path / "trace.png"
    table = run("trace", probe, "--min-score", 0.9, "--save", picture).stdout
    stays = [line.split() for line in table.splitlines() if "bounding_box_test" in line]
    assert [stay[3:5] for stay in stays] == [["10", "20"]] * 3
    with Image.open(picture) as image:
        assert image.width == lanes.WIDTH + 2 * painter.MARGIN
    page = tmp_path / "trace.html"
    run("trace", probe, "--min-score", 0.9, "--save", page)
    shown = parsed(page.read_text("utf-8"))
    assert [lane.one("h3").text for lane in shown.all("section", "lane")] == [
        "camera 1", "camera 2", "camera 3"
    ]  # fmt: skip
    assert facts(shown)["command"].endswith(f"--save {page}")
    assert " trace " in facts(shown)["command"]
    document = json.loads(run("trace", probe, "--min-score", 0.9, "--json").stdout)
    assert [stay["camera"] for stay in document["stays"]] == [1, 2, 3]
    assert document["stays"][0]["hits"][0]["identity"] == 2
    run("trace", probe, "--min-score", 0.9, "--save", tmp_path / "x.gif", exit_code=2)
    nothing = json.loads(run("trace", probe, "--min-score", 1.4, "--json").stdout)
    assert nothing["stays"] == []
    run("trace", probe, "--min-score", 1.4, "--save", picture)


def test_a_trace_over_many_hits_encodes_its_probe_once_and_asks_the_store_for_more(
    tmp_path: Path, gallery: Gallery, probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(600):  # so many that the first matches do not suffice
        name = f"many/0002_c{1 + seed % 3}s1_{1000 + seed:06d}_01.jpg"
        write_crop(tmp_path / name, color=COLORS[2], seed=seed % 7)
    gallery.ingest(tmp_path / "many")
    collection, encoder = gallery._session.searchable()
    encode, search = encoder.encode, collection.store.search
    encoded: list[int] = []
    asked: list[int] = []

    def encoding(images: Pixels, *, alone: bool) -> Vectors:
        encoded.append(len(images))
        return encode(images, alone=alone)

    def searching(
        vectors: Vectors, *, limit: int, where: Filter, kind: Kind, exact: bool
    ) -> list[Matches]:
        asked.append(limit)
        return search(vectors, limit=limit, where=where, kind=kind, exact=exact)

    monkeypatch.setattr(encoder, "encode", encoding)
    monkeypatch.setattr(collection.store, "search", searching)
    traced = gallery.trace(probe, min_score=0.9)
    assert sum(len(stay.hits) for stay in traced.stays) == 606
    assert encoded == [1]
    assert asked == [100, 400, 1600]


def test_an_empty_answer_tells_how_near_the_best_is_and_what_to_try(
    run: Run, market: Path, probe: Path
) -> None:
    run("ingest", market)
    told = run("trace", probe, "--min-score", 1.4)
    nearest = json.loads(run("trace", probe, "--min-score", 1.4, "--json").stdout)["nearest"]
    assert 0.9 < nearest <= 1.0
    assert f"Nobody: the nearest has {nearest:.3f}, " in told.output
    suggested = told.output.split("--min-score ")[1].split()[0]
    found = json.loads(run("trace", probe, "--min-score", suggested, "--json").stdout)
    assert found["stays"]
    assert found["threshold_from"] == "given"


def test_without_a_calibration_the_encoder_tells_the_threshold(
    tmp_path: Path, market: Path, probe: Path
) -> None:
    usual = Preprocessing(height=HEIGHT, width=WIDTH, mean=(0.5,) * 3, std=(0.25,) * 3)
    measured = {**usual.to_metadata(), "thresholds": '{"0.01": 0.8, "0.0001": 0.95}'}
    encoder = write_encoder(tmp_path / "measured.onnx", metadata=measured)
    with reidsearch.open(tmp_path / "own", encoder=encoder) as own:
        own.ingest(market)
        traced = own.trace(probe)
        # Of few images only the strictest: others' cameras may let more strangers through.
        assert (traced.origin, traced.rate, traced.threshold) == ("encoder", 1e-4, 0.95)
        assert {hit.identity for stay in traced.stays for hit in stay.hits} >= {2}
        assert not traced.spatio_temporal
        asked = own.trace(probe, false_matches=1e-2)
        assert (asked.threshold, asked.rate) == (0.8, 1e-2)
        with pytest.raises(UsageError, match="the encoder tells no false match rate"):
            own.trace(probe, false_matches=1e-5)


def test_the_first_trace_calibrates_a_gallery_with_times_once(
    settings: Config, tmp_path: Path
) -> None:
    crops(tmp_path / "day1")
    probe = tmp_path / "day1/0002_c1s1_000340_00.jpg"
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(tmp_path / "day1")
        with pytest.raises(NotCalibrated, match="which score"):
            gallery.trace(probe)  # 72 images are too few to learn from unasked
        few = range(50, 100)
        first = trace.trace(gallery._session, Question.of(probe), learned_at_once=few)
        assert first.calibrated == 72
        assert first.document()["uses"] == ["the unlabelled gallery", "times"]
        assert first.origin == "gallery"
        again = trace.trace(gallery._session, Question.of(probe), learned_at_once=few)
        assert again.calibrated is None
        assert again.threshold == first.threshold
        assert gallery.query(probe).ranking.is_expanded


def test_a_gallery_without_times_or_of_another_size_is_not_calibrated_unasked(
    settings: Config, tmp_path: Path
) -> None:
    for person, color in COLORS.items():
        for camera in (1, 2):
            write_crop(tmp_path / f"crops/{person:04d}_c{camera}.jpg", color=color, seed=person)
    probe = tmp_path / "crops/0002_c1.jpg"
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(tmp_path / "crops")
        with pytest.raises(NotCalibrated):
            trace.trace(gallery._session, Question.of(probe), learned_at_once=range(1, 100))
        gallery.ingest(crops(tmp_path / "timed"))
        with pytest.raises(NotCalibrated):
            trace.trace(gallery._session, Question.of(probe), learned_at_once=range(1, 70))


def test_a_trace_is_ranked_as_is_asked_for(gallery: Gallery, probe: Path) -> None:
    gallery.calibrate(source="gallery")
    ask = partial(gallery.trace, probe, false_matches=0.05)
    for traced, used in (
        (ask(plain=True), (False, False)),
        (ask(expand=True), (True, False)),
        (ask(spatio_temporal=True), (False, True)),
        (ask(expand=True, spatio_temporal=True), (True, True)),
        (ask(), (True, True)),
    ):
        document = traced.document()
        assert (document["expanded"], document["spatio_temporal"]) == used
        # Thresholds are those of the ranking, so the person is found by each.
        found = {hit["identity"] for stay in document["stays"] for hit in stay["hits"]}
        assert 2 in found
    with pytest.raises(UsageError, match="plain ranking and another"):
        gallery.trace(probe, plain=True, expand=True)


def test_a_trace_says_what_it_used(run: Run, market: Path, probe: Path) -> None:
    run("ingest", market)
    run("calibrate", "--source", "gallery")
    best = run("trace", probe, "--false-matches", 0.05).output
    assert "Scores by cosine, expanded, transit times from gallery, of at least" in best
    plain = run("trace", probe, "--false-matches", 0.05, "--plain").output
    assert "Scores by cosine, of at least" in plain


def test_moments_are_frames_or_times_of_day() -> None:
    assert clock.in_words(None, "frames", UTC) == ""
    assert clock.in_words(451.0, "frames", UTC) == "frame 451"
    assert clock.in_words(1714557600.4, "seconds", UTC) == "2024-05-01 10:00:00+00:00"
    berlin = ZoneInfo("Europe/Berlin")
    assert clock.in_words(1714557600.4, "seconds", berlin) == "2024-05-01 12:00:00+02:00"
