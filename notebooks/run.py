"""``python -m notebooks.run [NAME...]``: run the notebooks and store what they show.

The texts, ``*.md``, are what is edited; each ``*.ipynb`` is made of one, with its outputs. They are
made on drawn people alone: no photograph of a real person is ever stored.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

FOLDER = Path(__file__).parent
NAMES = ("explore", "preprocess", "train", "evaluate", "search_your_own_cameras")
SECONDS = 300


def text(name: str) -> NotebookNode:
    """The notebook as its text has it, without outputs. Cells are numbered, so that it is the same
    every time."""
    notebook: NotebookNode = jupytext.read(FOLDER / f"{name}.md")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def execute(name: str) -> NotebookNode:
    """The notebook with what its cells show. Raises nbclient's CellExecutionError where one fails.

    Whatever data set and settings the environment names stay out of it.
    """
    env = {
        key: value
        for key, value in os.environ.items()
        if key != "MARKET1501" and not key.startswith("REIDSEARCH_")
    }
    with TemporaryDirectory() as folder:
        # Sockets in a folder of its own: what is a free port now may be another program's before
        # the kernel has it.
        sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
        client = NotebookClient(
            text(name),
            timeout=SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(FOLDER)}},
            config=Config(KernelManager={} if os.name == "nt" else sockets),
        )
        return without_paths(client.execute(env=env))


def without_paths(notebook: NotebookNode) -> NotebookNode:
    """Drop the text that stands in for an output which also is a picture or a page: it names the
    folders of whoever ran it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown = output.get("data", {})
            if shown.keys() & {"image/png", "text/html"}:
                shown.pop("text/plain", None)
    return notebook


def main(names: list[str]) -> None:
    for name in names or NAMES:
        print(name, file=sys.stderr)  # noqa: T201
        done = execute(name)
        done.metadata["language_info"] = {"name": "python"}  # not this very interpreter
        nbformat.write(done, FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    main(sys.argv[1:])
