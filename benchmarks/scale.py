"""What a gallery of N crops costs: filled, opened, asked, and taken more into.

    python -m benchmarks.scale --crops 300000 [--url http://localhost:6333] [--keep FOLDER]

The people are synthetic: vectors are drawn, nothing is encoded, and the encoder is the shipped one.
A cold query and an ingest of 15 drawn crops are whole processes. Searches are the product's, with
the catalog's rows of their hits, among crops of 20 cameras and 30 days: of all, without the probe's
own camera, of half of the cameras, and of three days. One JSON document is printed, with the
processor's time beside the clock's, which others on a machine slow down; what else there is to know
of the fill is on stderr. Linux only, for its count of resident memory.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict
from unittest import mock

import numpy as np

from reidsearch import config, files
from reidsearch.catalog import Candidate
from reidsearch.demo import pedestrians
from reidsearch.hashes import image_id
from reidsearch.pictures.decoding import Picture
from reidsearch.search.find import Sought, find
from reidsearch.session import Session
from reidsearch.types import Filter, Ids, Points, Sighting, Vectors
from reidsearch.vectors import indexing
from reidsearch.vectors.collection import Collection
from reidsearch.vectors.indexing import Decoded

BATCH = 2048  # crops recorded and stored together
CAMERAS, DAYS = 20, 30
SPAN = 3  # days that a search is narrowed to
DAY = 86_400.0
BEGAN = 1_714_521_600.0  # 2024-05-01, in seconds since 1970 UTC
OF_ONE = 20  # crops of a person
SPACE = 64  # dimensions in which people differ: strangers are a little alike, as they are
SPREAD = (0.45, 0.6)  # what a camera, and what a crop adds to a person's vector of length 1
CROPS = 15  # taken in afterwards
PROBES = 60
EXACT = 12  # of them compared with an exact scan
TOP_K = 10
ROUNDS = 3  # of whole processes; medians count


class Searches(TypedDict):
    """Milliseconds of a warm search, and the share of the exact scan's ten best that it found."""

    p50_ms: float
    p95_ms: float
    exact_p50_ms: float
    recall_at_10: float


class WorkedSearches(TypedDict):
    """The processor's milliseconds of the same."""

    p50_ms: float
    p95_ms: float
    exact_p50_ms: float


class Worked(TypedDict):
    """The processor's time of what has the same names in ``Report``."""

    fill_seconds: float
    optimise_seconds: float
    cold_query_seconds: float
    ingest_15_seconds: float
    searches: dict[str, WorkedSearches]


class Report(TypedDict):
    """All that is printed."""

    crops: int
    fill_seconds: float
    store_fill_seconds: float
    optimise_seconds: float
    open_seconds: float
    cold_query_seconds: float
    rss_mb: float
    ingest_15_seconds: float
    bytes_on_disk: int
    searches: dict[str, Searches]
    processor: Worked


