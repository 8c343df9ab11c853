import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch import datasets, ingest
from reidsearch.catalog import Candidate
from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import EmptyGallery, IncompleteGallery, NotCalibrated, UnknownCamera
from reidsearch.evaluation.protocol import evaluate
from reidsearch.evaluation.trial import Trial
from reidsearch.learning import calibrate
from reidsearch.ranking import metrics, rerank, transit
from reidsearch.ranking.calibration import Source
from reidsearch.ranking.ranking import Ranking
from reidsearch.types import Distances, Sighting, Split, Vectors
from reidsearch.vectors.collection import Collection
from tests.conftest import COLORS, SHORT_BINS, Run, filling, reading, write_crop, write_encoder


def test_the_numbers_are_those_of_the_protocol_done_by_hand(filled: Collection) -> None:
    stored, vectors = filled.load()
    expected_ap, expected_inp, first = [], [], []
    for probe in np.flatnonzero(stored.split == "query"):
        ranking = sorted(
            np.flatnonzero(stored.split == "gallery"),
            key=lambda g: (-float(vectors[probe] @ vectors[g]), g),
        )
        hits = []
        for g in ranking:
            same = stored.labels.identity[g] == stored.labels.identity[probe]
            if stored.labels.identity[g] == -1 or (
                same and stored.labels.camera[g] == stored.labels.camera[probe]
            ):
                continue
            hits.append(bool(same))
        positions = [i + 1 for i, hit in enumerate(hits) if hit]
        expected_ap.append(np.mean([(n + 1) / p for n, p in enumerate(positions)]))
        expected_inp.append(len(positions) / positions[-1])
        first.append(positions[0])
    evaluation = evaluate(filled)
    assert evaluation.queries == 4
    assert evaluation.gallery == 26  # 27 less the junk image
    assert evaluation.scores.mAP == pytest.approx(np.mean(expected_ap), abs=1e-9)
    assert evaluation.scores.mINP == pytest.approx(np.mean(expected_inp), abs=1e-9)
    assert evaluation.scores.cmc[1] == pytest.approx(np.mean([f == 1 for f in first]))
    assert set(evaluation.seconds) == {"load", "rank"}


@pytest.mark.parametrize("timed", [False, True])
def test_blocks_do_not_change_the_distances(filled: Collection, timed: bool) -> None:
    learned = calibrate.calibrate(filled, learning=SHORT_BINS)
    trial = Trial.of(filled, multi_query=False)
    ranking = Ranking(learned if timed else None)
    probes, gallery = trial.vectors[trial.probes], trial.vectors[trial.gallery]
    whole, single = (
        list(ranking.distances(probes, gallery, seen=trial.seen(ranking), at_once=size))
        for size in (256, 1)
    )
    assert (len(whole), len(single)) == (1, 4)
    np.testing.assert_allclose(np.concatenate(single), whole[0], atol=1e-6)


def test_a_camera_pair_is_the_protocol_with_one_cameras_probes_and_one_cameras_gallery(
    filled: Collection,
) -> None:
    stored, vectors = filled.load()
    expected: dict[tuple[str, str], list[float]] = {}
    for probe in np.flatnonzero(stored.split == "query"):
        for camera in set(stored.labels.camera.tolist()) - {int(stored.labels.camera[probe])}:
            ranking = sorted(
                np.flatnonzero(
                    (stored.split == "gallery")
                    & (stored.labels.camera == camera)
                    & (stored.labels.identity != -1)
                ),
                key=lambda g: (-float(vectors[probe] @ vectors[g]), g),
            )
            same = [stored.labels.identity[g] == stored.labels.identity[probe] for g in ranking]
            positions = [i + 1 for i, hit in enumerate(same) if hit]
            if positions:
                ap = np.mean([(n + 1) / p for n, p in enumerate(positions)])
                own = stored.cameras[int(stored.labels.camera[probe])]
                expected.setdefault((own, stored.cameras[camera]), []).append(float(ap))
    pairs = evaluate(filled, camera_pairs=True).camera_pairs
    assert pairs == pytest.approx({pair: np.mean(aps) for pair, aps in expected.items()})
    assert len(pairs) > 1
    assert evaluate(filled).camera_pairs == {}


