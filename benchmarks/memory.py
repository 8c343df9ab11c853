"""Peak memory of ``reidsearch ingest`` for a small and a ten times larger folder.

    python -m benchmarks.memory

The crops are drawn and hard-linked under as many names as needed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from reidsearch import pedestrians

SIZES = (2_000, 20_000)


def peak_megabytes(folder: Path, home: Path) -> float:
    """The largest resident set of an ingest of ``folder``, in MB; measured in a child process,
    because the system counts the maximum over all of a process's children."""
    words = ["--data-dir", str(home), "--quiet", "ingest", str(folder)]
    executable = str(Path(sys.executable).with_name("reidsearch"))
    pid = os.posix_spawn(executable, [executable, *words], os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), words)
    return usage.ru_maxrss / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        pedestrians.draw_dataset(root / "drawn")
        drawn = sorted((root / "drawn" / "bounding_box_test").iterdir())
        peaks = []
        for size in SIZES:
            folder = root / f"crops-{size}"
            folder.mkdir()
            for number in range(size):
                source = drawn[number % len(drawn)]
                os.link(source, folder / f"{number:06d}_c{number % 6}s1_{number:06d}_00.jpg")
            peaks.append(peak_megabytes(folder, root / f"home-{size}"))
            print(f"{size} images: {peaks[-1]:.0f} MB")
    print(f"ratio {peaks[1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
