"""One file is one image, of one data set, however often and by whatever way it is ingested; vectors
of every encoder go to it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch.config import Config
from reidsearch.gallery import Gallery
from reidsearch.inspection.findings import Finding
from tests.conftest import COLORS, Run, write_crop, write_encoder

PROBE = "query/0001_c1s1_000001_00.jpg"


@pytest.fixture
def other(tmp_path: Path, settings: Config) -> Config:
    """The same gallery, with another encoder."""
    return replace(settings, encoder=write_encoder(tmp_path / "other.onnx", cell=8))


@contextmanager
def opened(settings: Config) -> Iterator[Gallery]:
    with Gallery(settings, purpose="test") as gallery:
        yield gallery


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Four people, each in the lobby and in the garage; nothing but folders tells it."""
    for who, color in COLORS.items():
        for seed, where in enumerate(("lobby", "garage")):
            write_crop(tmp_path / f"crops/{where}/{who}.png", color=color, seed=10 * who + seed)
    return tmp_path / "crops"


@pytest.fixture
def table(crops: Path) -> Path:
    """A table beside that folder, with names for the people."""
    rows = [
        f"crops/{where}/{who}.png,{where},person {who}"
        for who in COLORS
        for where in ("lobby", "garage")
    ]
    path = crops.parent / "table.csv"
    path.write_text("\n".join(["path,camera,identity", *rows, ""]))
    return path


def counts(gallery: Gallery) -> dict[tuple[str, str, str, str], int]:
    """How many images: by data set, split, encoder's name and state."""
    return {
        (one.dataset, str(one.split), one.encoder.split()[0], str(one.state)): one.images
        for one in gallery.status().images
    }


def agrees(*settings: Config) -> bool:
    """Whether the stores agree, whichever encoder is asked with."""
    left: list[Finding] = []
    for one in settings:
        with opened(one) as gallery:
            left += gallery.doctor().left
    return left == []


# ---- a folder within, or around, what is stored -------------------------------------------------


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ("market/query", {"name": "some"}),
        ("market/query", {}),
        ("market/query", {"layout": "folder", "site": "elsewhere"}),
        ("market/query", {"pattern": "{identity}_c{camera}s{sequence}_{frame}_*.jpg"}),
        ("table.csv", {}),
    ],
)
def test_a_part_of_a_stored_data_set_gets_another_encoders_vectors_where_it_belongs(
    market: Path, settings: Config, other: Config, where: str, options: dict[str, str]
) -> None:
    rows = [f"{path}\n" for path in sorted(market.glob("query/*.jpg"))]
    (market.parent / "table.csv").write_text("path\n" + "".join(rows))
    with opened(settings) as gallery:
        gallery.ingest(market)
    with opened(other) as gallery:
        done = gallery.ingest(market.parent / where, **options)  # type: ignore[arg-type]
        assert (done.found, done.ingested, done.unchanged, done.splits) == (4, 4, 0, {"query": 4})
        (note,) = [one for one in done.notes if "the data set market" in one]
        assert note.startswith("4 of these files were stored already")
        assert "those without a vector of other get it there" in note
        again = gallery.ingest(market.parent / where, **options)  # type: ignore[arg-type]
        assert (again.found, again.ingested, again.unchanged) == (4, 0, 4)
        assert "those without" not in " ".join(again.notes)
        assert counts(gallery) == {
            ("market", "gallery", "colours", "indexed"): 27,
            ("market", "query", "colours", "indexed"): 4,
            ("market", "query", "other", "indexed"): 4,
        }
        done = gallery.ingest(market)
        assert (done.ingested, done.unchanged) == (27, 4)
        assert gallery.evaluate().queries == 4
        assert gallery.query(market / PROBE).hits[0].dataset == "market"
    assert agrees(settings, other)


def test_a_folder_around_stored_ones_takes_in_the_rest_as_its_own(
    market: Path, settings: Config, other: Config
) -> None:
    write_crop(market.parent / "beside/0007_c1.jpg", color=(90, 90, 200))
    with opened(settings) as gallery:
        gallery.ingest(market)
    with opened(other) as gallery:
        # "all" is what the user calls it; the training split is nobody's so far.
        done = gallery.ingest(market.parent, layout="folder", name="all")
        assert (done.found, done.ingested) == (36, 36)
        assert {key[:3]: n for key, n in counts(gallery).items() if key[2] == "other"} == {
            ("all", "gallery", "other"): 5,
            ("market", "gallery", "other"): 27,
            ("market", "query", "other"): 4,
        }
    assert agrees(settings, other)


def test_what_another_data_set_has_and_nothing_else_makes_no_data_set(
    market: Path, settings: Config, run: Run
) -> None:
    run("ingest", market)
    run("ingest", market / "query", "--name", "some")
    run("query", market / PROBE, "--dataset", "some", exit_code=2)
    # By this layout they are no crops, which makes them no second images either.
    result = run("ingest", market / "query", "--layout", "people", "--json", exit_code=3)
    assert json.loads(result.stdout)["failed"] == 4
    with opened(settings) as gallery:
        assert set(counts(gallery).values()) == {27, 4}


def test_what_a_data_set_could_make_nothing_of_is_another_ones_image(
    market: Path, settings: Config, other: Config
) -> None:
    write_crop(market / "query/somebody.jpg", color=COLORS[2])
    with opened(settings) as gallery:
        assert len(gallery.ingest(market).failures) == 1
    with opened(other) as gallery:
        done = gallery.ingest(market / "query", name="some")
        assert (done.found, done.ingested) == (5, 5)
        assert any("1 of these files was rejected" in note for note in done.notes)
        assert counts(gallery)["some", "gallery", "other", "indexed"] == 1
    with opened(settings) as gallery:
        assert gallery.ingest(market / "query", name="some").ingested == 1
    assert agrees(settings, other)