class Crowd:
    """Synthetic people: crop n shows a person at a camera on a day, all drawn from ``crops``."""

    def __init__(self, crops: int, dimension: int) -> None:
        random = np.random.default_rng(0)
        self.crops = crops
        people = random.standard_normal((crops // OF_ONE + 1, SPACE), dtype=np.float32)
        space = random.standard_normal((SPACE, dimension), dtype=np.float32)
        self._people = _unit(people @ space)
        self._cameras = _unit(random.standard_normal((CAMERAS, dimension), dtype=np.float32))

    def cameras(self, rows: Ids) -> Ids:
        return rows // 3 % CAMERAS  # a few crops of each stay

    def people(self, rows: Ids) -> Ids:
        return rows // OF_ONE

    def times(self, rows: Ids) -> list[float]:
        days = self.people(rows) * 7 % DAYS
        times: list[float] = (BEGAN + days * DAY + rows % 36_000).tolist()
        return times

    def vectors(self, rows: Ids, *, seed: int) -> Vectors:
        """N x D: crops of these rows' people at their cameras, others for each ``seed``."""
        random = np.random.default_rng([seed, int(rows[0])])
        noise = random.standard_normal((len(rows), self._people.shape[1]), dtype=np.float32)
        mixed: Vectors = (
            self._people[self.people(rows)]
            + SPREAD[0] * self._cameras[self.cameras(rows)]
            + SPREAD[1] * _unit(noise)
        )
        return _unit(mixed)


def _unit(vectors: Vectors) -> Vectors:
    lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


@dataclass
class Filled:
    """Seconds of the whole fill, of the store's part, and of each batch: both, and the processor's
    of the whole."""

    seconds: float
    store: float
    batches: list[tuple[float, float, float]]

    @property
    def growth(self) -> tuple[float, float, float]:
        """How many times as long the last tenth of the whole batches took as the first: the whole,
        the store's part, and the processor."""
        whole = np.array(self.batches[:-1] or self.batches)
        count = max(len(whole) // 10, 1)
        both, stored, worked = (whole[-count:].sum(axis=0) / whole[:count].sum(axis=0)).tolist()
        return both, stored, worked


def fill(collection: Collection, crowd: Crowd) -> Filled:
    """As an ingest does it, but for the pictures: recorded, stored, confirmed."""
    name = f"crowd-{crowd.crops}"
    dataset_id = collection.catalog.places.add_dataset(name, Path("/nowhere"))
    nothing = Picture(np.zeros((1, 1, 3), dtype=np.uint8), 1, 1)
    stored = 0.0
    batches: list[tuple[float, float, float]] = []
    upsert = collection.store.upsert

    def timed(points: Points) -> None:
        nonlocal stored
        started = time.perf_counter()
        upsert(points)
        stored += time.perf_counter() - started

    with mock.patch.object(collection.store, "upsert", timed):
        for rows in _batches(crowd.crops):
            vectors = crowd.vectors(rows, seed=1)
            columns = (rows.tolist(), crowd.cameras(rows).tolist(), crowd.times(rows))
            sightings = [
                Sighting(
                    f"{row:08d}.jpg",
                    camera=f"camera {camera}",
                    identity=f"{row // OF_ONE}",
                    timestamp=at,
                )
                for row, camera, at in zip(*columns, strict=True)
            ]
            candidates = [Candidate(image_id(name, s.path), s, 1, 1) for s in sightings]
            digests = [hashlib.sha256(s.path.encode()).hexdigest() for s in sightings]
            started, worked = time.perf_counter(), time.process_time()
            recorded = collection.catalog.embeddings.stale(
                dataset_id, collection.encoder_id, candidates
            )
            points = [
                (Decoded(image, nothing, digest), vector)
                for image, digest, vector in zip(recorded, digests, vectors, strict=True)
            ]
            indexing.store(collection, dataset_id, points)
            seconds = time.perf_counter() - started
            batches.append((seconds, stored, time.process_time() - worked))
            stored = 0.0
    whole, store, _ = (sum(column) for column in zip(*batches, strict=True))
    return Filled(whole, store, batches)


def _batches(crops: int) -> Iterator[Ids]:
    for start in range(0, crops, BATCH):
        yield np.arange(start, min(start + BATCH, crops))


def ask(
    collection: Collection, crowd: Crowd
) -> tuple[dict[str, Searches], dict[str, WorkedSearches]]:
    """Warm searches, each filter's in turn."""
    rows = np.random.default_rng(2).integers(0, crowd.crops, PROBES)
    probes = [crowd.vectors(rows[at : at + 1], seed=3) for at in range(PROBES)]
    cameras = sorted(one.id for one in collection.catalog.places.cameras())
    own = [cameras[at] for at in crowd.cameras(rows).tolist()]
    days = [int((at - BEGAN) // DAY) for at in crowd.times(rows)]
    begun = [BEGAN + DAY * min(day, DAYS - SPAN) for day in days]
    filters = {
        "none": [Filter()] * PROBES,
        "camera_out": [Filter(without_cameras=(camera,)) for camera in own],
        "half_cameras": [Filter(cameras=tuple(cameras[::2]))] * PROBES,
        "three_days": [Filter(since=at, until=at + SPAN * DAY) for at in begun],
    }
    found, work = {}, {}
    for name, wheres in filters.items():
        taken, worked, hits = _searched(collection, probes, wheres)
        exactly, exact, best = _searched(collection, probes[:EXACT], wheres, exact=True)
        same = sum(len(set(a) & set(b)) for a, b in zip(hits, best, strict=False))
        p50, p95 = np.percentile(taken, (50, 95)).tolist()
        found[name] = Searches(
            p50_ms=_milliseconds(p50),
            p95_ms=_milliseconds(p95),
            exact_p50_ms=_milliseconds(statistics.median(exactly)),
            recall_at_10=round(same / sum(map(len, best)), 4),
        )
        p50, p95 = np.percentile(worked, (50, 95)).tolist()
        work[name] = WorkedSearches(
            p50_ms=_milliseconds(p50),
            p95_ms=_milliseconds(p95),
            exact_p50_ms=_milliseconds(statistics.median(exact)),
        )
    return found, work


def _searched(
    collection: Collection, probes: list[Vectors], wheres: list[Filter], *, exact: bool = False
) -> tuple[list[float], list[float], list[list[int]]]:
    """Seconds of each search, those of the processor, and the ids of its hits."""
    taken, worked, hits = [], [], []
    for probe, where in zip(probes, wheres, strict=False):
        started, begun = time.perf_counter(), time.process_time()
        found = find(collection, Sought(vector=probe, where=where, top_k=TOP_K, exact=exact))
        taken.append(time.perf_counter() - started)
        worked.append(time.process_time() - begun)
        hits.append([one.image.id for one in found])
    return taken[1:], worked[1:], hits  # the first one reads what is on disk


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 2)


# A process that is started from one with much memory counts that as its own.
SMALL = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
"""


class Process(NamedTuple):
    """Of a whole process the seconds, the processor's seconds, and the MB at most (resident)."""

    seconds: float
    worked: float
    resident: float


def process(settings: config.Config, *words: str) -> Process:
    """Run a command of reidsearch."""
    given = ["--data-dir", str(settings.data_dir)]
    if settings.qdrant_url is not None:
        given += ["--qdrant-url", settings.qdrant_url]
    command = [sys.executable, "-m", "reidsearch", *given, *words]
    started = time.perf_counter()
    told = subprocess.check_output([sys.executable, "-c", SMALL, *command]).split()
    return Process(time.perf_counter() - started, float(told[1]), int(told[0]) / 1024)


def measure(settings: config.Config, folder: Path, crops: int) -> Report:
    with closing(Session(settings, purpose="benchmark")) as session, session.changing():
        collection = session.collection_to_fill()
        crowd = Crowd(crops, collection.dimension)
        filled = fill(collection, crowd)
        started, worked = time.perf_counter(), _worked()
        collection.store.optimise()
        optimise, optimise_worked = time.perf_counter() - started, _worked() - worked
    both, stored, both_worked = filled.growth
    print(
        f"the last tenth took {both:.2f}x the time of the first, in the store {stored:.2f}x, of "
        f"the processor's {both_worked:.2f}x",
        file=sys.stderr,
    )
    with closing(Session(settings, purpose="benchmark")) as session:
        started = time.perf_counter()
        collection = session.collection()
        opened = time.perf_counter() - started
        searches, searches_worked = ask(collection, crowd)
    pedestrians.draw_dataset(folder / "drawn")
    drawn = sorted((folder / "drawn" / "bounding_box_test").iterdir())
    colds = [process(settings, "query", str(drawn[0]), "--json") for _ in range(ROUNDS)]
    size = files.bytes_on_disk(settings.data_dir)
    taken_in = []
    for number in range(ROUNDS):
        batch = folder / f"batch-{number}"
        batch.mkdir()
        for path in drawn[CROPS * number : CROPS * (number + 1)]:
            os.link(path, batch / path.name)
        taken_in.append(process(settings, "ingest", str(batch), "--json"))
    return Report(
        crops=crops,
        fill_seconds=round(filled.seconds, 2),
        store_fill_seconds=round(filled.store, 2),
        optimise_seconds=round(optimise, 2),
        open_seconds=round(opened, 3),
        cold_query_seconds=round(statistics.median(one.seconds for one in colds), 3),
        rss_mb=round(max(one.resident for one in colds), 1),
        ingest_15_seconds=round(statistics.median(one.seconds for one in taken_in), 3),
        bytes_on_disk=size,
        searches=searches,
        processor=Worked(
            fill_seconds=round(sum(worked for *_, worked in filled.batches), 2),
            optimise_seconds=round(optimise_worked, 2),
            cold_query_seconds=round(statistics.median(one.worked for one in colds), 3),
            ingest_15_seconds=round(statistics.median(one.worked for one in taken_in), 3),
            searches=searches_worked,
        ),
    )


def _worked() -> float:
    """The processor's seconds so far, of this process and of those that it waited for."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, both))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=int, required=True)
    parser.add_argument("--url", help="a Qdrant server; without one vectors are embedded")
    parser.add_argument("--keep", type=Path, help="make the gallery here, and leave it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        home = arguments.keep or folder / "home"
        settings = config.load({"data_dir": str(home), "qdrant_url": arguments.url})
        print(json.dumps(measure(settings, folder, arguments.crops)))


if __name__ == "__main__":
    main()