def test_transit_times_add_to_the_cosine(filled: Collection) -> None:
    with pytest.raises(NotCalibrated) as error:
        evaluate(filled, spatio_temporal=True)
    assert "gallery.calibrate()" in error.value.hint

    learned = calibrate.calibrate(filled, learning=SHORT_BINS)
    assert learned.source == "matches"
    stored, vectors = filled.load()
    times = stored.times(learned.transit.clock)
    expected = []
    evidence = 0.0
    gallery = [int(g) for g in np.flatnonzero(stored.split == "gallery")]
    for probe in np.flatnonzero(stored.split == "query"):
        scores = {}
        for g in gallery:
            one, other = slice(probe, probe + 1), slice(g, g + 1)
            ratio = learned.transit.ratios(
                stored.labels.camera[one], times[one], stored.labels.camera[other], times[other]
            )
            evidence = max(evidence, abs(float(ratio[0, 0])))
            scores[g] = float(vectors[probe] @ vectors[g]) + learned.weight * float(ratio[0, 0])
        ranking = [
            stored.labels.identity[g] == stored.labels.identity[probe]
            for g in sorted(gallery, key=lambda g: (-scores[g], g))
            if stored.labels.identity[g] != -1
            and (stored.labels.identity[g], stored.labels.camera[g])
            != (stored.labels.identity[probe], stored.labels.camera[probe])
        ]
        hits = np.flatnonzero(ranking)
        expected.append(np.mean([(n + 1) / (hit + 1) for n, hit in enumerate(hits)]))
    assert evidence > 0
    evaluation = evaluate(filled, spatio_temporal=True)
    assert evaluation.scores.mAP == pytest.approx(np.mean(expected), abs=1e-6)
    used = evaluation.ranking.calibration
    assert used is not None
    assert used.images == learned.images == 27
    assert evaluate(filled).ranking.calibration is None


