"""What every notebook begins with: is all installed, and which pictures does it work on?

They lie in a folder of their own, which is removed when the notebook's kernel ends.
"""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
TRAIN = ("torch", "onnx", "safetensors", "scipy", "sklearn")
EXTRAS = {"matplotlib": "notebooks", **dict.fromkeys(TRAIN, "train")}
VARIABLE = "MARKET1501"

# What stands beside the notebooks, whatever is installed; in programs that they start, too.
sys.path.insert(0, str(CHECKOUT))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])
)


def need(*modules: str) -> None:
    """End the notebook with what to install where one of these modules is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        extras = ",".join(sorted({"notebooks"} | {EXTRAS.get(m, "notebooks") for m in missing}))
        stop(
            f"This notebook needs {', '.join(missing)}. In the checkout's folder, install it with\n"
            f'    pip install -e ".[{extras}]"\n'
            "and restart the kernel."
        )


def folder() -> Path:
    """A new empty folder for what this notebook writes."""
    made = Path(tempfile.mkdtemp(prefix="reidsearch-notebook-")).resolve()
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def market() -> Path | None:
    """The Market-1501 that MARKET1501 names; None where it names nothing.

    Ends the notebook where what it names is something else.
    """
    from reidsearch import datasets
    from reidsearch.datasets.market1501 import MARKET1501
    from reidsearch.errors import ReidsearchError
    from reidsearch.types import Split

    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    problem = "holds no folder bounding_box_test, query and bounding_box_train"
    try:
        path = Path(text).expanduser()
        root = None
        if not path.is_dir():
            problem = "is no folder"
        else:
            found = datasets.read(path, splits=list(Split))
            root = found.root if found.layout == MARKET1501.name else None
    except (ReidsearchError, OSError, RuntimeError, ValueError) as error:
        root, problem = None, f"cannot be used: {error}"
    names = ("bounding_box_test", "query", "bounding_box_train")
    if root is None or not all((root / name).is_dir() for name in names):
        stop(
            f"{VARIABLE} is {text!r}, which {problem}.\n"
            "Let it name the folder Market-1501-v15.09.15, or unset it to use drawn people."
        )
    return root


def pictures(*, people: int = 40) -> Path:
    """Market-1501 where MARKET1501 names it, or else that many drawn people, drawn now."""
    from reidsearch.demo import pedestrians

    root = market()
    if root is not None:
        return root
    drawn = folder() / "drawn"
    pedestrians.draw_dataset(drawn, identities=people)
    return drawn


def stop(message: str) -> None:
    """End the run with a message instead of a traceback."""
    raise SystemExit(message)