def test_a_published_data_set_says_itself_what_a_folder_of_it_was_taken_in_without(
    market: Path, settings: Config, other: Config
) -> None:
    for one in (settings, other):
        with opened(one) as gallery:
            gallery.ingest(market / "query")
    with opened(settings) as gallery:
        done = gallery.ingest(market)
        assert (done.ingested, done.relabelled) == (27, 4)
        assert any("this market1501 data set says what they show" in one for one in done.notes)
        assert gallery.evaluate().queries == 4
        assert counts(gallery)["market", "query", "other", "indexed"] == 4
    assert agrees(settings, other)


def test_a_data_set_can_be_forgotten_whole_and_described_anew(
    crops: Path, table: Path, settings: Config, run: Run
) -> None:
    run("ingest", table)
    run("ingest", crops, "--layout", "cameras")
    assert "table" in run("query", crops / "lobby/1.png", "--json").stdout
    run("forget", "--dataset", "table", "--yes")
    run("ingest", crops, "--layout", "cameras")
    with opened(settings) as gallery:
        (hit,) = gallery.query(crops / "lobby/1.png", top_k=1).hits
        assert (hit.dataset, hit.identity, hit.camera) == ("crops", None, "lobby")


# ---- what one encoder's ingest changes for the others -------------------------------------------


@pytest.fixture
def both(crops: Path, settings: Config, other: Config) -> tuple[Config, Config]:
    for one in (settings, other):
        with opened(one) as gallery:
            gallery.ingest(crops)
    return settings, other


def test_a_file_that_has_changed_is_encoded_again_with_every_encoder(
    both: tuple[Config, Config], crops: Path
) -> None:
    first, second = both
    changed = write_crop(crops / "lobby/1.png", color=(250, 250, 250), seed=99)
    with opened(second) as gallery:
        done = gallery.ingest(crops)
        assert (done.ingested, done.changed) == (1, 1)
        assert any("1 vector is left out of searches" in note for note in done.notes)
        assert counts(gallery)["crops", "gallery", "colours", "pending"] == 1
    with opened(first) as gallery:
        assert str(changed) not in [hit.path for hit in gallery.query(changed).hits]
        assert gallery.ingest(crops).ingested == 1
        hit = gallery.query(changed).hits[0]
        assert (hit.path, round(hit.score, 2)) == (str(changed), 1)
    assert agrees(*both)


def test_a_file_that_was_only_touched_keeps_the_others_vectors(
    both: tuple[Config, Config], crops: Path
) -> None:
    first, second = both
    (crops / "lobby/1.png").touch()
    with opened(second) as gallery:
        assert gallery.ingest(crops).ingested == 1
        assert counts(gallery)["crops", "gallery", "colours", "indexed"] == 8
    with opened(first) as gallery:
        assert gallery.ingest(crops).unchanged == 8


@pytest.mark.parametrize("mended_by", ["ingest", "doctor"])
def test_a_renamed_file_keeps_its_vectors_of_every_encoder(
    both: tuple[Config, Config], crops: Path, mended_by: str
) -> None:
    first, second = both
    (crops / "lobby/1.png").rename(crops / "lobby/9.png")
    with opened(second) as gallery:
        if mended_by == "ingest":
            assert gallery.ingest(crops).moved == 1
        else:
            gallery.doctor(fix=True)
        assert counts(gallery) == {
            ("crops", "gallery", "colours", "indexed"): 8,
            ("crops", "gallery", "other", "indexed"): 8,
        }
    with opened(first) as gallery:
        done = gallery.ingest(crops)
        assert (done.ingested, done.unchanged) == (0, 8)
        assert gallery.query(crops / "lobby/9.png").hits[0].path.endswith("lobby/9.png")
    assert agrees(*both)


@pytest.mark.parametrize("first_has_it_alone", [True, False])
def test_a_table_that_describes_a_folder_keeps_the_vectors_of_every_encoder(
    crops: Path, table: Path, settings: Config, other: Config, first_has_it_alone: bool
) -> None:
    for one in [settings] if first_has_it_alone else [settings, other]:
        with opened(one) as gallery:
            gallery.ingest(crops)
    with opened(other) as gallery:
        done = gallery.ingest(table)
        assert (done.ingested, done.relabelled) == ((8, 0) if first_has_it_alone else (0, 8))
        assert counts(gallery) == {
            ("table", "gallery", "colours", "indexed"): 8,
            ("table", "gallery", "other", "indexed"): 8,
        }
    with opened(settings) as gallery:
        answer = gallery.query(crops / "lobby/1.png", only_cameras=["garage"])
        assert len(answer.hits) == 4
        assert answer.hits[0].identity == "person 1"
        assert gallery.ingest(table).unchanged == 8
    assert agrees(settings, other)


def test_cameras_that_one_encoders_ingest_names_are_found_with_the_others(
    crops: Path, settings: Config, other: Config
) -> None:
    with opened(settings) as gallery:
        gallery.ingest(crops)
    with opened(other) as gallery:
        assert gallery.ingest(crops, layout="cameras").ingested == 8
    with opened(settings) as gallery:
        assert len(gallery.query(crops / "lobby/1.png", only_cameras=["lobby"]).hits) == 4
    assert agrees(settings, other)
