import csv
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from reidsearch import __version__, config, environment
from reidsearch.catalog import schema
from reidsearch.cli import app, progress
from reidsearch.config import Config
from reidsearch.ingest.summary import IngestSummary
from reidsearch.stores import edge
from reidsearch.stores.edge import EdgeStore
from tests.conftest import COLORS, Run, write_crop, write_encoder

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture
def ingested(market: Path, run: Run) -> Path:
    run("--quiet", "ingest", market)
    return market


def test_ingest_reports_as_the_contract_says_and_repeats_for_nothing(
    market: Path, run: Run
) -> None:
    first = json.loads(run("ingest", market, "--json").stdout)
    assert first.keys() == {
        "found", "ingested", "unchanged", "failed", "seconds", "images_per_second", "splits",
        "failures", "changed", "moved", "relabelled", "vanished", "pruned", "expired",
        "unlike_crops", "scaled", "layout", "cameras", "people", "first", "last", "without_camera",
        "without_person", "without_time", "passed_over", "notes", "calibrated", "expanded", "left",
    }  # fmt: skip
    assert (first["found"], first["ingested"], first["failed"]) == (31, 31, 0)
    assert first["splits"] == {"query": 4, "gallery": 27}
    second = json.loads(run("ingest", market, "--json").stdout)
    assert (second["ingested"], second["unchanged"]) == (0, 31)


def test_ingest_takes_the_splits_it_is_told(market: Path, run: Run) -> None:
    report = json.loads(run("ingest", market, "--split", "train", "--json").stdout)
    assert report["splits"] == {"train": 4}


def test_ingest_with_rejects_ends_with_3_and_names_file_and_reason(market: Path, run: Run) -> None:
    (market / "query/0001_c1s1_000009_00.jpg").write_bytes(b"text")
    result = run("ingest", market, "--json", exit_code=3)
    (failure,) = json.loads(result.stdout)["failures"]
    assert failure == {
        "path": "query/0001_c1s1_000009_00.jpg",
        "reason": "not a picture in a known format",
    }
    assert "0001_c1s1_000009_00.jpg: not a picture" in run("ingest", market, exit_code=3).stderr


def test_query_prints_one_json_object_a_line_and_probe(ingested: Path, run: Run) -> None:
    probes = sorted((ingested / "query").iterdir())[:3]
    result = run("query", *probes, "--exclude-camera", "--top-k", "4", "--json")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [a["query"] for a in answers] == [str(p) for p in probes]
    for answer in answers:
        assert [h["rank"] for h in answer["hits"]] == [1, 2, 3, 4]
        assert answer["hits"][0].keys() == {
            "rank", "score", "id", "identity", "camera", "sequence", "frame", "timestamp", "time",
            "split", "dataset", "site", "path", "machine",
        }  # fmt: skip
        assert {h["camera"] for h in answer["hits"]} <= {2, 3}
        assert {h["identity"] for h in answer["hits"]} == {answer["identity"]}


def test_query_csv_holds_the_same_hits_as_json(ingested: Path, run: Run) -> None:
    probe = ingested / "query/0001_c1s1_000001_00.jpg"
    rows = list(csv.DictReader(io.StringIO(run("query", probe, "--csv").stdout)))
    hits = json.loads(run("query", probe, "--json").stdout)["hits"]
    assert [row["path"] for row in rows] == [h["path"] for h in hits]
    assert [float(row["score"]) for row in rows] == [h["score"] for h in hits]


def test_query_shows_a_table_that_a_pipe_does_not_cut(ingested: Path, run: Run) -> None:
    probe = ingested / "query/0001_c1s1_000001_00.jpg"
    shown = run("query", probe, "--top-k", "2").stdout
    hits = json.loads(run("query", probe, "--top-k", "2", "--json").stdout)["hits"]
    for hit in hits:
        assert hit["path"] in shown


