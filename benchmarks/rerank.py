"""Seconds and memory of re-ranking, on vectors that ``reidsearch export`` wrote.

    reidsearch export market.npz && python -m benchmarks.rerank market.npz

Where torchreid's checkout is there (see peers.py), its ``re_ranking`` runs too, and both results
are held against each other. That takes a minute and 9 GB. Both go from vectors to distances: the
three matrices that torchreid's wants are counted to it, as ours makes its cosines itself.

Both decide by order who is among an image's k nearest. Where two cosines differ by their last bit,
the way in which a BLAS kernel adds products up decides, and another neighbour changes distances by
far more than rounding does. Kernels differ with the processor, and ties with the encoder: of 53
million distances on Market-1501, none or 2 in 10 million were apart on an AMD EPYC (Zen 3, AVX2),
with two encoders' vectors, and 7 in a million on a processor with AVX-512.
(Of 6,000 made-up vectors in 40 tight groups, the Haswell and the Sandybridge kernels of OpenBLAS,
on one machine, gave 12 images other neighbours, and 0.02 % of the distances were apart.) Up to
MAY_DIFFER is no fault; beyond, this ends with 1.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks import peers
from benchmarks.rank import exported, peak_mb, reset_peak
from reidsearch.ranking import metrics, rerank
from reidsearch.types import Distances

SAME = 1e-5
MAY_DIFFER = 2e-5  # of the distances, by more than SAME
ROUNDS = 3  # of ours, before the peer's and after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exported", type=Path)
    arguments = parser.parse_args()
    (p, probes), (g, gallery) = exported(arguments.exported)

    def numbers(distances: Distances) -> str:
        scores = metrics.per_probe(metrics.positive_ranks(distances, probes, gallery)).summary()
        return f"R1 {scores.cmc[1]:.4f}, mAP {scores.mAP:.4f}, mINP {scores.mINP:.4f}"

    def seconds() -> float:
        started = time.perf_counter()
        for _ in rerank.rerank(p, g):  # as ``evaluate`` does, which ranks them block by block
            pass
        return time.perf_counter() - started

    reset_peak()
    before = peak_mb()
    rounds = [seconds() for _ in range(ROUNDS)]
    memory = peak_mb() - before
    ours = np.concatenate(list(rerank.rerank(p, g)))  # kept for comparison alone
    print(f"reidsearch: {np.median(rounds):.1f} s, {memory:.0f} MB; {numbers(ours)}")

    torchreid = peers.load("TORCHREID", "torchreid/utils/rerank.py")
    if torchreid is None:
        return
    reset_peak()
    before = peak_mb()
    started = time.perf_counter()
    distances = [np.sqrt(np.maximum(2 - 2 * a @ b.T, 0)) for a, b in ((p, g), (p, p), (g, g))]
    theirs = torchreid.re_ranking(*distances)
    peer_seconds = time.perf_counter() - started
    print(f"torchreid: {peer_seconds:.1f} s, {peak_mb() - before:.0f} MB; {numbers(theirs)}")
    rounds += [seconds() for _ in range(ROUNDS)]  # the machine may be slower by now, or faster
    slowest, fastest = (peer_seconds / end for end in (max(rounds), min(rounds)))
    apart = np.abs(ours - theirs) > SAME
    print(
        f"{peer_seconds / np.median(rounds):.1f}x ({slowest:.1f} to {fastest:.1f}, {len(rounds)} "
        f"rounds); {apart.mean():.1e} of the distances differ by over {SAME}, "
        f"{MAY_DIFFER:.0e} may"
    )
    if apart.mean() > MAY_DIFFER:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
