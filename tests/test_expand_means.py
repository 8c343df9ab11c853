"""Camera means in a gallery: learned, kept, learned anew, forgotten, checked."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from reidsearch.catalog.tables import expansion
from reidsearch.config import Config
from reidsearch.evaluation.trial import Trial
from reidsearch.evaluation.vectors import expanded, without_means
from reidsearch.gallery import Gallery
from reidsearch.learning import expand
from reidsearch.ranking import camera_means
from reidsearch.ranking.camera_means import PRIOR, CameraMeans
from reidsearch.ranking.ranking import Expanded, Ranking
from reidsearch.session import CATALOG
from reidsearch.types import UNKNOWN, Split
from tests.conftest import COLORS, write_crop
from tests.test_expand import assert_as_from_scratch, crops, from_scratch, stored


@pytest.fixture
def opened(settings: Config, tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        gallery.calibrate(source="matches")
        yield gallery


def means(gallery: Gallery) -> CameraMeans:
    return expand.means(gallery._session.collection())


def learned_now(gallery: Gallery) -> CameraMeans:
    """What would be learned of what is stored."""
    stored, vectors = gallery._session.collection().load([Split.GALLERY])
    return camera_means.learn(vectors, stored.labels.camera)


def many(folder: Path, count: int, *, first: int = 0, camera: int = 2) -> Path:
    """Crops of somebody who stands at a camera, whose pictures are darker than they were."""
    for shot in range(first, first + count):
        name = f"0050_c{camera}s1_{50_000 + shot:06d}_00.jpg"
        write_crop(folder / name, color=(10 + shot % 7, 20, 30), seed=2000 + shot)
    return folder


def test_means_are_learned_of_the_gallery_and_kept_while_it_grows_a_little(
    opened: Gallery, tmp_path: Path
) -> None:
    first = means(opened)
    assert first.images.tolist() == [24, 24, 24]
    assert first.to_bytes() == learned_now(opened).to_bytes()
    opened.ingest(many(tmp_path / "day1", 5))
    assert means(opened).to_bytes() == first.to_bytes() != learned_now(opened).to_bytes()
    assert_as_from_scratch(opened)


def test_an_ingest_that_outgrows_them_makes_everything_anew(
    settings: Config, tmp_path: Path
) -> None:
    """Without times, and so without a calibration that is learned anew meanwhile."""
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        expand.build(gallery._session.collection())
        first = means(gallery)
        less = 24 + PRIOR - 1
        gallery.ingest(many(tmp_path / "day1", less))
        assert means(gallery).to_bytes() == first.to_bytes()
        summary = gallery.ingest(many(tmp_path / "day1", 1, first=less))
        assert summary.expanded == 72 + less + 1
        assert means(gallery).images.tolist() == [24, 48 + PRIOR, 24]
        assert means(gallery).to_bytes() == learned_now(gallery).to_bytes()
        assert_as_from_scratch(gallery)


def test_a_new_camera_stays_as_it_is_until_it_has_enough_images(
    settings: Config, tmp_path: Path
) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(crops(tmp_path / "day1"))
        expand.build(gallery._session.collection())
        gallery.ingest(many(tmp_path / "day1", PRIOR - 1, camera=7))
        assert len(means(gallery).camera) == 3
        gallery.ingest(many(tmp_path / "day1", 1, first=PRIOR, camera=7))
        assert means(gallery).images.tolist() == [24, 24, 24, PRIOR]


def test_after_a_calibration_it_does_not_matter_in_which_batches_images_came(
    settings: Config, tmp_path: Path
) -> None:
    crops(tmp_path / "whole")
    many(tmp_path / "whole", 40)
    files = sorted((tmp_path / "whole").iterdir())
    found = []
    for name, batches in (("at once", [files]), ("in turn", [files[::2], files])):
        with Gallery(replace(settings, data_dir=tmp_path / name), purpose="test") as gallery:
            for batch in batches:
                (tmp_path / "day1").mkdir(exist_ok=True)
                for path in batch:
                    shutil.copy2(path, tmp_path / "day1")
                gallery.ingest(tmp_path / "day1", name="set")
                gallery.calibrate(source="matches")
            found.append((means(gallery), stored(gallery._session.collection())))
        shutil.rmtree(tmp_path / "day1")
    (means_1, (ids_1, vectors_1)), (means_2, (ids_2, vectors_2)) = found
    assert means_1.to_bytes() == means_2.to_bytes()
    assert ids_1.tolist() == ids_2.tolist()
    np.testing.assert_allclose(vectors_1, vectors_2, atol=1e-6)


def test_the_forgotten_are_in_no_mean_and_the_old_means_in_no_file(
    opened: Gallery, settings: Config
) -> None:
    collection = opened._session.collection()
    record = collection.catalog.expansions.of(collection.encoder_id)
    assert record is not None
    assert record.means is not None
    before = CameraMeans.from_bytes(record.means)
    assert opened.forget(identity=3).vectors == 12
    after = means(opened)
    assert after.images.tolist() == [20, 20, 20]
    assert after.to_bytes() == learned_now(opened).to_bytes()
    assert np.abs(after.offset - before.offset).max() > 1e-4
    for path in settings.data_dir.glob(f"{CATALOG}*"):
        assert before.offset.tobytes() not in path.read_bytes()
    assert_as_from_scratch(opened)


def test_vectors_made_anew_are_another_generation_whatever_the_means(opened: Gallery) -> None:
    """A search that began before must notice that they were written meanwhile."""
    collection = opened._session.collection()
    seen = [expand.generation(collection)]
    for source in ("gallery", "matches"):
        opened.calibrate(source=source)
        seen.append(expand.generation(collection))
    assert opened.forget(identity=3).vectors == 12
    seen.append(expand.generation(collection))
    assert sorted(set(seen)) == seen


def test_doctor_notices_and_mends_altered_means(opened: Gallery, tmp_path: Path) -> None:
    collection = opened._session.collection()
    _, vectors = stored(collection)
    known = means(opened)
    other = replace(known, offset=known.offset + np.float32(0.1)).to_bytes()
    for data in (other, b"", b"not an archive", None):
        with collection.catalog.engine.begin() as db:
            db.execute(update(expansion).values(means=data))
        assert expand.stored_kind(collection) is Expanded.NOT
        probe = tmp_path / "day1" / "0002_c1s1_000340_00.jpg"
        assert not opened.query(probe).ranking.is_expanded
        (finding,) = opened.doctor().found
        assert finding.kind == "altered-means"
        assert not opened.doctor(fix=True).left
        assert means(opened).to_bytes() == known.to_bytes()
        np.testing.assert_array_equal(stored(collection)[1], vectors)
        assert opened.query(probe).ranking.is_expanded


def test_a_query_and_an_evaluation_compare_the_same_vectors(market: Path, settings: Config) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(market)
        collection = gallery._session.collection()
        expand.build(collection)
        trial = Trial.of(collection, multi_query=False)
        probes, vectors = expanded(collection, trial, Ranking())
        ids = trial.stored.ids[trial.gallery]
        assert len(probes) > 2
        for row, path in enumerate(trial.probe_paths):
            answer = gallery.query(market / path, expand=True, top_k=1000)
            scores = dict(zip(ids.tolist(), (vectors @ probes[row]).tolist(), strict=True))
            found = {hit.id: hit.score for hit in answer.hits if hit.id in scores}
            assert found == pytest.approx(scores, abs=1e-5)


def test_several_pictures_lose_what_their_cameras_add_and_unknown_ones_nothing(
    opened: Gallery, tmp_path: Path
) -> None:
    folder, collection = tmp_path / "day1", opened._session.collection()
    paths = [folder / "0002_c1s1_000340_00.jpg", folder / "0002_c3s1_000420_00.jpg"]
    ids, expanded = stored(collection)
    listed, plain = collection.store.retrieve(ids.tolist())
    plain = plain[np.argsort(listed)]
    images = collection.catalog.images.describe(collection.encoder_id, ids.tolist())
    place = {images[id].path: at for at, id in enumerate(ids.tolist())}
    rows = [place[path.name] for path in paths]
    cameras = np.array([images[int(ids[row])].camera_id for row in rows])
    both = plain[rows].mean(axis=0, keepdims=True) / np.linalg.norm(plain[rows].mean(axis=0))
    for camera in (cameras, np.array([UNKNOWN, UNKNOWN])):
        own = means(opened).adapted(np.repeat(both, 2, axis=0), camera).mean(axis=0)
        own /= np.linalg.norm(own)
        cosines = expanded @ own
        for at, id in enumerate(ids.tolist()):
            if images[id].camera_id in camera:
                cosines[at] = -np.inf
        best = np.argsort(-cosines)[: expand.SETTINGS.probe]
        own = own + (cosines[best, None] ** expand.SETTINGS.alpha * expanded[best]).sum(axis=0)
        scores = expanded @ (own / np.linalg.norm(own))
        asked = paths if UNKNOWN not in camera else [path.read_bytes() for path in paths]
        answer = opened.query(asked, expand=True, top_k=72)
        assert {hit.id: hit.score for hit in answer.hits} == pytest.approx(
            dict(zip(ids.tolist(), scores.tolist(), strict=True)), abs=1e-4
        )


@pytest.mark.parametrize(
    ("names", "colors"),
    [
        (["a.jpg", "b.jpg", "c.jpg", "d.jpg"], list(COLORS.values())),
        ([f"000{n}_c1s1_00000{n}_00.jpg" for n in range(1, 5)], list(COLORS.values())),
        (["0001_c1s1_000001_00.jpg", "0002_c2s1_000002_00.jpg"], list(COLORS.values())[:2]),
        ([f"000{n}_c{n % 2 + 1}s1_00000{n}_00.jpg" for n in range(1, 9)], [(9, 9, 9)] * 8),
        (["0001_c1s1_000001_00.jpg"], [(1, 2, 3)]),
    ],
    ids=["no camera known", "one camera", "two images", "all equal", "one image"],
)
def test_galleries_with_little_to_learn_from_have_expanded_vectors_that_answer(
    settings: Config, tmp_path: Path, names: list[str], colors: list[tuple[int, int, int]]
) -> None:
    for name, color in zip(names, colors, strict=True):
        write_crop(tmp_path / "day1" / name, color=color, seed=1)
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(tmp_path / "day1")
        collection = gallery._session.collection()
        assert expand.build(collection) == len(names)
        _, vectors = stored(collection)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        answer = gallery.query(tmp_path / "day1" / names[0])
        assert answer.ranking.is_expanded
        assert len(answer.hits) == len(names)
        assert all(np.isfinite(hit.score) for hit in answer.hits)
        assert not gallery.doctor().found
        np.testing.assert_allclose(from_scratch(collection)[1], vectors, atol=1e-6)


def test_an_emptied_gallery_has_no_means(opened: Gallery) -> None:
    opened.forget(before="2200-01-01")
    assert means(opened).to_bytes() == CameraMeans.nothing().to_bytes()


def test_evaluation_without_what_cameras_add_says_so(market: Path, settings: Config) -> None:
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(market)
        plain, out = gallery.evaluate(), gallery.evaluate(camera_means=True)
        assert out.title == "single query, camera means out"
        document = out.document()
        assert (document["camera_means"], document["expanded"]) == (True, False)
        assert document["uses"] == ["the unlabelled gallery"]
        assert plain.document()["camera_means"] is False
        expanded = gallery.evaluate(expand=True)
        assert expanded.document()["camera_means"] is True
        assert gallery.evaluate(expand=True, camera_means=True).scores == expanded.scores

        trial = Trial.of(gallery._session.collection(), multi_query=False)
        rows = np.flatnonzero(trial.stored.split == Split.GALLERY)
        camera = trial.stored.labels.camera
        learned = camera_means.learn(trial.vectors[rows], camera[rows])
        probes, vectors = without_means(trial)
        for found, of in ((probes, trial.probes), (vectors, trial.gallery)):
            np.testing.assert_array_equal(found, learned.adapted(trial.vectors[of], camera[of]))
