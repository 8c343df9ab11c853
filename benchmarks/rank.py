"""Seconds from distances to CMC, mAP and mINP, on vectors that ``reidsearch export`` wrote.

reidsearch export market.npz && python -m benchmarks.rank market.npz
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from reidsearch import metrics
from reidsearch.types import Labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    data = np.load(arguments.exported)

    def part(split: str) -> tuple[np.ndarray, Labels]:
        rows = data["split"] == split
        return data["vector"][rows], Labels(data["identity"][rows], data["camera"][rows])

    (probe_vectors, probes), (vectors, gallery) = part("query"), part("gallery")
    distances = 1 - probe_vectors @ vectors.T
    times = []
    for _ in range(arguments.rounds):
        started = time.perf_counter()
        scores = metrics.score(metrics.positive_ranks(distances, probes, gallery))
        times.append(time.perf_counter() - started)
    print(f"R1 {scores.cmc[1]:.4f}, mAP {scores.mAP:.4f}, mINP {scores.mINP:.4f}")
    shape = f"{distances.shape[0]} probes, {distances.shape[1]} gallery images"
    print(f"median {statistics.median(times):.3f} s over {arguments.rounds} rounds, {shape}")


if __name__ == "__main__":
    main()
