"""The demo shows everything there is, and the page that it ends with opens."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from reidsearch import demo
from reidsearch.cli import app
from tests.serving import PACKAGE

PROGRESS = re.compile(r"[\d,]+ of [\d,]+ images")  # tells how far it is, where that takes long
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE)}


def reidsearch(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reidsearch", *words],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def without_numbers(text: str) -> str:
    return re.sub(r" *[\d.,_cs]*\d", " #", text)


def test_the_demo_shows_all_of_it_and_its_last_line_opens_the_page() -> None:
    first = reidsearch("demo")
    assert first.returncode == 0, first.stderr
    told = first.stderr.splitlines()
    lines = first.stdout.splitlines() + [line for line in told if not PROGRESS.match(line)]
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80

    verbs = [line.split()[0] for line in first.stdout.splitlines() if line[0] != " "]
    assert verbs == [
        "draw", "ingest", "query", "evaluate", "calibrate", "evaluate", "trace", "audit", "report",
    ]  # fmt: skip
    (shown,) = re.findall(r"```\n(draw .*?)```", README, re.DOTALL)
    assert without_numbers(first.stdout).startswith(without_numbers(shown))
    measured = [float(found) for found in re.findall(r"mAP +([\d.]+)%", first.stdout)]
    assert measured == sorted(measured)  # by looks, expanded, with times
    assert len(measured) == 3
    pages = [Path(line.strip()) for line in told if line.startswith("  reidsearch-demo/")]
    assert [page.suffix for page in pages] == [".png", ".html", ".html", ".html"]
    with Image.open(pages[0]) as sheet:
        assert sheet.width > 500
    for page in pages[1:]:
        assert "</html>" in page.read_text(encoding="utf-8")

    serve = shlex.split(told[-1])
    process = subprocess.Popen(
        [sys.executable, "-m", *serve, "--port", "0"],
        env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "Serving reidsearch-demo/gallery at http://" in process.stderr.readline()
    process.terminate()
    process.communicate()

    again = reidsearch("demo", "--json")
    document = json.loads(again.stdout)
    assert document["ingest"]["found"] > 300
    assert document["ingest"]["unchanged"] == document["ingest"]["found"]  # and not encoded again
    assert document["pages"] == list(map(str, pages))
    # The drawn people are easy to tell apart by their clothes; a broken encoder would not.
    assert document["evaluation"]["cmc"]["1"] > 0.6
    assert document["best"]["spatio_temporal"]["source"] == "matches"
    assert {stay["camera"] for stay in document["trace"]["stays"]} > {1, 2}


def test_the_demo_needs_no_matplotlib_and_leaves_other_galleries_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "PEOPLE", 8)
    monkeypatch.setattr(demo, "PROBES", 2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    monkeypatch.setenv("REIDSEARCH_QDRANT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("REIDSEARCH_CATALOG_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == 0, done.stderr
    assert "pip install 'reidsearch[report]'" in done.stdout
    assert Path("reidsearch-demo/gallery/catalog.sqlite").is_file()
    assert not Path("reidsearch-demo/report").exists()


def test_the_demo_keeps_out_of_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is no demo" in result.stderr
    assert [p.name for p in tmp_path.iterdir() if p.name != "cwd"] == ["mine.txt"]
