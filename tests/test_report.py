"""The report: one page that needs nothing else, and says what the evaluation says."""

import builtins
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidsearch.collection import Collection
from reidsearch.errors import UsageError
from reidsearch.evaluate import SHOWN, evaluate
from reidsearch.gallery import Gallery
from reidsearch.ranking.scores import RATES, Crowds
from reidsearch.views import calibration, report
from tests.conftest import Run
from tests.test_sheet import HOSTILE, Tags


def test_the_page_holds_all_it_shows_and_the_numbers(tmp_path: Path, filled: Collection) -> None:
    evaluation = evaluate(filled, camera_pairs=True, details=True)
    page = report.write(evaluation, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    for name, value in evaluation.numbers():
        assert f"<td>{name}</td><td>{value:.2%}</td>" in text
    assert text.count("<svg") == 4
    assert evaluation.details is not None
    answers = evaluation.details.worst + evaluation.details.best
    assert text.count("data:image/jpeg;base64,") == sum(1 + len(a.hits) for a in answers) == 88
    # Nothing is loaded from elsewhere: names of namespaces are the only addresses.
    without = re.sub(r'xmlns[:\w]*="[^"]*"|"data:image[^"]*"|rdf:[^>]*|<dc:[^>]*', "", text)
    assert not re.search(r'(?:src|href)="(?!#)', without)
    for name in ("cmc", "ap", "camera-pairs", "scores"):
        ElementTree.parse(tmp_path / "out" / f"{name}.svg")
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_hostile_names_are_text_in_the_report(tmp_path: Path, filled: Collection) -> None:
    plain = evaluate(filled, camera_pairs=True, details=True)
    assert plain.details is not None
    worst = tuple(replace(answer, query=HOSTILE) for answer in plain.details.worst)
    hostile = replace(plain, encoder=HOSTILE, details=replace(plain.details, worst=worst))
    pages = [report.write(e, tmp_path / "out").read_text("utf-8") for e in (plain, hostile)]
    harmless, found = map(Tags, pages)
    assert found.names == harmless.names
    assert ("title", HOSTILE.replace("\udcff", "?")) in found.values
    assert "alert(1)" in pages[1]
    assert "<script" not in pages[1]


def test_without_camera_pairs_their_plot_is_left_out(tmp_path: Path, filled: Collection) -> None:
    page = report.write(evaluate(filled, details=True), tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 3
    assert "From camera to camera" not in text
    assert not (tmp_path / "out/camera-pairs.svg").exists()


def test_an_evaluation_without_details_makes_no_report(tmp_path: Path, filled: Collection) -> None:
    with pytest.raises(ValueError, match="details"):
        report.write(evaluate(filled), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_calibration_is_drawn_for_each_ranking(tmp_path: Path, gallery: Gallery) -> None:
    learned = gallery.calibrate(source="gallery", report=tmp_path / "out")
    text = (tmp_path / "out" / calibration.PAGE).read_text(encoding="utf-8")
    kinds = ["cosine", "expanded", "expanded_spatio_temporal", "spatio_temporal"]
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.svg")) == kinds
    assert text.count("<svg") == 4
    for found in learned.distributions.values():
        for rate in RATES:
            threshold = found.threshold(rate)
            assert threshold is None or f"<td>{threshold:.3f}</td>" in text
    assert "own crowd" not in text  # so few images have none
    crowded = replace(learned.cosines, crowds=Crowds(learned.cosines.different, 0.5))
    calibration.write(replace(learned, cosines=crowded), tmp_path / "out")
    assert "own crowd" in (tmp_path / "out" / calibration.PAGE).read_text(encoding="utf-8")


def test_the_scores_counted_are_those_of_probes_and_images_of_other_cameras(
    filled: Collection,
) -> None:
    evaluation = evaluate(filled, details=True)
    details = evaluation.details
    assert details is not None
    distribution = details.pair_scores
    stored, vectors = filled.load()
    asked = np.flatnonzero((stored.split == "query") & (stored.labels.identity > 0))
    others = np.flatnonzero((stored.split == "gallery") & (stored.labels.identity >= 0))
    probes, gallery = stored.labels[asked], stored.labels[others]
    elsewhere = probes.camera[:, None] != gallery.camera
    same = probes.identity[:, None] == gallery.identity
    assert distribution.same.sum() == (same & elsewhere).sum()
    assert distribution.different.sum() == (~same & elsewhere).sum()
    shown = {answer.identity: answer for answer in details.worst}
    who = np.array([int(stored.people[id]) for id in stored.labels.identity[asked].tolist()])
    worst_first = who[np.argsort(evaluation.per_probe.ap, kind="stable")].tolist()
    assert [answer.identity for answer in details.worst] == worst_first
    assert [answer.identity for answer in details.best] == worst_first[::-1]
    for row, probe in enumerate(asked):
        cosines = vectors[probe] @ vectors[others].T
        own = same[row] & ~elsewhere[row]
        expected = sorted(range(len(cosines)), key=lambda g: (own[g], -cosines[g], g))
        ids = [int(stored.ids[others[g]]) for g in expected[:SHOWN]]
        assert [hit.id for hit in shown[int(who[row])].hits] == ids


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
        report.require_plots()
    result = run("evaluate", "--report", tmp_path / "none", exit_code=2)
    assert "reidsearch[report]" in result.stderr
    assert not (tmp_path / "none").exists()