@pytest.mark.parametrize("name", ["sheet.png", "sheet.html"])
def test_query_saves_a_contact_sheet(ingested: Path, run: Run, tmp_path: Path, name: str) -> None:
    probe = ingested / "query/0001_c1s1_000001_00.jpg"
    result = run("query", probe, "--json", "--save", tmp_path / name)
    json.loads(result.stdout)
    assert (tmp_path / name).stat().st_size > 1000


def test_a_probe_among_several_that_is_no_picture_is_skipped_with_3(
    ingested: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"text")
    good = ingested / "query/0001_c1s1_000001_00.jpg"
    result = run("query", tmp_path / "torn.jpg", good, "--json", exit_code=3)
    assert json.loads(result.stdout)["query"] == str(good)
    assert "torn.jpg: not a picture" in result.stderr
    run("query", tmp_path / "torn.jpg", exit_code=1)


def test_several_pictures_together_are_one_question(ingested: Path, run: Run) -> None:
    probes = [ingested / f"query/000{n}_c1s1_000001_00.jpg" for n in (1, 2)]
    apart = run("query", *probes, "--json").stdout.splitlines()
    assert [json.loads(line)["together"] for line in apart] == [[str(one)] for one in probes]
    (line,) = run("query", *probes, "--together", "--json").stdout.splitlines()
    answer = json.loads(line)
    assert (answer["query"], answer["together"]) == (str(probes[0]), [str(p) for p in probes])
    assert answer["not"] == []
    table = run("query", ingested / "query", "--together", "--top-k", 2).stdout
    assert "together with" in table
    assert table.count("bounding_box_test") == 2
    # One that is no picture spoils the question.
    (ingested / "query/torn.jpg").write_bytes(b"text")
    refused = run("query", *probes, ingested / "query/torn.jpg", "--together", exit_code=1)
    assert "torn.jpg: not a picture" in refused.stderr


def test_pictures_of_somebody_else_hold_for_every_probe(ingested: Path, run: Run) -> None:
    probes = [ingested / f"query/000{n}_c1s1_000001_00.jpg" for n in (1, 2)]
    others = [ingested / f"bounding_box_test/000{n}_c2s1_000010_01.jpg" for n in (3, 4)]
    words = [word for one in others for word in ("--not", one)]
    lines = run("query", *probes, *words, "--json", "--top-k", 27).stdout.splitlines()
    assert len(lines) == 2
    for answer in map(json.loads, lines):
        assert answer["not"] == [str(one) for one in others]
        assert len(answer["hits"]) == 25
        assert not {hit["path"] for hit in answer["hits"]} & {str(one) for one in others}
    table = run("query", probes[0], *words).stdout
    assert "; not " in table


def test_a_picture_of_somebody_else_that_is_none_is_told_of_once_before_anything_is_searched(
    ingested: Path, run: Run
) -> None:
    probes = [ingested / f"query/000{n}_c1s1_000001_00.jpg" for n in (1, 2)]
    (ingested / "torn.jpg").write_bytes(probes[0].read_bytes()[:200])
    for name in ("torn.jpg", "nowhere.jpg"):
        refused = run("query", *probes, "--not", ingested / name, "--json", exit_code=1)
        assert refused.stderr.count(name) == 1
        assert refused.stdout == ""
    assert json.loads(run("audit", "--json").stdout) == []
    run("query", "-", "--not", "-", exit_code=2)
    same = run("query", probes[0], "--not", probes[0], exit_code=2)
    assert "--not" in same.stderr


