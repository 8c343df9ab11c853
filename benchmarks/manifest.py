"""Seconds and memory of reading a manifest of a million rows, against Python's csv module alone.

    python -m benchmarks.manifest

Both read the same file in turn, in one process; seconds are the processor's, so that what else runs
on the machine counts less. The ratio is that of the medians. Memory is the highest resident set of
a process that reads the manifest once, with what it has read. Linux only.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reidsearch import datasets

COLUMNS = ("path", "camera", "identity", "sequence", "frame", "timestamp", "split")


def write(path: Path, rows: int) -> None:
    """A manifest of 200 cameras and 20,000 people."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in range(rows):
            camera, hour, minute, second = row % 200, row % 24, row // 24 % 60, row // 1440 % 60
            time = f"2024-05-{1 + row % 28:02}T{hour:02}:{minute:02}:{second:02}+02:00"
            where = f"camera-{camera:03}/2024-05/{row:08}.jpg"
            writer.writerow(
                [where, f"camera-{camera:03}", row % 20_000 + 1, row % 5, row, time, "gallery"]
            )


def by_csv(path: Path) -> int:
    """How many rows the csv module reads."""
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def by_us(path: Path) -> int:
    """How many rows become sightings."""
    return len(datasets.read(path).sightings)


def seconds(call: Callable[[Path], int], path: Path, rows: int) -> float:
    started = time.process_time()
    count = call(path)
    if count != rows:
        raise AssertionError(f"{count} rows of {rows}")
    return time.process_time() - started


def peak_mb(path: Path) -> float:
    """Of a process of its own."""
    code = (
        "import sys; from pathlib import Path; from reidsearch import datasets;"
        "found = datasets.read(Path(sys.argv[1]));"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crops.csv"
        write(path, arguments.rows)
        times: dict[str, list[float]] = {"csv": [], "reidsearch": []}
        for _ in range(arguments.rounds):
            times["csv"].append(seconds(by_csv, path, arguments.rows))
            times["reidsearch"].append(seconds(by_us, path, arguments.rows))
        for name, every in times.items():
            print(f"{name}: median {statistics.median(every):.2f} s of {every}")
        ratio = statistics.median(times["reidsearch"]) / statistics.median(times["csv"])
        print(f"ratio {ratio:.1f}; highest memory {peak_mb(path):.0f} MB")


if __name__ == "__main__":
    main()
