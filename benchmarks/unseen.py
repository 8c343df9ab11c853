"""Encoders on cameras they never saw: plain, and with each camera's mean vector taken out.

    python -m benchmarks.unseen --data CSV_OR_MARKET_ROOT ENCODER.onnx...

Prints a Markdown table of R1 and mAP on the data's test split. The means are those of the gallery's
vectors, camera by camera, without any label; probes lose the mean of their camera, too. What a
camera adds to all its pictures is in that mean; the last columns divide by its spread as well.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.encoders import score, split
from reidsearch.encoder import Encoder
from reidsearch.types import Vectors
from train.data import Crops

LEAST_SPREAD = 1e-6


def centred(
    probes: Crops, p: Vectors, gallery: Crops, g: Vectors, *, spread: bool
) -> tuple[Vectors, Vectors]:
    """Probes' and gallery's vectors, Q x D and G x D float32, less the gallery's mean of their
    camera; with ``spread``, each number divided by its standard deviation in that camera.

    Vectors of a camera that the gallery lacks stay as they are.
    """
    p, g = p.copy(), g.copy()
    for camera in np.unique(gallery.labels.camera):
        here = gallery.labels.camera == camera
        mean = g[here].mean(0)
        scale = np.maximum(g[here].std(0), LEAST_SPREAD) if spread else 1.0
        for vectors, rows in ((p, probes.labels.camera == camera), (g, here)):
            vectors[rows] = (vectors[rows] - mean) / scale
    return p, g


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    print("| encoder | plain | less the camera's mean | and divided by its spread |")
    print("|---|---|---|---|")
    for path in arguments.encoders:
        encoder = Encoder(path)
        probes, gallery = split(arguments.data, encoder.size, hold_out=0, seed=0)
        p, g = (encoder.encode(crops.images.numpy()) for crops in (probes, gallery))
        ways = [(p, g)]
        ways += [centred(probes, p, gallery, g, spread=spread) for spread in (False, True)]
        scores = [score(probes, mine, gallery, theirs) for mine, theirs in ways]
        cells = " | ".join(f"{s.cmc[1]:.2%} / {s.mAP:.2%}" for s in scores)
        print(f"| {encoder.name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
