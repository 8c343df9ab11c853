"""What it costs to ask the process that holds the vectors, rather than to hold them.

    python -m benchmarks.lending

Random unit vectors in a Qdrant Edge shard; the same work by the process that holds it, and by
another one to which it is lent, in turns. Printed are medians over the rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from reidsearch.stores import VectorStore
from reidsearch.stores.edge import EdgeStore
from reidsearch.stores.lender import Lender
from reidsearch.stores.lent import LentStore, borrow
from reidsearch.types import Filter, Points, Vectors

DIMENSION = 704
BATCH = 2048
NAME = "f00d"
SEARCHES = 40  # in a round


class Shelf:
    """Lends the one store that there is."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def lend(self, fingerprint: str, dimension: int) -> VectorStore:
        return self._store

    def took_back(self, fingerprint: str) -> None:
        pass

    @contextmanager
    def turn(self, borrower: str, *, patience: float) -> Iterator[None]:
        yield


def random_units(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measured(store: VectorStore) -> tuple[float, float]:
    """The seconds of a search (a median) and of reading all vectors."""
    probes = random_units(SEARCHES, seed=1)
    each = [
        seconds(lambda one=one: store.search(one[None], limit=510, where=Filter()))  # type: ignore[misc]
        for one in probes
    ]
    return statistics.median(each), seconds(lambda: list(store.scroll()))


def measured_by_borrower(folder: str) -> tuple[float, float]:
    loan = borrow(Path(folder), borrower="the benchmark")
    assert loan is not None
    with closing(loan):
        return measured(LentStore(loan, fingerprint=NAME, dimension=DIMENSION))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=23_100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with closing(EdgeStore(path / NAME, dimension=DIMENSION)) as store:
            for start in range(0, arguments.images, BATCH):
                vectors = random_units(min(BATCH, arguments.images - start), seed=start)
                ids = start + 1 + np.arange(len(vectors))
                store.upsert(Points(ids, vectors, [{"split": "gallery"}] * len(vectors)))
            own, lent = [], []
            with (
                closing(Lender(path, Shelf(store))),
                get_context("spawn").Pool(1) as other,
            ):
                for _ in range(arguments.rounds):
                    own.append(measured(store))
                    lent.append(other.apply(measured_by_borrower, (folder,)))
    for what, at in (("a search", 0), ("reading all vectors", 1)):
        mine, theirs = (statistics.median(one[at] for one in some) for some in (own, lent))
        ratio = statistics.median(b[at] / a[at] for a, b in zip(own, lent, strict=True))
        print(f"{what}: held {mine * 1e3:.1f} ms, lent {theirs * 1e3:.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
