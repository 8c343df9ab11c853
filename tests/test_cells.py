"""Cells: whom they bring together, and galleries whose neighbours come from them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reidsearch.config import Config
from reidsearch.gallery import Gallery
from reidsearch.learning import basis, expand, neighbours
from reidsearch.ranking import cells, expansion
from reidsearch.ranking.cells import Cells, Pairing
from reidsearch.ranking.expansion import Pool
from reidsearch.ranking.pairs import mutual_pairs, mutual_pairs_in_cells
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.types import Split, Vectors
from tests.conftest import Run
from tests.test_expand import (
    CHANGES,
    add,
    assert_as_from_scratch,
    crops,
    from_scratch,
    one_by_one,
    stored,
)
from tests.test_expansion import unit, world


def groups_of_nine(people: int = 60, seed: int = 0) -> Vectors:
    """Nine crops of each of many people, who are far apart: the eight others are each one's true
    neighbours. In an order that is drawn, as that of ids is."""
    random = np.random.default_rng(seed)
    middle = np.repeat(random.normal(size=(people, 32)), 9, axis=0)
    return unit(middle + 0.05 * random.normal(size=middle.shape))[random.permutation(9 * people)]


def pool_of(vectors: Vectors) -> Pool:
    nowhere = np.zeros(len(vectors), dtype=np.int64)
    return Pool(vectors, nowhere, Sighted(nowhere, np.full(len(vectors), np.nan)), Ranking())


def test_true_neighbours_are_found_in_a_few_cells() -> None:
    vectors = groups_of_nine()
    learned = cells.learn(vectors, images=len(vectors))
    division = learned.divide(vectors, looked_in=4)
    every, pool = np.arange(len(vectors)), pool_of(vectors)
    found = expansion.nearest(pool, every, k=8, division=division)
    expected = expansion.nearest(pool, every, k=8)
    assert division.count > 4
    assert (found.nearest == expected.nearest).mean() > 0.99
    # An image that looks in all cells misses nobody.
    whole = learned.divide(vectors, looked_in=len(learned))
    found = expansion.nearest(pool, every, k=8, division=whole)
    np.testing.assert_array_equal(found.nearest, expected.nearest)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("places", [1, 3])
def test_neighbours_in_cells_are_the_best_of_those_that_meet(timed: bool, places: int) -> None:
    pool = world(5, size=90, timed=timed, places=places)
    division = cells.learn(pool.vectors, images=90, count=12).divide(pool.vectors, looked_in=3)
    found = expansion.nearest(pool, np.arange(90), k=5, division=division)
    for a in range(90):
        meets = np.flatnonzero(np.isin(division.looked[:, 0], division.looked[a]))
        meets = meets[(meets != a) & (pool.place[meets] == pool.place[a])]
        scores = pool.scores(np.full(len(meets), a), meets)
        best = meets[np.lexsort((meets, -scores))][:5]
        assert found.nearest[a, : len(best)].tolist() == best.tolist()
        assert (found.nearest[a, len(best) :] == expansion.NONE).all()


def test_where_a_vector_looks_does_not_depend_on_the_others() -> None:
    vectors = groups_of_nine()
    learned = cells.learn(vectors, images=len(vectors))
    whole = learned.divide(vectors).looked
    for rows in (np.arange(3), np.arange(100, 101), np.arange(7, 400, 3)):
        np.testing.assert_array_equal(learned.divide(vectors[rows]).looked, whole[rows])
    again = Cells.from_bytes(learned.to_bytes())
    assert again.to_bytes() == learned.to_bytes()
    np.testing.assert_array_equal(again.divide(vectors).looked, whole)


def test_equal_vectors_are_all_in_one_cell() -> None:
    vectors = np.repeat(unit(np.ones((1, 8))), 50, axis=0)
    learned = cells.learn(vectors, images=50)
    assert len(learned) == 1
    found = expansion.nearest(
        pool_of(vectors), np.arange(50), k=3, division=learned.divide(vectors)
    )
    assert found.nearest[0].tolist() == [1, 2, 3]
    assert found.nearest[9].tolist() == [0, 1, 2]


def test_matches_in_cells_are_those_among_all_where_every_cell_is_looked_in() -> None:
    pool = world(3, size=200, timed=False)
    learned = cells.learn(pool.vectors, images=200)
    whole = learned.divide(pool.vectors, looked_in=len(learned))
    expected = mutual_pairs(pool.vectors, pool.seen.camera)
    found = mutual_pairs_in_cells(pool.vectors, pool.seen.camera, whole)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    some = learned.divide(pool.vectors, looked_in=2)
    fewer = mutual_pairs_in_cells(pool.vectors, pool.seen.camera, some)
    assert len(fewer) > 0.5 * len(expected)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Galleries of test size are large ones."""
    monkeypatch.setattr(cells, "ALL_PAIRS_UP_TO", 50)
    monkeypatch.setattr(cells, "LOOKED_IN", 4)


