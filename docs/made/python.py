"""Pages of what is public in Python: for mkdocstrings to fill."""

from pathlib import Path

import reidsearch
from docs.made.text import page
from reidsearch.ranking import metrics

FIRST = ("open", "Gallery")
# For those who write a reader, and for those who only want to measure.
READERS = (
    "reidsearch.datasets.base.Reader",
    "reidsearch.datasets.base.Wanted",
    "reidsearch.datasets.base.dataset",
    "reidsearch.types.Dataset",
    "reidsearch.types.Sighting",
    "reidsearch.types.Rejected",
)
RANKING = sorted(
    file.stem for file in Path(metrics.__file__).parent.glob("*.py") if file.stem != "__init__"
)


def home(name: str) -> str:
    """A public name's full one, in the module where it is defined."""
    found = getattr(reidsearch, name)
    return f"{found.__module__}.{found.__name__}"


def public() -> list[str]:
    """The public names that are things, not texts, those that everything begins with first."""
    names = [name for name in reidsearch.__all__ if not name.startswith("__")]
    return [*FIRST, *(name for name in names if name not in FIRST)]


def documented() -> str:
    """The page of the package's face."""
    errors = [n for n in public() if home(n).startswith("reidsearch.errors.")]
    rest = [name for name in public() if name not in errors]
    return page(
        "Python",
        "Every public name of the package, from its docstring.",
        "These names are the package's face: they are imported from `reidsearch` itself, and keep "
        "to semantic versions. [Errors](errors.md) have a page of their own.",
        *(_entry(home(name)) for name in rest),
        "## For readers of data sets",
        "What a package takes to bring a layout of its own; [own cameras]"
        "(../how-to/own-cameras.md#a-layout-of-your-own) shows one.",
        *(_entry(name, level=3) for name in READERS),
    )


def ranking() -> str:
    """The page of the functions that rank and measure."""
    return page(
        "Ranking, for research",
        "The functions that rank and measure: numpy arrays in, numpy arrays out.",
        "These modules are numpy alone: they know of no gallery, file or store. They may change "
        "from one minor version to the next, which the change log tells.",
        *(_entry(f"reidsearch.ranking.{name}", whole=True) for name in RANKING),
    )


def _entry(path: str, *, level: int = 2, whole: bool = False) -> str:
    options = [f"heading_level: {level}"] + ["show_root_full_path: true"] * whole
    return "\n".join([f"::: {path}", "    options:", *(f"      {one}" for one in options)])
