"""Which encoders there are: those that came along, in use, given, or known to the gallery."""

import json
import os
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from reidsearch import Gallery, UsageError
from reidsearch.config import DEFAULT_ENCODER, Config, load
from reidsearch.encoding.accuracy import Accuracy, as_text, of_encoder
from reidsearch.encoding.encoder import Encoder, fingerprint
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.inspection.encoders import EncoderCard, Origin
from tests.conftest import HEIGHT, WIDTH, Run, write_encoder
from tests.terminals import plain, shown
from tests.test_results import RESULTS, headline

ROOT = Path(__file__).parent.parent
PREPARED = Preprocessing(height=HEIGHT, width=WIDTH, mean=(0.5,) * 3, std=(0.25,) * 3).to_metadata()
TOLD = Accuracy(data="three days of the lobby", unseen=False, queries=40, rank1=0.9, mAP=0.75)
HELD_OUT = {"identities": 1200, "queries": 7, "mAP": 0.5, "mINP": 0.1, "cmc": {"1": 0.625}}


def by_path(cards: list[EncoderCard]) -> dict[Path, EncoderCard]:
    return {card.path: card for card in cards if card.path is not None}


def told_of(path: Path, **metadata: str) -> Encoder:
    return Encoder(write_encoder(path, metadata={"name": "e", **PREPARED, **metadata}))


# ---- which are listed -------------------------------------------------------------------------


def test_without_a_gallery_there_is_what_came_along_and_nothing_is_made(tmp_path: Path) -> None:
    with Gallery(load({"data_dir": str(tmp_path / "none")})) as gallery:
        (card,) = gallery.encoders()
    assert (card.path, card.origin, card.in_use) == (DEFAULT_ENCODER, Origin.SHIPPED, True)
    assert (card.fingerprint, card.indexed) == (fingerprint(DEFAULT_ENCODER), 0)
    assert card.bytes == DEFAULT_ENCODER.stat().st_size
    assert (card.size, card.dimension) == ((192, 96), 960)
    assert card.terms.startswith("research only")
    assert "Market-1501" in card.trained_on
    assert card.thresholds is not None
    assert card.problem is None
    assert card.images_per_second is None
    assert not (tmp_path / "none").exists()


def test_the_encoder_in_use_tells_how_many_images_it_has_indexed(
    gallery: Gallery, encoder_file: Path
) -> None:
    shipped, card = gallery.encoders()
    assert (shipped.in_use, shipped.indexed) == (False, 0)
    assert (card.path, card.origin) == (encoder_file, Origin.SETTING)
    assert (card.in_use, card.indexed) == (True, 31)
    assert (card.size, card.dimension) == ((HEIGHT, WIDTH), 24)
    assert (card.trained_on, card.terms, card.accuracy, card.thresholds) == ("", "", (), None)


def test_an_encoder_that_only_the_gallery_knows_is_listed_until_its_file_is_given(
    gallery: Gallery, settings: Config, market: Path, tmp_path: Path
) -> None:
    gallery.close()
    (tmp_path / "folder/deep").mkdir(parents=True)
    other = write_encoder(tmp_path / "folder/deep/other.onnx", cell=8)
    with Gallery(load({"data_dir": str(settings.data_dir), "encoder": str(other)})) as again:
        again.ingest(market)
    with Gallery(settings) as again:
        known = again.encoders()[-1]
        given = by_path(again.encoders(tmp_path / "folder"))[other]
        assert len(again.encoders(tmp_path / "folder")) == len(again.encoders())
    assert (known.origin, known.path, known.size) == (Origin.GALLERY, None, None)
    assert (known.name, known.fingerprint) == ("other", fingerprint(other))
    assert (known.dimension, known.indexed, known.in_use) == (6, 31, False)
    assert (given.origin, given.size, given.indexed) == (Origin.GIVEN, (HEIGHT, WIDTH), 31)


