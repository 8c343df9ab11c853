"""The README, and the pages that go on where it ends, speak of what is there."""

import csv
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from reidsearch import datasets, errors
from reidsearch.cli import app
from reidsearch.cli.group import INTERRUPTED
from reidsearch.cli.options import REJECTED
from reidsearch.config import KEYS
from reidsearch.environment import VARIABLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs/how-to/settings.md").read_text(encoding="utf-8")
MOST = 300  # lines of the README: what a newcomer needs in five minutes
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def command_lines() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    parts = [part for line in lines for part in line.split("&&")]
    words = [shlex.split(part, comments=True) for part in parts]
    return [w for w in words if w and w[0] == "reidsearch"]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST


def test_every_command_is_in_the_readme_and_has_help() -> None:
    for name, command in COMMANDS.items():
        assert re.search(rf"reidsearch\b.*\b{name}\b", README), name
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_line_in_the_readme_uses_options_that_exist(words: list[str]) -> None:
    (name, *_) = [w for w in words[1:] if w in COMMANDS]
    known = CliRunner().invoke(app, [name, "--help"]).output
    for option in (w.split("=")[0] for w in words if w.startswith("--")):
        assert option in known


def test_the_readme_states_the_two_set_up_commands() -> None:
    assert "pip install . && reidsearch demo" in README
    assert 'pip install -e ".[dev,train]" && pytest' in README
    assert 'pip install -e ".[dev,train]" && pytest' in (ROOT / ".ci/run").read_text()


def test_links_to_files_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_readmes_manifest_is_readable(tmp_path: Path) -> None:
    (block,) = blocks("csv")
    (tmp_path / "crops.csv").write_text(block)
    found = datasets.read(tmp_path / "crops.csv")
    assert not found.rejected
    assert len(found.sightings) == len(list(csv.reader(block.splitlines()))) - 1


def test_the_settings_that_are_told_are_those_there_are() -> None:
    (block,) = blocks("toml", SETTINGS)
    assert tuple(tomllib.loads(block)) == KEYS
    for name in VARIABLES:
        assert f"`{name}`" in SETTINGS


def test_the_exit_codes_that_are_told_are_those_there_are() -> None:
    told = {int(n) for n in re.findall(r"(\d+) [a-z]", SETTINGS.split("Exit codes:")[1][:200])}
    raised = {one.exit_code for one in vars(errors).values() if hasattr(one, "exit_code")}
    assert told == raised | {0, REJECTED, INTERRUPTED}


def test_the_readmes_python_compiles() -> None:
    for block in blocks("python"):
        compile(block, "README.md", "exec")
    assert blocks("python")


def test_the_readmes_first_python_runs(
    market: Path, encoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_ENCODER", str(encoder_file))
    shutil.copytree(market, "crops")
    shutil.copy(market / "query/0002_c1s1_000001_00.jpg", "somebody.jpg")
    first = blocks("python")[0]
    assert "reidsearch.open" in first
    exec(compile(first, "README.md", "exec"), {})
    assert Path("sheet.png").stat().st_size
