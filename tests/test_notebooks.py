"""The notebooks run, say what is true, and hold nothing that must not be passed on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import nbformat
from nbformat import NotebookNode

import reidsearch
from notebooks import run
from reidsearch.demo import pedestrians

FOLDER = Path(run.__file__).parent
ROOT = FOLDER.parent


def stored(name: str) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    return notebook


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def printed(notebook: NotebookNode) -> str:
    return "".join(o["text"] for o in outputs(notebook) if o["output_type"] == "stream")


def shown(notebook: NotebookNode, kind: str) -> list[str]:
    return [o["data"][kind] for o in outputs(notebook) if kind in o.get("data", {})]


def execute(name: str) -> NotebookNode:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKET1501", "/nowhere")  # the runner must not let it through
        return run.execute(name)


def percents(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"([\d.]+)%", line)]


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


# ---- what is stored ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", run.NAMES)
def test_a_stored_notebook_is_its_text_with_outputs(name: str) -> None:
    text, notebook = run.text(name), stored(name)
    assert [(c.cell_type, c.id, c.source) for c in notebook.cells] == [
        (c.cell_type, c.id, c.source) for c in text.cells
    ], f"make it anew: python -m notebooks.run {name}"
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == list(
        range(1, 1 + sum(c.cell_type == "code" for c in notebook.cells))
    )


@pytest.mark.parametrize("name", run.NAMES)
def test_every_cell_that_shows_something_has_its_output(name: str) -> None:
    for cell in stored(name).cells:
        last = cell.source.rstrip().splitlines()[-1:] if cell.cell_type == "code" else []
        says = "print(" in cell.source or "plt.show()" in cell.source or "display(" in cell.source
        if says or (last and re.fullmatch(r"\w+", last[0])):
            assert cell.get("outputs") or cell.cell_type == "markdown", cell.source


@pytest.mark.parametrize("name", run.NAMES)
def test_a_stored_notebook_shows_drawn_people_and_no_folder_of_whoever_ran_it(name: str) -> None:
    whole = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    said = re.sub(r"[A-Za-z0-9+/=\\n]{200,}", "", whole)  # pictures
    for pattern in (
        r"/tmp/",
        r"/home/",
        r"/root/",
        r"/Users/",
        r"[A-Z]:\\\\",
        r"/var/",
        r"site-packages",
    ):
        assert not re.search(pattern, said), pattern
    assert str(ROOT) not in said
    assert "drawn people" in printed(stored(name))


# ---- what happens when they run ---------------------------------------------------------------


def test_explore_counts_the_drawn_set() -> None:
    done = execute("explore")
    text = printed(done)
    assert "40 people, 4 cameras" in text
    assert line_of(text, "gallery").split() == ["gallery", "400", "40", "20"]
    assert line_of(text, "query").split() == ["query", "40", "0", "0"]
    assert len(shown(done, "image/png")) == 5


def test_preprocess_tells_what_a_wrong_step_costs() -> None:
    text = printed(execute("preprocess"))
    mirrored = float(line_of(text, "with its mirror").split()[-1])
    swapped = float(line_of(text, "with red and blue").split()[-1])
    assert mirrored > 0.9 > 0.5 > swapped
    assert "half a file: damaged or truncated" in text


def test_training_learns_people_and_what_holds_for_others() -> None:
    done = execute("train")
    text = printed(done)
    first, last = percents(line_of(text, "accuracy"))
    assert last > 70 > 30 > first
    before, after = percents(line_of(text, "random")), percents(line_of(text, "trained"))
    assert after[0] > before[0] + 20
    assert after[1] > before[1] + 20
    assert len(shown(done, "image/png")) == 2
    rounds = [line for line in text.splitlines() if line.startswith("round ")]
    linked = [int(re.findall(r"(\d+) links", line)[0]) for line in rounds]
    assert linked == sorted(linked)  # a round takes more of them than the last
    assert percents(line_of(text, "pairs across cameras"))[0] > 50


def test_evaluate_shows_the_librarys_numbers(tmp_path: Path) -> None:
    done = execute("evaluate")
    pedestrians.draw_dataset(tmp_path / "drawn", identities=24)
    with reidsearch.open(tmp_path / "gallery") as gallery:
        gallery.ingest(tmp_path / "drawn")
        plain, reranked = gallery.evaluate(), gallery.evaluate(rerank=True)
        expanded = gallery.evaluate(expand=True)
        gallery.calibrate(source="matches")
        both = gallery.evaluate(expand=True, spatio_temporal=True)
    variants = {
        "plain": plain,
        "re-ranked": reranked,
        "expanded ": expanded,
        "expanded, with times": both,
    }
    for name, one in variants.items():
        wanted = [round(100 * value, 1) for value in (one.cmc[1], one.mAP, one.mINP)]
        assert percents(line_of(printed(done), name)) == pytest.approx(wanted, abs=0.11)
    pages = shown(done, "text/html")
    assert f"{plain.mAP:.2%}" in pages[0]
    assert len(pages) == 1 + 3  # the table and three of the worst probes


def test_searching_your_own_cameras_names_serves_traces_and_forgets() -> None:
    done = execute("search_your_own_cameras")
    text = printed(done)
    assert "refused: broken.jpg: not a picture" in text
    assert re.search(r"once more: 0 new, (\d+) unchanged", text)
    assert "3 crops have a name, 0 were encoded\nthe probe shows alice" in text
    afar, beside = line_of(text, "from afar").split("[")[1], line_of(text, "beside").split("[")[1]
    assert afar == beside
    assert "2 images are gone\nstill found: no" in text
    assert len(shown(done, "text/html")) == 1  # the answer's sheet
    assert len(shown(done, "image/png")) == 1  # the trace's lanes
    searches = [line.split()[0] for line in text.splitlines() if " found " in line]
    assert searches[-6:] == ["query", "query", "trace", "query", "query", "query"]


# ---- where something is missing ---------------------------------------------------------------


def first_cell(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER, env=os.environ | env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_missing_module_is_told_with_what_installs_it() -> None:
    done = first_cell("import ready; ready.EXTRAS['no_torch'] = 'train'; ready.need('no_torch')")
    assert done.returncode == 1
    assert "needs no_torch" in done.stderr
    assert 'pip install -e ".[notebooks,train]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("what", ["missing", "a file", "an empty folder", "drawn", "\x7f" * 300])
def test_a_market1501_that_is_something_else_is_told(what: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    (tmp_path / "an empty folder").mkdir()
    (tmp_path / "drawn" / "query").mkdir(parents=True)
    done = first_cell("import ready; ready.pictures()", MARKET1501=str(tmp_path / what))
    assert done.returncode == 1
    assert done.stderr.startswith("MARKET1501 is ")
    assert "Traceback" not in done.stderr
