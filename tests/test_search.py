from pathlib import Path

import numpy as np
import pytest

from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import EmptyGallery, ImageError, UnknownCamera, UsageError
from reidsearch.gallery import Gallery
from reidsearch.learning import calibrate, neighbours
from reidsearch.ranking import rerank, transit
from reidsearch.ranking.ranking import Ranking
from reidsearch.search import places
from reidsearch.search.find import Sought, find
from reidsearch.search.question import Question
from reidsearch.types import Filter, Split
from reidsearch.vectors.collection import Collection
from tests.conftest import COLORS, SHORT_BINS, write_crop


@pytest.fixture
def probe(market: Path) -> Path:
    return market / "query/0002_c1s1_000001_00.jpg"


def test_hits_are_the_brute_force_ranking_with_their_catalog_entries(
    probe: Path, gallery: Gallery, filled: Collection
) -> None:
    answer = gallery.query(probe, top_k=30)
    stored, vectors = filled.load()
    is_gallery = stored.split == "gallery"
    own = vectors[stored.path == "query/0002_c1s1_000001_00.jpg"][0]
    cosines = vectors[is_gallery] @ own
    order = np.lexsort((stored.ids[is_gallery], -cosines))
    assert [h.id for h in answer.hits] == stored.ids[is_gallery][order].tolist()
    assert [h.score for h in answer.hits] == pytest.approx(cosines[order].tolist(), abs=1e-6)
    assert [h.rank for h in answer.hits] == list(range(1, 28))
    first = answer.hits[0]
    assert (first.identity, first.sequence, first.split) == (2, 1, "gallery")
    assert Path(first.path).is_file()
    assert (answer.camera, answer.identity) == (1, 2)


def test_excluding_the_probes_camera_leaves_none_of_its_images(
    probe: Path, gallery: Gallery
) -> None:
    answer = gallery.query(probe, exclude_camera=True, top_k=50)
    assert {h.camera for h in answer.hits} == {2, 3}
    assert len(answer.hits) == 27 - 8


def test_a_given_camera_beats_the_one_in_the_name(probe: Path, gallery: Gallery) -> None:
    answer = gallery.query(probe, camera=2, exclude_camera=True, top_k=50)
    assert {h.camera for h in answer.hits} == {1, 3}


def test_an_unknown_camera_cannot_be_excluded(tmp_path: Path, gallery: Gallery) -> None:
    somebody = write_crop(tmp_path / "somebody.jpg", color=COLORS[1])
    with pytest.raises(UnknownCamera) as error:
        gallery.query(somebody, exclude_camera=True)
    assert "camera=" in error.value.hint
    assert gallery.query(somebody).hits


def test_only_cameras_split_and_min_score_narrow_the_answer(probe: Path, gallery: Gallery) -> None:
    answer = gallery.query(probe, only_cameras=(3,), top_k=50)
    assert {h.camera for h in answer.hits} == {3}
    answer = gallery.query(probe, split=Split.QUERY)
    assert len(answer.hits) == 4
    assert answer.hits[0].score == pytest.approx(1.0, abs=1e-6)
    answer = gallery.query(probe, min_score=0.9, top_k=50)
    assert {h.identity for h in answer.hits} == {2}


def test_a_camera_asked_for_and_ruled_out_at_once_is_an_error(
    probe: Path, gallery: Gallery
) -> None:
    with pytest.raises(UsageError):
        gallery.query(probe, exclude_camera=True, only_cameras=(1, 2))


def test_a_camera_that_is_not_stored_is_an_error_that_lists_those_that_are(
    probe: Path, gallery: Gallery
) -> None:
    assert gallery.query(probe, only_cameras=(1, 3)).hits
    with pytest.raises(UnknownCamera) as error:
        gallery.query(probe, only_cameras=(1, 9))
    assert "1, 2, 3" in error.value.hint


def test_vectors_that_are_not_confirmed_are_passed_over_and_replaced_by_the_next(
    probe: Path, gallery: Gallery, filled: Collection
) -> None:
    before = gallery.query(probe, top_k=8).hits
    dropped = {before[0].id, before[2].id}
    filled.catalog.embeddings.set_pending(filled.encoder_id, dropped)
    after = gallery.query(probe, top_k=6).hits
    assert [h.id for h in after] == [h.id for h in before if h.id not in dropped]
    assert [h.rank for h in after] == [1, 2, 3, 4, 5, 6]


def test_no_hits_is_an_empty_answer(filled: Collection, encoder: Encoder) -> None:
    vector = encoder.encode(np.full((1, *encoder.size, 3), 99, dtype=np.uint8))
    assert find(filled, Sought(vector=vector, where=Filter(cameras=(8,)), top_k=3)) == []


