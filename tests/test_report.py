"""The report: one page that needs nothing else, and says what the evaluation says."""

import base64
import builtins
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageColor
from playwright.sync_api import Browser

import reidsearch
from reidsearch.errors import UsageError
from reidsearch.evaluation.compare import compare
from reidsearch.evaluation.details import SHOWN
from reidsearch.evaluation.protocol import Evaluation, evaluate
from reidsearch.gallery import Gallery
from reidsearch.ranking.scores import RATES, Crowds
from reidsearch.vectors.collection import Collection
from reidsearch.views import calibration, plots, report, verdicts
from reidsearch.views.made import Made
from reidsearch.views.palette import DARK, LIGHT
from tests.conftest import Run, write_encoder
from tests.page import Element, facts, loads_nothing, parsed
from tests.test_sheet import HOSTILE, Tags


def test_the_page_holds_all_it_shows_and_the_numbers(tmp_path: Path, filled: Collection) -> None:
    evaluation = evaluate(filled, camera_pairs=True, details=True)
    page = report.write([evaluation], tmp_path / "out", Made("reidsearch evaluate", 1714557600.0))
    text = page.read_text(encoding="utf-8")
    parsed_page = parsed(text)
    rows = [[cell.text for cell in row.children if isinstance(cell, Element)]
            for row in parsed_page.all("tr")]  # fmt: skip
    for name, value in evaluation.numbers():
        assert [name, f"{value:.2%}"] in rows
    assert text.count("<svg") == 4
    assert evaluation.details is not None
    answers = evaluation.details.worst + evaluation.details.best
    assert text.count("data:image/jpeg;base64,") == sum(1 + len(a.hits) for a in answers)
    loads_nothing(parsed_page)
    assert parsed_page.one("h1").text == parsed_page.all("title")[0].text == "colours on market"
    told = facts(parsed_page)
    assert told["protocol"] == "Market-1501: 4 queries, 26 gallery images"
    assert told["ranking"] == "single query"
    assert told["command"] == "reidsearch evaluate"
    assert "made" in told
    for name in ("cmc", "ap", "camera-pairs", "scores"):
        ElementTree.parse(tmp_path / "out" / f"{name}.svg")
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_all_shares_are_in_percent(tmp_path: Path, filled: Collection) -> None:
    evaluation = evaluate(filled, camera_pairs=True, details=True)
    report.write([evaluation], tmp_path / "out")
    # What matplotlib draws as paths it names in comments.
    for name in ("cmc", "ap", "camera-pairs"):
        words = re.findall(r"<!-- (.*?) -->", (tmp_path / f"out/{name}.svg").read_text("utf-8"))
        numbers = [word for word in words if re.fullmatch(r"[\d.]+( %)?", word)]
        assert any(word.endswith(" %") for word in numbers), name
        assert not [word for word in numbers if re.fullmatch(r"0\.\d+", word)], name


@pytest.mark.parametrize("rerank", [False, True])
def test_hits_carry_the_rankings_own_scores_in_order_and_the_best_end_with_their_last_match(
    filled: Collection, rerank: bool
) -> None:
    details = evaluate(filled, rerank=rerank, details=True).details
    assert details is not None
    for answer in details.worst + details.best:
        scores = [hit.score for hit in answer.hits]
        assert scores == sorted(scores, reverse=True)
        assert [hit.rank for hit in answer.hits] == list(range(1, len(scores) + 1))
        assert np.isfinite(scores).all()
    assert all(verdicts.verdict(one, one.hits[-1]) for one in details.best)
    ranked = {one.ranking.words for one in details.best}
    assert ranked == {("re-ranked",) if rerank else ()}


def test_a_comparisons_report_shows_both_encoders(
    market: Path, filled: Collection, tmp_path: Path
) -> None:
    other = write_encoder(tmp_path / "coarse.onnx", cell=8)
    gallery = tmp_path / "both"
    with reidsearch.open(gallery, encoder=other) as opened:
        opened.ingest(market)
    first = evaluate(filled, camera_pairs=True, details=True)
    with reidsearch.open(gallery, encoder=other) as opened:
        second = opened.evaluate(camera_pairs=True, details=True)
    found = compare(first, second)
    text = found.report(tmp_path / "out").read_text("utf-8")
    page = parsed(text)
    assert page.one("h1").text == "colours against coarse on market"
    assert facts(page)["difference"] == found.words
    head = [cell.text for cell in page.all("thead")[0].all("th")]
    assert head == ["", "colours", "coarse"]
    for row, (name, value), (_, last) in zip(
        page.all("tbody")[0].all("tr"), first.numbers(), second.numbers(), strict=True
    ):
        assert row.text == f"{name} {value:.2%} {last:.2%}"
    titles = [one.text for one in page.all("h2")]
    for encoder in ("colours", "coarse"):
        assert f"The worst probes of {encoder}" in titles
        assert f"The best probes of {encoder}" in titles
        assert f"Which score of {encoder} means the same person?" in titles
    assert text.count("<svg") == 6  # two of both, two of each
    loads_nothing(page)


