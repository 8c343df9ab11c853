"""What is not looked at is not gone, and what is gone is removed with a yes."""

import json
import os
import shutil
from pathlib import Path

import pytest

from reidsearch.config import Config
from reidsearch.documents.ingests import IngestDocument
from reidsearch.errors import UsageError
from reidsearch.gallery import Gallery
from reidsearch.ingest.losses import Loss, weigh
from tests.conftest import COLORS, Run, write_crop


def fill(root: Path, *folders: str, each: int = 4) -> Path:
    for number, folder in enumerate(folders):
        for i in range(each):
            seed = 100 * number + i + sum(map(ord, str(root.parent.name)))
            write_crop(root / folder / f"{i}.jpg", color=COLORS[1 + number % 4], seed=seed)
    return root


def stored(gallery: Gallery) -> int:
    return sum(row.images for row in gallery.status().images)


@pytest.fixture
def empty(settings: Config) -> Gallery:
    return Gallery(settings, purpose="test")


@pytest.mark.parametrize(
    ("gone", "left", "folders", "unusual"),
    [
        (["a/1.jpg"], ["a/2.jpg", "a/3.jpg"], (), False),
        (["a/1.jpg"], ["b/2.jpg", "b/3.jpg"], ("a",), True),
        (["a/x/1.jpg", "a/y/1.jpg"], ["b/1.jpg"] * 9, ("a",), True),
        (["a/x/1.jpg"], ["a/y/1.jpg"] * 9, ("a/x",), True),
        (["1.jpg"], ["2.jpg"], (), False),
        (["1.jpg", "2.jpg"], ["3.jpg"], (), True),
    ],
)
def test_a_loss_is_unusual_where_most_or_a_whole_folder_goes(
    gone: list[str], left: list[str], folders: tuple[str, ...], unusual: bool
) -> None:
    loss = weigh(gone, [*gone, *left], before=None, now="folder")
    assert (loss.folders, loss.unusual) == (folders, unusual)
    assert (loss.gone, loss.stored) == (len(gone), len(gone) + len(left))
    assert weigh(gone, left, before="people", now="folder").unusual


def test_pruning_a_whole_folder_needs_a_yes(empty: Gallery, tmp_path: Path) -> None:
    crops = fill(tmp_path / "crops", "cam1", "cam2", "cam3")
    with empty as gallery:
        gallery.ingest(crops)
        shutil.rmtree(crops / "cam2")
        (crops / "cam2").mkdir()  # a mount that is empty one night
        with pytest.raises(UsageError, match=r"4 of 12 .* all of cam2") as error:
            gallery.ingest(crops, prune=True)
        assert '`prune="all"`' in error.value.hint
        asked: list[Loss] = []

        def no(loss: Loss) -> None:
            asked.append(loss)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            gallery.ingest(crops, prune=True, confirm=no)
        assert [loss.folders for loss in asked] == [("cam2",)]
        assert stored(gallery) == 12
        assert gallery.ingest(crops).vanished == [f"cam2/{i}.jpg" for i in range(4)]
        assert gallery.ingest(crops, prune=True, confirm=asked.append).pruned == 4
        shutil.rmtree(crops / "cam1")
        assert gallery.ingest(crops, prune="all").pruned == 4
        assert stored(gallery) == 4


def test_the_command_line_asks_nobody_where_nobody_is_and_takes_yes(
    run: Run, tmp_path: Path
) -> None:
    crops = fill(tmp_path / "crops", "cam1", "cam2")
    run("ingest", crops)
    shutil.rmtree(crops / "cam2")
    refused = run("ingest", crops, "--prune", exit_code=2)
    assert "4 of 8" in refused.stderr
    assert "--prune --yes" in refused.stderr
    report = json.loads(run("ingest", crops, "--prune", "--yes", "--json").stdout)
    assert (report["pruned"], report["vanished"]) == (4, [])


def test_a_folder_that_moved_behind_a_link_is_spared(empty: Gallery, tmp_path: Path) -> None:
    crops = fill(tmp_path / "crops", "cam1", "cam2")
    with empty as gallery:
        gallery.ingest(crops)
        (tmp_path / "disk").mkdir()
        os.rename(crops / "cam1", tmp_path / "disk/cam1")
        (crops / "cam1").symlink_to("../disk/cam1")
        for prune in (True, "all"):
            summary = gallery.ingest(crops, prune=prune)
            assert (summary.pruned, summary.vanished) == (0, [])
            assert "cam1" in " ".join(summary.notes)
        followed = gallery.ingest(crops, follow_links=True, prune=True)
        assert (followed.unchanged, followed.failures) == (8, [])
        write_crop(tmp_path / "disk/cam1/new.jpg", color=COLORS[3], seed=9)
        assert gallery.ingest(crops, follow_links=True).ingested == 1
        assert gallery.doctor().left == ()
        os.rename(tmp_path / "disk", tmp_path / "unmounted")
        assert gallery.ingest(crops, follow_links=True, prune="all").pruned == 0
        assert stored(gallery) == 9


