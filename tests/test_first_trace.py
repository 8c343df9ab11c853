"""What a gallery's first trace learns unasked, or why it learns nothing: said at every door."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import reidsearch
from reidsearch import lock
from reidsearch.cli.vocabulary import COMMAND_LINE
from reidsearch.config import Config
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.errors import PYTHON
from reidsearch.gallery import Gallery
from reidsearch.search import trace
from reidsearch.search.first_trace import NotLearned, Unlearned
from reidsearch.search.question import Question
from reidsearch.service.vocabulary import HTTP, PAGE
from reidsearch.settings import Audit
from reidsearch.views import lanes
from tests.conftest import COLORS, HEIGHT, WIDTH, Run, write_crop, write_encoder
from tests.page import facts, parsed
from tests.qdrant_server import QdrantStandIn
from tests.serving import served
from tests.test_expand import crops

SIZES = range(50, 100)


@pytest.fixture
def told(tmp_path: Path, settings: Config) -> Config:
    """With an encoder that tells thresholds."""
    usual = Preprocessing(height=HEIGHT, width=WIDTH, mean=(0.5,) * 3, std=(0.25,) * 3)
    measured = {**usual.to_metadata(), "thresholds": '{"0.01": 0.8, "0.0001": 0.95}'}
    return replace(settings, encoder=write_encoder(tmp_path / "told.onnx", metadata=measured))


@pytest.fixture
def opened(told: Config) -> Iterator[Gallery]:
    with Gallery(told, purpose="test") as gallery:
        yield gallery


def named(folder: Path, name: str, *, people: int = 4, each: int = 15) -> Path:
    """Crops called so, with {person}, {camera} and {shot} for what they are."""
    for person, color in list(COLORS.items())[:people]:
        for shot in range(each):
            path = name.format(person=f"{person:04d}", camera=1 + shot % 2, shot=f"{shot:06d}")
            write_crop(folder / path, color=color, seed=100 * person + shot)
    return folder


def why(gallery: Gallery, folder: Path) -> NotLearned | None:
    """Why nothing is learned of a gallery of this folder."""
    gallery.ingest(folder)
    probe = Question.of(sorted(folder.rglob("*.jpg"))[0])
    found = trace.trace(gallery._session, probe, learned_at_once=SIZES)
    if found.not_learned is not None:
        assert found.origin == "encoder"
        assert found.document()["not_learned"] == found.not_learned.document()
    return found.not_learned


def test_a_gallery_that_tells_people_apart_says_nothing(opened: Gallery, tmp_path: Path) -> None:
    opened.ingest(crops(tmp_path / "crops"))
    probe = tmp_path / "crops/0002_c1s1_000340_00.jpg"
    opened.calibrate(source="gallery")
    assert opened.trace(probe).not_learned is None
    # Nor where nobody wants to know.
    assert opened.trace(probe, plain=True).not_learned is None
    assert opened.trace(probe, min_score=0.5).not_learned is None


@pytest.mark.parametrize(
    ("name", "each", "reason", "said"),
    [
        ("{person}_{shot}.jpg", 15, "cameras", "none of its 60 crops is of a camera that is known"),
        ("{person}_c1s1_{shot}_00.jpg", 15, "cameras", "its 60 crops are all of one camera"),
        ("{person}_c{camera}/{shot}.jpg", 15, "times", "none of its 60 crops has a time"),
        ("{person}_c{camera}s1_{shot}_00.jpg", 12, "few", "48 crops have a camera and a time, and "
         "that takes 50"),
        ("{person}_c{camera}s1_{shot}_00.jpg", 25, "many", "it has 100 crops, and that takes long "
         "with more than 99"),
    ],
)  # fmt: skip
def test_it_says_why_a_gallery_is_not_learned_from(
    opened: Gallery, tmp_path: Path, name: str, each: int, reason: str, said: str
) -> None:
    if "/" in name:  # a pattern tells the camera, as names like that have none
        name = name.replace("{person}_c{camera}", "cam{camera}").replace(
            "{shot}", "{person}x{shot}"
        )
    found = why(opened, named(tmp_path / "crops", name, each=each))
    assert found == NotLearned(Unlearned(reason), f"nothing from this gallery: {said}")


def test_times_of_one_camera_alone_are_too_few(opened: Gallery, tmp_path: Path) -> None:
    named(tmp_path / "crops", "{person}_c1s1_{shot}_00.jpg", each=14)
    write_crop(tmp_path / "crops/0001_c2.jpg", color=COLORS[1])
    found = why(opened, tmp_path / "crops")
    assert found is not None
    assert found.reason is Unlearned.FEW
    assert "56 crops have a camera and a time" in found.message


def test_what_was_learned_and_tells_nobody_apart_is_said_then_and_later(
    opened: Gallery, tmp_path: Path
) -> None:
    opened.ingest(crops(tmp_path / "crops"))
    probe = Question.of(tmp_path / "crops/0002_c1s1_000340_00.jpg")
    first = trace.trace(opened._session, probe, learned_at_once=SIZES)
    again = trace.trace(opened._session, probe, learned_at_once=SIZES)
    assert (first.calibrated, again.calibrated) == (72, None)
    for one in (first, again):
        assert one.origin == "encoder"
        assert one.not_learned is not None
        assert one.not_learned.reason is Unlearned.ALIKE
    opened.calibrate(source="gallery")
    assert opened.trace(tmp_path / "crops/0002_c1s1_000340_00.jpg").not_learned is None


def test_what_the_reason_hints_at_helps(opened: Gallery, tmp_path: Path) -> None:
    """People are known, and times are not: then labels tell."""
    folder = named(tmp_path / "crops", "{person}_c{camera}_{shot}.jpg")
    found = why(opened, folder)
    assert found is not None
    assert found.reason is Unlearned.TIMES
    assert found.hint.endswith('learn from them with: `gallery.calibrate(source="gallery")`')
    opened.calibrate(source="gallery")
    traced = opened.trace(sorted(folder.iterdir())[0])
    assert (traced.origin, traced.not_learned) == ("gallery", None)


def test_it_is_said_where_a_gallery_can_only_be_read(
    told: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = crops(tmp_path / "crops")
    with Gallery(told, purpose="test") as gallery:
        gallery.ingest(folder)
    if os.geteuid() == 0:  # whom permissions do not stop
        monkeypatch.setattr("reidsearch.session.may_write", lambda path: False)
    for path in (told.data_dir, *told.data_dir.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        with Gallery(replace(told, audit=Audit.OFF), purpose="test") as gallery:
            probe = Question.of(folder / "0002_c1s1_000340_00.jpg")
            found = trace.trace(gallery._session, probe, learned_at_once=SIZES).not_learned
    finally:
        for path in (told.data_dir, *told.data_dir.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
    assert found is not None
    assert found.reason is Unlearned.READ_ONLY


def test_where_another_process_changes_the_gallery_that_is_the_reason(
    told: Config, tmp_path: Path, qdrant: QdrantStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.2)
    there = replace(told, qdrant_url=qdrant.url)
    folder = crops(tmp_path / "crops")
    with Gallery(there, purpose="test") as gallery:
        gallery.ingest(folder)
        probe = Question.of(folder / "0002_c1s1_000340_00.jpg")
        with lock.Held(there.data_dir, purpose="forget"):
            found = trace.trace(gallery._session, probe, learned_at_once=SIZES)
        assert found.stays
        assert found.not_learned is not None
        assert found.not_learned.reason is Unlearned.FAILED
        assert "forget" in found.not_learned.message
        assert trace.trace(gallery._session, probe, learned_at_once=SIZES).calibrated == 72


# ---- at every door ------------------------------------------------------------------------------

FEW = "nothing from this gallery: 27 crops have a camera and a time, and that takes 1,000"


def test_the_command_line_says_it_in_a_line_with_what_would_help(
    told: Config, market: Path, run: Run, tmp_path: Path
) -> None:
    probe = market / "query/0002_c1s1_000001_00.jpg"
    run("--encoder", told.encoder, "ingest", market)
    shown = run("--encoder", told.encoder, "trace", probe, "--save", tmp_path / "trace.html")
    assert (
        f"Learned {FEW}. Where its people are known, learn from them with: reidsearch calibrate "
        "--source gallery\n"
    ) in shown.stderr
    assert facts(parsed((tmp_path / "trace.html").read_text()))["learned"] == FEW
    document = json.loads(run("--encoder", told.encoder, "trace", probe, "--json").stdout)
    assert document["not_learned"] == {"reason": "few", "message": FEW}
    assert document.keys() == {"together", "not",
        "query", "camera", "identity", "site", "threshold", "rate", "crowd", "threshold_from",
        "nearest", "expanded", "spatio_temporal", "uses", "calibrated", "not_learned", "unit",
        "stays", "warnings",
    }  # fmt: skip


def test_a_picture_and_a_page_and_a_gallery_from_afar_say_it_too(
    opened: Gallery, market: Path
) -> None:
    opened.ingest(market)
    picture = market / "query/0002_c1s1_000001_00.jpg"
    here = opened.trace(picture)
    silent = lanes.draw(replace(here, not_learned=None))
    assert lanes.draw(here).tobytes() != silent.tobytes()
    with served(opened) as client:
        with reidsearch.open(str(client.base_url)) as afar:
            there = afar.trace(picture)
        assert there.not_learned == here.not_learned == NotLearned(Unlearned.FEW, FEW)
        files = {"image": (picture.name, picture.read_bytes())}
        page = parsed(client.post("/page/trace", files=files).text)
    assert facts(page)["learned"] == FEW
    assert PAGE["calibrate_gallery"].replace("`", "") in page.text  # shown as code


def test_hints_are_in_the_words_of_every_door() -> None:
    for reason in Unlearned:
        for words in (PYTHON, COMMAND_LINE, HTTP, PAGE):
            assert "{" not in NotLearned(reason, "").hint_in(words)
