"""Expanded vectors in a gallery: current whatever comes, changes or goes, or refused."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch.config import Config
from reidsearch.errors import NotCalibrated, UsageError
from reidsearch.gallery import Gallery
from reidsearch.learning import expand
from reidsearch.learning.carried import PARTS
from reidsearch.ranking.ranking import Expanded
from reidsearch.ranking.rough import Rough
from reidsearch.search.probe import Probe
from reidsearch.session import CATALOG
from reidsearch.types import Ids, Kind, Split, Vectors
from reidsearch.vectors.collection import Collection
from tests.conftest import COLORS, write_crop


def crops(folder: Path, *, people: int = 6, cameras: int = 3, seed: int = 0) -> Path:
    """A folder of people who pass the cameras one after the other, four crops at each."""
    for person in range(people):
        color = (40 * person % 256, 90 * person % 256, 30 + 25 * person)
        for camera in range(1, cameras + 1):
            for shot in range(4):
                frame = 300 * person + 40 * camera + shot
                name = f"{person + 1:04d}_c{camera}s1_{frame:06d}_00.jpg"
                seed += 1
                write_crop(folder / name, color=color, seed=seed)
    return folder


def stored(collection: Collection) -> tuple[Ids, Vectors]:
    """The gallery's expanded vectors."""
    blocks = list(collection.store.scroll(splits=[Split.GALLERY], kind=Kind.EXPANDED))
    return np.concatenate([ids for ids, _ in blocks]), np.concatenate([v for _, v in blocks])


def from_scratch(collection: Collection) -> tuple[Ids, Vectors]:
    """The same, made anew with the same camera means."""
    ids, _ = stored(collection)
    collection.catalog.expansions.outdate(collection.encoder_id, ids.tolist())
    collection.store.drop_expanded()
    assert expand.keep_current(collection) == len(ids)
    return stored(collection)


def assert_as_from_scratch(gallery: Gallery) -> None:
    collection = gallery._session.collection()
    assert expand.stored_kind(collection) is not Expanded.NOT
    ids, vectors = stored(collection)
    expected_ids, expected = from_scratch(collection)
    assert ids.tolist() == expected_ids.tolist()
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    indexed = collection.catalog.images.stored(collection.encoder_id, [Split.GALLERY])
    assert ids.tolist() == indexed.ids.tolist()


