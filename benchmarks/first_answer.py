"""What ``trace`` finds in a gallery without labels: an operator's first answer.

    python -m benchmarks.first_answer EXPORT.npz --probes 40

EXPORT.npz is what ``reidsearch export`` writes of Market-1501's queries and gallery. Identities are
only looked at to count. Prints a Markdown table: what is shown over all probes, how much of it is
false, and how many of the right crops (of the same person, from any camera) are found. Junk, which
the protocol leaves out, counts in a column of its own; distractors are false.
"""

import argparse
from pathlib import Path

import numpy as np

from reidsearch import calibrate, thresholds
from reidsearch.catalog import StoredImages
from reidsearch.config import DEFAULT_ENCODER
from reidsearch.encoder import Encoder
from reidsearch.ranking import transit
from reidsearch.ranking.clock import Clock
from reidsearch.ranking.pairs import mutual_pairs
from reidsearch.trace import DEFAULT_RATES, EXAMPLES, FALSE_SHARE
from reidsearch.types import JUNK, Labels, Vectors

BEFORE = (1e-4, 1e-3, 1e-2)  # rates that were tried in turn, of all pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=Path)
    parser.add_argument("--probes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with np.load(arguments.export, allow_pickle=False) as saved:
        found = {name: saved[name] for name in saved.files}
    queries = np.flatnonzero(found["split"] == "query")
    probes = np.sort(np.random.default_rng(arguments.seed).permutation(queries)[: arguments.probes])
    gallery = np.flatnonzero(found["split"] == "gallery")
    vectors, camera, identity = found["vector"], found["camera"], found["identity"]
    untimed = np.full(len(camera), np.nan)
    place = camera, found["sequence"], found["frame"], untimed
    clock = Clock.of(*(column[gallery] for column in place))
    times = clock.times(*place)

    stored = StoredImages(
        ids=found["id"][gallery],
        labels=Labels(identity=np.full(len(gallery), -2), camera=camera[gallery]),
        people={},
        cameras={},
        sequence=found["sequence"][gallery],
        frame=found["frame"][gallery],
        timestamp=untimed[gallery],
        split=found["split"][gallery],
        path=found["path"][gallery],
        dataset=np.zeros(len(gallery), dtype=np.int64),
    )
    rows = np.ones(len(gallery), dtype=bool)
    same = mutual_pairs(vectors[gallery], camera[gallery])
    model = transit.learn(clock, camera[gallery], times[gallery], same)
    cosines, scores, weight = calibrate._distributions(
        stored, vectors[gallery], rows, model, known=False
    )
    sampled = calibrate.Sampled.of(stored, rows, known=False)
    compared = vectors[gallery][sampled.sample], vectors[gallery]
    strict, strict_timed = (
        sampled.distribution(*compared, model=model, weight=w) for w in (0.0, weight)
    )
    by_looks = vectors[probes] @ vectors[gallery].T
    ratios = model.ratios(camera[probes], times[probes], camera[gallery], times[gallery])
    timed = by_looks + np.float32(weight) * ratios
    own = Encoder(DEFAULT_ENCODER).thresholds
    assert own is not None

    right = identity[probes][:, None] == identity[gallery]
    junk = np.broadcast_to(identity[gallery] == JUNK, right.shape)
    print("| threshold | shown | false | right | of | junk | median threshold |")
    print("|---|---|---|---|---|---|---|")
    for name, known, score, rates, share in (
        ("before: calibrated, no time", strict, by_looks, BEFORE, None),
        ("before: calibrated, with the time", strict_timed, timed, BEFORE, None),
        ("the encoder's, not calibrated", own, by_looks, DEFAULT_RATES, FALSE_SHARE),
        ("calibrated, no time", cosines, by_looks, DEFAULT_RATES, FALSE_SHARE),
        ("calibrated, with the time", scores, timed, DEFAULT_RATES, FALSE_SHARE),
    ):
        score_is_timed = score is timed
        chosen = [_threshold(known, row, rates, share, len(gallery)) for row in score]
        if share is not None:  # the best hits join the probe, as trace does it
            score = score.copy()
            for row, probe in enumerate(probes):
                best = np.argsort(-score[row])[:EXAMPLES]
                joined = np.append(probe, gallery[best[score[row, best] >= chosen[row]]])
                mean = vectors[joined].mean(axis=0) @ vectors[gallery].T
                if score_is_timed:
                    added = model.ratios(
                        camera[joined], times[joined], camera[gallery], times[gallery]
                    )
                    mean += np.float32(weight) * added.mean(axis=0)
                score[row] = mean
            chosen = [_threshold(known, row, rates, share, len(gallery)) for row in score]
        shown = score >= np.array(chosen)[:, None]
        hits = int((shown & ~junk).sum())
        good = int((shown & right).sum())
        print(
            f"| {name} | {hits} | {hits - good} ({(hits - good) / max(hits, 1):.1%}) | {good} "
            f"({good / right.sum():.1%}) | {right.sum()} | {(shown & junk).sum()} "
            f"| {np.median(chosen):.3f} |"
        )


def _threshold(
    known: thresholds.Tellable,
    scores: Vectors,
    rates: tuple[float, ...],
    share: float | None,
    gallery: int,
) -> float:
    if share is None:
        return next(t for t in map(known.threshold, rates) if t is not None)
    chosen = thresholds.choose(
        known, scores.tolist(), gallery=gallery, rates=rates, false_share=share
    )
    assert chosen is not None
    return chosen[0]


if __name__ == "__main__":
    main()
