"""The examples in the docstrings do what they say."""

import doctest
import shutil
from pathlib import Path

import pytest

import reidsearch
from reidsearch import Gallery, opening
from reidsearch import gallery as door
from reidsearch.config import Config

EXAMPLES = {
    test.name: test
    for module in (opening, door)
    for test in doctest.DocTestFinder().find(module, globs={})
    if test.examples
}


def test_every_verb_has_an_example() -> None:
    verbs = {
        name
        for name, member in vars(Gallery).items()
        if callable(member) and not name.startswith("_")
    }
    shown = {name.rpartition(".")[2] for name in EXAMPLES}
    assert verbs - shown == {"claim", "close"}  # they have nothing to show
    assert "open" in shown


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_says(
    name: str, gallery: Gallery, market: Path, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_ENCODER", str(settings.encoder))
    shutil.copytree(market, "crops")
    shutil.copy(market / "query/0002_c1s1_000001_00.jpg", "somebody.png")
    gallery.trace("somebody.png", min_score=0.9)
    test = EXAMPLES[name]
    test.globs = {"reidsearch": reidsearch, "gallery": gallery}
    failed, attempted = doctest.DocTestRunner().run(test, clear_globs=False)
    assert (failed, attempted) == (0, len(test.examples))