def test_evaluate_prints_the_contracts_document_and_a_table(ingested: Path, run: Run) -> None:
    document = json.loads(run("evaluate", "--json").stdout)
    assert {"queries", "gallery", "mAP", "mAP_trapezoid", "mINP", "cmc", "encoder", "seconds"} <= (
        document.keys()
    )
    assert document["cmc"].keys() == {"1", "5", "10", "20"}
    assert (document["queries"], document["gallery"]) == (4, 26)
    assert 0 < document["mAP"] <= 1
    assert "camera_pairs" not in document
    pairs = json.loads(run("evaluate", "--camera-pairs", "--json").stdout)["camera_pairs"]
    assert all(a != b and 0 < value <= 1 for a in pairs for b, value in pairs[a].items())
    assert "one camera alone" in run("evaluate", "--camera-pairs").stdout
    table = run("evaluate").stdout
    assert f"{document['mAP']:.2%}" in table
    assert "Rank-1" in table


def test_status_tells_of_expanded_vectors(ingested: Path, run: Run) -> None:
    assert json.loads(run("status", "--json").stdout)["expanded"] == []
    assert "images by appearance" not in run("status").stdout
    run("calibrate", "--source", "gallery")
    assert "images by appearance and times" in run("status").stdout


def test_export_and_status_tell_what_is_stored(ingested: Path, run: Run, tmp_path: Path) -> None:
    counts = json.loads(run("export", tmp_path / "out.npz", "--json").stdout)
    assert counts == {"images": 31, "gallery": 27, "query": 4}
    assert len(np.load(tmp_path / "out.npz")["id"]) == 31
    document = json.loads(run("status", "--json").stdout)
    assert {row["split"]: row["images"] for row in document["images"]} == {
        "gallery": 27,
        "query": 4,
    }
    assert document["settings"]["data_dir"]["from"] == "flag"
    assert document["cameras"] == [1, 2, 3]
    assert "gallery" in run("status").stdout
    run("export", tmp_path / "out.txt", exit_code=2)


def test_global_options_may_stand_behind_the_command(market: Path, settings: Config) -> None:
    words = ["ingest", str(market), "--json", "--quiet", "--data-dir", str(settings.data_dir)]
    result = CliRunner().invoke(app, [*words, f"--encoder={settings.encoder}"])
    assert result.exit_code == 0, result.output
    assert settings.data_dir.is_dir()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data-dir", "first", "status"], "first"),
        (["status", "--data-dir", "after"], "after"),
        (["--data-dir", "first", "status", "--data-dir=after"], "after"),
        (["--data-dir", "first", "--device", "cuda", "status", "--quiet"], "first"),
        (["--data-dir", "first", "--data-dir", "second", "status"], "second"),
    ],
)
def test_of_a_global_options_values_the_last_one_wins(words: list[str], told: str) -> None:
    shown = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["settings"]
    assert shown["data_dir"] == {"value": told, "from": "flag"}
    assert shown["device"]["value"] == ("cuda" if "cuda" in words else "cpu")


@pytest.mark.parametrize("before", [["--quiet"], []])
def test_quiet_holds_wherever_it_stands(
    market: Path, run: Run, monkeypatch: pytest.MonkeyPatch, before: list[str]
) -> None:
    asked: list[bool] = []

    def noted(*, quiet: bool) -> AbstractContextManager[Callable[[IngestSummary], None]]:
        asked.append(quiet)
        return progress.ingest_progress(quiet=quiet)

    monkeypatch.setattr(sys.modules["reidsearch.cli.ingest"], "ingest_progress", noted)
    run(*before, "ingest", market)
    run("ingest", market, *before)
    assert asked == [bool(before)] * 2


def test_every_commands_help_shows_the_global_options_with_their_variables() -> None:
    for words in ([], *([name] for name in COMMANDS)):
        shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}).output
        assert max(map(len, shown.splitlines())) <= 80
        panel = " ".join(shown.partition("Global options")[2].partition("\n\n")[0].split())
        flagged = [key for key, setting in config.SETTINGS.items() if setting.flag]
        assert flagged == [
            "data_dir", "qdrant_url", "encoder", "device", "server", "token_file", "catalog_url",
        ]  # fmt: skip
        for key in flagged:
            assert f"--{key.replace('_', '-')} " in panel
            assert f"Environment: {config.variable(key)}." in panel
        assert "--quiet" in panel
        assert "--debug" in panel
        assert ("--version" in shown) == (not words)


