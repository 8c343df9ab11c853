"""What expanded vectors cost: made from scratch, kept current by an ingest, and searched.

    python -m benchmarks.expanding GALLERY PROBE.jpg

GALLERY is a data dir that is filled and calibrated; copies of it are changed, it is not. Making all
vectors is compared with the bare product of all pairs of the gallery split's vectors, in single
precision, in the same process. An ingest of 15 drawn crops, and a cold query, are whole processes
with and without expanded vectors, in turn; the last lines are medians of the rounds' ratios.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from reidsearch import config, expand
from reidsearch.demo import pedestrians
from reidsearch.session import Session
from reidsearch.types import Split

BLOCK = 512  # rows of the product at a time
CROPS = 15


def building(home: Path) -> tuple[float, float, int]:
    """Seconds of the bare product of all pairs and of making all expanded vectors, of so many."""
    settings = config.load({"data_dir": str(home)}, source="argument")
    with closing(Session(settings, purpose="benchmark")) as session, session.changing():
        collection = session.collection()
        _, vectors = collection.load([Split.GALLERY])
        started = time.perf_counter()
        for start in range(0, len(vectors), BLOCK):
            vectors[start : start + BLOCK] @ vectors.T
        product = time.perf_counter() - started
        collection.catalog.expansions.drop(collection.encoder_id)
        started = time.perf_counter()
        count = expand.build(collection)
        return product, time.perf_counter() - started, count


def without(home: Path) -> None:
    """As if ``calibrate`` had never made expanded vectors."""
    settings = config.load({"data_dir": str(home)}, source="argument")
    with closing(Session(settings, purpose="benchmark")) as session, session.changing():
        collection = session.collection()
        collection.store.drop_expanded()
        collection.catalog.expansions.drop(collection.encoder_id)


def seconds(home: Path, *words: str) -> float:
    executable = str(Path(sys.executable).with_name("reidsearch"))
    started = time.perf_counter()
    subprocess.run([executable, "--data-dir", str(home), *words], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("probe")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        homes = [root / "expanded", root / "plain"]
        for home in homes:
            shutil.copytree(arguments.gallery, home)
        without(homes[1])
        pedestrians.draw_dataset(root / "drawn")
        drawn = sorted((root / "drawn" / "bounding_box_test").iterdir())
        ratios: dict[str, list[float]] = {"ingest": [], "query": []}
        for number in range(arguments.rounds):
            batch = root / f"batch-{number}"
            batch.mkdir()
            for path in drawn[CROPS * number : CROPS * (number + 1)]:
                os.link(path, batch / path.name)
            for verb, words in {
                "ingest": ("ingest", str(batch), "--json"),
                "query": ("query", arguments.probe, "--json"),
            }.items():
                expanded, plain = (seconds(home, *words) for home in homes)
                ratios[verb].append(expanded / plain)
                print(f"{verb}: {expanded:.2f} s, without {plain:.2f} s")
        product, made, count = building(homes[0])
    print(f"{count} vectors made in {made:.1f} s, {made / product:.1f}x the bare product")
    for verb, found in ratios.items():
        print(f"{verb}: {statistics.median(found):.2f}x the time without expanded vectors")


if __name__ == "__main__":
    main()
