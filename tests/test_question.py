"""Several pictures of one person, and pictures of somebody else: one question."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reidsearch.encoding.encoder import Encoder
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.errors import EncoderError, ImageError, UnknownCamera, UsageError
from reidsearch.gallery import Gallery
from reidsearch.learning import calibrate
from reidsearch.ranking import feedback
from reidsearch.ranking.feedback import Unlike
from reidsearch.search.find import Sought, find
from reidsearch.search.places import scope
from reidsearch.search.question import Question
from reidsearch.types import Filter
from reidsearch.vectors.collection import Collection
from tests.conftest import COLORS, HEIGHT, SHORT_BINS, WIDTH, write_crop, write_encoder


@pytest.fixture
def pictures(market: Path) -> list[Path]:
    """Two people's probes, of whom the first is asked for."""
    return [market / f"query/{n:04d}_c1s1_000001_00.jpg" for n in (1, 2)]


def test_the_vector_of_several_pictures_is_the_normalised_mean(
    pictures: list[Path], gallery: Gallery, filled: Collection
) -> None:
    stored, vectors = filled.load()
    own = vectors[np.isin(stored.path, [f"query/{one.name}" for one in pictures])]
    assert len(own) == 2
    mean = own.mean(axis=0) / np.linalg.norm(own.mean(axis=0))
    others = np.flatnonzero(stored.split == "gallery")
    cosines = vectors[others] @ mean
    order = np.lexsort((stored.ids[others], -cosines))
    answer = gallery.query(pictures, top_k=27)
    assert [hit.id for hit in answer.hits] == stored.ids[others][order].tolist()
    assert [hit.score for hit in answer.hits] == pytest.approx(cosines[order].tolist(), abs=1e-6)
    assert answer.query == str(pictures[0])
    assert [one.query for one in answer.together] == [str(one) for one in pictures]
    assert [one.identity for one in answer.together] == [1, 2]
    assert gallery.query(tuple(pictures), top_k=27).hits == answer.hits


def test_a_list_of_one_is_that_picture(pictures: list[Path], gallery: Gallery) -> None:
    assert gallery.query(pictures[:1]) == gallery.query(pictures[0])


def test_pooling_has_unit_length_and_refuses_what_cancels_out() -> None:
    vectors = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    np.testing.assert_allclose(feedback.pooled(vectors), [np.sqrt(0.5), np.sqrt(0.5), 0])
    assert feedback.pooled(vectors[:1]).tolist() == [1, 0, 0]
    with pytest.raises(UsageError, match="nothing in common"):
        feedback.pooled(np.array([[1, 0], [-1, 0]], dtype=np.float32))


