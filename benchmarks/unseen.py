"""Encoders on cameras they never saw: plain, and with what can be learned there without a label.

    python -m benchmarks.unseen --data CSV_OR_MARKET_ROOT ENCODER.onnx...

Prints a Markdown table of R1 and mAP on the data's test split: plain and expanded by appearance,
each with what cameras add left in and taken out.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.camera_means import Asked
from benchmarks.encoders import split
from benchmarks.held_out import Images
from reidsearch.encoding.encoder import Encoder
from reidsearch.ranking.ranking import Sighted
from train.data import Crops


def images(crops: Crops, encoder: Encoder) -> Images:
    """With their vectors; when they were seen is not asked."""
    seen = Sighted(crops.labels.camera, np.full(len(crops), np.nan))
    return Images(encoder.encode(crops.images.numpy()), crops.labels, seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    print("| encoder | plain | camera means out | expanded, means left in | expanded, means out |")
    print("|---|---|---|---|---|")
    for path in arguments.encoders:
        encoder = Encoder(path)
        crops = split(arguments.data, encoder.size, hold_out=0, seed=0)
        asked = Asked(*(images(some, encoder) for some in crops))
        found = [
            one.scores(expanded=expanded)
            for expanded in (False, True)
            for one in (asked, asked.without())
        ]
        cells = " | ".join(f"{s.cmc[1]:.2%} / {s.mAP:.2%}" for s in found)
        print(f"| {encoder.name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
