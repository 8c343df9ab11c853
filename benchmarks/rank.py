"""Seconds from distances to CMC, mAP and mINP, on vectors that ``reidsearch export`` wrote.

    reidsearch export market.npz && python -m benchmarks.rank market.npz

Where the checkouts are there (see peers.py), torchreid's Cython evaluator is timed in turn with
ours, and its numbers and FastReID's are held against ours. ``--distractors N`` adds N random unit
vectors to the gallery instead and ranks block by block, as ``evaluate`` does.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import peers
from reidsearch.ranking import metrics
from reidsearch.ranking.ranking import blocks
from reidsearch.types import JUNK, Labels, Vectors

SAME = 1e-6  # torchreid and FastReID average in float32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--distractors", type=int, default=0)
    arguments = parser.parse_args()
    (p, probes), (g, gallery) = exported(arguments.exported)
    if arguments.distractors:
        with_distractors(p, probes, g, gallery, count=arguments.distractors)
        return
    distances = 1 - p @ g.T

    def ours() -> metrics.PerProbe:
        return metrics.per_probe(metrics.positive_ranks(distances, probes, gallery))

    calls: dict[str, Callable[[], object]] = {"reidsearch": ours}
    of = (distances, probes.identity, gallery.identity, probes.camera, gallery.camera)
    torchreid = peers.load("TORCHREID", "torchreid/metrics/rank_cylib/rank_cy.*.so")
    if torchreid is not None:
        calls["torchreid, Cython"] = lambda: torchreid.evaluate_cy(*of, 50, False)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)

    scores, curve = ours().summary(), ours().cmc(50)
    print(f"R1 {scores.cmc[1]:.6f}, mAP {scores.mAP:.6f}, mINP {scores.mINP:.6f}")
    print(f"{distances.shape[0]} probes, {distances.shape[1]} gallery images")
    medians = {name: statistics.median(every) for name, every in times.items()}
    for name, median in medians.items():
        ratio = f", {median / medians['reidsearch']:.1f}x" if name != "reidsearch" else ""
        print(f"{name}: median {median:.3f} s over {arguments.rounds} rounds{ratio}")
    # Peers leave the order of equally near images to an unstable sort; without ties there is none.
    untied = np.argsort(np.argsort(distances, axis=1, kind="stable"), axis=1).astype(np.float32)
    of = (untied, *of[1:])
    if torchreid is not None:
        cmc, mean = torchreid.evaluate_cy(*of, 50, False)
        assert abs(mean - scores.mAP) < SAME, (mean, scores.mAP)
        assert np.abs(cmc - curve).max() < SAME
        print(f"torchreid: mAP {mean:.6f} and the CMC to rank 50 are the same")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its Cython is not built
        fastreid = peers.load("FASTREID", "fastreid/evaluation/rank.py")
    if fastreid is not None:
        cmc, every, inverse = fastreid.eval_market1501(*of, 50)
        assert np.abs(np.array(every) - ours().ap[ours().counted]).max() < SAME
        assert abs(float(np.mean(inverse)) - scores.mINP) < SAME
        assert np.abs(cmc - curve).max() < SAME
        print("FastReID: the AP of every probe, mINP and the CMC to rank 50 are the same")


def exported(path: Path) -> tuple[tuple[Vectors, Labels], tuple[Vectors, Labels]]:
    """Probes and gallery, without junk, from a file that ``reidsearch export`` wrote."""
    data = np.load(path)

    def part(split: str) -> tuple[Vectors, Labels]:
        rows = (data["split"] == split) & (data["identity"] != JUNK)
        return data["vector"][rows], Labels(data["identity"][rows], data["camera"][rows])

    return part("query"), part("gallery")


def with_distractors(
    p: Vectors, probes: Labels, g: Vectors, gallery: Labels, *, count: int
) -> None:
    rng = np.random.default_rng(0)
    strangers = np.empty((count, g.shape[1]), dtype=np.float32)
    for start in range(0, count, 10_000):
        block = rng.normal(size=(min(10_000, count - start), g.shape[1])).astype(np.float32)
        strangers[start : start + len(block)] = block / np.linalg.norm(block, axis=1)[:, None]
    g = np.concatenate([g, strangers])
    del strangers
    nobody = np.zeros(count, dtype=np.int64)
    gallery = Labels(
        np.concatenate([gallery.identity, nobody]), np.concatenate([gallery.camera, nobody])
    )
    reset_peak()
    before = peak_mb()

    def ranks() -> Iterator[metrics.Ranks]:
        for rows in blocks(len(p), len(g)):
            yield from metrics.positive_ranks(1 - p[rows] @ g.T, probes[rows], gallery)

    started = time.perf_counter()
    scores = metrics.per_probe(ranks()).summary()
    seconds = time.perf_counter() - started
    print(f"{len(probes)} probes, {len(gallery)} gallery images: mAP {scores.mAP:.4f}")
    print(f"{seconds:.1f} s, distances included; {peak_mb() - before:.0f} MB beside the vectors")


def reset_peak() -> None:
    """Let ``peak_mb`` tell of what comes from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """The highest memory use of this process since ``reset_peak`` (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