def test_a_folder_is_looked_through_and_each_file_listed_once(
    gallery: Gallery, encoder_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for place in (folder, deep, folder / ".hidden"):
        shutil.copy(encoder_file, place / "encoder.ONNX")
    (deep / "encoder.md").write_text("its card")
    (deep / "again.onnx").symlink_to(deep / "encoder.ONNX")
    (deep / "up").symlink_to(folder)
    (deep / "in-use.onnx").symlink_to(encoder_file)
    found = by_path(gallery.encoders(folder, deep, folder / "encoder.ONNX"))
    names = [path.name for path in found if folder in path.parents]
    assert len(found) == 2 + 2
    assert sorted(names) in (["again.onnx", "encoder.ONNX"], ["encoder.ONNX", "encoder.ONNX"])
    assert all(card.in_use for path, card in found.items() if path != DEFAULT_ENCODER)


def test_a_path_with_nothing_at_it_is_a_mistake(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no encoder in"):
        gallery.encoders(tmp_path / "empty")
    with pytest.raises(UsageError, match="nothing at"):
        gallery.encoders(tmp_path / "none.onnx")


def test_each_is_timed_where_that_is_asked_for(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reidsearch.inspection.encoders.SECONDS", 0.05)
    assert {card.images_per_second for card in gallery.encoders()} == {None}
    assert all((card.images_per_second or 0) > 1 for card in gallery.encoders(measure=True))


# ---- what cannot be used ----------------------------------------------------------------------


def test_what_cannot_be_used_is_listed_with_the_reason_and_the_rest_all_the_same(
    run: Run, encoder_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    whole = encoder_file.read_bytes()
    sound = write_encoder(folder / "sound.onnx", cell=8)
    (folder / "torn.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "text\x1b[31m\n.onnx").write_text("not a network")
    (folder / "lost.onnx").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.onnx")
    with (folder / "huge.onnx").open("wb") as file:
        file.truncate(2**31)
    write_encoder(folder / "bare.onnx", metadata={})
    write_encoder(folder / "scale.onnx", metadata={**PREPARED, "std": "58,57,57"})
    model = onnx.load(str(encoder_file))
    outside = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    model.graph.initializer.append(outside)
    (folder / "outside.onnx").write_bytes(model.SerializeToString())

    listed = {
        Path(card["path"]).name: card
        for card in json.loads(run("encoders", folder, "--json").stdout)
        if card["path"]
    }
    reasons = {
        "torn.onnx": "damaged",
        "empty.onnx": "not a usable ONNX model",
        "text\x1b[31m\n.onnx": "damaged, or no ONNX file",
        "lost.onnx": "No such file",
        "pipe.onnx": "not a regular file",
        "huge.onnx": "too large",
        "bare.onnx": "its metadata has no",
        "scale.onnx": "on the scale 0..255",
        "outside.onnx": "weights in another file",
    }
    for name, reason in reasons.items():
        assert reason in listed[name]["problem"], name
        assert listed[name]["in_use"] is False
    assert listed[sound.name]["problem"] is None
    assert {name for name, card in listed.items() if card["problem"]} == set(reasons)

    shown = run("encoders", folder).stdout
    assert "weights in another file" in shown
    assert "\x1b[31m" not in shown


def test_a_folder_that_cannot_be_listed_is_named(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    place = os.open(tmp_path / "top", os.O_RDONLY)
    for _ in range(20):  # 20 x 250 characters are more than a path may have
        os.mkdir("d" * 250, dir_fd=place)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    *_, card = gallery.encoders(tmp_path / "top")
    assert "cannot be read: File name too long" in (card.problem or "")


def test_a_setting_that_leads_nowhere_is_told_of(tmp_path: Path, settings: Config) -> None:
    lost = load({"data_dir": str(settings.data_dir), "encoder": str(tmp_path / "lost.onnx")})
    with Gallery(lost) as gallery:
        shipped, card = gallery.encoders()
    assert (shipped.in_use, card.in_use) == (False, True)
    assert "cannot be read" in (card.problem or "")
    assert (card.bytes, card.fingerprint) == (None, None)


# ---- what they say of themselves --------------------------------------------------------------


def test_an_encoders_numbers_terms_and_training_come_from_its_metadata(tmp_path: Path) -> None:
    made = told_of(
        tmp_path / "e.onnx",
        accuracy=as_text(TOLD),
        held_out=json.dumps(HELD_OUT),
        trained_on="40 people\nof the lobby",
        licence="ours",
    )
    held_out = Accuracy(data="1,200 people held out", unseen=False, queries=7, rank1=0.625, mAP=0.5)
    assert made.accuracy == (TOLD, held_out)
    assert (made.trained_on, made.terms) == ("40 people of the lobby", "ours")


@pytest.mark.parametrize(
    "text",
    [
        "", "0.5", "[]", "{}", "[" * 5000, "[1, null]", "[{}]", '{"data": "x"}', '{"mAP": NaN}',
        *(
            json.dumps([{**json.loads(as_text(TOLD))[0], **change}])
            for change in (
                {"mAP": 1.5}, {"mAP": True}, {"mAP": "0.5"}, {"rank1": -0.1}, {"rank1": None},
                {"queries": 0}, {"queries": 1.5}, {"queries": True}, {"data": ""}, {"data": 7},
                {"data": "a\x1b[31m"}, {"data": "x" * 201}, {"unseen": "no"}, {"more": 1},
                {"mAP": float("nan")}, {"mAP": float("inf")},
            )
        ),
        json.dumps([{"data": "x" * 10_000}]),
    ],
)  # fmt: skip
def test_numbers_that_are_none_say_nothing_and_cost_no_encoder(tmp_path: Path, text: str) -> None:
    assert told_of(tmp_path / "e.onnx", accuracy=text, held_out=text).accuracy == ()


@pytest.mark.parametrize("people", [None, "many", [1]])
def test_people_held_out_need_no_number(people: object) -> None:
    (found,) = of_encoder("", {"held_out": json.dumps({**HELD_OUT, "identities": people})})
    assert found.data == "people held out"


def test_no_file_tells_more_than_can_be_shown() -> None:
    few = json.dumps(json.loads(as_text(TOLD)) * 50)
    assert len(few) < 10_000
    assert len(of_encoder("", {"accuracy": few})) == 20


def test_the_numbers_beside_the_shipped_encoder_are_those_of_the_results() -> None:
    test_split, elsewhere = Encoder(DEFAULT_ENCODER).accuracy
    plain_ranking = headline(RESULTS)["variants"]["plain"]
    assert test_split.queries == plain_ranking["queries"]
    assert test_split.rank1 == pytest.approx(plain_ranking["cmc"]["1"])
    assert test_split.mAP == pytest.approx(plain_ranking["mAP"])
    assert (test_split.unseen, elsewhere.unseen) == (False, True)
    row = f"| cpu-192, int8, shipped | {elsewhere.rank1:.2%} / {elsewhere.mAP:.2%} |"
    assert row in (ROOT / "train/RESULTS.md").read_text(encoding="utf-8")


# ---- as people see it -------------------------------------------------------------------------


def test_on_a_terminal_of_80_columns_lines_are_whole(settings: Config, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    told_of(tmp_path / "some/one.onnx", accuracy=as_text(TOLD), licence="ours alone, " * 9)
    lines = plain(shown(settings, "encoders", tmp_path / "some", "--measure"))
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for part in ("96x192", "2.8", "92.16%", "81.29%", "images/s", "yes", "75.00%", "ours alone"):
        assert part in text