def test_the_help_names_what_no_option_sets() -> None:
    shown = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    unflagged = [key for key, setting in config.SETTINGS.items() if not setting.flag]
    assert unflagged
    for name in (*map(config.variable, unflagged), *environment.VARIABLES):
        assert f" {name}" in shown


def test_an_option_is_written_out_and_the_version_asked_for_without_a_command(run: Run) -> None:
    for words in (["--data", "x", "status"], ["status", "--data", "x"], ["status", "--version"]):
        assert "No such option" in run(*words, exit_code=2).stderr


def test_help_comes_where_the_settings_cannot_be_read(run: Run) -> None:
    Path("reidsearch.toml").write_text("data_dir =")
    assert "Global options" in CliRunner().invoke(app, ["status", "--help"]).output
    assert "reidsearch.toml cannot be read" in run("status", exit_code=2).stderr


@pytest.mark.parametrize(
    "name", ["a b [1].jpg", "line\nbreak.jpg", "人物.png", "-1.jpg", "é;$.jpg"]
)
def test_odd_names_are_ingested_queried_and_printed(tmp_path: Path, run: Run, name: str) -> None:
    crop = write_crop(tmp_path / "crops" / name, color=COLORS[1])
    run("ingest", tmp_path / "crops")
    (hit,) = json.loads(run("query", crop, "--json").stdout)["hits"]
    assert hit["path"] == str(crop)
    (row,) = csv.DictReader(io.StringIO(run("query", crop, "--csv").stdout))
    assert row["path"] == str(crop)
    run("query", crop, "--save", tmp_path / "sheet.html")
    run("query", "--", crop)


def test_a_probe_in_the_current_folder_may_begin_with_a_dash(ingested: Path, run: Run) -> None:
    crop = write_crop(Path("-1_c2s1_000001_00.jpg"), color=COLORS[1])
    answer = json.loads(run("query", crop, "--exclude-camera", "--json").stdout)
    assert (answer["camera"], answer["identity"]) == (2, -1)
    assert "-x" in run("query", "-x.jpg", exit_code=2).stderr
    assert json.loads(run("query", "--json", "--", crop).stdout)["query"] == str(crop)


def test_a_file_that_is_named_like_an_option_or_its_value_changes_neither(
    ingested: Path, run: Run
) -> None:
    for name in ("--json", "-1"):
        Path(name).touch()
    probe = ingested / "query/0001_c1s1_000001_00.jpg"
    assert json.loads(run("query", probe, "--json", "--min-score", "-1").stdout)["hits"]


