"""Two encoders' vectors of the same images, compared probe by probe."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch import datasets, ingest
from reidsearch.config import load
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import UsageError
from reidsearch.evaluation import compare
from reidsearch.evaluation.protocol import Evaluation, evaluate
from reidsearch.types import Split
from reidsearch.vectors.collection import Collection
from tests.conftest import Run, filling, write_encoder
from tests.page import facts, parsed


@pytest.fixture
def coarse(tmp_path: Path) -> Encoder:
    """Another encoder: the mean colour of the upper and the lower half."""
    return Encoder(write_encoder(tmp_path / "coarse.onnx", cell=8))


def evaluated(market: Path, home: Path, encoder: Encoder, *splits: Split) -> Evaluation:
    settings = load({"data_dir": str(home), "encoder": str(encoder.path)})
    with filling(settings) as opened:
        chosen = datasets.read(market, splits=splits or datasets.DEFAULT_SPLITS)
        ingest.take_in(opened, chosen, encoder=encoder)
        return evaluate(opened)


def test_the_difference_is_that_of_the_paired_probes_and_an_encoder_equals_itself(
    market: Path, filled: Collection, tmp_path: Path, coarse: Encoder
) -> None:
    first, second = evaluate(filled), evaluated(market, tmp_path / "other", coarse)
    found = compare.compare(first, second)
    assert found.probes == 4
    assert found.difference == pytest.approx(second.scores.mAP - first.scores.mAP, abs=1e-12)
    assert found.low <= found.difference <= found.high
    each = second.per_probe.ap - first.per_probe.ap  # both in id order
    assert (found.better, found.worse) == ((each > 0).sum(), (each < 0).sum())
    same = compare.compare(first, first)
    assert (same.difference, same.low, same.high, same.better) == (0, 0, 0, 0)


def test_the_interval_is_the_normal_one_where_probes_are_many(filled: Collection) -> None:
    evaluation = evaluate(filled)
    rng = np.random.default_rng(1)
    count = 2000

    def with_ap(ap: np.ndarray) -> Evaluation:
        per_probe = type(evaluation.per_probe)(ap, ap, ap, np.zeros(count, dtype=np.int64))
        return replace(evaluation, probe_ids=np.arange(count), per_probe=per_probe)

    before = rng.uniform(0.2, 0.8, count)
    change = rng.normal(0.01, 0.1, count)
    found = compare.compare(with_ap(before), with_ap(before + change))
    error = change.std() / np.sqrt(count)
    assert found.difference == pytest.approx(change.mean(), abs=1e-12)
    assert found.low == pytest.approx(change.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(change.mean() + 1.96 * error, abs=0.1 * error)


def test_galleries_of_different_images_are_not_compared(
    market: Path, filled: Collection, tmp_path: Path, encoder: Encoder
) -> None:
    before = evaluate(filled)
    (market / "bounding_box_test/0001_c2s1_000010_01.jpg").unlink()
    other = evaluated(market, tmp_path / "other", encoder)
    with pytest.raises(UsageError, match="not evaluated on the same images"):
        compare.compare(before, other)


def test_the_command_shows_both_encoders(
    run: Run, market: Path, coarse: Encoder, tmp_path: Path
) -> None:
    run("ingest", market)
    assert "colours" in run("evaluate", "--compare", coarse.path, exit_code=1).stderr
    run("--encoder", coarse.path, "ingest", market)
    result = run("evaluate", "--compare", coarse.path)
    assert "colours" in result.stdout
    assert "coarse" in result.stdout
    assert "paired bootstrap over 4 probes" in result.stderr
    document = json.loads(run("evaluate", "--compare", coarse.path, "--json").stdout)
    expected = document["second"]["mAP"] - document["first"]["mAP"]
    assert document["mAP_difference"] == pytest.approx(expected, abs=1e-12)
    told = run("evaluate", "--compare", coarse.path, "--report", tmp_path / "report").stderr
    assert f"Report: {tmp_path / 'report/report.html'}" in told
    page = parsed((tmp_path / "report/report.html").read_text("utf-8"))
    assert page.one("h1").text == "colours against coarse on market"
    assert "--compare" in facts(page)["command"]
