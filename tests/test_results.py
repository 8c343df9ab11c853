"""results/ holds what its command writes; docs/results.md, the README and the card quote it."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reidsearch
from benchmarks import results
from reidsearch.config import DEFAULT_ENCODER
from reidsearch.demo import pedestrians
from reidsearch.encoding.encoder import fingerprint
from reidsearch.gallery import Gallery

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/results.md").read_text(encoding="utf-8")
CARD = DEFAULT_ENCODER.with_suffix(".md").read_text(encoding="utf-8")
RESULTS = ROOT / "results"
# The page's rows, by how they begin, and the variant each is.
VARIANTS = {
    "`evaluate` |": "plain",
    "`evaluate --camera-means` |": "camera-means",
    "`evaluate --rerank` |": "rerank",
    "`evaluate --expand` |": "expanded",
    "`evaluate --spatio-temporal`, transit times learned from the training": "times-train",
    "`evaluate --spatio-temporal`, learned without": "times-matches",
    "`evaluate --spatio-temporal --rerank`, from the training": "times-train-rerank",
    "`evaluate --spatio-temporal --rerank`, without": "times-matches-rerank",
    "`evaluate --expand --spatio-temporal`, from the training": "times-train-expanded",
    "`evaluate --expand --spatio-temporal`, without": "times-matches-expanded",
    "`evaluate --multi-query` |": "multi-query",
    "`evaluate --multi-query --expand` |": "multi-query-expanded",
    "`evaluate --multi-query --expand --spatio-temporal`": "multi-query-times-train-expanded",
}
# And the README's, which are a few of them.
QUOTED = {
    "`evaluate` |": "plain",
    "`evaluate --rerank` |": "rerank",
    "`evaluate --expand` |": "expanded",
    "`evaluate --expand --spatio-temporal`, times learned without": "times-matches-expanded",
}
COLUMNS = ("Rank-1", "Rank-5", "Rank-10", "mAP", "mAP (trapezoid)", "mINP")


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def headline(folder: Path = RESULTS) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / results.HEADLINE).read_text(encoding="utf-8"))
    return found


def variants(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = headline(folder)["variants"]
    return found


def printed(line: str) -> list[str]:
    """The percentages in a row of a table, as 12.34%."""
    return [number + "%" for number in re.findall(r"(\d+\.\d\d) ?%", line)]


def percent(*values: float) -> list[str]:
    return [f"{value:.2%}" for value in values]


def protocol(variant: dict[str, Any]) -> list[str]:
    """A variant's numbers as the tables with COLUMNS print them."""
    cmc = variant["cmc"]
    return percent(
        cmc["1"], cmc["5"], cmc["10"], variant["mAP"], variant["mAP_trapezoid"], variant["mINP"]
    )


def line(text: str, start: str) -> str:
    """The row with percentages that begins so."""
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {start}") and "%" in row]
    return found


# ---- what is shipped --------------------------------------------------------------------------


def test_the_results_are_those_of_the_shipped_encoder_on_the_whole_test_set() -> None:
    about = headline()
    assert about["encoder"]["sha256"] == fingerprint(DEFAULT_ENCODER)
    plain = about["variants"]["plain"]
    assert (plain["queries"], plain["gallery"]) == (3368, 15913)


def test_the_page_and_the_card_print_the_plain_numbers() -> None:
    about = headline()
    numbers = protocol(about["variants"]["plain"])
    assert " | ".join(COLUMNS) in PAGE
    assert " | ".join(COLUMNS) in CARD
    assert printed(line(PAGE, "shipped: ")) == numbers
    assert printed(line(CARD, f"{about['encoder']['name']} |")) == numbers
    assert about["encoder"]["sha256"] in CARD


@pytest.mark.parametrize(("start", "name"), VARIANTS.items(), ids=VARIANTS.values())
def test_the_pages_variants_print_their_numbers(start: str, name: str) -> None:
    variant = variants()[name]
    row = line(PAGE, start)
    assert printed(row) == percent(variant["cmc"]["1"], variant["mAP"])
    if "own_camera_ruled_out" in variant and "rerank" not in name:
        lines = PAGE.splitlines()
        apart = variant["own_camera_ruled_out"]
        below = lines[lines.index(row) + 1]
        assert "whole camera ruled out" in below
        assert printed(below) == percent(apart["rank1"], apart["mAP"])


def test_the_pages_variants_are_all_there_are() -> None:
    assert set(variants()) == set(VARIANTS.values())