def hostile(folder: Path) -> set[str]:
    """Write pictures of every odd kind to ``folder``; returns the names of the unreadable."""
    good = write_crop(folder / "good.jpg", color=COLORS[1]).read_bytes()
    square = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(square).save(folder / "grey.png")
    Image.fromarray(square.astype(np.uint16) * 900).save(folder / "deep.png")
    Image.fromarray(square).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(square).convert("P").save(folder / "palette.png")
    Image.fromarray(np.dstack([square] * 4)).save(folder / "alpha.png")
    frames = [Image.fromarray(square), Image.fromarray(square.T)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(square).save(folder / "rotated.jpg", exif=exif)
    (folder / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (folder / "zero.jpg").touch()
    (folder / "text.jpg").write_text("I am not a picture")
    Image.new("1", (30_000, 30_000)).save(folder / "bomb.png")
    return {"truncated.jpg", "zero.jpg", "text.jpg", "bomb.png"}


def test_every_odd_kind_of_picture_is_taken_in_or_rejected_with_its_reason(
    tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    unreadable = hostile(folder)
    report = json.loads(run("ingest", folder, "--json", exit_code=3).stdout)
    assert {f["path"] for f in report["failures"]} == unreadable
    assert all(f["reason"] for f in report["failures"])
    assert report["ingested"] == 8
    for name in sorted(unreadable):
        result = run("query", folder / name, exit_code=1)
        assert f"{name}: " in result.stderr
        assert "Try:" in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "exit_code", "told"),
    [
        (["ingest", "nowhere"], 2, "does not exist"),
        (["ingest", "."], 2, "no picture"),
        (["query", "nowhere.jpg"], 1, "reidsearch ingest"),
        (["evaluate"], 1, "reidsearch ingest"),
        (["export", "x.npz"], 1, "reidsearch ingest"),
        (["status"], 0, "Nothing is stored yet"),
    ],
)
def test_an_empty_start_leads_on(run: Run, words: list[str], exit_code: int, told: str) -> None:
    assert told in run(*words, exit_code=exit_code).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only-camera", "2,x"], "no stored image is from camera x"),
        (["--only-camera", "9"], "Cameras stored: 1, 2, 3"),
        (["--only-camera", "1", "--exclude-camera"], "asked for and ruled out"),
        (["--save", "x.gif"], "End its name in .png or .html"),
        (["--json", "--csv"], "Choose one"),
        (["--top-k", "0"], "--top-k"),
        (["--split", "test"], "--split"),
    ],
)
def test_a_query_that_cannot_be_carried_out_is_a_usage_error(
    ingested: Path, run: Run, words: list[str], told: str
) -> None:
    result = run("query", ingested / "query/0001_c1s1_000001_00.jpg", *words, exit_code=2)
    assert told in result.stderr
    assert result.stdout == ""


def test_an_unknown_camera_cannot_be_excluded(ingested: Path, run: Run, tmp_path: Path) -> None:
    crop = write_crop(tmp_path / "somebody.jpg", color=COLORS[1])
    assert "--camera N" in run("query", crop, "--exclude-camera", exit_code=2).stderr
    run("query", crop, "--exclude-camera", "--camera", "2")


def test_no_hits_is_an_empty_list_and_success(ingested: Path, run: Run) -> None:
    probe = ingested / "query/0001_c1s1_000001_00.jpg"
    result = run("query", probe, "--min-score", "1", "--exclude-camera", "--json")
    assert json.loads(result.stdout)["hits"] == []
    assert "No hits" in run("query", probe, "--min-score", "1", "--exclude-camera").stderr


def test_another_encoder_is_refused_and_both_can_live_side_by_side(
    ingested: Path, run: Run, settings: Config, tmp_path: Path
) -> None:
    other = write_encoder(tmp_path / "other.onnx", cell=8)  # another dimension too
    probe = ingested / "query/0001_c1s1_000001_00.jpg"
    words = ["--data-dir", str(settings.data_dir), "--encoder", str(other)]
    refused = CliRunner().invoke(app, [*words, "query", str(probe)])
    assert refused.exit_code == 1
    assert "was made with colours" in refused.stderr
    assert "--encoder FILE" in refused.stderr
    assert CliRunner().invoke(app, [*words, "ingest", str(ingested)]).exit_code == 0
    assert CliRunner().invoke(app, [*words, "query", str(probe)]).exit_code == 0
    run("query", probe)


def test_a_catalog_of_a_newer_schema_is_refused_unchanged(
    ingested: Path, run: Run, settings: Config
) -> None:
    path = settings.data_dir / "catalog.sqlite"
    db = sqlite3.connect(path)
    db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.commit()
    db.close()
    for words in (["status"], ["ingest", ingested], ["evaluate"]):
        assert "newer reidsearch" in run(*words, exit_code=1).stderr
    db = sqlite3.connect(path)
    db.execute("UPDATE alembic_version SET version_num = ?", (schema.HEAD,))
    db.commit()
    db.close()
    run("evaluate")


