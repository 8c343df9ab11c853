"""Exported encoders side by side: accuracy, with and without flip averaging, and speed.

    python -m benchmarks.encoders --data MARKET_ROOT [--hold-out N] ENCODER.onnx...

Prints a Markdown table. Accuracy is that of the test split, or of N identities of the training
split: then give encoders that were trained with the same --hold-out and seed. Images a second are
those of the encoder alone, as `reidsearch encoders --measure` tells them.
"""

import argparse
from pathlib import Path

import numpy as np

from reidsearch.encoding.encoder import Encoder
from reidsearch.inspection.encoders import speed
from reidsearch.ranking import metrics
from reidsearch.types import Split, Vectors
from train import data, evaluation


def split(
    path: Path, size: tuple[int, int], *, hold_out: int, seed: int
) -> tuple[data.Crops, data.Crops]:
    """Probes and gallery: the test split, or that many identities of the training split."""
    height, width = size
    if hold_out:
        known = data.people(data.load(path, Split.TRAIN, height=height, width=width))
        _, probes, gallery = data.hold_out(known, hold_out, seed=seed)
        return probes, gallery
    return (
        data.load(path, Split.QUERY, height=height, width=width),
        data.load(path, Split.GALLERY, height=height, width=width),
    )


def score(probes: data.Crops, p: Vectors, gallery: data.Crops, g: Vectors) -> metrics.Scores:
    """The protocol's numbers for vectors of any length."""
    return evaluation.score(probes, _unit(p), gallery, _unit(g))


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hold-out", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("| encoder | R1 | mAP | mINP | images/s | MB |")
    print("|---|---|---|---|---|---|")
    for path in arguments.encoders:
        encoder = Encoder(path)
        probes, gallery = split(
            arguments.data, encoder.size, hold_out=arguments.hold_out, seed=arguments.seed
        )
        pixels = [crops.images.numpy() for crops in (probes, gallery)]
        p, g = (encoder.encode(images) for images in pixels)
        flipped = [encoder.encode(np.ascontiguousarray(i[:, :, ::-1])) for i in pixels]
        rows = {encoder.name: (p, g), "- flip average": (p + flipped[0], g + flipped[1])}
        for name, (mine, theirs) in rows.items():
            s = score(probes, mine, gallery, theirs)
            cells = f"| {name} | {s.cmc[1]:.2%} | {s.mAP:.2%} | {s.mINP:.2%}"
            if name == encoder.name:
                cells += f" | {speed(encoder):.0f} | {path.stat().st_size / 1e6:.1f}"
            else:
                cells += " | |"
            print(cells + " |", flush=True)


if __name__ == "__main__":
    main()
