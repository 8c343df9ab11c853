"""Re-ranking the nearest candidates in place of all images: what that changes, and what it takes.

    python -m benchmarks.candidates GALLERY [--probes 500] [--candidates 500 1000 2000]

GALLERY is a data dir with the test split, or of people held out from training
(benchmarks/held_out_gallery.py). Some probes, drawn, are re-ranked each by itself among all of the
protocol's gallery, and among the nearest of it, the rest behind these by cosine. Prints a Markdown
table: Rank-1 and mAP, the share of the first ten that is the same, and seconds a probe.
"""

import argparse
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from reidsearch import config
from reidsearch.evaluation.trial import Trial
from reidsearch.ranking import knn, metrics, rerank
from reidsearch.session import Session
from reidsearch.types import Distances, Vectors

CANDIDATES = (500, 1000, 2000)
TOP = 10


def among(probe: Vectors, gallery: Vectors, cosines: Vectors, count: int) -> Distances:
    """Of one probe (1 x D) to all, of which ``count`` are re-ranked."""
    nearest = np.sort(np.argsort(-cosines, kind="stable")[:count])
    out: Distances = 2 - cosines  # behind all that is re-ranked
    (out[nearest],) = next(rerank.rerank(probe, gallery[nearest]))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--probes", type=int, default=500)
    parser.add_argument("--candidates", type=int, nargs="*", default=CANDIDATES)
    arguments = parser.parse_args()
    settings = config.load({"data_dir": str(arguments.gallery)}, source="argument")
    with closing(Session(settings, purpose="benchmark")) as session:
        trial = Trial.of(session.collection(), multi_query=False)
    gallery = trial.vectors[trial.gallery]
    drawn = np.random.default_rng(0).permutation(len(trial.probes))[: arguments.probes]
    probes, labels = trial.vectors[trial.probes[drawn]], trial.probe_labels[drawn]
    around = knn.k_nearest(gallery, k=rerank.K1 + 1)
    ways: dict[str, list[Distances]] = {}
    seconds: dict[str, float] = {}
    for at in range(len(probes)):
        probe = probes[at : at + 1]
        cosines = (probe @ gallery.T)[0]
        for name in ("cosine", "all", *arguments.candidates):
            started = time.perf_counter()
            if name == "cosine":
                found = 1 - cosines
            elif name == "all":
                found = rerank.rerank_one(probe, cosines, around, lambda those: gallery[those])
            else:
                found = among(probe, gallery, cosines, int(name))
            key = str(name)
            seconds[key] = seconds.get(key, 0) + time.perf_counter() - started
            ways.setdefault(key, []).append(found)
    print("| re-ranked | Rank-1 | mAP | same of the first ten | seconds a probe |")
    print("|---|---|---|---|---|")
    best = [set(np.argsort(one, kind="stable")[:TOP].tolist()) for one in ways["all"]]
    for name, rows in ways.items():
        ranks = metrics.positive_ranks(np.stack(rows), labels, trial.gallery_labels)
        scores = metrics.per_probe(ranks).summary()
        same = [
            len(set(np.argsort(one, kind="stable")[:TOP].tolist()) & first)
            for one, first in zip(rows, best, strict=True)
        ]
        print(
            f"| {name} | {scores.cmc[1]:.2%} | {scores.mAP:.2%} | {np.mean(same) / TOP:.1%} "
            f"| {seconds[name] / len(probes):.3f} |"
        )


if __name__ == "__main__":
    main()
