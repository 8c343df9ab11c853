import csv
import hashlib
import io
import json
from pathlib import Path

import pytest

from reidsearch.config import Config
from tests.conftest import Run, catalog_of


@pytest.fixture
def probe(market: Path, run: Run) -> Path:
    run("--quiet", "ingest", market)
    return market / "query/0001_c1s1_000001_00.jpg"


def test_every_search_leaves_who_when_how_and_the_probes_hash(
    probe: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_OPERATOR", "m. weber, case 17")
    run("query", probe, "--exclude-camera", "--top-k", 3)
    run("trace", probe, "--min-score", 0.5)
    query, trace = json.loads(run("audit", "--json").stdout)
    assert query["operator"] == "m. weber, case 17"
    assert query["probe_sha256"] == hashlib.sha256(probe.read_bytes()).hexdigest()
    assert (query["command"], query["hits"]) == ("query", 3)
    assert query["filters"]["exclude_camera"] is True
    assert (trace["command"], trace["filters"]["threshold"]) == ("trace", 0.5)
    assert query["time"] <= trace["time"]
    assert not query["picture"]


def test_the_log_names_no_picture_and_holds_none(probe: Path, settings: Config, run: Run) -> None:
    run("query", probe)
    with catalog_of(settings) as catalog:
        (row,) = catalog.log.entries()
        pictures = list(catalog.log.pictures())
    assert pictures == []
    assert not row.has_picture
    assert probe.name not in str(row)


def test_it_can_be_exported_as_csv_and_from_a_date_on(probe: Path, run: Run) -> None:
    run("query", probe)
    run("query", probe)
    rows = list(csv.DictReader(io.StringIO(run("audit", "--csv").stdout)))
    assert len(rows) == 2
    assert rows[0]["hits"] == "10"
    assert json.loads(run("audit", "--json", "--since", "2999-01-01").stdout) == []
    assert "query" in run("audit").stdout


def test_it_can_be_turned_off(probe: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REIDSEARCH_AUDIT", "off")
    run("query", probe)
    assert json.loads(run("audit", "--json").stdout) == []
    monkeypatch.setenv("REIDSEARCH_AUDIT", "sometimes")
    assert "on, pictures, off" in run("audit", exit_code=2).stderr


def test_probes_are_kept_where_that_is_asked_for_and_forgotten_with_their_image(
    probe: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_AUDIT", "pictures")
    run("query", probe)
    run("audit", "--save", tmp_path / "probes")
    (kept,) = (tmp_path / "probes").iterdir()
    assert kept.read_bytes() == probe.read_bytes()
    run("forget", "--image", probe, "--yes")
    (entry,) = json.loads(run("audit", "--json").stdout)
    assert not entry["picture"]


def test_a_search_that_cannot_be_logged_is_not_answered(
    probe: Path, settings: Config, run: Run
) -> None:
    with catalog_of(settings) as catalog, catalog.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE query_log")
    result = run("query", probe, "--json", exit_code=1)
    assert result.stdout == ""