@pytest.fixture
def opened(settings: Config, tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        gallery.calibrate(source="matches")
        yield gallery


def test_a_calibrated_gallery_has_expanded_vectors_chosen_with_times(opened: Gallery) -> None:
    collection = opened._session.collection()
    assert expand.stored_kind(collection) is Expanded.TIMES
    ids, vectors = stored(collection)
    plain_ids, plain = collection.store.retrieve(ids.tolist())
    assert len(ids) == 72
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert np.abs(vectors - plain[np.argsort(plain_ids)]).max() > 1e-3
    assert_as_from_scratch(opened)


def add(gallery: Gallery, folder: Path) -> None:
    gallery.ingest(crops(folder / "day1", people=8))


def one_by_one(gallery: Gallery, folder: Path) -> None:
    for shot, color in enumerate(COLORS.values()):
        path = folder / "day1" / f"0009_c{1 + shot % 3}s1_{5000 + shot:06d}_00.jpg"
        write_crop(path, color=color, seed=900 + shot)
        gallery.ingest(folder / "day1")


def replaced(gallery: Gallery, folder: Path) -> None:
    path = sorted((folder / "day1").glob("*.jpg"))[5]
    write_crop(path, color=(250, 250, 0), seed=77)
    os.utime(path, (1, 1))
    gallery.ingest(folder / "day1")


def rename(gallery: Gallery, folder: Path) -> None:
    path = sorted((folder / "day1").glob("*.jpg"))[5]
    path.rename(path.with_name("0001_c3s1_000999_00.jpg"))
    gallery.ingest(folder / "day1")


def prune(gallery: Gallery, folder: Path) -> None:
    for path in sorted((folder / "day1").glob("0002_*.jpg")):
        path.unlink()
    gallery.ingest(folder / "day1", prune="all")


def another_site(gallery: Gallery, folder: Path) -> None:
    gallery.ingest(crops(folder / "day2", people=3, seed=500), site="elsewhere")


def moved_to_another_site(gallery: Gallery, folder: Path) -> None:
    gallery.ingest(crops(folder / "day2", people=3, seed=500))
    gallery.ingest(folder / "day2", site="elsewhere")


def forgotten(gallery: Gallery, folder: Path) -> None:
    assert gallery.forget(identity=2).vectors == 12


CHANGES = (
    add, one_by_one, replaced, rename, prune, another_site, moved_to_another_site, forgotten,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_the_vectors_are_those_made_from_scratch(
    opened: Gallery, tmp_path: Path, change: Callable[[Gallery, Path], None]
) -> None:
    before = stored(opened._session.collection())[1].copy()
    change(opened, tmp_path)
    after = stored(opened._session.collection())[1]
    assert before.shape != after.shape or not np.array_equal(before, after)
    assert_as_from_scratch(opened)


def test_only_what_a_change_concerns_is_written_again(opened: Gallery, tmp_path: Path) -> None:
    """Crops of a colour that nobody else has are no neighbours of the others."""
    others = stored(opened._session.collection())
    for shot in range(3):
        name = f"0099_c{shot + 1}s1_{9000 + 40 * shot:06d}_00.jpg"
        write_crop(tmp_path / "day1" / name, color=(255, 255, 255), seed=700 + shot)
    assert 3 <= opened.ingest(tmp_path / "day1").expanded < 20
    ids, vectors = stored(opened._session.collection())
    unchanged = (vectors[np.isin(ids, others[0])] == others[1]).all(axis=1)
    assert unchanged.sum() > 50
    assert opened.ingest(tmp_path / "day1").expanded == 0


def test_a_gallery_that_forgot_somebody_is_like_one_that_never_had_them(
    settings: Config, tmp_path: Path
) -> None:
    crops(tmp_path / "all")
    shutil.copytree(tmp_path / "all", tmp_path / "never")
    for path in (tmp_path / "never").glob("0003_*"):
        path.unlink()
    found = []
    for name, forgets in (("all", True), ("never", False)):
        config = replace(settings, data_dir=tmp_path / f"home {name}")
        with Gallery(config, purpose="test") as gallery:
            gallery.ingest(tmp_path / name, name="set")
            gallery.calibrate(source="matches")
            if forgets:
                assert gallery.forget(identity=3).vectors == 12
            found.append(stored(gallery._session.collection()))
    assert found[0][0].tolist() == found[1][0].tolist()
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)


def test_no_rough_copy_of_the_forgotten_is_left_in_a_file(
    opened: Gallery, settings: Config
) -> None:
    collection = opened._session.collection()
    expansions, encoder_id = collection.catalog.expansions, collection.encoder_id
    gone = opened._session.catalog.images.matching(identity="3")
    ids, vectors = collection.store.retrieve(sorted(image.id for image in gone))
    camera = {image.id: image.camera_id for image in gone}
    cameras = np.array([camera[id] for id in ids.tolist()])
    codes = Rough.of(expand.means(collection).adapted(vectors, cameras)).codes
    copies = b"".join(expansions.copies(encoder_id, list(range(PARTS))).values())
    assert len(codes) == 12
    assert all(code.tobytes() in copies for code in codes)
    assert opened.forget(identity=3).vectors == 12
    for path in settings.data_dir.glob(f"{CATALOG}*"):
        data = path.read_bytes()
        assert not any(code.tobytes()[:48] in data for code in codes)
    assert_as_from_scratch(opened)


def test_a_query_uses_the_best_that_was_learned_and_says_what(
    opened: Gallery, tmp_path: Path
) -> None:
    probe = tmp_path / "day1" / "0002_c1s1_000340_00.jpg"
    best = opened.query(probe, exclude_camera=True, top_k=8)
    assert best.ranking.is_expanded
    assert best.ranking.spatio_temporal
    document = best.document()
    assert (document["expanded"], document["spatio_temporal"]) == (True, True)
    assert document["uses"] == ["the unlabelled gallery", "times"]
    assert {hit.identity for hit in best.hits} == {2}
    plain = opened.query(probe, exclude_camera=True, top_k=8, plain=True)
    assert plain.document()["uses"] == []
    expanded = opened.query(probe, exclude_camera=True, top_k=8, expand=True)
    assert not expanded.ranking.spatio_temporal
    timed = opened.query(probe, top_k=8, spatio_temporal=True)
    assert not timed.ranking.is_expanded
    untimed = opened.query(probe.read_bytes(), top_k=8)
    assert untimed.document()["uses"] == ["the unlabelled gallery", "times"]
    assert not untimed.ranking.spatio_temporal


def test_status_tells_what_is_expanded_and_whether_that_is_current(
    opened: Gallery, tmp_path: Path
) -> None:
    (made,) = opened.status().document()["expanded"]
    assert (made["kind"], made["images"], made["current"]) == ("times", 72, True)
    collection = opened._session.collection()
    first = int(stored(collection)[0][0])
    collection.catalog.expansions.outdate(collection.encoder_id, [first])
    (stale,) = opened.status().document()["expanded"]
    assert (stale["images"], stale["current"]) == (71, False)


def test_an_expanded_score_is_the_cosine_of_what_both_sides_carry(
    opened: Gallery, tmp_path: Path
) -> None:
    """The probe's time is not known here, so that it takes its neighbours by appearance: among
    expanded vectors, after its camera's mean was taken from it."""
    probe = tmp_path / "day1" / "0002_c1s1_000340_00.jpg"
    collection, encoder = opened._session.searchable()
    answer = opened.query(probe.read_bytes(), camera=1, expand=True, top_k=72)
    ids, expanded = stored(collection)
    images = collection.catalog.images.describe(collection.encoder_id, ids.tolist())
    own = encoder.encode(Probe.of(probe.read_bytes()).pixels(encoder.size)[None])[0]
    (camera,) = {image.camera_id for image in images.values() if image.camera == "1"}
    own = expand.means(collection).adapted(own[None], np.array([camera]))[0]
    cosines = expanded @ own
    cosines[[images[id].camera == "1" for id in ids.tolist()]] = -np.inf
    best = np.argsort(-cosines)[: expand.SETTINGS.probe]
    sum_ = own + (cosines[best, None] ** expand.SETTINGS.alpha * expanded[best]).sum(axis=0)
    scores = dict(zip(ids.tolist(), expanded @ (sum_ / np.linalg.norm(sum_)), strict=True))
    assert len(answer.hits) == 72
    for hit in answer.hits:
        assert hit.score == pytest.approx(scores[hit.id], abs=1e-5)


def test_expansion_that_cannot_be_is_refused_with_what_to_try(
    settings: Config, tmp_path: Path
) -> None:
    probe = crops(tmp_path / "day1") / "0002_c1s1_000340_00.jpg"
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(tmp_path / "day1")
        with pytest.raises(NotCalibrated, match="no expanded vectors"):
            gallery.query(probe, expand=True)
        assert gallery.query(probe).document()["uses"] == []
        gallery.calibrate(source="matches")
        with pytest.raises(NotCalibrated, match="train split"):
            gallery.query(probe, expand=True, split="train")
        with pytest.raises(UsageError, match="not re-ranked"):
            gallery.query(probe, expand=True, rerank=True)
        with pytest.raises(UsageError, match="at once"):
            gallery.query(probe, expand=True, plain=True)


def test_evaluation_by_stored_vectors_is_that_by_vectors_made_for_it(
    market: Path, settings: Config
) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(market)
        made = gallery.evaluate(expand=True)
        assert made.document()["expanded"] is True
        assert made.document()["uses"] == ["the unlabelled gallery"]
        assert made.title == "single query, expanded"
        collection = gallery._session.collection()
        expand.build(collection)
        assert expand.stored_kind(collection) is Expanded.APPEARANCE
        assert gallery.evaluate(expand=True).scores == made.scores
        plain = gallery.evaluate()
        assert (plain.document()["expanded"], plain.document()["uses"]) == (False, [])


def test_thresholds_are_told_for_expanded_scores_too(opened: Gallery) -> None:
    learned = opened.calibrate(source="gallery")
    told = learned.document()["thresholds"]
    assert list(told) == ["cosine", "spatio_temporal", "expanded", "expanded_spatio_temporal"]
    assert learned.expanded is not None
    alone, with_times = learned.expanded
    assert int(alone.same.sum()) == int(learned.cosines.same.sum())
    assert int(with_times.different.sum()) == int(learned.scores.different.sum())
    # What one person's crops score together has risen, as each carries the others.
    assert alone.match_rate(0.99) > learned.cosines.match_rate(0.99)  # type: ignore[operator]


def test_doctor_notices_and_mends_expanded_vectors(opened: Gallery) -> None:
    collection = opened._session.collection()
    ids, vectors = stored(collection)
    assert not opened.doctor().found
    collection.store.write_expanded(ids[:1], vectors[1:2])
    (finding,) = opened.doctor().found
    assert finding.kind == "altered-expansion"
    assert not opened.doctor(fix=True).left
    np.testing.assert_array_equal(stored(collection)[1], vectors)
    collection.catalog.embeddings.set_pending(collection.encoder_id, ids[:1].tolist())
    assert expand.stored_kind(collection) is Expanded.NOT
    assert {one.kind for one in opened.doctor().found} >= {"stale-expansion"}
    assert not opened.doctor(fix=True).left
    assert_as_from_scratch(opened)
