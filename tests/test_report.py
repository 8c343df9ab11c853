"""The report: one page that needs nothing else, and says what the evaluation says."""

import builtins
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from reidsearch.errors import UsageError
from reidsearch.evaluate import evaluate
from reidsearch.gallery import Gallery
from reidsearch.views import report
from tests.conftest import Run


def test_the_page_holds_all_it_shows_and_the_numbers(tmp_path: Path, filled: Gallery) -> None:
    evaluation = evaluate(filled, camera_pairs=True)
    page = report.write(evaluation, filled, tmp_path / "out", title="single query")
    text = page.read_text(encoding="utf-8")
    for name, value in evaluation.numbers():
        assert f"<td>{name}</td><td>{value:.2%}</td>" in text
    assert text.count("<svg") == 4
    assert text.count("data:image/jpeg;base64,") == 2
    # Nothing is loaded from elsewhere: names of namespaces are the only addresses.
    without = re.sub(r'xmlns[:\w]*="[^"]*"|"data:image[^"]*"|rdf:[^>]*|<dc:[^>]*', "", text)
    assert not re.search(r'(?:src|href)="(?!#)', without)
    for name in ("cmc", "ap", "camera-pairs", "scores"):
        ElementTree.parse(tmp_path / "out" / f"{name}.svg")


def test_the_scores_counted_are_those_of_probes_and_images_of_other_cameras(
    filled: Gallery,
) -> None:
    evaluation = evaluate(filled)
    distribution, hits = report._collect(evaluation)
    trial = evaluation.trial
    probes, gallery = trial.probe_labels, trial.gallery_labels
    elsewhere = probes.camera[:, None] != gallery.camera
    same = probes.identity[:, None] == gallery.identity
    assert distribution.same.sum() == (same & elsewhere).sum()
    assert distribution.different.sum() == (~same & elsewhere).sum()
    for row, probe in enumerate(trial.probes):
        cosines = trial.vectors[probe] @ trial.vectors[trial.gallery].T
        own = same[row] & ~elsewhere[row]
        expected = sorted(range(len(cosines)), key=lambda g: (own[g], -cosines[g], g))
        assert hits[row].tolist() == expected[: report.SHOWN]


def test_without_matplotlib_a_hint_tells_what_to_install(
    run: Run, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ingest", market)
    result = run("evaluate", "--report", tmp_path / "there")
    assert str(tmp_path / "there" / "report.html") in result.stderr
    original = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="matplotlib"):
        report.check()
    result = run("evaluate", "--report", tmp_path / "none", exit_code=2)
    assert "reidsearch[report]" in result.stderr
    assert not (tmp_path / "none").exists()
