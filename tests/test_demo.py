import json
import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from reidsearch.cli import app


def reidsearch(*words: str) -> subprocess.CompletedProcess[str]:
    executable = Path(sys.executable).with_name("reidsearch")
    return subprocess.run([executable, *words], capture_output=True, text=True, check=False)


def test_the_demo_runs_with_the_shipped_encoder_and_its_commands_work(tmp_path: Path) -> None:
    out = tmp_path / "a demo"
    first = reidsearch("demo", "--out", str(out))
    assert first.returncode == 0, first.stderr
    assert "Rank-1" in first.stdout
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 500
    commands = [shlex.split(line) for line in first.stderr.splitlines() if "--data-dir" in line]
    assert len(commands) == 3
    for command in commands:
        result = reidsearch(*command[1:])
        assert result.returncode == 0, result.stderr
        assert result.stdout

    again = reidsearch("demo", "--out", str(out), "--json")
    document = json.loads(again.stdout)
    assert document["ingest"]["found"] > 300
    # The drawn people are easy to tell apart by their clothes; a broken encoder would not.
    assert document["evaluation"]["cmc"]["1"] > 0.6


def test_the_demo_keeps_out_of_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is no demo" in result.stderr
    assert [p.name for p in tmp_path.iterdir() if p.name != "cwd"] == ["mine.txt"]
