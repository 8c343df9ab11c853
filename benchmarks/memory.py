"""Peak memory of ``reidsearch ingest`` for a small and a ten times larger folder.

    python -m benchmarks.memory

The crops are drawn and hard-linked under as many names as needed. Two peaks are printed: the
process's own (anonymous) memory, and its whole resident set, which also counts the pages of the
vector files that happen to be mapped; those the system takes back when it needs them. Linux only.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reidsearch.demo import pedestrians

SIZES = (2_000, 20_000)
INTERVAL = 0.02  # seconds between two looks


def peaks(folder: Path, home: Path) -> tuple[float, float]:
    """The largest anonymous memory and resident set of an ingest of ``folder``, in MB."""
    words = ["--data-dir", str(home), "--quiet", "ingest", str(folder), "--json"]
    executable = str(Path(sys.executable).with_name("reidsearch"))
    own = whole = 0
    with subprocess.Popen([executable, *words], stdout=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            if "RssAnon" in lines:  # not while it is only just starting or has ended
                own = max(own, int(lines["RssAnon"].split()[0]))
                whole = max(whole, int(lines["VmHWM"].split()[0]))
            time.sleep(INTERVAL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return own / 1024, whole / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        pedestrians.draw_dataset(root / "drawn")
        drawn = sorted((root / "drawn" / "bounding_box_test").iterdir())
        measured = []
        for size in SIZES:
            folder = root / f"crops-{size}"
            folder.mkdir()
            for number in range(size):
                source = drawn[number % len(drawn)]
                os.link(source, folder / f"{number:06d}_c{number % 6}s1_{number:06d}_00.jpg")
            measured.append(peaks(folder, root / f"home-{size}"))
            own, whole = measured[-1]
            print(f"{size} images: own {own:.0f} MB, resident {whole:.0f} MB")
    (small, _), (large, _) = measured
    print(f"ratio of own memory {large / small:.2f}")


if __name__ == "__main__":
    main()
