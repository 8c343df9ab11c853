import itertools
from pathlib import Path

import numpy as np
import pytest

from reidsearch import calibrate, datasets, gallery, ingest
from reidsearch.config import Config
from reidsearch.encoder import Encoder
from reidsearch.errors import EmptyGallery, IncompleteGallery, NotCalibrated, UnknownCamera
from reidsearch.evaluate import evaluate
from reidsearch.export import export
from reidsearch.gallery import Gallery
from reidsearch.ranking import metrics, rerank, transit
from reidsearch.types import UNKNOWN, Split
from tests.conftest import COLORS, write_crop, write_encoder


def test_the_numbers_are_those_of_the_protocol_done_by_hand(filled: Gallery) -> None:
    stored, vectors = filled.load()
    expected_ap, expected_inp, first = [], [], []
    for probe in np.flatnonzero(stored.split == "query"):
        ranking = sorted(
            np.flatnonzero(stored.split == "gallery"),
            key=lambda g: (-float(vectors[probe] @ vectors[g]), g),
        )
        hits = []
        for g in ranking:
            same = stored.identity[g] == stored.identity[probe]
            if stored.identity[g] == -1 or (same and stored.camera[g] == stored.camera[probe]):
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


def test_blocks_do_not_change_the_numbers(filled: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(filled).scores
    monkeypatch.setattr("reidsearch.evaluate.BLOCK", 1)
    assert evaluate(filled).scores == whole


def test_a_camera_pair_is_the_protocol_with_one_cameras_probes_and_one_cameras_gallery(
    filled: Gallery,
) -> None:
    stored, vectors = filled.load()
    expected: dict[tuple[int, int], list[float]] = {}
    for probe in np.flatnonzero(stored.split == "query"):
        for camera in set(stored.camera.tolist()) - {int(stored.camera[probe])}:
            ranking = sorted(
                np.flatnonzero(
                    (stored.split == "gallery")
                    & (stored.camera == camera)
                    & (stored.identity != -1)
                ),
                key=lambda g: (-float(vectors[probe] @ vectors[g]), g),
            )
            same = [stored.identity[g] == stored.identity[probe] for g in ranking]
            positions = [i + 1 for i, hit in enumerate(same) if hit]
            if positions:
                ap = np.mean([(n + 1) / p for n, p in enumerate(positions)])
                expected.setdefault((int(stored.camera[probe]), camera), []).append(float(ap))
    pairs = evaluate(filled, camera_pairs=True).camera_pairs
    assert pairs == pytest.approx({pair: np.mean(aps) for pair, aps in expected.items()})
    assert len(pairs) > 1
    assert evaluate(filled).camera_pairs == {}


@pytest.mark.usefixtures("_short_bins")
def test_transit_times_add_to_the_cosine(filled: Gallery) -> None:
    with pytest.raises(NotCalibrated) as error:
        evaluate(filled, spatio_temporal=True)
    assert "reidsearch calibrate" in error.value.hint

    learned = calibrate.calibrate(filled)
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
            stored.identity[g] == stored.identity[probe]
            for g in sorted(gallery, key=lambda g: (-scores[g], g))
            if stored.identity[g] != -1
            and (stored.identity[g], stored.camera[g])
            != (stored.identity[probe], stored.camera[probe])
        ]
        hits = np.flatnonzero(ranking)
        expected.append(np.mean([(n + 1) / (hit + 1) for n, hit in enumerate(hits)]))
    assert evidence > 0
    evaluation = evaluate(filled, spatio_temporal=True)
    assert evaluation.scores.mAP == pytest.approx(np.mean(expected), abs=1e-6)
    used = evaluation.trial.calibration
    assert used is not None
    assert used.images == learned.images == 27
    assert evaluate(filled).trial.calibration is None


def test_calibration_uses_the_training_splits_identities_where_they_are_stored(
    market: Path, filled: Gallery, encoder: Encoder
) -> None:
    with pytest.raises(EmptyGallery, match="source train"):
        calibrate.calibrate(filled, source=calibrate.Source.TRAIN)
    for camera in (1, 2):
        name = f"0009_c{camera}s1_{camera * 500:06d}_00.jpg"
        write_crop(market / "bounding_box_train" / name, color=COLORS[1], seed=camera)
    train = datasets.read(market, splits=[Split.TRAIN])
    ingest.ingest(train, gallery=filled, encoder=encoder)
    learned = calibrate.calibrate(filled)
    assert learned.source == "train"
    assert learned.images == len(train.sightings)
    assert learned.transit.pairs == sum(
        a.identity == b.identity and a.camera != b.camera
        for a, b in itertools.combinations(train.sightings, 2)
    )
    again = calibrate.calibrate(filled, source=calibrate.Source.GALLERY)
    assert calibrate.load(filled).images == again.images == 25


