"""What it helps to say "not that one": the first wrong hit among ten marked as somebody else.

    python -m benchmarks.feedback --data MARKET_ROOT [--hold-out N] ENCODER.onnx

Probes are ranked once, plain, as the protocol has it; for each the first MARKS wrong ones among its
first ten hits are given as pictures of somebody else, and it is ranked again. Probes without a
wrong one among them stay as they are. A marked image is no hit any more, which helps by itself and
has a row of its own; better and worse count the probes whose AP changes against that row.

Prints a Markdown table of the test split with the weight that is in use; with the --hold-out and
--seed that the encoder was trained with, of the held-out people over weights, beside Rocchio's
formula. ``--rerank`` adds the penalties to re-ranked scores instead.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.encoders import split
from reidsearch.encoding.encoder import Encoder
from reidsearch.ranking import feedback, metrics, rerank
from reidsearch.ranking.feedback import Unlike
from reidsearch.ranking.metrics import PerProbe
from reidsearch.types import JUNK, Distances, Ids, Labels, Vectors

LOOKED_AT = 10  # hits
WEIGHTS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)  # of the other's vector, that Rocchio's formula takes away
SAME = 1e-9  # APs that differ by less are the same


def marks(scores: Distances, probes: Labels, gallery: Labels, *, most: int) -> list[Ids]:
    """For each of Q probes the positions of its first wrong hits among the first ten (Q x G)."""
    found = []
    for row, (identity, camera) in enumerate(zip(probes.identity, probes.camera, strict=True)):
        same = gallery.identity == identity
        left = np.flatnonzero(~(same & (gallery.camera == camera)) & (gallery.identity != JUNK))
        first = left[np.argsort(-scores[row, left], kind="stable")[:LOOKED_AT]]
        found.append(first[~same[first]][:most])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hold-out", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--marks", type=int, default=1)
    parser.add_argument("--rerank", action="store_true")
    arguments = parser.parse_args()
    encoder = Encoder(arguments.encoder)
    (p, mine), (g, theirs) = [  # the images are not kept
        (encoder.encode(crops.images.numpy()), crops.labels)
        for crops in split(
            arguments.data, encoder.size, hold_out=arguments.hold_out, seed=arguments.seed
        )
    ]
    cosines = p @ g.T
    marked = marks(cosines, mine, theirs, most=arguments.marks)
    by_looks = 1 - np.concatenate(list(rerank.rerank(p, g))) if arguments.rerank else cosines

    def measured(again: Callable[[Vectors, Vectors, Vectors], Vectors] | None) -> PerProbe:
        """``again`` gives the new scores of a probe (D) with its marked images (M x D), from the
        old ones (G)."""
        scores = by_looks.copy()
        for row, others in enumerate(marked):
            if len(others) and again is not None:
                scores[row] = again(p[row], g[others], by_looks[row])
                scores[row, others] = -np.inf
        return metrics.per_probe(metrics.positive_ranks(1 - scores, mine, theirs))

    def penalised(weight: float) -> Callable[[Vectors, Vectors, Vectors], Vectors]:
        return lambda own, others, old: old - Unlike(others, own).penalty(g, weight=weight)

    def rocchio(share: float) -> Callable[[Vectors, Vectors, Vectors], Vectors]:
        def again(own: Vectors, others: Vectors, old: Vectors) -> Vectors:
            moved = own - np.float32(share) * others.mean(axis=0)
            found: Vectors = g @ (moved / np.linalg.norm(moved))
            return found

        return again

    rows = {"plain": measured(None), "the marked no hits": measured(lambda own, others, old: old)}
    weights = WEIGHTS if arguments.hold_out else (feedback.WEIGHT,)
    rows |= {f"and who is like them less, {w}": measured(penalised(w)) for w in weights}
    if arguments.hold_out and not arguments.rerank:
        rows |= {f"Rocchio, {share}": measured(rocchio(share)) for share in SHARES}
    some = sum(len(others) > 0 for others in marked)
    print(f"{encoder.name}: {some} of {len(p)} probes have something to mark\n")
    print("| ranking | R1 | mAP | mINP | better | worse |")
    print("|---|---|---|---|---|---|")
    base = rows["the marked no hits"]
    for name, found in rows.items():
        scores = found.summary()
        change = np.nan_to_num(found.ap - base.ap)
        cells = f"{scores.cmc[1]:.2%} | {scores.mAP:.2%} | {scores.mINP:.2%}"
        print(f"| {name} | {cells} | {(change > SAME).sum()} | {(change < -SAME).sum()} |")


if __name__ == "__main__":
    main()
