"""Whom expansion helps and whom it hurts: each probe's average precision before and after.

    python -m benchmarks.losers GALLERY

GALLERY is a data dir with the test split. Expansion is by appearance.
"""

import argparse
from pathlib import Path

import numpy as np

import reidsearch

MUCH = 0.05  # of average precision
ALIKE = 1e-9
SHOWN = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gallery", type=Path)
    with reidsearch.open(parser.parse_args().gallery) as gallery:
        plain, expanded = gallery.evaluate(), gallery.evaluate(expand=True)
    counted = np.flatnonzero(plain.per_probe.counted)
    before, after = plain.per_probe.ap[counted], expanded.per_probe.ap[counted]
    gain = after - before
    positives = np.array([len(ranks) for ranks in plain.ranks])[counted]
    print(f"{len(counted)} probes: {(gain > ALIKE).sum()} gain, {(gain < -ALIKE).sum()} lose")
    for what, those in {"gain": gain > MUCH, "lose": gain < -MUCH}.items():
        print(
            f"{those.sum()} {what} more than {MUCH:.0%}: "
            f"in the median {np.median(before[those]):.1%} before, "
            f"and {np.median(positives[those]):g} gallery images of the person"
        )
    for at in np.argsort(gain)[:SHOWN]:
        path = plain.probe_paths[counted[at]]
        print(f"{before[at]:.1%} to {after[at]:.1%}  {path}")


if __name__ == "__main__":
    main()