def test_a_locked_store_ends_with_4(
    ingested: Path, run: Run, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "EdgeStore", partial(EdgeStore, patience=0.2))
    (folder,) = (settings.data_dir / "vectors").iterdir()
    held = EdgeStore(folder, dimension=24)
    try:
        result = run("evaluate", exit_code=4)
    finally:
        held.close()
    assert "another process holds" in result.stderr
    run("evaluate")


def test_a_server_that_is_not_there_ends_with_4(ingested: Path, run: Run) -> None:
    result = run("--qdrant-url", "http://127.0.0.1:9", "evaluate", exit_code=4)
    assert "no Qdrant server answers" in result.stderr


def test_an_output_that_cannot_be_written_is_one_clear_line(
    ingested: Path, run: Run, tmp_path: Path
) -> None:
    result = run("export", tmp_path / "no" / "such" / "folder.npz", exit_code=1)
    assert "folder.npz" in result.stderr
    assert "No such file" in result.stderr


def test_calibrate_learns_and_evaluate_uses_it(ingested: Path, run: Run) -> None:
    result = run("evaluate", "--spatio-temporal", exit_code=1)
    assert "reidsearch calibrate" in result.stderr
    document = json.loads(run("calibrate", "--json").stdout)
    assert document["source"] == "matches"
    assert document["pairs"] > 0
    assert document["unit"] == "frames"
    scores = json.loads(run("evaluate", "--spatio-temporal", "--json").stdout)
    assert scores["spatio_temporal"] == {"source": "matches", "images": 27}
    assert "identities that are measured" not in run("evaluate", "--spatio-temporal").stderr
    crop = ingested / "query/0002_c1s1_000001_00.jpg"
    hits = json.loads(run("query", crop, "--spatio-temporal", "--json").stdout)["hits"]
    assert [hit["score"] for hit in hits] == sorted((h["score"] for h in hits), reverse=True)
    assert "yesterday" in run("query", crop, "--time", "yesterday", exit_code=2).stderr
    run("calibrate", "--source", "gallery")
    assert "identities that are measured" in run("evaluate", "--spatio-temporal").stderr
    assert "none of train" in run("calibrate", "--source", "guess", exit_code=2).stderr


def test_an_unexpected_error_is_one_line_and_a_traceback_with_debug(
    ingested: Path, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr("reidsearch.evaluation.protocol.evaluate", broken)
    words = ["--data-dir", str(settings.data_dir), "--encoder", str(settings.encoder)]
    plain = CliRunner().invoke(app, [*words, "evaluate"])
    assert plain.exit_code == 1
    assert "unexpected ZeroDivisionError: by chance" in plain.stderr
    assert "Traceback" not in plain.stderr
    debug = CliRunner().invoke(app, [*words, "--debug", "evaluate"])
    assert "Traceback" in debug.stderr


def test_version_and_help_come_from_a_real_process() -> None:
    executable = Path(sys.executable).with_name("reidsearch")
    shown = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"reidsearch {__version__}\n"
    shown = subprocess.run([executable, "query", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    for option in ("--exclude-camera", "--only-camera", "--top-k", "--min-score", "--save"):
        assert option in shown.stdout


def test_python_m_is_the_command_line_and_says_so() -> None:
    def asked(*words: str) -> subprocess.CompletedProcess[str]:
        words = (sys.executable, "-m", "reidsearch", *words)
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert asked("--version").stdout == f"reidsearch {__version__}\n"
    assert "Usage: python -m reidsearch status [OPTIONS]" in asked("status", "--help").stdout
    missing = asked("ingest", "nowhere")
    assert missing.returncode == 2
    assert "nowhere does not exist" in missing.stderr


def test_machine_output_has_no_colour_and_stderr_none_in_a_pipe(ingested: Path, run: Run) -> None:
    probe = ingested / "query/0001_c1s1_000001_00.jpg"
    for words in (["query", probe], ["evaluate"], ["status"], ["query", probe, "--json"]):
        result = run(*words)
        assert "\x1b" not in result.stdout + result.stderr
