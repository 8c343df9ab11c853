"""Adaptation to crops that nobody labelled, by its command, on drawn people."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

import reidsearch
from reidsearch.demo.pedestrians import draw_dataset
from reidsearch.encoding.encoder import Encoder
from reidsearch.types import Labels, Split
from train import adapt, augment, data, projection, run
from train.network import Siamese
from train.recipe import Recipe

ROOT = Path(__file__).parent.parent
SMALL = Recipe(
    name="small", height=64, width=32, network_width=0.25, side=16, side_weight=0.5, epochs=1,
    p=4, k=2, learning_rate=0.01, warmup=0.2, momentum=0.9, weight_decay=5e-4,
    label_smoothing=0.1, triplet_margin=0.3, triplet_weight=1.0, pad=3, erase=0.5, average=0.9,
    seed=1,
)  # fmt: skip


def train(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train", *map(str, words), "--device", "cpu"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def write(path: Path, values: dict[str, object]) -> Path:
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    return path


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A folder of crops a camera that nobody labelled, weights to start from, and a recipe."""
    folder = tmp_path_factory.mktemp("adapt")
    draw_dataset(folder / "drawn", identities=1, training=16, cameras=2)
    for at, path in enumerate(sorted((folder / "drawn/bounding_box_train").iterdir())):
        camera = folder / "crops" / f"camera{path.name.split('_c')[1][0]}"
        camera.mkdir(parents=True, exist_ok=True)
        path.rename(camera / f"{at:04}.jpg")
    plan = write(folder / "small.toml", {k: v for k, v in SMALL.as_dict().items() if k != "name"})
    some = data.load(folder / "crops", Split.GALLERY, height=64, width=32)
    some = replace(some, labels=Labels(np.arange(len(some)) // 4 + 1, some.labels.camera))
    begun = run.start(SMALL, some, device=torch.device("cpu"), terms=run.MARKET_TERMS)
    run.save_weights(begun, folder / "weights.safetensors")
    how = {
        "rounds": 3, "dimension": 24, "k1": 6, "k2": 3, "within": 0.45, "near": 5, "shrunk": 0.5,
        "cameras": 100.0, "surest": 0.6, "agreement": 0.0, "known": 1.1,
        "training": str(plan), "epochs": 1, "seed": 1,
    }  # fmt: skip
    return folder / "crops", folder / "weights.safetensors", write(folder / "adapt.toml", how)


def test_a_folder_that_nobody_labelled_makes_an_encoder_and_what_was_done_is_not_done_again(
    started: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    crops, weights, plan = started
    out = tmp_path / "out"
    words = ("--data", crops, "--recipe", plan, "--init", weights, "--out", out)
    first = train(*words)
    assert first.returncode == 0, first.stderr
    assert "images_per_second" in first.stderr
    assert "minutes_left" in first.stderr
    assert "links_confirmed" in first.stderr
    encoder = Encoder(out / "encoder-int8.onnx")
    assert encoder.dimension == 24
    # Nobody who is known was held out, so that no threshold would be true.
    assert encoder.thresholds is None
    metadata = {m.key: m.value for m in onnx.load(str(encoder.path)).metadata_props}
    assert "images from crops without their labels, grouped into" in metadata["trained_on"]
    assert "starting from the weights of recipe small" in metadata["trained_on"]
    assert "commercial" in metadata["licence"]  # the limits of what it was adapted from stay
    assert "without their labels" in (out / "encoder.md").read_text()

    before = (out / "weights.safetensors").read_bytes()
    (out / "weights.safetensors").unlink()
    again = train(*words)
    assert again.returncode == 0, again.stderr
    assert "encoded" not in again.stderr
    assert "round 1" not in again.stderr
    assert len((out / "weights.safetensors").read_bytes()) == len(before)

    with reidsearch.open(tmp_path / "gallery", encoder=out / "encoder-int8.onnx") as gallery:
        assert not gallery.ingest(crops).failures
        probe = next((crops / "camera1").iterdir())
        hits = gallery.query(probe, camera="camera1", exclude_camera=True).hits
        assert hits
        assert all(hit.camera == "camera2" for hit in hits)


def test_groups_that_others_do_not_confirm_or_nearly_all_do_leave_the_old_encoder(
    started: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    crops, weights, plan = started
    strict, easy = tmp_path / "strict.toml", tmp_path / "easy.toml"
    strict.write_text(plan.read_text().replace("agreement = 0.0", "agreement = 1.1"))
    easy.write_text(plan.read_text().replace("known = 1.1", "known = 0.0"))
    for recipe, told in (
        (strict, "Error: the groups are too impure to learn from"),
        (easy, "Error: the old encoder knows these cameras already"),
    ):
        out = tmp_path / recipe.stem
        done = train("--data", crops, "--recipe", recipe, "--init", weights, "--out", out)
        assert done.returncode == 1
        assert told in done.stderr
        assert "Keep the old encoder" in done.stderr
        assert {path.name for path in out.iterdir()} == {adapt.FIRST}


def test_crops_of_one_camera_are_refused(started: tuple[Path, Path, Path], tmp_path: Path) -> None:
    crops, weights, plan = started
    done = train(
        "--data", crops / "camera1", "--recipe", plan, "--init", weights, "--out", tmp_path / "out"
    )
    assert done.returncode == 2
    assert "of one camera" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_layer_after_a_network_is_what_was_fitted() -> None:
    torch.manual_seed(0)
    network = Siamese(identities=4, width=0.25, side=16)
    rng = np.random.default_rng(0)
    fitted = projection.Projection(
        rng.normal(size=network.dimension).astype(np.float32),
        rng.normal(size=(network.dimension, 7)).astype(np.float32),
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    plain = run.Run(SMALL, network, None, optimizer, [1, 2, 3, 4], "nothing", "none")
    layered = run.with_layer(plain, fitted)
    assert (layered.recipe.layer, layered.result.dimension) == (7, 7)
    images = augment.normalise(torch.randint(0, 255, (5, 64, 32, 3), dtype=torch.uint8))
    network.eval()
    with torch.inference_mode():
        expected = fitted(F.normalize(network(images)).numpy())
        made = F.normalize(layered.result(images)).numpy()
    np.testing.assert_allclose(made, expected, atol=1e-4)