@pytest.mark.parametrize(("start", "name"), QUOTED.items(), ids=QUOTED.values())
def test_the_readmes_variants_print_their_numbers(start: str, name: str) -> None:
    variant = variants()[name]
    assert printed(line(README, start)) == percent(variant["cmc"]["1"], variant["mAP"])


# ---- what is written --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, encoder_file: Path) -> Path:
    """The results of a drawn set."""
    home = tmp_path_factory.mktemp("results")
    pedestrians.draw_dataset(home / "data", identities=8, training=8, cameras=3)
    with reidsearch.open(home / "gallery", encoder=encoder_file) as gallery:
        gallery.ingest(home / "data", splits=("query", "gallery", "train"))
        results.write(gallery, home / "out")
    return home / "out"


@pytest.fixture(params=["shipped", "drawn"])
def folder(request: pytest.FixtureRequest) -> Path:
    chosen: Path = RESULTS if request.param == "shipped" else request.getfixturevalue("drawn")
    return chosen


def test_the_mean_over_the_probes_is_the_headline(folder: Path) -> None:
    plain, probes = variants(folder)["plain"], rows(folder, results.PROBES)
    assert len(probes) == plain["queries"]
    for column, key in (("AP", "mAP"), ("AP_trapezoid", "mAP_trapezoid"), ("INP", "mINP")):
        mean = np.mean([float(row[column]) for row in probes])
        assert mean == pytest.approx(plain[key], abs=1e-6)
    assert [row["path"] for row in probes] == sorted({row["path"] for row in probes})


def test_first_hits_give_the_cmc_curve_which_rises_and_agrees_with_the_headline(
    folder: Path,
) -> None:
    curve = rows(folder, results.CMC)
    assert [int(row["rank"]) for row in curve] == list(range(1, 51))
    first = np.array([int(row["first_hit"]) for row in rows(folder, results.PROBES)])
    for row in curve:
        share = (first <= int(row["rank"])).mean()
        assert float(row["plain"]) == pytest.approx(share, abs=1e-6)
    for name, variant in variants(folder).items():
        shares = [float(row[name]) for row in curve]
        assert shares == sorted(shares)
        for rank, share in variant["cmc"].items():
            assert shares[int(rank) - 1] == pytest.approx(share, abs=1e-6)


def test_precision_over_recall_averages_to_map(folder: Path) -> None:
    curve = rows(folder, results.CURVE)
    assert [round(100 * float(row["recall"])) for row in curve] == list(range(1, 101))
    for name, variant in variants(folder).items():
        precision = np.array([float(row[name]) for row in curve])
        # A hundred steps are not fine enough for more where people have seven positives.
        assert precision.mean() == pytest.approx(variant["mAP"], abs=0.01)
        assert precision[0] > variant["cmc"]["1"] - 1e-6
        assert (precision <= 1).all()


def test_camera_pairs_are_the_headlines(folder: Path) -> None:
    told = variants(folder)["plain"]["camera_pairs"]
    pairs = rows(folder, results.PAIRS)
    assert len(pairs) == sum(map(len, told.values()))
    for row in pairs:
        mean = told[row["probe_camera"]][row["gallery_camera"]]
        assert float(row["mAP"]) == pytest.approx(mean, abs=1e-6)
        assert row["probe_camera"] != row["gallery_camera"]


def test_the_files_are_small_and_their_columns_are_told(folder: Path) -> None:
    names = {results.HEADLINE, results.CMC, results.CURVE, results.PAIRS, results.PROBES}
    written = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(written) - {"README.md", "growth.jsonl"} == names
    assert sum(written.values()) < 500_000
    told = (RESULTS / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert f"]({name})" in told
        if name.endswith(".csv"):
            columns = set(rows(folder, name)[0]) - set(VARIANTS.values())
            assert [c for c in columns if f"`{c}`" not in told] == []


def test_the_numbers_are_those_that_evaluate_tells(drawn: Path, encoder_file: Path) -> None:
    with reidsearch.open(drawn.parent / "gallery", encoder=encoder_file) as gallery:
        told = gallery.evaluate(spatio_temporal=True, rerank=True).document()
    written = variants(drawn)["times-train-rerank"]
    assert written["spatio_temporal"]["source"] == "train"
    assert {**written, "seconds": told["seconds"]} == json.loads(json.dumps(told))


def test_a_gallery_without_a_training_split_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    home = gallery.config.data_dir
    words = ["--data-dir", home, "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.results", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "REIDSEARCH_ENCODER": str(gallery.config.encoder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no training split" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
