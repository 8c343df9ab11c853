"""Seconds and bytes of learning transit times, for few cameras and for many, a day and a month.

    python -m benchmarks.cameras

People are made up: each walks past ten cameras of a ring, a minute from one to the next, and is
seen twice at each. Prints a Markdown table; the last column is the mean log-likelihood ratio of
pairs of one person, then of different people, from two cameras.
"""

import time

import numpy as np

from reidsearch.ranking import transit
from reidsearch.ranking.clock import SECONDS, Clock, Times
from reidsearch.ranking.pairs import known_pairs
from reidsearch.types import Ids

PEOPLE, PLACES, SEEN = 2000, 10, 2
PROBES = 200
DAY = 86_400.0


def walks(cameras: int, days: float) -> tuple[Ids, Ids, Times]:
    """Identity, camera and time (seconds) of each sighting."""
    rng = np.random.default_rng(0)
    stop = np.repeat(np.arange(PLACES), SEEN)
    camera = (rng.integers(0, cameras, (PEOPLE, 1)) + stop) % cameras + 1
    times = rng.uniform(0, days * DAY, (PEOPLE, 1)) + 60.0 * stop
    times = times + rng.normal(0, 6, times.shape)
    return np.repeat(np.arange(1, PEOPLE + 1), len(stop)), camera.reshape(-1), times.reshape(-1)


def main() -> None:
    print("| cameras | days | pairs of cameras | learned in | stored | same, different |")
    print("|---|---|---|---|---|---|")
    for cameras, days in ((6, 1), (6, 30), (50, 30), (200, 1), (200, 30)):
        identity, camera, times = walks(cameras, days)
        started = time.perf_counter()
        same = known_pairs(identity, camera)
        model = transit.learn(Clock(SECONDS, {}), camera, times, same)
        seconds = time.perf_counter() - started
        ratios = model.ratios(camera[:PROBES], times[:PROBES], camera, times)
        apart = camera[:PROBES, None] != camera
        one = apart & (identity[:PROBES, None] == identity)
        print(
            f"| {cameras} | {days} | {len(model.own)} | {seconds:.1f} s "
            f"| {len(model.to_bytes()) / 1e6:.2f} MB "
            f"| {ratios[one].mean():.1f}, {ratios[apart & ~one].mean():.1f} |"
        )


if __name__ == "__main__":
    main()
