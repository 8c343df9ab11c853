"""Killed while expanded vectors depend on what is being changed: plain answers go on, and expanded
ones are right or refused."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from reidsearch import faults
from reidsearch.config import Config
from reidsearch.files import copy_folder
from reidsearch.gallery import Gallery
from reidsearch.learning import expand
from reidsearch.ranking.ranking import Expanded
from reidsearch.vectors.moves import finish_deletions
from tests.conftest import write_crop
from tests.processes import finish, reidsearch
from tests.test_expand import assert_as_from_scratch, crops

INGEST = ("run started", "recorded", "flushed", "confirmed", *faults.EXPAND)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crops(tmp_path_factory.mktemp("data") / "day1")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, day: Path, encoder_file: Path) -> Config:
    settings = Config(tmp_path_factory.mktemp("learned") / "home", None, encoder_file, "cpu", {})
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(day)
        gallery.calibrate(source="matches")
    return settings


def look(gallery: Gallery, probe: Path) -> None:
    """Answers come, and expanded vectors that are called current are the right ones."""
    assert gallery.query(probe, plain=True, top_k=3).hits
    assert gallery.query(probe, top_k=3).hits
    if expand.stored_kind(gallery._session.collection()) is not Expanded.NOT:
        assert_as_from_scratch(gallery)


def killed(
    learned: Config, home: Path, *words: object, fault: str, then: Callable[[Gallery], object]
) -> None:
    """A command that is killed there, and what puts it right."""
    copy_folder(learned.data_dir, home)
    settings = Config(home, None, learned.encoder, "cpu", {})
    code, stderr = finish(reidsearch(settings, *words, fault=fault))
    assert code == -signal.SIGKILL, f"{fault} was never reached: {stderr!r}"
    probe = write_crop(home.parent / "0001_c1s1_000050_09.jpg", color=(0, 0, 55), seed=3)
    copy_folder(home, home.parent / "looked at")
    with Gallery(Config(home.parent / "looked at", None, learned.encoder, "cpu", {})) as gallery:
        look(gallery, probe)
    with Gallery(settings, purpose="test") as gallery:
        then(gallery)
        assert expand.stored_kind(gallery._session.collection()) is not Expanded.NOT
        look(gallery, probe)
        assert not gallery.doctor().found


@pytest.mark.parametrize("fault", INGEST)
def test_an_ingest_killed_at_a_fault_point_leaves_no_stale_expanded_vector(
    tmp_path: Path, day: Path, learned: Config, fault: str
) -> None:
    night = crops(tmp_path / "night", people=2, seed=300)
    killed(
        learned,
        tmp_path / "home",
        "ingest",
        night,
        fault=fault,
        then=lambda gallery: gallery.ingest(night),
    )


@pytest.mark.parametrize("fault", [*faults.FORGET[:3], *faults.EXPAND, *faults.FORGET[3:]])
def test_a_forget_killed_at_a_fault_point_leaves_nobody_in_others_vectors(
    tmp_path: Path, learned: Config, fault: str
) -> None:
    killed(
        learned,
        tmp_path / "home",
        *("forget", "--identity", 2, "--yes"),
        fault=fault,
        then=lambda gallery: gallery.forget(identity=2),
    )


@pytest.mark.parametrize("fault", faults.EXPAND)
def test_a_calibration_killed_on_the_way_is_made_up_for_by_the_next(
    tmp_path: Path, learned: Config, fault: str
) -> None:
    killed(
        learned,
        tmp_path / "home",
        *("calibrate", "--source", "gallery"),
        fault=fault,
        then=lambda gallery: gallery.calibrate(source="gallery"),
    )


def test_who_was_written_over_before_a_kill_carries_nobody_who_went_before_the_next(
    tmp_path: Path, day: Path, learned: Config
) -> None:
    """Killed with a few new crops in the others' stored vectors; then the new ones are taken out
    again, and nothing is learned anew."""
    copy_folder(learned.data_dir, tmp_path / "home")
    settings = Config(tmp_path / "home", None, learned.encoder, "cpu", {})
    night = crops(tmp_path / "night", people=1, cameras=1, seed=300)
    code, stderr = finish(reidsearch(settings, "ingest", night, fault="expanded written"))
    assert code == -signal.SIGKILL, stderr
    with Gallery(settings, purpose="test") as gallery:
        session = gallery._session
        with session.changing():
            collection = session.collection()
            gone = [image.id for image in session.catalog.images.matching(dataset="night")]
            assert len(gone) == 4
            session.catalog.embeddings.mark_deleting(gone, compact=False)
            finish_deletions(collection)
            assert expand.keep_current(collection) > 0
        assert_as_from_scratch(gallery)
