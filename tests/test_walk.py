"""The whole way of docs/how-to/train.md runs as it stands, on a few drawn people, for one epoch."""

import os
import re
import subprocess
import sys
from pathlib import Path

from reidsearch.demo import pedestrians

ROOT = Path(__file__).parent.parent
HEADING = "## The whole way, in ten lines"


def walk() -> list[str]:
    """The section's command lines."""
    page = ROOT / "docs/how-to/train.md"
    section = page.read_text(encoding="utf-8").split(HEADING)[1]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def test_the_way_from_data_to_numbers_can_be_walked(tmp_path: Path) -> None:
    get, *lines = walk()
    assert len(lines) < 10
    assert "reidsearch demo " in get  # which leaves what is drawn here, with more people in it
    people = 16  # a batch of the recipe's
    pedestrians.draw_dataset(tmp_path / "reidsearch-demo/data", identities=people, training=people)
    script = re.sub(r"--epochs \d+", "--epochs 1", "\n".join(lines))
    assert "--epochs 1 " in script
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euxc", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{people} probes" in done.stderr  # the training's own numbers
    assert (tmp_path / "sheet.html").stat().st_size > 10_000
    trained = re.findall(r"encoder\.onnx on the test split: R1 ([\d.]+)%", done.stderr)
    evaluated = re.findall(r"Rank-1\D+([\d.]+)", done.stdout)
    assert trained
    assert evaluated[-1] == trained[0]
