"""Visits at cameras: how hits fall into stays, and asking for stays."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.catalog.records import ImageRecord
from reidsearch.gallery import Gallery
from reidsearch.ranking.clock import FRAMES, SECONDS, Clock
from reidsearch.search import stays
from reidsearch.search.answer import Hit
from reidsearch.types import Split
from tests.conftest import COLORS, Run, write_crop
from tests.page import parsed

CLOCK = Clock(SECONDS, {})


def images(seen: Sequence[tuple[int, float | None]]) -> tuple[list[ImageRecord], list[Hit]]:
    """Images of these cameras and times, and hits on them in the same order."""
    known: dict[str, Any] = dict.fromkeys(
        ("identity_id", "identity", "sequence", "frame", "size", "modified_ns", "sha256", "added")
    )
    found = [
        ImageRecord(
            id=at, dataset_id=1, dataset="d", root="/", machine=None, site="main",
            split=Split.GALLERY, path=f"{at}.jpg", camera_id=camera, camera=str(camera),
            timestamp=time, **known,
        )
        for at, (camera, time) in enumerate(seen)
    ]  # fmt: skip
    return found, [Hit.of(one, rank=at + 1, score=1 - at / 100) for at, one in enumerate(found)]


def test_a_stay_is_one_camera_without_a_pause_and_has_its_best_hit_first() -> None:
    seen = [(1, 100.0), (2, 110.0), (1, 40.0), (1, 161.0), (1, 40.5), (2, None)]
    found = stays.of(*images(seen), CLOCK)
    assert [(s.camera, s.start, s.end, [hit.rank for hit in s.hits]) for s in found] == [
        (1, 40.0, 100.0, [1, 3, 5]),
        (2, 110.0, 110.0, [2]),
        (1, 161.0, 161.0, [4]),
        (2, None, None, [6]),
    ]
    without = stays.of(*images(seen), None)
    assert [(s.camera, s.start, len(s.hits)) for s in without] == [(1, None, 4), (2, None, 2)]


def test_a_hit_between_two_stays_makes_them_one() -> None:
    found, hits = images([(1, 0.0), (1, 100.0), (1, 50.0), (2, 0.0)])
    assert [len(stays.of(found[:n], hits[:n], CLOCK)) for n in (1, 2, 3)] == [1, 2, 1]
    assert stays.covered(found, hits, CLOCK, most=2) == 4
    assert stays.covered(found, hits, CLOCK, most=1) == 1


@given(
    st.lists(st.tuples(st.integers(1, 3), st.none() | st.integers(0, 40).map(float)), max_size=20),
    st.integers(1, 6),
)
def test_what_so_many_stays_cover_is_the_longest_beginning_that_never_has_more(
    seen: list[tuple[int, float | None]], most: int
) -> None:
    found, hits = images(seen)
    counts = [
        len(stays.of(found[:n], hits[:n], CLOCK, pauses={SECONDS: 3.0}))
        for n in range(len(hits) + 1)
    ]
    first = next((n for n, count in enumerate(counts) if count > most), len(hits) + 1)
    assert stays.covered(found, hits, CLOCK, most=most, pauses={SECONDS: 3.0}) == first - 1


@pytest.fixture
def probe(market: Path) -> Path:
    return market / "query/0002_c1s1_000001_00.jpg"


def test_an_answer_by_stay_has_a_row_for_each_visit_the_nearest_first(
    gallery: Gallery, probe: Path
) -> None:
    plain = gallery.query(probe, top_k=27)
    answer = gallery.query(probe, by_stay=True, top_k=3)
    assert answer.stays is not None
    assert answer.unit == FRAMES
    assert {stay.camera for stay in answer.stays} == {1, 2, 3}
    assert [hit.rank for hit in answer.hits] == sorted(hit.rank for hit in answer.hits)
    assert answer.hits[0] == plain.hits[0]
    for stay, best in zip(answer.stays, answer.hits, strict=True):
        assert stay.hits[0] == best
        # Every crop of a visit that is near enough counts, whoever it shows, with its own rank.
        assert set(stay.hits) == {hit for hit in plain.hits if hit.camera == stay.camera}
        assert (stay.start, stay.end) == (
            10.0,
            60.0 if stay.camera == 3 else 40.0 if stay.camera == 2 else 20.0,
        )
    (*_, entry) = gallery.audit()
    assert (entry.hits, entry.filters["by_stay"]) == (27, True)


def test_a_least_score_leaves_the_persons_own_crops_in_each_stay(
    gallery: Gallery, probe: Path
) -> None:
    answer = gallery.query(probe, by_stay=True, min_score=0.9)
    assert [(s.start, s.end, len(s.hits)) for s in answer.stays or ()] == [(10.0, 20.0, 2)] * 3
    assert gallery.query(probe, by_stay=True, min_score=1.1).stays == ()


def test_fewer_stays_end_before_the_hit_that_would_begin_one_more(
    gallery: Gallery, probe: Path
) -> None:
    plain = gallery.query(probe, top_k=27)
    answer = gallery.query(probe, by_stay=True, top_k=2)
    cameras = [hit.camera for hit in plain.hits]
    end = next(n for n in range(27) if len(set(cameras[: n + 1])) == 3)
    assert sum(len(stay.hits) for stay in answer.stays or ()) == end


def test_stays_beyond_the_first_images_that_are_fetched_are_found(
    gallery: Gallery, probe: Path, tmp_path: Path
) -> None:
    for seed in range(600):  # one long visit of the same person
        name = f"many/0002_c1s1_{1000 + seed:06d}_01.jpg"
        write_crop(tmp_path / name, color=COLORS[2], seed=seed % 7)
    gallery.ingest(tmp_path / "many")
    answer = gallery.query(probe, by_stay=True, top_k=4)
    assert {stay.camera for stay in answer.stays or ()} == {1, 2, 3}
    assert sum(len(stay.hits) for stay in answer.stays or ()) == 627


def test_without_cameras_and_times_all_is_one_stay(
    gallery: Gallery, probe: Path, tmp_path: Path
) -> None:
    for seed in range(5):
        write_crop(tmp_path / f"plain/{seed}.png", color=COLORS[2], seed=seed)
    gallery.ingest(tmp_path / "plain", site="elsewhere")
    answer = gallery.query(probe, by_stay=True, site="elsewhere")
    (stay,) = answer.stays or ()
    assert (stay.camera, stay.start, stay.end, len(stay.hits)) == (None, None, None, 5)


def test_the_command_shows_stays_as_table_json_csv_and_sheet(
    market: Path, run: Run, probe: Path, tmp_path: Path
) -> None:
    run("--quiet", "ingest", market)
    words = ("query", probe, "--by-stay", "--min-score", 0.9)
    table = run(*words, "--save", tmp_path / "sheet.html").stdout
    rows_shown = [line.split() for line in table.splitlines() if "bounding_box_test" in line]
    assert [row[3:6] for row in rows_shown] == [["10", "20", "2"]] * 3
    page = parsed((tmp_path / "sheet.html").read_text(encoding="utf-8"))
    captions = [one.text for one in page.all("figcaption")]
    assert sum("2 crops frame 10-20" in text for text in captions) == 3
    run(*words, "--save", tmp_path / "sheet.png")
    document = json.loads(run(*words, "--json").stdout)
    assert document["unit"] == "frames"
    assert [stay["count"] for stay in document["stays"]] == [2, 2, 2]
    assert document["hits"] == [stay["hits"][0] for stay in document["stays"]]
    rows = list(csv.DictReader(io.StringIO(run(*words, "--csv").stdout)))
    assert [(row["start"], row["end"], row["count"]) for row in rows] == [("10.0", "20.0", "2")] * 3
    assert "stays" not in json.loads(run("query", probe, "--json").stdout)
    assert "count" not in run("query", probe, "--csv").stdout