def test_multi_query_searches_with_the_mean_of_a_persons_images_from_one_camera(
    market: Path, filled: Gallery, encoder: Encoder
) -> None:
    with pytest.raises(EmptyGallery, match="no multi-query images"):
        evaluate(filled, multi_query=True)
    single = evaluate(filled).scores.mAP
    # Person 1's camera 1 images in another person's colour: its probe must now find that one first.
    for frame in range(3):
        name = f"0001_c1s1_{frame:06d}_00.jpg"
        write_crop(market / "gt_bbox" / name, color=COLORS[2], seed=40 + frame)
    extra = datasets.read(market, splits=[Split.MULTI_QUERY])
    ingest.ingest(extra, gallery=filled, encoder=encoder)

    stored, vectors = filled.load()
    pool = (stored.split == "multi-query") & (stored.identity == 1) & (stored.camera == 1)
    aps = []
    for probe in np.flatnonzero(stored.split == "query"):
        mean = vectors[probe]
        if (stored.identity[probe], stored.camera[probe]) == (1, 1):
            mean = vectors[pool].mean(axis=0) / np.linalg.norm(vectors[pool].mean(axis=0))
        kept = [
            g
            for g in np.flatnonzero((stored.split == "gallery") & (stored.identity != -1))
            if (stored.identity[g], stored.camera[g])
            != (stored.identity[probe], stored.camera[probe])
        ]
        kept.sort(key=lambda g: (-float(mean @ vectors[g]), g))
        hits = np.flatnonzero(stored.identity[kept] == stored.identity[probe])
        aps.append(np.mean([(n + 1) / (hit + 1) for n, hit in enumerate(hits)]))
    pooled = evaluate(filled, multi_query=True).scores.mAP
    assert pooled == pytest.approx(np.mean(aps), abs=1e-9)
    assert pooled < single
    assert evaluate(filled).scores.mAP == single


@pytest.mark.usefixtures("_short_bins")
def test_re_ranking_replaces_the_distances_of_all_probes(filled: Gallery) -> None:
    stored, vectors = filled.load()
    is_probe = stored.split == "query"
    is_gallery = (stored.split == "gallery") & (stored.identity != -1)
    distances = np.concatenate(list(rerank.rerank(vectors[is_probe], vectors[is_gallery])))
    ranks = metrics.positive_ranks(distances, stored.labels[is_probe], stored.labels[is_gallery])
    evaluation = evaluate(filled, rerank=True)
    assert evaluation.scores == metrics.per_probe(ranks).summary()

    learned = calibrate.calibrate(filled)
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
    market: Path, filled: Gallery, encoder: Encoder
) -> None:
    write_crop(market / "query/0099_c1s1_000001_00.jpg", color=COLORS[1], seed=1)
    ingest.ingest(datasets.read(market), gallery=filled, encoder=encoder)
    evaluation = evaluate(filled)
    assert (evaluation.queries, evaluation.queries_without_positive) == (4, 1)


@pytest.mark.parametrize(
    ("splits", "message"),
    [(["query"], "no gallery images"), (["gallery"], "no probes"), (["train"], "no probes")],
)
def test_a_gallery_with_a_part_missing_is_an_error_that_says_what_to_ingest(
    market: Path, settings: Config, encoder: Encoder, splits: list[str], message: str
) -> None:
    with gallery.create(settings, encoder) as opened:
        chosen = [Split(s) for s in splits]
        ingest.ingest(datasets.read(market, splits=chosen), gallery=opened, encoder=encoder)
        with pytest.raises(EmptyGallery, match=message) as error:
            evaluate(opened)
    assert "Ingest the" in error.value.hint


def test_a_half_ingested_gallery_is_not_evaluated(
    market: Path, filled: Gallery, encoder: Encoder
) -> None:
    probe = int(filled.load([Split.QUERY])[0].ids[0])
    filled.catalog.embeddings.set_pending(filled.encoder_id, [probe])
    with pytest.raises(IncompleteGallery, match="1 images wait") as error:
        evaluate(filled)
    assert "run the same ingest again" in error.value.hint
    ingest.ingest(datasets.read(market), gallery=filled, encoder=encoder)
    assert evaluate(filled).queries == 4
    dataset = filled.catalog.add_dataset("market", market)
    run = filled.catalog.runs.start(dataset, filled.encoder_id)
    with pytest.raises(IncompleteGallery, match="half ingested"):
        evaluate(filled)
    filled.catalog.runs.finish(run, ingested=0, unchanged=0, failed=0)
    assert evaluate(filled).queries == 4


def test_queries_and_gallery_of_two_encoders_are_not_mixed(
    market: Path, tmp_path: Path, settings: Config, encoder: Encoder
) -> None:
    other = Encoder(write_encoder(tmp_path / "other.onnx", cell=8))
    for one, split in ((encoder, Split.QUERY), (other, Split.GALLERY)):
        with gallery.create(settings, one) as opened:
            ingest.ingest(datasets.read(market, splits=[split]), gallery=opened, encoder=one)
    with (
        gallery.open_existing(settings) as opened,
        pytest.raises(
            EmptyGallery, match=r"no gallery images .* from the encoder colours"
        ) as error,
    ):
        evaluate(opened)
    assert other.fingerprint[:8] in error.value.hint