def test_no_heading_is_left_alone_at_the_foot_of_a_printed_page(
    tmp_path: Path, filled: Collection
) -> None:
    page = parsed(report.write([evaluate(filled, details=True)], tmp_path).read_text("utf-8"))
    printed = page.one("head").one("style").text.split("@media print")[-1]
    for wanted in (".reidsearch h2, ", ".reidsearch h2 + p", ".reidsearch .legend"):
        assert wanted in printed.split("break-after: avoid")[0]
    assert re.search(r"\.reidsearch \.keep[^{}]*\{ break-inside: avoid; \}", printed)
    for section in page.all("section", "part"):
        whole = section if "keep" in section.classes else section.one("div", "keep")
        first, *_, last = (one for one in whole.children if isinstance(one, Element))
        assert first.tag == "h2"
        assert "answer" in last.classes or whole is section


def test_hostile_names_are_text_in_the_report(tmp_path: Path, filled: Collection) -> None:
    whole = evaluate(filled, camera_pairs=True, details=True)

    def named(name: str) -> Evaluation:
        assert whole.details is not None
        worst = tuple(replace(answer, query=name) for answer in whole.details.worst)
        details = replace(whole.details, worst=worst)
        return replace(whole, encoder=name, datasets=(name,), details=details)

    plain, hostile = named("gone.jpg"), named(HOSTILE)
    pages = [report.write([e], tmp_path / "out").read_text("utf-8") for e in (plain, hostile)]
    harmless, found = map(Tags, pages)
    assert found.names == harmless.names
    assert ("title", HOSTILE.replace("\udcff", "?")) in found.values
    assert "alert(1)" in pages[1]
    assert "<script" not in pages[1]


def test_colours_of_plots_follow_the_page_and_no_policy_stops_them(
    browser: Browser, tmp_path: Path, filled: Collection
) -> None:
    evaluation = evaluate(filled, camera_pairs=True, details=True)
    text = report.write([evaluation], tmp_path).read_text("utf-8")
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    page = browser.new_context(color_scheme="dark").new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    answer = {"content-type": "text/html; charset=utf-8", "content-security-policy": policy}
    page.route("**/*", lambda route: route.fulfill(body=text, headers=answer))
    page.goto("http://report.test/")
    for attribute in ("fill", "stroke"):
        drawn = page.locator(f'.plot [{attribute}="{LIGHT.ink}"]')
        found = drawn.evaluate_all(f"all => all.map((one) => getComputedStyle(one).{attribute})")
        assert set(found) == {"rgb({}, {}, {})".format(*ImageColor.getrgb(DARK.ink))}
    assert not [one for one in complaints if "Content Security Policy" in one]
    page.context.close()


def test_the_scale_beside_camera_pairs_tells_each_number_once() -> None:
    figure = plots._camera_pairs({("1", "2"): 0.986, ("2", "1"): 0.999})
    figure.canvas.draw()
    told = [one.get_text() for one in figure.axes[1].get_yticklabels()]
    assert told == ["98 %", "99 %", "100 %"]
    plots._camera_pairs({("1", "2"): 1.0, ("2", "1"): 1.0})


def test_without_camera_pairs_their_plot_is_left_out(tmp_path: Path, filled: Collection) -> None:
    page = report.write([evaluate(filled, details=True)], tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 3
    assert "From camera to camera" not in text
    assert not (tmp_path / "out/camera-pairs.svg").exists()


def test_an_evaluation_without_details_makes_no_report(tmp_path: Path, filled: Collection) -> None:
    with pytest.raises(ValueError, match="details"):
        report.write([evaluate(filled)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_calibration_is_drawn_for_each_ranking(tmp_path: Path, gallery: Gallery) -> None:
    learned = gallery.calibrate(source="gallery", report=tmp_path / "out")
    text = (tmp_path / "out" / calibration.PAGE).read_text(encoding="utf-8")
    kinds = ["cosine", "expanded", "expanded_spatio_temporal", "spatio_temporal"]
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.svg")) == kinds
    assert text.count("<svg") == 4
    loads_nothing(parsed(text))
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
        nearest = [g for g in expected[:SHOWN] if not own[g]]
        ids = [int(stored.ids[others[g]]) for g in nearest]
        hits = shown[int(who[row])].hits
        assert [hit.id for hit in hits] == ids
        assert [hit.score for hit in hits] == pytest.approx(cosines[nearest].tolist(), abs=1e-6)


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
        plots.require()
    result = run("evaluate", "--report", tmp_path / "none", exit_code=2)
    assert "reidsearch[report]" in result.stderr
    assert not (tmp_path / "none").exists()
