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


def test_every_picture_of_a_question_is_recorded_by_what_it_was_for(
    probe: Path, market: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_AUDIT", "pictures")
    more = market / "bounding_box_test/0001_c2s1_000010_01.jpg"
    others = [market / f"query/000{n}_c1s1_000001_00.jpg" for n in (2, 3)]
    words = [word for one in others for word in ("--not", one)]
    run("query", probe, more, "--together", "--exclude-camera", *words)
    mine, theirs = (
        [hashlib.sha256(one.read_bytes()).hexdigest() for one in some]
        for some in ((probe, more), others)
    )
    (entry,) = json.loads(run("audit", "--json").stdout)
    assert entry["probe_sha256"] == mine[0]
    assert (entry["together_sha256"], entry["not_sha256"]) == (mine, theirs)
    assert entry["picture"]
    assert entry["filters"]["camera"] == [1, 2]
    (row,) = csv.DictReader(io.StringIO(run("audit", "--csv").stdout))
    assert (row["together_sha256"], row["not_sha256"]) == (" ".join(mine), " ".join(theirs))
    result = run("audit", "--save", tmp_path / "probes")
    assert all(digest[:12] in result.stdout for digest in (*mine, *theirs))
    assert "4 pictures" in result.stderr
    kept = {one.name: one.read_bytes() for one in (tmp_path / "probes").iterdir()}
    assert kept == {
        digest: one.read_bytes()
        for digest, one in zip((*mine, *theirs), (probe, more, *others), strict=True)
    }


def test_forgetting_a_picture_takes_it_and_its_hash_from_every_question(
    probe: Path, market: Path, settings: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_AUDIT", "pictures")
    more = market / "bounding_box_test/0001_c2s1_000010_01.jpg"
    other = market / "bounding_box_test/0002_c2s1_000010_01.jpg"
    run("query", probe, more, "--together", "--not", other)
    gone = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (more, other)]
    for one in (more, other):
        run("forget", "--image", one, "--yes")
    (entry,) = json.loads(run("audit", "--json").stdout)
    assert entry["together_sha256"] == [entry["probe_sha256"], ""]
    assert entry["not_sha256"] == [""]
    assert "forgotten" in run("audit").stdout
    data = b"".join(one.read_bytes() for one in settings.data_dir.glob("catalog.sqlite*"))
    for digest, one in zip(gone, (more, other), strict=True):
        assert digest.encode() not in data
        assert one.read_bytes()[-100:] not in data  # files of one program begin alike


def test_a_question_is_logged_whole_or_not_at_all_and_then_not_answered(
    probe: Path, market: Path, settings: Config, run: Run
) -> None:
    with catalog_of(settings) as catalog, catalog.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE query_picture")
    other = market / "query/0002_c1s1_000001_00.jpg"
    result = run("query", probe, "--not", other, "--json", exit_code=1)
    assert result.stdout == ""
    with catalog_of(settings) as catalog, catalog.engine.begin() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM query_log").scalar() == 0
