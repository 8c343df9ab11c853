"""Write a trained network as the one ONNX file that reidsearch runs, and check that file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch

from reidsearch.encoding import accuracy, thresholds
from reidsearch.encoding.accuracy import Accuracy
from reidsearch.encoding.encoder import Encoder
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.errors import EncoderError
from reidsearch.pictures import contents, decoding
from reidsearch.ranking.metrics import Scores
from train.augment import MEAN, STD
from train.data import Crops
from train.network import Siamese
from train.quantise import CALIBRATION_CROPS
from train.run import MARKET_TERMS, Run

OPSET = 18
PARITY = 0.9999  # the smallest cosine allowed between ONNX Runtime's vectors and PyTorch's

MARKET = """\
For research only. Market-1501 (Zheng et al., "Scalable Person Re-identification: A Benchmark",
ICCV 2015) may not be used commercially, and what is trained on it shares that limit. It shows
people on one campus in one summer: expect less elsewhere, and measure before you rely on it."""


def export(run: Run, path: Path, *, name: str, trained_on: str) -> None:
    """Write the run's network to ``path`` with its preprocessing and provenance as metadata."""
    network, recipe = run.result.cpu().eval(), run.recipe
    example = torch.zeros(2, 3, recipe.height, recipe.width)
    program = torch.onnx.export(
        network,
        (example,),
        input_names=["images"],
        output_names=["embeddings"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # it is None only where torch writes the file itself
    model: onnx.ModelProto = program.model_proto
    preprocessing = Preprocessing(height=recipe.height, width=recipe.width, mean=MEAN, std=STD)
    metadata = {
        "name": name,
        **preprocessing.to_metadata(),
        "distance": "cosine",
        "trained_on": trained_on,
        "licence": run.terms,
        "recipe": json.dumps(recipe.as_dict()),
        "torch": str(torch.__version__),
    }
    for node in model.graph.node:  # the exporter's notes on where in the source a node came from
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def add_measured(
    path: Path, *, people: int, scores: Scores, by_rate: Mapping[float, float]
) -> None:
    """Add to an encoder's file what so many ``people`` held out from its training say of it: the
    protocol's numbers, and cosines by false match rate where any can be told. Its weights stay, its
    fingerprint does not."""
    told = {
        "identities": people,
        "queries": scores.queries,
        "mAP": scores.mAP,
        "mAP_trapezoid": scores.mAP_trapezoid,
        "mINP": scores.mINP,
        "cmc": scores.cmc,
    }
    added = {"held_out": json.dumps(told)}
    if by_rate:
        added["thresholds"] = thresholds.as_text(by_rate)
    _add(path, added)


def add_accuracy(path: Path, *, data: str, scores: Scores) -> None:
    """Add to an encoder's file the protocol's numbers on other people of the cameras that it was
    trained on. Its weights stay, its fingerprint does not."""
    _add(path, {"accuracy": accuracy.as_text(accuracy_of(scores, data=data, unseen=False))})


def accuracy_of(scores: Scores, *, data: str, unseen: bool) -> Accuracy:
    """What an encoder tells of these numbers."""
    return Accuracy(
        data=data, unseen=unseen, queries=scores.queries, rank1=scores.cmc[1], mAP=scores.mAP
    )


def _add(path: Path, added: Mapping[str, str]) -> None:
    model = onnx.load(str(path))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**metadata, **added})
    onnx.save(model, str(path))


@torch.inference_mode()
def check_parity(network: Siamese, encoder: Encoder, crops: Crops) -> float:
    """The smallest cosine between the encoder's vectors and the network's, over some crops.

    The two ways share nothing: files go through Pillow, torchvision's transforms and PyTorch on
    one, through reidsearch's decoding, preprocessing and ONNX Runtime on the other. Raises
    EncoderError where a pair falls below PARITY.
    """
    from PIL import Image
    from torchvision import transforms

    usual = transforms.Compose(
        [
            transforms.Resize(encoder.size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    paths = [crops.root / path for path in crops.paths]
    network = network.cpu().eval()
    reference = torch.stack([usual(Image.open(path).convert("RGB")) for path in paths])
    expected = torch.nn.functional.normalize(network(reference)).numpy()
    decoded = np.stack([decoding.decode(contents.read_bytes(p), size=encoder.size) for p in paths])
    smallest = float((encoder.encode(decoded) * expected).sum(1).min())
    if not smallest > PARITY:
        raise EncoderError(
            f"{encoder.path} differs from the network it was exported from: cosine {smallest:.6f}"
        )
    return smallest


def write_card(
    path: Path,
    *,
    encoders: Sequence[Encoder],
    scores: dict[Encoder, Scores],
    run: Run,
    trained_on: str,
    measured_on: str,
    command: str,
    parity: float,
) -> None:
    """Write the encoders' card: what they are, how they were made, their numbers, their terms.

    ``scores`` may be empty: then the card says that nothing was measured.
    """
    recipe = run.recipe
    settings = "\n".join(f"| {key} | {value} |" for key, value in recipe.as_dict().items())
    results = "\n".join(
        f"| {e.name} | {e.path.stat().st_size / 1e6:.1f} MB | {s.cmc[1]:.2%} | {s.cmc[5]:.2%} "
        f"| {s.cmc[10]:.2%} | {s.mAP:.2%} | {s.mAP_trapezoid:.2%} | {s.mINP:.2%} |"
        for e, s in scores.items()
    )
    if scores:
        results = f"""Measured on {measured_on}, single query, no re-ranking, the last step:

| encoder | size | Rank-1 | Rank-5 | Rank-10 | mAP | mAP (trapezoid) | mINP |
|---|---|---|---|---|---|---|---|
{results}"""
    fingerprints = "\n".join(f"| {e.name} | {e.fingerprint} |" for e in encoders)
    encoder = encoders[0]
    path.write_text(
        f"""# {encoder.name}

A person encoder: {recipe.width} x {recipe.height} pixel crops to {encoder.dimension}-d vectors,
compared by cosine.

- trained on: {trained_on}
- command: `{command}`
- ONNX against PyTorch: smallest cosine {parity:.6f} (fp32)
- int8: post-training quantisation, calibrated on {CALIBRATION_CROPS} training images

## Results

{results or "Not measured."}

| encoder | fingerprint (SHA-256 of the file) |
|---|---|
{fingerprints}

## Recipe

| | |
|---|---|
{settings}

## Terms

{MARKET if run.terms == MARKET_TERMS else run.terms.capitalize() + "."}
The code around the weights is under Apache-2.0.
""",
        encoding="utf-8",
    )
