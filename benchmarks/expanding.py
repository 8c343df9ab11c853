"""What expanded vectors cost: made from scratch, kept current by an ingest, and searched.

    python -m benchmarks.expanding GALLERY PROBE.jpg

GALLERY is a data dir that is filled and calibrated; copies of it are changed, it is not. Making all
vectors is compared with the bare product of all pairs of the gallery split's vectors, in single
precision, in the same process, and so is the highest memory (Linux). An ingest of 15 crops, and a
cold query, are whole processes with and without expanded vectors, in turn; the last lines are
medians of the rounds' ratios. The crops are stored ones with a narrower frame, at their own site,
cameras and times, so that there is something to do: their neighbours' vectors change, too.
"""

import argparse
import csv
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from PIL import Image

from reidsearch import config
from reidsearch.learning import expand
from reidsearch.session import Session
from reidsearch.types import Split

BLOCK = 512  # rows of the product at a time
CROPS = 15


def building(home: Path) -> tuple[float, float, int, float]:
    """Seconds of the bare product of all pairs and of making all expanded vectors, of so many, and
    MB that this took beyond the open gallery, its vectors and a block of the product."""
    settings = config.load({"data_dir": str(home)}, source="argument")
    with closing(Session(settings, purpose="benchmark")) as session, session.changing():
        collection = session.collection()
        _, vectors = collection.load([Split.GALLERY])
        started = time.perf_counter()
        for start in range(0, len(vectors), BLOCK):
            vectors[start : start + BLOCK] @ vectors.T
        product = time.perf_counter() - started
        collection.catalog.expansions.drop(collection.encoder_id)
        before = highest_mb()
        started = time.perf_counter()
        count = expand.build(collection)
        return product, time.perf_counter() - started, count, highest_mb() - before


def highest_mb() -> float:
    """Of this process so far, mapped files among it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def without(home: Path) -> None:
    """As if ``calibrate`` had never made expanded vectors."""
    settings = config.load({"data_dir": str(home)}, source="argument")
    with closing(Session(settings, purpose="benchmark")) as session, session.changing():
        collection = session.collection()
        collection.store.drop_expanded()
        collection.catalog.expansions.drop(collection.encoder_id)


def batch(home: Path, folder: Path, seed: int) -> list[str]:
    """Write some gallery images' crops with a narrower frame, and a manifest of what is known of
    them; the words that ingest it."""
    folder.mkdir()
    settings = config.load({"data_dir": str(home)}, source="argument")
    with closing(Session(settings, purpose="benchmark")) as session:
        stored = [one for one in session.catalog.images.all() if one.split is Split.GALLERY]
    chosen = random.Random(seed).sample([one for one in stored if one.camera], CROPS)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "camera", "sequence", "frame", "timestamp"))
        for one in chosen:
            with Image.open(one.file) as picture:
                width, height = picture.size
                box = (2, 3, width - 2, height - 3)
                picture.convert("RGB").crop(box).save(folder / f"{one.id}.jpg", quality=95)
            rows.writerow((f"{one.id}.jpg", one.camera, one.sequence, one.frame, one.timestamp))
    name = f"{chosen[0].dataset}-{seed}"
    return ["ingest", str(folder / "manifest.csv"), "--name", name, "--site", chosen[0].site]


def asked(home: Path, *words: str) -> tuple[float, dict[str, object]]:
    """Seconds of a command, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "reidsearch", "--data-dir", str(home), *words, "--json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return time.perf_counter() - started, json.loads(done.stdout)


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
        ratios: dict[str, list[float]] = {"ingest": [], "query": []}
        for number in range(arguments.rounds):
            words = batch(homes[0], root / f"batch-{number}", number)
            (expanded, told), (plain, untouched) = (asked(home, *words) for home in homes)
            # Else something was compared that both did, or nothing at all.
            assert told["calibrated"] is untouched["calibrated"] is None
            assert told["expanded"] != untouched["expanded"] == 0
            ratios["ingest"].append(expanded / plain)
            print(f"ingest: {expanded:.2f} s, {told['expanded']} expanded; without {plain:.2f} s")
            expanded, plain = (asked(home, "query", arguments.probe)[0] for home in homes)
            ratios["query"].append(expanded / plain)
            print(f"query: {expanded:.2f} s, without {plain:.2f} s")
        product, made, count, memory = building(homes[0])
    print(f"{count} vectors made in {made:.1f} s, {made / product:.1f}x the bare product")
    print(f"{memory:.0f} MB for it, beyond the open gallery and its vectors")
    for verb, found in ratios.items():
        print(f"{verb}: {statistics.median(found):.2f}x the time without expanded vectors")


if __name__ == "__main__":
    main()
