"""Neighbours from cells in place of all pairs: what is missed, what that costs, and what it saves.

    python -m benchmarks.cells --gallery GALLERY
    python -m benchmarks.cells --crops 300000 [--dimension 128]

GALLERY is a data dir with the test split, calibrated, or of people held out from training
(benchmarks/held_out_gallery.py). Cells are forced on it, and a Markdown table says, by appearance
and with transit times, for each number of cells that a vector looks in: which share of the
neighbours that all pairs give was found, Rank-1 and mAP of expanded vectors, and seconds.

The other call draws so many vectors of synthetic people (benchmarks/scale.py) and prints one JSON
document: seconds of making cells, of dividing the vectors among them and of finding neighbours, for
each number of cells looked in with the share that was found for some, and what all pairs would
take, from some of them.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.scale import BATCH, Crowd
from reidsearch import config
from reidsearch.evaluation import vectors
from reidsearch.evaluation.trial import Trial
from reidsearch.learning import expand
from reidsearch.learning.expand import SETTINGS
from reidsearch.ranking import cells, expansion, metrics
from reidsearch.ranking.expansion import Neighbours, Pool
from reidsearch.ranking.ranking import Expanded, Ranking, Sighted
from reidsearch.session import Session
from reidsearch.types import Ids, Split, Vectors
from reidsearch.vectors.collection import Collection

LOOKED_IN = (1, 2, 4, 8, 16, 32, 64)
SOME = 2000  # vectors whose true neighbours are found


@dataclass(frozen=True)
class World:
    """A gallery's images as a pool, and its probes."""

    trial: Trial
    rows: Ids
    pool: Pool
    probes: Vectors
    place: Ids
    seen: Sighted

    @classmethod
    def of(cls, collection: Collection, ranking: Ranking) -> "World":
        trial = Trial.of(collection, multi_query=False)
        rows = np.flatnonzero(trial.stored.split == Split.GALLERY)
        place, seen = expand.placed(trial.stored, collection, ranking)
        probes, adapted = vectors._adapted(trial, rows, vectors._learned(trial, rows))
        pool = Pool(adapted, place[rows], seen.at(rows), ranking)
        mine = place[trial.probes], seen.at(trial.probes)
        return cls(trial, rows, pool, probes, *mine)

    def scores(self, lists: Neighbours) -> metrics.Scores:
        """With vectors that carry these neighbours."""
        vectors = expansion.carrying(self.pool.vectors, lists, self.pool.vectors, SETTINGS)
        carrying = Pool(vectors, self.pool.place, self.pool.seen, self.pool.ranking)
        probes = expand.looked_again(self.probes, self.place, self.seen, carrying)
        learned = self.pool.ranking.calibration
        kind = Expanded.APPEARANCE if learned is None else Expanded.TIMES
        ranking = Ranking(learned, expanded=kind)
        gallery = vectors[np.searchsorted(self.rows, self.trial.gallery)]
        ranks: list[metrics.Ranks] = []
        for distances in ranking.distances(probes, gallery, seen=self.trial.seen(ranking)):
            part = self.trial.probe_labels[np.arange(len(ranks), len(ranks) + len(distances))]
            ranks += metrics.positive_ranks(distances, part, self.trial.gallery_labels)
        return metrics.per_probe(ranks).summary()


def recall(found: Neighbours, exact: Neighbours) -> float:
    """The share of the neighbours that all pairs give."""
    same = (found.nearest[:, :, None] == exact.nearest[:, None, :]) & (found.nearest >= 0)[
        ..., None
    ]
    return float(same.any(axis=1).sum() / (exact.nearest >= 0).sum())


def on_gallery(home: Path, counts: list[int | None], looked: list[int]) -> None:
    settings = config.load({"data_dir": str(home)}, source="argument")
    with closing(Session(settings, purpose="benchmark")) as session:
        collection = session.collection()
        print("| neighbours | cells | looked in | found | Rank-1 | mAP | seconds |")
        print("|---|---|---|---|---|---|---|")
        for name, ranking in (
            ("by appearance", Ranking()),
            ("by times", expand.best_ranking(collection)),
        ):
            world = World.of(collection, ranking)
            every = np.arange(len(world.pool))
            with timed() as taken:
                exact = expansion.nearest(world.pool, every, k=SETTINGS.stored)
            row(name, "", "all pairs", 1.0, world.scores(exact), taken)
            for count in counts:
                learned = cells.learn(world.pool.vectors, images=len(every), count=count)
                for looked_in in looked:
                    with timed() as taken:
                        division = learned.divide(world.pool.vectors, looked_in=looked_in)
                        found = expansion.nearest(
                            world.pool, every, k=SETTINGS.stored, division=division
                        )
                    share = recall(found, exact)
                    row(name, len(learned), looked_in, share, world.scores(found), taken)


def row(
    name: str, count: int | str, looked_in: int | str, found: float, scores: metrics.Scores,
    taken: list[float],
) -> None:  # fmt: skip
    print(
        f"| {name} | {count} | {looked_in} | {found:.2%} | {scores.cmc[1]:.2%} | {scores.mAP:.2%} "
        f"| {taken[0]:.1f} |",
        flush=True,
    )


@contextmanager
def timed() -> Iterator[list[float]]:
    """Seconds, when it has ended."""
    taken: list[float] = []
    started = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - started)


def on_crowd(crops: int, dimension: int, looked: list[int]) -> dict[str, object]:
    crowd = Crowd(crops, dimension)
    vectors = np.empty((crops, dimension), dtype=np.float32)
    for start in range(0, crops, BATCH):
        rows = np.arange(start, min(start + BATCH, crops))
        vectors[rows] = crowd.vectors(rows, seed=1)
    # As ids are, which are hashes.
    vectors = vectors[np.random.default_rng(4).permutation(crops)]
    nowhere = np.zeros(crops, dtype=np.int64)
    pool = Pool(vectors, nowhere, Sighted(nowhere, np.full(crops, np.nan)), Ranking())
    every = np.arange(crops)
    some = np.sort(np.random.default_rng(5).permutation(crops)[:SOME])
    before = peak_mb()
    with timed() as paired:
        exact = expansion.nearest(pool, some, k=SETTINGS.stored)
    with timed() as making:
        learned = cells.learn(vectors, images=crops)
    looks = {}
    for looked_in in looked:
        with timed() as dividing:
            division = learned.divide(vectors, looked_in=looked_in)
        with timed() as finding:
            found = expansion.nearest(pool, every, k=SETTINGS.stored, division=division)
        looks[looked_in] = {
            "divide_seconds": round(dividing[0], 1),
            "find_seconds": round(finding[0], 1),
            "recall": round(recall(found[some], exact), 4),
        }
    return {
        "crops": crops,
        "dimension": dimension,
        "cells": len(learned),
        "all_pairs_seconds": round(paired[0] * crops / SOME, 1),
        "learn_seconds": round(making[0], 1),
        "looked_in": looks,
        "mb_beside_vectors": round(peak_mb() - before),
    }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--gallery", type=Path)
    what.add_argument("--crops", type=int)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--cells", type=int, nargs="*", default=[])
    parser.add_argument("--looked-in", type=int, nargs="*", default=LOOKED_IN)
    arguments = parser.parse_args()
    if arguments.gallery is not None:
        on_gallery(arguments.gallery, arguments.cells or [None], arguments.looked_in)
    else:
        print(json.dumps(on_crowd(arguments.crops, arguments.dimension, arguments.looked_in)))


if __name__ == "__main__":
    main()