def test_pictures_that_cancel_each_other_out_are_no_question(
    tmp_path: Path, gallery: Gallery
) -> None:
    for name, value in (("black.png", 0), ("white.png", 255)):
        pixels = np.full((HEIGHT, WIDTH, 3), value, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    both = [tmp_path / "black.png", tmp_path / "white.png"]
    assert gallery.query(both[0]).hits
    with pytest.raises(UsageError, match="nothing in common"):
        gallery.query(both)


def test_the_cameras_of_all_pictures_are_excluded(market: Path, gallery: Gallery) -> None:
    here = market / "query/0002_c1s1_000001_00.jpg"
    there = market / "bounding_box_test/0002_c3s1_000010_01.jpg"
    answer = gallery.query([here, there], exclude_camera=True, top_k=30)
    assert {hit.camera for hit in answer.hits} == {2}
    # One camera that is told holds for all of them.
    answer = gallery.query([here, there], camera=2, exclude_camera=True, top_k=30)
    assert {hit.camera for hit in answer.hits} == {1, 3}
    with pytest.raises(UsageError, match="camera 3 is asked for and ruled out"):
        gallery.query([here, there], exclude_camera=True, only_cameras=[3])


def test_a_camera_that_cannot_be_excluded_is_an_error_that_names_the_picture(
    tmp_path: Path, pictures: list[Path], gallery: Gallery
) -> None:
    somebody = write_crop(tmp_path / "somebody.jpg", color=COLORS[3], seed=40)
    with pytest.raises(UnknownCamera, match=r"somebody\.jpg"):
        gallery.query([pictures[0], somebody], exclude_camera=True)
    # Who is not meant may be from anywhere.
    assert gallery.query(pictures[0], unlike=somebody, exclude_camera=True).hits


def test_what_times_add_counts_on_average_over_the_pictures_that_have_one(
    tmp_path: Path, market: Path, gallery: Gallery, filled: Collection
) -> None:
    learned = calibrate.calibrate(filled, learning=SHORT_BINS)
    here = market / "query/0002_c1s1_000001_00.jpg"
    there = market / "bounding_box_test/0002_c3s1_000020_01.jpg"
    untimed = write_crop(tmp_path / "somebody.jpg", color=COLORS[2], seed=50)
    stored, vectors = filled.load()
    timed = [
        np.flatnonzero(stored.path == f"{one.parent.name}/{one.name}") for one in (here, there)
    ]
    own = np.concatenate(timed)
    others = np.flatnonzero(stored.split == "gallery")
    camera, times = stored.labels.camera, stored.times(learned.transit.clock)
    ratios = learned.transit.ratios(camera[own], times[own], camera[others], times[others])
    assert np.abs(ratios[0] - ratios[1]).max() > 0
    encoder = gallery._session.encoder
    question = Question.of([here, untimed, there])
    vector = question.encoded(encoder).own[0]
    scores = vectors[others] @ vector + learned.weight * ratios.mean(axis=0)
    answer = gallery.query([here, untimed, there], spatio_temporal=True, top_k=27)
    found = {hit.id: hit.score for hit in answer.hits}
    assert [found[id] for id in stored.ids[others].tolist()] == pytest.approx(scores, abs=1e-5)
    assert len(question.sighted(learned, scope(filled.catalog)).camera) == 2
    with pytest.raises(UnknownCamera, match="which camera somebody"):
        gallery.query([untimed, untimed], spatio_temporal=True)


def test_several_pictures_and_others_than_them_can_be_re_ranked(
    pictures: list[Path], market: Path, gallery: Gallery
) -> None:
    more = market / "bounding_box_test/0001_c2s1_000010_01.jpg"
    answer = gallery.query([pictures[0], more], unlike=pictures[1:], rerank=True, top_k=5)
    assert {hit.identity for hit in answer.hits} <= {1, -1}


def test_a_hundred_pictures_are_one_question(
    tmp_path: Path, pictures: list[Path], gallery: Gallery
) -> None:
    many = [write_crop(tmp_path / f"{n}.png", color=COLORS[1], seed=n) for n in range(100)]
    answer = gallery.query(many, unlike=[*pictures[1:], *pictures[1:]], top_k=6)
    assert {hit.identity for hit in answer.hits} <= {1, -1}
    assert len(answer.together) == 100
    (entry,) = gallery.audit()
    assert len(entry.together) == 100
    sheet = answer._repr_html_()
    assert sheet.count("<figure") == 100 + 2 + 6


def test_no_picture_is_no_question(gallery: Gallery) -> None:
    nothing: Sequence[Path]
    for nothing in ([], ()):
        with pytest.raises(UsageError, match="no picture"):
            gallery.query(nothing)
    assert gallery.audit() == []


@pytest.mark.parametrize("bad", [7, [None], [["a.jpg"]], {"a.jpg"}, np.zeros((2, 8, 8, 3))])
def test_what_is_no_picture_of_somebody_else_says_what_one_is(
    pictures: list[Path], gallery: Gallery, bad: Any
) -> None:
    with pytest.raises(TypeError, match="a probe"):
        gallery.query(pictures[0], unlike=bad)
    assert gallery.audit() == []


def test_a_picture_is_not_of_the_person_and_of_somebody_else_at_once(
    tmp_path: Path, pictures: list[Path], gallery: Gallery
) -> None:
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(pictures[0].read_bytes())
    with pytest.raises(UsageError, match=r"somebody else \(.*copy\.jpg\)") as error:
        gallery.query(pictures, unlike=[copy])
    assert "unlike=" in error.value.hint
    assert gallery.audit() == []


@pytest.mark.parametrize("where", ["probe", "not"])
def test_an_unreadable_picture_is_an_error_that_names_it_and_nothing_is_logged(
    tmp_path: Path, pictures: list[Path], gallery: Gallery, where: str
) -> None:
    asked: dict[str, Any]
    (tmp_path / "torn.jpg").write_bytes(pictures[1].read_bytes()[:200])
    (tmp_path / "text.jpg").write_bytes(b"text")
    for name in ("torn.jpg", "text.jpg", "nowhere.jpg"):
        bad = [pictures[1], tmp_path / name]
        asked = {"picture": pictures[0], "unlike": bad} if where == "not" else {"picture": bad}
        with pytest.raises(ImageError, match=name):
            gallery.query(**asked)
    assert gallery.audit() == []


def test_each_picture_is_warned_of(tmp_path: Path, pictures: list[Path], gallery: Gallery) -> None:
    for name in ("wide.png", "flat.png"):
        Image.new("RGB", (64, 16), (9, 9, 9) if name == "wide.png" else (8, 8, 8)).save(
            tmp_path / name
        )
    answer = gallery.query([pictures[0], tmp_path / "wide.png"], unlike=tmp_path / "flat.png")
    wide, flat = answer.warnings
    assert "wide.png is hardly a crop" in wide
    assert "flat.png is hardly a crop" in flat


def test_a_vector_that_cannot_be_used_is_an_error_that_names_the_picture(tmp_path: Path) -> None:
    raw = Preprocessing(height=HEIGHT, width=WIDTH, mean=(0.0,) * 3, std=(1.0,) * 3)
    encoder = Encoder(write_encoder(tmp_path / "raw.onnx", metadata=raw.to_metadata()))
    for name, value in (("black.png", 0), ("white.png", 255)):
        Image.new("RGB", (WIDTH, HEIGHT), (value,) * 3).save(tmp_path / name)
    question = Question.of([tmp_path / "white.png", tmp_path / "black.png"])
    with pytest.raises(EncoderError, match=r"no usable vector for .*black\.png"):
        question.encoded(encoder)


def test_who_is_nearer_to_somebody_else_than_to_the_person_loses_by_how_much() -> None:
    person, other, third = np.eye(3, dtype=np.float32)
    gallery = np.array([[0.6, 0.8, 0], [0.8, 0.6, 0], [0, 0.6, 0.8], [1, 0, 0]], dtype=np.float32)
    one = Unlike(other[None], person).penalty(gallery, weight=0.5)
    np.testing.assert_allclose(one, [0.5 * 0.2, 0, 0.5 * 0.6, 0], atol=1e-7)
    # Of several the nearest counts, in whatever order, and twice is once.
    both = np.stack([other, third, other])
    for others in (both, both[::-1]):
        found = Unlike(others, person).penalty(gallery)
        expected = feedback.WEIGHT * np.array([0.2, 0, 0.8, 0])
        np.testing.assert_allclose(found, expected, atol=1e-7)


def test_hits_are_the_ranking_by_cosine_less_the_penalty_without_the_pictures_given(
    market: Path, pictures: list[Path], gallery: Gallery, filled: Collection
) -> None:
    given = [f"bounding_box_test/{n}" for n in ("-1_c3s1_000050_01.jpg", "0003_c1s1_000010_01.jpg")]
    others = [market / one for one in given]
    stored, vectors = filled.load()
    own = vectors[stored.path == f"query/{pictures[0].name}"][0]
    theirs = vectors[np.isin(stored.path, given)]
    left = np.flatnonzero((stored.split == "gallery") & ~np.isin(stored.path, given))
    cosines = vectors[left] @ own
    closer = (vectors[left] @ theirs.T).max(axis=1) - cosines
    assert (closer > 0).any()
    assert (closer < 0).any()
    scores = cosines - feedback.WEIGHT * np.maximum(closer, 0)
    order = np.lexsort((stored.ids[left], -scores))
    for top_k in (3, 25, 27):
        answer = gallery.query(pictures[0], unlike=others, top_k=top_k)
        assert [h.id for h in answer.hits] == stored.ids[left][order][:top_k].tolist()
        found = [h.score for h in answer.hits]
        assert found == pytest.approx(scores[order][:top_k].tolist(), abs=1e-5)
    # What is nearest to the person keeps its score.
    assert answer.hits[0] == gallery.query(pictures[0]).hits[0]


def test_the_answer_is_the_same_where_more_has_to_be_fetched(
    market: Path, pictures: list[Path], gallery: Gallery, filled: Collection
) -> None:
    question = Question.of(pictures[0], unlike=[market / "bounding_box_test/-1_c3s1_000050_01.jpg"])
    encoder = gallery._session.encoder
    encoded = question.encoded(encoder)

    def found(top_k: int, margin: int) -> list[int]:
        sought = Sought(
            vector=encoded.own,
            where=Filter(),
            unlike=encoded.unlike,
            hidden={one.sha256 for one in question.unlike},
            top_k=top_k,
            margin=margin,
        )
        return [one.image.id for one in find(filled, sought)]

    for top_k in (1, 5, 26):
        assert found(top_k, 0) == found(top_k, 500)


def test_a_picture_of_somebody_else_is_no_hit_under_any_name_it_is_stored_by(
    tmp_path: Path, market: Path, pictures: list[Path], gallery: Gallery
) -> None:
    other = market / "bounding_box_test/0001_c2s1_000010_01.jpg"
    copy = tmp_path / "more/0004_c3s1_000070_01.jpg"
    copy.parent.mkdir()
    copy.write_bytes(other.read_bytes())
    gallery.ingest(copy.parent)
    stored = {str(other), str(copy)}
    assert stored <= {hit.path for hit in gallery.query(pictures[0], top_k=30).hits}
    for unlike in (other, other.read_bytes(), [copy]):
        answer = gallery.query(pictures[0], unlike=unlike, top_k=30)
        assert not stored & {hit.path for hit in answer.hits}
        assert len(answer.hits) == 26
        # Fewer than are left are asked for, and as many come.
        assert len(gallery.query(pictures[0], unlike=unlike, top_k=5).hits) == 5


def test_pictures_of_others_lower_no_score_of_who_is_nearer_to_the_person(
    pictures: list[Path], gallery: Gallery
) -> None:
    plain = {hit.id: hit.score for hit in gallery.query(pictures[0], top_k=27).hits}
    marked = gallery.query(pictures[0], unlike=pictures[1], top_k=27).hits
    assert all(hit.score <= plain[hit.id] for hit in marked)
    assert [hit for hit in marked if hit.identity == 1] == [
        hit for hit in gallery.query(pictures[0], top_k=27).hits if hit.identity == 1
    ]
    lowered = {hit.identity for hit in marked if hit.score < plain[hit.id]}
    assert 2 in lowered
    assert 1 not in lowered
