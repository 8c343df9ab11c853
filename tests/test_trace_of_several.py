"""A trace of several pictures of one person, and of others who are not meant."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reidsearch
from reidsearch.encoding.encoder import Encoder
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.gallery import Gallery
from reidsearch.search.trace import Trace
from reidsearch.views import lanes, painter
from tests.conftest import HEIGHT, WIDTH, Run, write_encoder
from tests.page import parsed


@pytest.fixture
def pictures(market: Path) -> list[Path]:
    """Two of person 2."""
    names = ("query/0002_c1s1_000001_00.jpg", "bounding_box_test/0002_c2s1_000010_01.jpg")
    return [market / name for name in names]


@pytest.fixture
def other(market: Path) -> Path:
    return market / "query/0003_c1s1_000001_00.jpg"


def scores(traced: Trace) -> dict[int, float]:
    return {hit.id: hit.score for stay in traced.stays for hit in stay.hits}


@pytest.mark.parametrize("plain", [True, False])
def test_from_a_score_on_its_hits_are_those_of_the_query(
    gallery: Gallery, pictures: list[Path], other: Path, plain: bool
) -> None:
    gallery.calibrate(source="gallery")
    for unlike in ([], [other]):
        found = gallery.query(pictures, unlike=unlike, min_score=0.3, top_k=100, plain=plain)
        traced = gallery.trace(
            pictures, unlike=unlike, min_score=0.3, plain=plain,
            expand=not plain, spatio_temporal=not plain,
        )  # fmt: skip
        assert scores(traced) == {hit.id: hit.score for hit in found.hits}
        assert 0 < len(found.hits) < 27 or not unlike
        assert traced.together == found.together
        assert traced.unlike == found.unlike


def test_beside_a_threshold_scores_are_means_of_single_ones(
    tmp_path: Path, market: Path, pictures: list[Path], other: Path
) -> None:
    pictures = [pictures[0], other]  # far apart, so that their mean is short
    usual = Preprocessing(height=HEIGHT, width=WIDTH, mean=(0.5,) * 3, std=(0.25,) * 3)
    measured = {**usual.to_metadata(), "thresholds": '{"0.01": 0.2, "0.0001": 0.6}'}
    file = write_encoder(tmp_path / "measured.onnx", metadata=measured)
    encoder = Encoder(file)
    with reidsearch.open(tmp_path / "own", encoder=file) as own:
        own.ingest(market)
        stored, vectors = own._session.collection().load()
        traced = own.trace(pictures, false_matches=1e-2)
    probes = np.concatenate(
        [
            encoder.encode(np.asarray(Image.open(one).convert("RGB"))[None])
            for one in pictures
        ]
    )  # fmt: skip
    mean = (vectors @ probes.T).mean(axis=1)
    rows = np.flatnonzero((stored.split == "gallery") & (mean >= 0.2))
    expected = dict(zip(stored.ids[rows].tolist(), mean[rows].tolist(), strict=True))
    assert scores(traced) == pytest.approx(expected, abs=1e-5)
    assert 0 < len(rows) < np.count_nonzero(stored.split == "gallery")
    assert np.linalg.norm(probes.mean(axis=0)) < 0.9  # else it would prove nothing


def test_who_is_not_meant_is_nowhere_in_it(gallery: Gallery, pictures: list[Path]) -> None:
    whole = gallery.trace(pictures[0], min_score=0.5)
    best = max(scores(whole), key=scores(whole).__getitem__)
    without = gallery.trace(pictures[0], unlike=gallery.stored(best), min_score=0.5)
    assert best not in scores(without)
    assert set(scores(without)) < set(scores(whole))


def test_all_of_its_pictures_are_logged_and_told(
    gallery: Gallery, pictures: list[Path], other: Path
) -> None:
    traced = gallery.trace(pictures, unlike=other, min_score=0.5)
    logged = gallery.audit()[-1]
    assert (len(logged.together), len(logged.unlike)) == (2, 1)
    assert logged.filters["camera"] == [1, 2]
    document = traced.document()
    assert document["together"] == list(map(str, pictures))
    assert document["not"] == [str(other)]
    assert [(one["query"], one["unlike"]) for one in document["more"]] == [
        (str(pictures[1]), False), (str(other), True),
    ]  # fmt: skip
    page = parsed(lanes.html(traced))
    cards = page.one(kind="asked").all("figcaption")
    assert [one.text.split()[0] for one in cards] == ["probe", "probe", "not"]
    assert "0002_c1s1_000001_00.jpg and 1 more" in page.one("h1").text
    alone = gallery.trace(pictures[0], min_score=0.5)
    assert "more" not in alone.document()
    row = painter.card_size(lanes.PICTURE, lines=2, beside=lanes.BESIDE)[1]
    assert lanes.draw(traced).height >= lanes.draw(alone).height + row


def test_the_command_traces_pictures_together_or_one_after_the_other(
    run: Run, market: Path, pictures: list[Path], other: Path, tmp_path: Path
) -> None:
    run("ingest", market)
    words = (*pictures, "--min-score", 0.5)
    both = run("trace", *words, "--together", "--not", other, "--json").stdout
    assert json.loads(both)["together"] == list(map(str, pictures))
    each = [json.loads(line) for line in run("trace", *words, "--json").stdout.splitlines()]
    assert [one["query"] for one in each] == list(map(str, pictures))
    assert [one["together"] for one in each] == [[str(one)] for one in pictures]
    assert "together with" in run("trace", *words, "--together").output
    saved = tmp_path / "trace.html"
    refused = run("trace", *words, "--save", saved, exit_code=2).output
    assert "--together" in refused
    assert not saved.exists()
    run("trace", *words, "--together", "--save", saved)
    assert saved.exists()
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(b"torn")
    assert len(run("trace", torn, *words, "--json", exit_code=3).stdout.splitlines()) == 2
    idle = run("trace", other, "--together", "--min-score", 0.5).output
    assert "--together has no effect" in idle
