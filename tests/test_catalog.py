from collections.abc import Iterator
from pathlib import Path

import pytest

from reidsearch.catalog import Candidate, Catalog, database, schema
from reidsearch.errors import UsageError
from reidsearch.hashes import image_id
from reidsearch.types import UNKNOWN, Rejected, Sighting, Split


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = schema.open_catalog(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def ids(catalog: Catalog, tmp_path: Path) -> tuple[int, int]:
    encoder = catalog.add_encoder(fingerprint="f" * 64, name="e", dimension=4)
    return catalog.add_dataset("set", tmp_path), encoder


def candidate(path: str, *, size: int = 10, **fields: int) -> Candidate:
    return Candidate(image_id("set", path), Sighting(path, **fields), size, 1)  # type: ignore[arg-type]


def test_image_ids_are_positive_63_bit_and_depend_on_data_set_and_path() -> None:
    ids = {image_id(name, path) for name in ("a", "b") for path in ("x", "y", "a\0x")}
    assert len(ids) == 6
    assert all(0 < id < 2**63 for id in ids)
    # `printf 'a\0x' | sha256sum` begins with these eight bytes; the id drops their lowest bit.
    assert image_id("a", "x") == 0x8B86BCED10290476 >> 1


def test_new_images_are_pending_until_finished_and_then_no_longer_stale(
    catalog: Catalog, ids: tuple[int, int]
) -> None:
    two = [candidate("a.jpg", camera=1), candidate("b.jpg")]
    assert catalog.embeddings.stale(*ids, two) == two
    assert catalog.embeddings.stale(*ids, two) == two  # still pending
    catalog.embeddings.finish(
        ids[1], indexed={two[0].id: ("0" * 64, 7)}, failed={two[1].id: "torn"}
    )
    assert catalog.embeddings.stale(*ids, two) == [two[1]]  # what failed is tried again
    assert catalog.embeddings.indexed_ids(ids[1]) == {two[0].id}


@pytest.mark.parametrize("changed", [{"size": 11}, {"camera": 2}, {"identity": 3}, {"frame": 9}])
def test_an_image_whose_file_or_description_changed_is_stale_again(
    catalog: Catalog, ids: tuple[int, int], changed: dict[str, int]
) -> None:
    old = candidate("a.jpg", camera=1, identity=1, frame=1)
    catalog.embeddings.stale(*ids, [old])
    catalog.embeddings.finish(ids[1], indexed={old.id: ("0" * 64, 7)})
    assert catalog.embeddings.stale(*ids, [old]) == []
    new = candidate("a.jpg", **{"camera": 1, "identity": 1, "frame": 1, **changed})
    assert catalog.embeddings.stale(*ids, [new]) == [new]


def test_another_encoder_starts_from_nothing(catalog: Catalog, ids: tuple[int, int]) -> None:
    one = candidate("a.jpg")
    catalog.embeddings.stale(*ids, [one])
    catalog.embeddings.finish(ids[1], indexed={one.id: ("0" * 64, 7)})
    other = catalog.add_encoder(fingerprint="0" * 64, name="other", dimension=4)
    assert catalog.embeddings.stale(ids[0], other, [one]) == [one]
    assert catalog.embeddings.indexed_ids(ids[1]) == {one.id}
    assert [(row.name, row.indexed) for row in catalog.encoders()] == [("e", 1), ("other", 0)]


def test_numbers_of_two_data_sets_are_different_people_and_cameras(
    catalog: Catalog, tmp_path: Path
) -> None:
    encoder = catalog.add_encoder(fingerprint="f" * 64, name="e", dimension=4)
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        seen = Sighting("a.jpg", camera=1, identity=5)
        new = Candidate(image_id(name, "a.jpg"), seen, 1, 1)
        catalog.embeddings.stale(catalog.add_dataset(name, root), encoder, [new])
        catalog.embeddings.finish(encoder, indexed={new.id: ("", 7)})
    stored = catalog.images.stored(encoder)
    assert stored.identity.tolist() == [5, 5]
    assert stored.camera.tolist() == [1, 1]
    assert len(set(stored.labels.identity.tolist())) == 2
    assert len(set(stored.labels.camera.tolist())) == 2


def test_junk_and_distractors_keep_their_numbers_and_unknown_reads_unknown(
    catalog: Catalog, ids: tuple[int, int]
) -> None:
    three = [
        candidate("junk.jpg", identity=-1),
        candidate("distractor.jpg", identity=0),
        candidate("who.jpg"),
    ]
    catalog.embeddings.stale(*ids, three)
    catalog.embeddings.finish(ids[1], indexed={c.id: ("", 7) for c in three})
    stored = catalog.images.stored(ids[1])
    by_path = dict(zip(stored.path.tolist(), stored.labels.identity.tolist(), strict=True))
    assert by_path == {"junk.jpg": -1, "distractor.jpg": 0, "who.jpg": UNKNOWN}
    assert stored.ids.tolist() == sorted(c.id for c in three)


def test_splits_are_told_apart(catalog: Catalog, ids: tuple[int, int]) -> None:
    both = [
        Candidate(image_id("set", "q.jpg"), Sighting("q.jpg", Split.QUERY), 1, 1),
        candidate("g.jpg"),
    ]
    catalog.embeddings.stale(*ids, both)
    catalog.embeddings.finish(ids[1], indexed={c.id: ("", 7) for c in both})
    assert catalog.images.stored(ids[1], [Split.QUERY]).path.tolist() == ["q.jpg"]
    assert len(catalog.images.stored(ids[1])) == 2
    assert len(catalog.images.stored(ids[1], [Split.TRAIN])) == 0


def test_a_data_set_that_moved_keeps_its_id_and_a_second_of_its_name_is_refused(
    catalog: Catalog, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    first = catalog.add_dataset("set", old)
    with pytest.raises(UsageError) as error:
        catalog.add_dataset("set", new)
    assert "--name" in error.value.hint
    old.rmdir()
    assert catalog.add_dataset("set", new) == first


def test_rejected_files_are_recorded_with_their_reason(
    catalog: Catalog, ids: tuple[int, int]
) -> None:
    catalog.embeddings.reject(*ids, "set", [Rejected("bad.jpg", "torn", Split.QUERY)])
    catalog.embeddings.reject(*ids, "set", [Rejected("bad.jpg", "torn", Split.QUERY)])
    (row,) = catalog.images.counts()
    assert (row.split, row.state, row.images) == ("query", "failed", 1)


def test_an_ingest_run_is_open_until_finished(catalog: Catalog, ids: tuple[int, int]) -> None:
    assert catalog.runs.last() is None
    run = catalog.runs.start(*ids)
    last = catalog.runs.last()
    assert last is not None
    assert last.finished is None
    catalog.runs.finish(run, ingested=3, unchanged=2, failed=1)
    last = catalog.runs.last()
    assert last is not None
    assert (last.ingested, last.unchanged, last.failed) == (3, 2, 1)
    assert last.finished >= last.started


def test_any_number_of_images_is_described(
    catalog: Catalog, ids: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, encoder = ids
    many = [candidate(f"{n}.jpg", camera=n % 3) for n in range(11)]
    catalog.embeddings.stale(*ids, many)
    catalog.embeddings.finish(encoder, indexed={c.id: ("0" * 64, 7) for c in many[:9]})
    monkeypatch.setattr(database, "VARIABLES", 4)
    found = catalog.images.describe(encoder, [c.id for c in many])
    assert {id: row.path for id, row in found.items()} == {c.id: c.sighting.path for c in many[:9]}