def test_unknown_cameras_are_an_error_and_unknown_people_are_counted(
    tmp_path: Path, market: Path, filled: Gallery, encoder: Encoder
) -> None:
    write_crop(tmp_path / "more/somebody.jpg", color=COLORS[1], seed=4)
    ingest.ingest(datasets.read(tmp_path / "more"), gallery=filled, encoder=encoder)
    evaluation = evaluate(filled)
    assert (evaluation.gallery, evaluation.unlabelled) == (26, 1)
    manifest = tmp_path / "more/crops.csv"
    manifest.write_text("path,identity,split\nsomebody.jpg,1,gallery\n")
    ingest.ingest(datasets.read(manifest), gallery=filled, encoder=encoder)
    with pytest.raises(UnknownCamera, match="1 gallery images are not known"):
        evaluate(filled)


@pytest.mark.usefixtures("_short_bins")
def test_transit_times_are_also_told_with_the_probes_whole_camera_ruled_out(
    filled: Gallery,
) -> None:
    calibrate.calibrate(filled)
    evaluation = evaluate(filled, spatio_temporal=True)
    trial = evaluation.trial
    ranks = metrics.positive_ranks(
        np.concatenate(list(trial.distances())),
        trial.probe_labels,
        trial.gallery_labels,
        other_cameras_only=True,
    )
    assert evaluation.other_cameras == metrics.per_probe(ranks).summary()
    assert evaluate(filled).other_cameras is None


def test_a_calibration_is_learned_anew_when_the_gallery_has_grown(
    market: Path, filled: Gallery, encoder: Encoder
) -> None:
    assert calibrate.keep_current(filled) is None  # never calibrated
    calibrate.calibrate(filled)
    assert calibrate.keep_current(filled) is None
    for frame in range(2):  # 27 images and 2 more: less than a tenth
        name = f"bounding_box_test/0001_c1s1_{frame + 100:06d}_00.jpg"
        write_crop(market / name, color=COLORS[1], seed=700 + frame)
    ingest.ingest(datasets.read(market), gallery=filled, encoder=encoder)
    assert calibrate.keep_current(filled) is None
    write_crop(market / "bounding_box_test/0001_c1s1_000300_00.jpg", color=COLORS[1], seed=710)
    ingest.ingest(datasets.read(market), gallery=filled, encoder=encoder)
    again = calibrate.keep_current(filled)
    assert again is not None
    assert (again.source, again.images) == ("matches", 30)
    # A sequence that the clock does not know makes it learn, however few its images are.
    write_crop(market / "bounding_box_test/0001_c2s4_000300_00.jpg", color=COLORS[1], seed=711)
    ingest.ingest(datasets.read(market), gallery=filled, encoder=encoder)
    again = calibrate.keep_current(filled)
    assert again is not None
    assert again.images == 31
    assert calibrate.keep_current(filled) is None


def test_scores_are_counted_between_images_of_two_cameras(filled: Gallery) -> None:
    learned = calibrate.calibrate(filled, source=calibrate.Source.GALLERY)
    stored, _ = filled.load([Split.GALLERY])
    rows = np.flatnonzero(stored.identity >= 0)
    pairs = [(a, b) for a in rows for b in rows if stored.camera[a] != stored.camera[b]]
    same = sum(stored.identity[a] == stored.identity[b] > 0 for a, b in pairs)
    for found in (learned.cosines, learned.scores):
        assert (found.same.sum(), found.different.sum()) == (same, len(pairs) - same)
    without = calibrate.calibrate(filled, source=calibrate.Source.MATCHES)
    assert without.cosines.same.sum() == 0
    assert not without.by_identity


def test_a_gallery_whose_vectors_are_gone_is_an_error(filled: Gallery) -> None:
    filled.store.delete([next(iter(filled.store.ids()))])
    with pytest.raises(EmptyGallery, match="lacks 1 of the 31"):
        evaluate(filled)


def test_export_writes_what_is_stored(tmp_path: Path, filled: Gallery, encoder: Encoder) -> None:
    write_crop(tmp_path / "plain/somebody.jpg", color=COLORS[1], seed=4)
    ingest.ingest(datasets.read(tmp_path / "plain"), gallery=filled, encoder=encoder)
    counts = export(filled, tmp_path / "out.npz")
    assert counts == {"images": 32, "gallery": 28, "query": 4}
    arrays = np.load(tmp_path / "out.npz", allow_pickle=False)
    stored, vectors = filled.load()
    assert set(arrays) == {
        "id", "vector", "path", "identity", "camera", "sequence", "frame", "split"
    }  # fmt: skip
    assert (arrays["id"] == stored.ids).all()
    assert (np.diff(arrays["id"]) > 0).all()
    assert arrays["vector"].tobytes() == vectors.tobytes()
    who = dict(zip(arrays["path"].tolist(), arrays["identity"].tolist(), strict=True))
    assert who["bounding_box_test/-1_c3s1_000050_01.jpg"] == -1
    assert who["bounding_box_test/0000_c2s1_000040_01.jpg"] == 0
    assert who["somebody.jpg"] == UNKNOWN == -2
    assert not list(tmp_path.glob("*.partial"))