def test_calibration_uses_the_training_splits_identities_where_they_are_stored(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    with pytest.raises(EmptyGallery, match="source train"):
        calibrate.calibrate(filled, source=Source.TRAIN)
    for camera in (1, 2):
        name = f"0009_c{camera}s1_{camera * 500:06d}_00.jpg"
        write_crop(market / "bounding_box_train" / name, color=COLORS[1], seed=camera)
    train = datasets.read(market, splits=[Split.TRAIN])
    ingest.take_in(filled, train, encoder=encoder)
    learned = calibrate.calibrate(filled)
    assert learned.source == "train"
    assert learned.images == len(train.sightings)
    assert learned.transit.pairs == sum(
        a.identity == b.identity and a.camera != b.camera
        for a, b in itertools.combinations(train.sightings, 2)
    )
    again = calibrate.calibrate(filled, source=Source.GALLERY)
    assert calibrate.load(filled).images == again.images == 25


def test_scores_are_calibrated_where_no_image_has_a_time(
    tmp_path: Path, filled: Collection, encoder: Encoder
) -> None:
    timed = calibrate.calibrate(filled)
    with filled.catalog.engine.begin() as db:
        db.exec_driver_sql("UPDATE image SET frame = NULL")
    learned = calibrate.calibrate(filled)
    assert learned.transit.pairs == 0
    assert np.array_equal(learned.cosines.different, timed.cosines.different)
    assert np.array_equal(learned.scores.different, learned.cosines.different)
    assert calibrate.keep_current(filled) is None
    with pytest.raises(NotCalibrated, match="no image had one"):
        evaluate(filled, spatio_temporal=True)
    # One image without a time keeps nobody from learning from those that have one.
    with filled.catalog.engine.begin() as db:
        db.exec_driver_sql("UPDATE image SET timestamp = 1714557600 + id % 1000")
        db.exec_driver_sql(
            "UPDATE image SET timestamp = NULL WHERE id = (SELECT min(id) FROM image)"
        )
    assert calibrate.calibrate(filled).transit.clock.unit == "seconds"


def test_multi_query_searches_with_the_mean_of_a_persons_images_from_one_camera(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    with pytest.raises(EmptyGallery, match="no multi-query images"):
        evaluate(filled, multi_query=True)
    single = evaluate(filled).scores.mAP
    # Person 1's camera 1 images in another person's colour: its probe must now find that one first.
    for frame in range(3):
        name = f"0001_c1s1_{frame:06d}_00.jpg"
        write_crop(market / "gt_bbox" / name, color=COLORS[2], seed=40 + frame)
    extra = datasets.read(market, splits=[Split.MULTI_QUERY])
    ingest.take_in(filled, extra, encoder=encoder)

    stored, vectors = filled.load()
    (one,) = [id for id, name in stored.people.items() if name == "1"]
    (first,) = [id for id, name in stored.cameras.items() if name == "1"]
    identity, camera = stored.labels.identity, stored.labels.camera
    pool = (stored.split == "multi-query") & (identity == one) & (camera == first)
    aps = []
    for probe in np.flatnonzero(stored.split == "query"):
        mean = vectors[probe]
        if (identity[probe], camera[probe]) == (one, first):
            mean = vectors[pool].mean(axis=0) / np.linalg.norm(vectors[pool].mean(axis=0))
        kept = [
            g
            for g in np.flatnonzero((stored.split == "gallery") & (identity != -1))
            if (identity[g], camera[g]) != (identity[probe], camera[probe])
        ]
        kept.sort(key=lambda g: (-float(mean @ vectors[g]), g))
        hits = np.flatnonzero(identity[kept] == identity[probe])
        aps.append(np.mean([(n + 1) / (hit + 1) for n, hit in enumerate(hits)]))
    pooled = evaluate(filled, multi_query=True).scores.mAP
    assert pooled == pytest.approx(np.mean(aps), abs=1e-9)
    assert pooled < single
    assert evaluate(filled).scores.mAP == single


def test_re_ranking_replaces_the_distances_of_all_probes(filled: Collection) -> None:
    stored, vectors = filled.load()
    is_probe = stored.split == "query"
    is_gallery = (stored.split == "gallery") & (stored.labels.identity != -1)
    distances = np.concatenate(list(rerank.rerank(vectors[is_probe], vectors[is_gallery])))
    ranks = metrics.positive_ranks(distances, stored.labels[is_probe], stored.labels[is_gallery])
    evaluation = evaluate(filled, rerank=True)
    assert evaluation.scores == metrics.per_probe(ranks).summary()

    learned = calibrate.calibrate(filled, learning=SHORT_BINS)
    camera, times = stored.labels.camera, stored.times(learned.transit.clock)
    ratios = learned.transit.ratios(
        camera[is_probe], times[is_probe], camera[is_gallery], times[is_gallery]
    )
    assert np.abs(ratios).max() > 0
    ranks = metrics.positive_ranks(
        distances - np.float32(transit.RERANKED_WEIGHT) * ratios,
        stored.labels[is_probe],
        stored.labels[is_gallery],
    )
    both = evaluate(filled, rerank=True, spatio_temporal=True)
    assert both.scores == metrics.per_probe(ranks).summary()


def test_probes_without_an_image_from_another_camera_are_counted_apart(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    write_crop(market / "query/0099_c1s1_000001_00.jpg", color=COLORS[1], seed=1)
    ingest.take_in(filled, datasets.read(market), encoder=encoder)
    evaluation = evaluate(filled)
    assert (evaluation.queries, evaluation.queries_without_positive) == (4, 1)


def test_queries_of_nobody_are_left_out_and_counted(tmp_path: Path, market: Path, run: Run) -> None:
    """Whoever numbers people from 0 is told before believing the numbers."""
    people = {"0": 1, "1": 2, "-1": 3, "": 4}  # identity in the table -> in the names
    rows = [
        f"{path},{split},{identity},{path.name[6]}"
        for folder, split in (("query", "query"), ("bounding_box_test", "gallery"))
        for identity, number in people.items()
        for path in sorted((market / folder).glob(f"{number:04d}_*.jpg"))
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,split,identity,camera", *rows]))
    told = run("ingest", table, "--root", "/").stderr
    assert "the identity 0, which is nobody's" in told.replace("\n", " ")
    assert json.loads(run("evaluate", "--json").stdout)["queries_of_nobody"] == 3
    shown = run("evaluate").output
    assert "1 queries" in shown
    assert "3 queries are of nobody (the identity is 0, -1 or not known) and left out." in shown
    assert "6 gallery images have no known identity and are left out." in shown


@pytest.mark.parametrize(
    ("splits", "message"),
    [(["query"], "no gallery images"), (["gallery"], "no probes"), (["train"], "no probes")],
)
def test_a_gallery_with_a_part_missing_is_an_error_that_says_what_to_ingest(
    market: Path, settings: Config, encoder: Encoder, splits: list[str], message: str
) -> None:
    with filling(settings) as opened:
        chosen = [Split(s) for s in splits]
        ingest.take_in(opened, datasets.read(market, splits=chosen), encoder=encoder)
        with pytest.raises(EmptyGallery, match=message) as error:
            evaluate(opened)
    assert "Ingest the" in error.value.hint


def test_a_half_ingested_gallery_is_not_evaluated(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    probe = int(filled.load([Split.QUERY])[0].ids[0])
    filled.catalog.embeddings.set_pending(filled.encoder_id, [probe])
    with pytest.raises(IncompleteGallery, match="1 images wait") as error:
        evaluate(filled)
    assert "run the same ingest again" in error.value.hint
    ingest.take_in(filled, datasets.read(market), encoder=encoder)
    assert evaluate(filled).queries == 4
    dataset = filled.catalog.places.add_dataset("market", market)
    run = filled.catalog.runs.start(dataset, filled.encoder_id)
    with pytest.raises(IncompleteGallery, match="half ingested"):
        evaluate(filled)
    filled.catalog.runs.finish(run, ingested=0, unchanged=0, failed=0)
    assert evaluate(filled).queries == 4


def test_what_is_left_undone_elsewhere_is_no_concern_of_an_evaluation(
    market: Path, tmp_path: Path, filled: Collection
) -> None:
    catalog = filled.catalog
    dataset = catalog.places.add_dataset("market", market)
    other = catalog.add_encoder(fingerprint="0" * 64, name="broken", dimension=4, payloads=2)
    catalog.runs.start(dataset, other)  # as if cut short at once
    crops = catalog.places.add_dataset("crops", tmp_path)  # one crop, refused by the store
    run = catalog.runs.start(crops, filled.encoder_id)
    candidate = Candidate(7, Sighting("a.jpg"), 1, 1)
    assert len(catalog.embeddings.stale(crops, filled.encoder_id, [candidate])) == 1
    assert evaluate(filled).queries == 4
    catalog.runs.all_recorded(run)
    # An ingest of nothing new, ended by an outage when all was recorded.
    run = catalog.runs.start(dataset, filled.encoder_id)
    catalog.runs.all_recorded(run)
    assert evaluate(filled).queries == 4
    catalog.runs.start(dataset, filled.encoder_id)
    with pytest.raises(IncompleteGallery, match="half ingested"):
        evaluate(filled)


def test_queries_and_gallery_of_two_encoders_are_not_mixed(
    market: Path, tmp_path: Path, settings: Config, encoder: Encoder
) -> None:
    other = Encoder(write_encoder(tmp_path / "other.onnx", cell=8))
    for one, split in ((encoder, Split.QUERY), (other, Split.GALLERY)):
        with filling(replace(settings, encoder=one.path)) as opened:
            ingest.take_in(opened, datasets.read(market, splits=[split]), encoder=one)
    with (
        reading(settings) as opened,
        pytest.raises(
            EmptyGallery, match=r"no gallery images .* from the encoder colours"
        ) as error,
    ):
        evaluate(opened)
    assert other.fingerprint[:8] in error.value.hint


def test_unknown_cameras_are_an_error_and_unknown_people_are_counted(
    tmp_path: Path, market: Path, filled: Collection, encoder: Encoder
) -> None:
    write_crop(tmp_path / "more/somebody.jpg", color=COLORS[1], seed=4)
    ingest.take_in(filled, datasets.read(tmp_path / "more"), encoder=encoder)
    evaluation = evaluate(filled)
    assert (evaluation.gallery, evaluation.unlabelled) == (26, 1)
    write_crop(tmp_path / "listed/somebody.jpg", color=COLORS[1], seed=5)
    manifest = tmp_path / "listed/crops.csv"
    manifest.write_text("path,identity,split\nsomebody.jpg,1,gallery\n")
    ingest.take_in(filled, datasets.read(manifest), encoder=encoder)
    with pytest.raises(UnknownCamera, match="1 gallery images are not known"):
        evaluate(filled)


def test_transit_times_are_also_told_with_the_probes_whole_camera_ruled_out(
    filled: Collection,
) -> None:
    learned = calibrate.calibrate(filled, learning=SHORT_BINS)
    evaluation = evaluate(filled, spatio_temporal=True)
    stored, vectors = filled.load()
    times = stored.times(learned.transit.clock)
    probes = np.flatnonzero((stored.split == Split.QUERY) & (stored.labels.identity > 0))
    others = np.flatnonzero((stored.split == Split.GALLERY) & (stored.labels.identity >= 0))
    camera = stored.labels.camera
    ratios = learned.transit.ratios(camera[probes], times[probes], camera[others], times[others])
    ranks = metrics.positive_ranks(
        1 - vectors[probes] @ vectors[others].T - np.float32(learned.weight) * ratios,
        stored.labels[probes],
        stored.labels[others],
        other_cameras_only=True,
    )
    assert evaluation.other_cameras == metrics.per_probe(ranks).summary()
    assert evaluate(filled).other_cameras is None


def test_a_calibration_is_learned_anew_when_the_gallery_has_grown(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    assert calibrate.keep_current(filled) is None  # never calibrated
    calibrate.calibrate(filled)
    assert calibrate.keep_current(filled) is None
    for frame in range(2):  # 27 images and 2 more: less than a tenth
        name = f"bounding_box_test/0001_c1s1_{frame + 100:06d}_00.jpg"
        write_crop(market / name, color=COLORS[1], seed=700 + frame)
    ingest.take_in(filled, datasets.read(market), encoder=encoder)
    assert calibrate.keep_current(filled) is None
    write_crop(market / "bounding_box_test/0001_c1s1_000300_00.jpg", color=COLORS[1], seed=710)
    ingest.take_in(filled, datasets.read(market), encoder=encoder)
    again = calibrate.keep_current(filled)
    assert again is not None
    assert (again.source, again.images) == ("matches", 30)
    # A sequence that the clock does not know makes it learn, however few its images are.
    write_crop(market / "bounding_box_test/0001_c2s4_000300_00.jpg", color=COLORS[1], seed=711)
    ingest.take_in(filled, datasets.read(market), encoder=encoder)
    again = calibrate.keep_current(filled)
    assert again is not None
    assert again.images == 31
    assert calibrate.keep_current(filled) is None


def test_scores_are_counted_between_images_of_two_cameras(filled: Collection) -> None:
    learned = calibrate.calibrate(filled, source=Source.GALLERY)
    stored, _ = filled.load([Split.GALLERY])
    rows = np.flatnonzero(stored.labels.identity >= 0)
    pairs = [
        (a, b) for a in rows for b in rows if stored.labels.camera[a] != stored.labels.camera[b]
    ]
    same = sum(stored.labels.identity[a] == stored.labels.identity[b] > 0 for a, b in pairs)
    for found in (learned.cosines, learned.scores):
        assert (found.same.sum(), found.different.sum()) == (same, len(pairs) - same)
    without = calibrate.calibrate(filled, source=Source.MATCHES)
    assert without.cosines.same.sum() == 0
    assert not without.by_identity


def test_without_identities_pairs_of_unlikely_times_count_as_of_different_people(
    filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = calibrate.calibrate(filled, source=Source.MATCHES, learning=SHORT_BINS)
    assert not every.by_times  # so few pairs do not suffice
    monkeypatch.setattr(calibrate, "ENOUGH", 1)
    monkeypatch.setattr(calibrate, "UNLIKELY", 0.0)
    found = calibrate.calibrate(filled, source=Source.MATCHES, learning=SHORT_BINS)
    assert found.by_times
    assert calibrate.load(filled).by_times
    stored, _ = filled.load([Split.GALLERY])
    camera, times = stored.labels.camera, stored.times(found.transit.clock)
    ratios = found.transit.ratios(camera, times, camera, times)
    unlikely = (camera[:, None] != camera) & (ratios <= 0)
    assert 0 < unlikely.sum() < every.cosines.different.sum()
    for counted in (found.cosines, found.scores):
        assert counted.different.sum() == unlikely.sum()
    assert found.weight == every.weight


def test_a_gallery_whose_vectors_are_gone_is_an_error(filled: Collection) -> None:
    filled.store.delete([next(iter(filled.store.ids()))])
    with pytest.raises(EmptyGallery, match="lacks 1 of the 31"):
        evaluate(filled)


def test_every_distance_is_made_once_whatever_is_asked_for(
    filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    original = Ranking._by_appearance

    def counted(self: Ranking, probes: Vectors, gallery: Vectors, size: int) -> Iterator[Distances]:
        for distances in original(self, probes, gallery, size):
            made.append(distances.size)
            yield distances

    monkeypatch.setattr(Ranking, "_by_appearance", counted)
    calibrate.calibrate(filled)
    evaluate(filled, camera_pairs=True, details=True, spatio_temporal=True)
    assert sum(made) == 4 * 26