def test_a_picture_behind_a_link_is_read_only_when_links_are_followed(
    empty: Gallery, tmp_path: Path
) -> None:
    crops = fill(tmp_path / "crops", "cam1", each=1)
    (crops / "cam1/link.jpg").symlink_to(write_crop(tmp_path / "far.jpg", color=COLORS[2]))
    with empty as gallery:
        (failure,) = gallery.ingest(crops).failures
        assert "leads out" in failure.reason
        assert gallery.ingest(crops, follow_links=True).ingested == 1


def test_a_data_set_read_another_way_is_not_pruned(empty: Gallery, tmp_path: Path) -> None:
    crops = fill(tmp_path / "crops", "lobby", "garage", each=2)
    with empty as gallery:
        gallery.ingest(crops)
        write_crop(crops / "query/0001_c1s1_000001_00.jpg", color=COLORS[1])
        assert gallery.ingest(crops, prune=True).pruned == 0
        assert stored(gallery) == 5
        for _ in range(2):  # it stays so, however often it is read
            assert len(gallery.ingest(crops, layout="market1501").vanished) == 4
            with pytest.raises(UsageError, match="read as folder and is now read as market1501"):
                gallery.ingest(crops, layout="market1501", prune=True)
        assert stored(gallery) == 5
        assert gallery.ingest(crops, layout="market1501", prune="all").pruned == 4
        assert not gallery.ingest(crops, layout="market1501", prune=True).vanished


def test_a_second_disk_with_a_folder_of_the_same_name_is_another_data_set(
    empty: Gallery, tmp_path: Path
) -> None:
    first = fill(tmp_path / "disk1/crops", "cam1")
    second = fill(tmp_path / "disk2/crops", "cam1")
    with empty as gallery:
        gallery.ingest(first)
        os.rename(tmp_path / "disk1", tmp_path / "drawer")
        with pytest.raises(UsageError, match="holds other pictures") as error:
            gallery.ingest(second)
        assert "name" in error.value.hint
        assert stored(gallery) == 4
        assert gallery.ingest(second, name="second").ingested == 4
        os.rename(tmp_path / "drawer", tmp_path / "disk3")  # the same pictures, somewhere else
        (tmp_path / "disk3/crops/cam1/0.jpg").unlink()
        moved = gallery.ingest(tmp_path / "disk3/crops", prune=True)
        assert (moved.unchanged, moved.pruned) == (3, 1)


def test_a_file_that_another_data_set_has_is_one_image(empty: Gallery, tmp_path: Path) -> None:
    crops = fill(tmp_path / "crops", "cam1")
    write_crop(tmp_path / "more.jpg", color=COLORS[4])
    rows = [f"crops/cam1/{i}.jpg" for i in range(4)]
    (tmp_path / "table.csv").write_text("\n".join(["path", *rows, "more.jpg"]))
    with empty as gallery:
        gallery.ingest(crops)
        summary = gallery.ingest(tmp_path / "table.csv")
        assert (summary.ingested, summary.failures) == (1, [])
        assert "4 of these files" in " ".join(summary.notes)
        assert stored(gallery) == 5


def test_the_report_says_what_is_known(run: Run, tmp_path: Path) -> None:
    crops = fill(tmp_path / "crops", "cam1", "cam2", each=2)
    (crops / "cam1/a.cr2").write_bytes(b"")
    result = run("ingest", crops)
    assert "Read as cameras: 4 crops, 2 cameras, 0 people." in result.stderr
    assert "4 without a person, 4 without a time." in result.stderr
    assert "Passed over, no crops: 1 .cr2." in result.stderr
    document = json.loads(run("ingest", crops, "--json").stdout)
    assert set(IngestDocument.__annotations__) == set(document)
    assert (document["layout"], document["cameras"], document["people"]) == ("cameras", 2, 0)
    assert (document["without_camera"], document["without_person"]) == (0, 4)
    assert document["passed_over"] == {".cr2": 1}
    assert (document["first"], document["last"]) == (None, None)
    (tmp_path / "t.csv").write_text("path,timestamp,identity\ncrops/cam1/0.jpg,1714557600,-1\n")
    timed = json.loads(run("ingest", tmp_path / "t.csv", "--json").stdout)
    assert (timed["first"], timed["last"], timed["people"]) == (1714557600.0, 1714557600.0, 0)


def test_images_that_two_data_sets_have_from_before_are_lost_by_neither(
    empty: Gallery, tmp_path: Path
) -> None:
    crops = fill(tmp_path / "here/crops", "cam1")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    table = "\n".join(["path", *(f"crops/cam1/{i}.jpg" for i in range(4))])
    for folder in ("here", "there"):
        (tmp_path / folder / "table.csv").write_text(table)
    with empty as gallery:
        gallery.ingest(crops)
        gallery.ingest(tmp_path / "there/table.csv")
        shutil.rmtree(tmp_path / "there")
        for path in (tmp_path / "here/table.csv", crops) * 2:
            summary = gallery.ingest(path, prune="all")
            assert (summary.unchanged, summary.pruned, summary.notes[1:]) == (4, 0, [])
        assert stored(gallery) == 8
