"""Wall time of a cold ``reidsearch query`` against ``python -c "import torch"``.

    reidsearch ingest DATA && python -m benchmarks.cold_query PROBE.jpg

Both are whole processes, started in turn; the last line is the median of the rounds' ratios. The
gallery is the one that the settings name (REIDSEARCH_DATA_DIR), so fill it first.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("probe", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    executable = str(Path(sys.executable).with_name("reidsearch"))
    query = [executable, "query", str(arguments.probe), "--exclude-camera", "--json"]
    imported = [sys.executable, "-c", "import torch"]

    status = json.loads(subprocess.check_output([executable, "status", "--json"]))
    stored = sum(row["images"] for row in status["images"] if row["state"] == "indexed")
    for command in (query, imported):  # warm the page cache for both
        seconds(command)
    rounds = [(seconds(query), seconds(imported)) for _ in range(arguments.rounds)]
    for mine, theirs in rounds:
        print(f"query {mine:.2f} s, import torch {theirs:.2f} s, ratio {mine / theirs:.2f}")
    ratio = statistics.median(mine / theirs for mine, theirs in rounds)
    median = statistics.median(mine for mine, _ in rounds)
    print(f"median {median:.2f} s, ratio {ratio:.2f}, with {stored} images stored")


if __name__ == "__main__":
    main()