@pytest.fixture
def opened(settings: Config, tmp_path: Path, large: None) -> Iterator[Gallery]:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        gallery.calibrate(source="matches")
        yield gallery


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_vectors_from_cells_are_those_made_from_scratch_with_the_same_cells(
    opened: Gallery, tmp_path: Path, change: type
) -> None:
    collection = opened._session.collection()
    record = collection.catalog.expansions.of(collection.encoder_id)
    assert record is not None
    made_with = basis.of(record)
    assert made_with is not None
    assert made_with.pairing is Pairing.CELLS
    change(opened, tmp_path)
    assert_as_from_scratch(opened)


def test_cells_stay_while_transit_times_do(opened: Gallery, tmp_path: Path) -> None:
    collection = opened._session.collection()

    def kept() -> bytes | None:
        record = collection.catalog.expansions.of(collection.encoder_id)
        return None if record is None else record.cells

    before = kept()
    one_by_one(opened, tmp_path)  # less than a tenth
    assert kept() == before
    add(opened, tmp_path)
    assert kept() != before


def test_a_gallery_outgrows_its_cells_at_twice_or_half_its_images() -> None:
    made = Cells(unit(np.eye(4)), 100)
    assert not any(map(made.outgrown, (51, 100, 199)))
    assert all(map(made.outgrown, (50, 200, 5000)))


def test_a_gallery_that_grows_beyond_all_pairs_is_made_anew_with_cells(
    settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        gallery.calibrate(source="matches")
        (made,) = gallery.status().expanded
        assert made.pairing is Pairing.ALL
        monkeypatch.setattr(cells, "ALL_PAIRS_UP_TO", 73)
        add(gallery, tmp_path)
        (made,) = gallery.status().expanded
        assert made.pairing is Pairing.CELLS
        _, vectors = stored(gallery._session.collection())
        np.testing.assert_allclose(from_scratch(gallery._session.collection())[1], vectors)


def test_whatever_was_made_in_cells_says_so(opened: Gallery, run: Run) -> None:
    status = opened.status().document()
    assert [one["neighbours_among"] for one in status["expanded"]] == ["cells"]
    assert [one["matches_among"] for one in status["learned"]] == ["cells"]
    assert [one["scores_of"] for one in status["learned"]] == [72]
    told = opened.calibration().document()
    assert (told["matches_among"], told["scores_of"]) == ("cells", 72)
    opened.close()
    assert "looked for in cells" in " ".join(run("status").stdout.split())


def test_a_large_gallery_re_ranks_the_nearest_and_says_so(
    opened: Gallery, tmp_path: Path, run: Run
) -> None:
    probe = tmp_path / "day1" / "0002_c1s1_000340_00.jpg"
    answer = opened.query(probe, rerank=True, exclude_camera=True, top_k=8)
    assert answer.document()["reranked_among"] == 2000
    assert all(hit.camera != 1 for hit in answer.hits)
    collection = opened._session.collection()
    assert not collection.catalog.learned.splits_with_neighbours(collection.encoder_id)
    opened.close()
    assert "re-ranked among the nearest 2,000" in run("query", probe, "--rerank").output


def test_candidates_that_are_the_whole_gallery_are_re_ranked_as_all_are(
    settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        probe = tmp_path / "day1" / "0002_c1s1_000340_00.jpg"
        every = gallery.query(probe, rerank=True, exclude_camera=True, top_k=30)
        assert every.document()["reranked_among"] is None
        monkeypatch.setattr(cells, "ALL_PAIRS_UP_TO", 50)
        some = gallery.query(probe, rerank=True, exclude_camera=True, top_k=30)
    assert [hit.id for hit in some.hits] == [hit.id for hit in every.hits]
    for one, other in zip(some.hits, every.hits, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_neighbours_that_nobody_needs_any_more_are_deleted(
    settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        collection = gallery._session.collection()
        neighbours.current(collection, Split.GALLERY)
        monkeypatch.setattr(cells, "ALL_PAIRS_UP_TO", 50)
        add(gallery, tmp_path)
        assert not collection.catalog.learned.splits_with_neighbours(collection.encoder_id)
        assert expand.stored_kind(collection) == "not"
