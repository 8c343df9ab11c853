"""How a gallery grows, drawn from what ``benchmarks.scale`` prints.

    python -m benchmarks.growth results/growth.jsonl --out docs/growth.svg [--crops N ...]

Times are the processor's, which others on a machine slow down least. The file has one document of
``scale`` a line, of one number of crops each. With ``--crops`` these are measured first, one after
the other, and take the place of what the file says of them.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.scale import Report
from reidsearch.files import replacing
from reidsearch.views.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (10.0, 3.4)  # three plots beside each other, at the width of a README
STYLE: Any = {  # its type is another in every version of matplotlib
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), LIGHT.ink),
    **dict.fromkeys(("xtick.color", "ytick.color"), LIGHT.ink),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "grid.color": LIGHT.unsure,
    "grid.alpha": 0.3,
    "legend.fontsize": "small",
    "legend.frameon": False,
    "svg.hashsalt": "growth",  # the same document draws the same file
}
SEARCHES = {
    "none": "no filter",
    "camera_out": "own camera out",
    "half_cameras": "half of the cameras",
    "three_days": "3 of 30 days",
}


def read(file: Path) -> list[Report]:
    """The documents in a file, by the number of crops."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found: list[Report] = [json.loads(line) for line in lines]
    return sorted(found, key=lambda one: one["crops"])


def measured(crops: int) -> Report:
    """What ``scale`` prints of so many."""
    command = [sys.executable, "-m", "benchmarks.scale", "--crops", str(crops)]
    report: Report = json.loads(subprocess.check_output(command))
    return report


def write(file: Path, reports: Sequence[Report]) -> None:
    """Put documents in place of those of as many crops."""
    known = {one["crops"]: one for one in (*read(file), *reports)}
    with replacing(file) as partial:
        lines = (json.dumps(known[crops]) + "\n" for crops in sorted(known))
        partial.write_text("".join(lines), encoding="utf-8")


def draw(reports: Sequence[Report], out: Path) -> None:
    """Times of processes, of warm searches, and memory, over the number of crops; as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    crops = [one["crops"] for one in reports]
    with rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        processes, searches, memory = figure.subplots(1, 3)
        _plot(processes, "A whole process, seconds", crops, {
            "a cold query": [one["processor"]["cold_query_seconds"] for one in reports],
            "taking in 15 crops": [one["processor"]["ingest_15_seconds"] for one in reports],
        })  # fmt: skip
        processes.set_ylim(bottom=0)
        found = {
            told: [one["processor"]["searches"][name]["p50_ms"] for one in reports]
            for name, told in SEARCHES.items()
        }
        found["no filter, exact"] = [
            one["processor"]["searches"]["none"]["exact_p50_ms"] for one in reports
        ]
        _plot(searches, "A warm search, milliseconds", crops, found)
        searches.set_yscale("log")
        _plot(memory, "MB", crops, {
            "on disk": [one["bytes_on_disk"] / 1e6 for one in reports],
            "memory of a cold query": [one["rss_mb"] for one in reports],
        })  # fmt: skip
        memory.set_yscale("log")
        figure.savefig(out, metadata={"Date": None})


def _plot(axes: "Axes", title: str, crops: Sequence[int], lines: dict[str, list[float]]) -> None:
    looks = zip("os^vD", ("-", "-", "-", "-", "--"), strict=True)
    for (name, values), (marker, line) in zip(lines.items(), looks, strict=False):
        axes.plot(crops, values, marker=marker, linestyle=line, markersize=4, label=name)
    axes.set_title(title)
    axes.set_xscale("log")
    axes.set_xlabel("crops")
    axes.grid(visible=True)
    axes.legend()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="documents of benchmarks.scale, one a line")
    parser.add_argument("--out", type=Path, required=True, help="the plot, as SVG")
    parser.add_argument("--crops", type=int, nargs="*", default=[], help="measure these first")
    arguments = parser.parse_args()
    for crops in arguments.crops:
        write(arguments.file, [measured(crops)])
    draw(read(arguments.file), arguments.out)


if __name__ == "__main__":
    main()