def test_a_store_without_any_vector_is_an_error_not_an_empty_answer(
    probe: Path, gallery: Gallery, filled: Collection
) -> None:
    filled.store.delete(sorted(filled.store.ids()))
    with pytest.raises(EmptyGallery, match="store is empty"):
        gallery.query(probe)


def test_a_probe_that_is_no_picture_is_an_error_that_names_it(
    tmp_path: Path, gallery: Gallery
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(ImageError, match=r"torn\.jpg: not a picture"):
        gallery.query(tmp_path / "torn.jpg")


def test_with_transit_times_hits_are_the_ranking_by_cosine_and_evidence(
    probe: Path, gallery: Gallery, filled: Collection, encoder: Encoder
) -> None:
    learned = calibrate.calibrate(filled, learning=SHORT_BINS)
    stored, vectors = filled.load()
    own = np.flatnonzero(stored.path == "query/0002_c1s1_000001_00.jpg")
    others = np.flatnonzero(stored.split == "gallery")
    camera = stored.labels.camera
    times = learned.transit.clock.times(camera, stored.sequence, stored.frame, stored.timestamp)
    ratios = learned.transit.ratios(camera[own], times[own], camera[others], times[others])
    scores = vectors[others] @ vectors[own[0]] + learned.weight * ratios[0]
    assert np.abs(ratios).max() > 0
    order = np.lexsort((stored.ids[others], -scores))
    for top_k in (3, 27):
        answer = gallery.query(probe, top_k=top_k, spatio_temporal=True)
        expected = order[:top_k]
        assert [h.id for h in answer.hits] == stored.ids[others][expected].tolist()
        assert [h.score for h in answer.hits] == pytest.approx(scores[expected].tolist(), abs=1e-6)
        # The same where nothing is fetched in advance, and more has to be asked for again.
        asked = Question.of(probe)
        narrow = find(
            filled,
            Sought(
                vector=asked.encoded(encoder).own,
                where=Filter(),
                ranking=Ranking(learned),
                seen=asked.sighted(learned, places.scope(filled.catalog)),
                top_k=top_k,
                margin=0,
            ),
        )
        assert [one.image.id for one in narrow] == [h.id for h in answer.hits]


def test_transit_times_need_the_probes_camera_and_time(tmp_path: Path, gallery: Gallery) -> None:
    gallery.calibrate()
    somebody = write_crop(tmp_path / "somebody.jpg", color=COLORS[1])
    with pytest.raises(UnknownCamera, match="which camera"):
        gallery.query(somebody, spatio_temporal=True)
    with pytest.raises(UsageError, match="when somebody"):
        gallery.query(somebody, camera=1, spatio_temporal=True)


def test_re_ranked_hits_are_those_of_re_ranking_the_whole_split(
    probe: Path, gallery: Gallery, filled: Collection
) -> None:
    stored, vectors = filled.load([Split.GALLERY])
    whole, every = filled.load()
    own = every[whole.path == "query/0002_c1s1_000001_00.jpg"]
    (distances,) = rerank.rerank(own, vectors)
    order = np.lexsort((stored.ids, distances[0]))
    answer = gallery.query(probe, top_k=27, rerank=True)
    scores = np.array([hit.score for hit in answer.hits])
    np.testing.assert_allclose(scores, 1 - distances[0][order], atol=1e-5)
    assert [hit.id for hit in answer.hits][:6] == stored.ids[order][:6].tolist()
    apart = gallery.query(probe, top_k=4, rerank=True, exclude_camera=True)
    elsewhere = order[stored.labels.camera[order] != 1]
    assert [hit.id for hit in apart.hits] == stored.ids[elsewhere][:4].tolist()

    learned = calibrate.calibrate(filled, learning=SHORT_BINS)
    times, camera = whole.times(learned.transit.clock), whole.labels.camera
    at = np.flatnonzero(whole.path == "query/0002_c1s1_000001_00.jpg")
    others = np.flatnonzero(whole.split == "gallery")
    ratios = learned.transit.ratios(camera[at], times[at], camera[others], times[others])
    assert np.abs(ratios).max() > 0
    expected = np.sort(1 - distances[0] + transit.RERANKED_WEIGHT * ratios[0])[::-1]
    both = gallery.query(probe, top_k=9, rerank=True, spatio_temporal=True)
    np.testing.assert_allclose([hit.score for hit in both.hits], expected[:9], atol=1e-5)


def test_re_ranking_a_split_that_lacks_vectors_is_an_error(
    probe: Path, gallery: Gallery, filled: Collection
) -> None:
    kept = neighbours.current(filled, Split.GALLERY)
    filled.store.delete([int(kept.ids[3])])
    with pytest.raises(EmptyGallery, match="lacks 1 of the 27"):
        gallery.query(probe, rerank=True)
