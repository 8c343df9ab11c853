"""Galleries that hold too little to learn from: a clear line, a plain answer where that is right,
never a wrong one."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Run, write_crop
from tests.test_expand import crops


def said(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())


def test_without_known_cameras_nothing_is_calibrated_and_answers_are_plain(
    run: Run, tmp_path: Path
) -> None:
    paths = [
        write_crop(tmp_path / "set" / f"x{n}a.jpg", color=(20 * n, 200 - 20 * n, 90), seed=n)
        for n in range(8)
    ]
    run("ingest", tmp_path / "set")
    told = run("calibrate", exit_code=2)
    assert "of none it is known which" in said(told.output)
    assert "no expanded vectors" in run("query", paths[0], "--expand", exit_code=1).output
    assert (
        "have not been learned" in run("query", paths[0], "--spatio-temporal", exit_code=1).output
    )
    answer = run("query", paths[0])
    assert "x0a.jpg" in answer.output
    assert "Ranked by" not in answer.output


def test_with_one_camera_nothing_is_calibrated_and_answers_are_plain(
    run: Run, tmp_path: Path
) -> None:
    folder = crops(tmp_path / "set", cameras=1)
    run("ingest", folder)
    told = run("calibrate", exit_code=2)
    assert "from two cameras" in said(told.output)
    probe = folder / "0002_c1s1_000340_00.jpg"
    assert "Ranked by" not in run("query", probe).output
    assert "No hits" in run("query", probe, "--exclude-camera").output


def test_one_camera_without_times_is_told_likewise(run: Run, tmp_path: Path) -> None:
    for n in range(4):
        write_crop(tmp_path / "set" / "lobby" / f"{n}a.jpg", color=(60 * n, 9, 9), seed=n)
    run("ingest", tmp_path / "set", "--layout", "cameras")
    assert "from one camera" in said(run("calibrate", exit_code=2).output)


def test_two_images_carry_each_other_and_tell_no_threshold(run: Run, tmp_path: Path) -> None:
    for camera in (1, 2):
        name = f"set/0001_c{camera}s1_{40 * camera:06d}_00.jpg"
        probe = write_crop(tmp_path / name, color=(9, 9, 200), seed=camera)
    run("ingest", tmp_path / "set")
    run("calibrate")
    assert "Ranked by expanded" in run("query", probe).output
    assert "c1s1" in run("query", probe, "--exclude-camera", "--rerank").output
    assert "too few pairs" in said(run("trace", probe, exit_code=2).output)


def test_equal_images_have_equal_scores_however_they_are_ranked(run: Run, tmp_path: Path) -> None:
    first = write_crop(tmp_path / "set" / "0001_c1s1_000001_00.jpg", color=(9, 9, 200))
    for n in range(2, 30):
        name = f"{n:04d}_c{n % 3 + 1}s1_{40 * n:06d}_00.jpg"
        shutil.copy(first, tmp_path / "set" / name)
    run("ingest", tmp_path / "set")
    run("calibrate")
    for how in ("--plain", "--expand", "--rerank"):
        table = run("query", first, how, "--csv", "--top-k", 29).stdout.splitlines()
        where = table[0].split(",").index("score")
        scores = {round(float(row.split(",")[where]), 4) for row in table[1:]}
        assert len(table) == 30
        assert len(scores) == 1, how
        assert not scores & {float("nan")}


def test_images_without_a_time_keep_their_appearance_where_half_have_one(
    run: Run, tmp_path: Path
) -> None:
    folder = crops(tmp_path / "set")
    rows = ["path,camera,identity,timestamp"]
    for nth, path in enumerate(sorted(folder.glob("*.jpg"))):
        at = 1714557600 + int(path.name[10:16]) if nth % 2 else ""
        rows.append(f"{path.name},{path.name[6]},{int(path.name[:4])},{at}")
    (folder / "list.csv").write_text("\n".join(rows))
    run("ingest", folder / "list.csv")
    run("calibrate")
    untimed, timed = sorted(folder.glob("0002_c1*.jpg"))[:2]
    assert "transit times" in run("query", timed).output
    told = run("query", untimed).output
    assert "Ranked by expanded; --plain" in said(told)
    refused = run("query", untimed, "--spatio-temporal", exit_code=2).output
    assert "--time" in said(refused)


def test_a_gallery_too_small_for_all_neighbours_is_expanded_by_those_there_are(
    run: Run, tmp_path: Path
) -> None:
    folder = crops(tmp_path / "set", people=1, cameras=2)  # each has 7 others, and could carry 8
    run("ingest", folder)
    assert "Expanded 8 vectors" in run("calibrate").output
    assert "8 images by appearance" in said(run("status").stdout)
    probe = sorted(folder.glob("*.jpg"))[0]
    assert run("query", probe, "--expand", "--csv").stdout.count("\n") == 9


def test_an_encoder_without_expanded_vectors_answers_plainly_beside_one_that_has_some(
    run: Run, tmp_path: Path, encoder_file: Path
) -> None:
    folder = crops(tmp_path / "set", people=3)
    run("ingest", folder)
    run("calibrate")
    another = tmp_path / "another.onnx"
    another.write_bytes(encoder_file.read_bytes().replace(b"colours", b"colourz"))
    run("--encoder", another, "ingest", folder)
    probe = sorted(folder.glob("*.jpg"))[0]
    refused = run("--encoder", another, "query", probe, "--expand", exit_code=1).output
    assert "no expanded vectors" in refused
    assert "reidsearch calibrate" in refused
    assert "Ranked by" not in run("--encoder", another, "query", probe).output
    assert "Ranked by" in run("query", probe).output


@pytest.mark.parametrize("how", ["--expand", "--spatio-temporal", "--rerank"])
def test_an_empty_gallery_says_that_it_is_empty(run: Run, tmp_path: Path, how: str) -> None:
    probe = write_crop(tmp_path / "0001_c1s1_000001_00.jpg", color=(1, 2, 3))
    assert "is empty" in said(run("query", probe, how, exit_code=1).output)
