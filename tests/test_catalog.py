import dataclasses
import hashlib
import inspect
import itertools
import typing
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert

from reidsearch.catalog import (
    Candidate,
    Catalog,
    State,
    records,
    schema,
    sqlite,
    tables,
)
from reidsearch.catalog.database import Database, TableGroup
from reidsearch.catalog.postgres import PostgresDatabase
from reidsearch.catalog.sqlite import SqliteFile
from reidsearch.errors import UsageError
from reidsearch.forgetting.selection import Selection
from reidsearch.hashes import image_id
from reidsearch.types import UNKNOWN, Rejected, Sighting, Split


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    if request.param == "sqlite":
        opened = schema.open_catalog(tmp_path / "catalog.sqlite")
    else:
        opened = schema.open_shared(request.getfixturevalue("catalog_url"), purpose="test")
    with closing(opened):
        yield opened


@pytest.fixture
def ids(catalog: Catalog, tmp_path: Path) -> tuple[int, int]:
    return catalog.places.add_dataset("set", tmp_path), add_encoder(catalog)


def add_encoder(catalog: Catalog) -> int:
    return catalog.add_encoder(fingerprint="f" * 64, name="e", dimension=4, payloads=2)


def candidate(path: str, *, size: int = 10, **fields: Any) -> Candidate:
    return Candidate(image_id("set", path), Sighting(path, **fields), size, 1)


def stale(catalog: Catalog, ids: tuple[int, int], given: list[Candidate]) -> list[Candidate]:
    return [one.candidate for one in catalog.embeddings.stale(*ids, given)]


def test_image_ids_are_positive_63_bit_and_depend_on_data_set_and_path() -> None:
    ids = {image_id(name, path) for name in ("a", "b") for path in ("x", "y", "a\0x")}
    assert len(ids) == 6
    assert all(0 < id < 2**63 for id in ids)
    # `printf 'a\0x' | sha256sum` begins with these eight bytes; the id drops their lowest bit.
    assert image_id("a", "x") == 0x8B86BCED10290476 >> 1


def test_new_images_are_pending_until_finished_and_then_no_longer_stale(
    catalog: Catalog, ids: tuple[int, int]
) -> None:
    two = [candidate("a.jpg", camera="1"), candidate("b.jpg")]
    assert stale(catalog, ids, two) == two
    assert stale(catalog, ids, two) == two  # still pending
    catalog.embeddings.finish(
        ids[1], indexed={two[0].id: ("0" * 64, 7)}, failed={two[1].id: "torn"}
    )
    assert stale(catalog, ids, two) == [two[1]]  # what failed is tried again
    assert catalog.embeddings.indexed_ids(ids[1]) == {two[0].id}


@pytest.mark.parametrize(
    "changed", [{"size": 11}, {"camera": "2"}, {"identity": "alice"}, {"frame": 9}]
)
def test_an_image_whose_file_or_description_changed_is_stale_again(
    catalog: Catalog, ids: tuple[int, int], changed: dict[str, Any]
) -> None:
    old = candidate("a.jpg", camera="1", identity="1", frame=1)
    catalog.embeddings.stale(*ids, [old])
    catalog.embeddings.finish(ids[1], indexed={old.id: ("0" * 64, 7)})
    assert stale(catalog, ids, [old]) == []
    new = candidate("a.jpg", **{"camera": "1", "identity": "1", "frame": 1, **changed})
    (found,) = catalog.embeddings.stale(*ids, [new])
    assert found.candidate == new
    assert found.encoded == ("size" not in changed)  # the vector of the same file stays right
    (one,) = catalog.encoders()
    assert (one.indexed, one.payloads == 2) == ((1, False) if found.encoded else (0, True))


def test_another_encoder_starts_from_nothing(catalog: Catalog, ids: tuple[int, int]) -> None:
    one = candidate("a.jpg")
    catalog.embeddings.stale(*ids, [one])
    catalog.embeddings.finish(ids[1], indexed={one.id: ("0" * 64, 7)})
    other = catalog.add_encoder(fingerprint="0" * 64, name="other", dimension=4, payloads=2)
    assert stale(catalog, (ids[0], other), [one]) == [one]
    assert catalog.embeddings.indexed_ids(ids[1]) == {one.id}
    assert [(row.name, row.indexed) for row in catalog.encoders()] == [("e", 1), ("other", 0)]


@pytest.mark.parametrize(("sites", "apart"), [(("here", "there"), 2), (("here", "here"), 1)])
def test_a_name_means_one_thing_at_one_site_and_another_at_the_next(
    catalog: Catalog, tmp_path: Path, sites: tuple[str, str], apart: int
) -> None:
    encoder = catalog.add_encoder(fingerprint="f" * 64, name="e", dimension=4, payloads=2)
    for name, site in zip(("one", "two"), sites, strict=True):
        root = tmp_path / name
        root.mkdir()
        seen = Sighting("a.jpg", camera="lobby", identity="5")
        new = Candidate(image_id(name, "a.jpg"), seen, 1, 1)
        dataset = catalog.places.add_dataset(name, root, site=site)
        catalog.embeddings.stale(dataset, encoder, [new])
        catalog.embeddings.finish(encoder, indexed={new.id: ("", 7)})
    stored = catalog.images.stored(encoder)
    people, cameras = stored.labels.identity.tolist(), stored.labels.camera.tolist()
    assert [stored.people[id] for id in people] == ["5", "5"]
    assert [stored.cameras[id] for id in cameras] == ["lobby", "lobby"]
    assert (len(set(people)), len(set(cameras))) == (apart, apart)
    assert len(catalog.places.cameras()) == catalog.places.people() == apart


@pytest.mark.parametrize("looked_at", [1, 5_000])
def test_a_camera_is_listed_while_any_image_is_of_it(
    catalog: Catalog, ids: tuple[int, int], looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reidsearch.catalog.places.LOOKED_AT", looked_at)
    stale(catalog, ids, [candidate(f"{at}.jpg", camera=f"{at % 3}") for at in range(30)])
    assert [one.name for one in catalog.places.cameras()] == ["0", "1", "2"]
    stale(catalog, ids, [candidate(f"{at}.jpg", camera="0") for at in range(30) if at % 3 == 1])
    assert [one.name for one in catalog.places.cameras()] == ["0", "2"]


def test_a_data_set_stays_at_its_site_until_it_is_told_another(
    catalog: Catalog, tmp_path: Path
) -> None:
    told: dict[str, str]
    for told, expected in (
        ({}, "main"),
        ({"new_at": "set"}, "main"),  # it is not new
        ({"site": "campus"}, "campus"),
        ({}, "campus"),
    ):
        catalog.places.add_dataset("set", tmp_path, **told)
        (one,) = catalog.places.datasets()
        assert one.site == expected
    catalog.places.add_dataset("other", tmp_path, new_at="other", layout="people")
    assert [one.site for one in catalog.places.datasets()] == ["other", "campus"]
    assert catalog.places.dataset_layout(2) == "people"
    assert catalog.places.dataset_layout(1) is None


def test_junk_and_distractors_keep_their_numbers_and_unknown_reads_unknown(
    catalog: Catalog, ids: tuple[int, int]
) -> None:
    three = [
        candidate("junk.jpg", identity="-1"),
        candidate("distractor.jpg", identity="0"),
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
    first = catalog.places.add_dataset("set", old)
    with pytest.raises(UsageError) as error:
        catalog.places.add_dataset("set", new)
    assert "`name=...`" in error.value.hint
    old.rmdir()
    assert catalog.places.add_dataset("set", new) == first


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
    assert last.finished is not None
    assert last.finished >= last.started
    assert (last.id, last.dataset, last.encoder) == (run, "set", "f" * 64)


def test_any_number_of_images_is_described(catalog: Catalog, ids: tuple[int, int]) -> None:
    _, encoder = ids
    many = [candidate(f"{n}.jpg", camera=str(n % 3)) for n in range(11)]
    catalog.embeddings.stale(*ids, many)
    catalog.embeddings.finish(encoder, indexed={c.id: ("0" * 64, 7) for c in many[:9]})
    asked = [c.id for c in many]
    found = catalog.images.describe(encoder, asked)
    assert {id: row.path for id, row in found.items()} == {c.id: c.sighting.path for c in many[:9]}
    paths = sorted(c.sighting.path for c in many)
    assert [row.path for row in catalog.images.of(asked)] == paths
    assert [row.path for row in catalog.images.of_dataset("set", [*paths, "no.jpg"])] == paths
    assert catalog.images.of_dataset("other", paths) == []
    assert catalog.images.matching(paths=[Path(path) for path in paths]) == catalog.images.all()
    states = catalog.embeddings.of(encoder, [*asked, 1])
    assert states == {row.image_id: row for row in catalog.embeddings.all(encoder)}


def test_a_question_is_one_statement_however_many_images_it_is_about(
    catalog: Catalog, ids: tuple[int, int]
) -> None:
    _, encoder = ids
    many = [candidate(f"{n}.jpg", camera=str(n)) for n in range(40)]
    catalog.embeddings.stale(*ids, many)
    catalog.embeddings.finish(encoder, indexed={c.id: ("0" * 64, 7) for c in many})
    sent: set[str] = set()

    def note(*told: Any) -> None:
        if "FROM image" in told[2]:
            sent.add(told[2])

    event.listen(catalog.engine, "before_cursor_execute", note)
    for count in (1, 2, 3, 40):
        asked = [c.id for c in many[:count]]
        assert catalog.images.glimpses(encoder, asked).ids.tolist() == sorted(asked)
        paths = [c.sighting.path for c in many[:count]]
        assert [row.path for row in catalog.images.of_dataset("set", paths)] == sorted(paths)
    assert len(sent) == 2


def test_no_connection_keeps_what_it_read_of_the_file_while_it_wrote(tmp_path: Path) -> None:
    with closing(schema.open_catalog(tmp_path / "catalog.sqlite")) as opened:
        dataset, encoder = opened.places.add_dataset("set", tmp_path), add_encoder(opened)
        opened.embeddings.stale(dataset, encoder, [candidate("a.jpg")])
        with ExitStack() as all_in_use:
            some = [all_in_use.enter_context(opened.engine.connect()) for _ in range(5)]
            sizes = {one.exec_driver_sql("PRAGMA cache_size").scalar() for one in some}
    assert sizes == {-sqlite.KEPT}


HANDED_IN = (Candidate, records.ExpandedPart, records.LoggedPicture, records.NewSearch, Sighting)
RECORDS = [
    kind
    for _, kind in inspect.getmembers(records, dataclasses.is_dataclass)
    if kind not in HANDED_IN
]


@pytest.mark.parametrize("kind", RECORDS)
def test_records_are_frozen_small_and_made_by_names(kind: Any) -> None:
    names = [field.name for field in dataclasses.fields(kind)]
    record = kind(**dict.fromkeys(names))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, names[0], 1)
    assert not hasattr(record, "__dict__")
    with pytest.raises(TypeError, match="positional"):
        kind(*names)


def parts_of(annotation: Any) -> Iterator[Any]:
    """The type and all that stands in its brackets, arrays' aside, whose shapes are Any."""
    yield annotation
    if typing.get_origin(annotation) is np.ndarray:
        return
    for argument in typing.get_args(annotation):
        yield from parts_of(argument)


def test_no_method_of_the_catalog_takes_or_gives_what_is_untyped_or_sqlalchemys(
    catalog: Catalog,
) -> None:
    groups = {TableGroup: catalog} | {
        type(part): part for part in vars(catalog).values() if isinstance(part, TableGroup)
    }
    assert len(groups) == 9
    seen = 0
    for group in [*groups, Catalog]:
        for name, member in vars(group).items():
            function = member.fget if isinstance(member, property) else member
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            seen += 1
            for annotation in typing.get_type_hints(function).values():
                for part in parts_of(annotation):
                    assert part is not Any, f"{group.__name__}.{name}"
                    module = getattr(part, "__module__", "")
                    assert not module.startswith("sqlalchemy"), f"{group.__name__}.{name}"
    assert seen > 40


def test_what_the_catalog_hands_out_is_of_the_types_it_says(
    catalog: Catalog, ids: tuple[int, int], tmp_path: Path
) -> None:
    """Enumerations are members, JSON is parsed, truth is bool: nothing is as a driver gave it."""
    dataset, encoder = ids
    seen = Sighting("a/b.jpg", Split.QUERY, "3", "7", 1, 250, 12.5)
    one = Candidate(image_id("set", seen.path), seen, 10, 99)
    (recorded,) = catalog.embeddings.stale(dataset, encoder, [one])
    catalog.embeddings.finish(encoder, indexed={one.id: ("ab" * 32, 7)})
    catalog.runs.start(dataset, encoder)
    catalog.learned.save_calibration(
        encoder, source="train", images=9, transit=b"t", weight=0.5, cosines=b"c", scores=b"s",
        pairing=None, sample=9,
    )  # fmt: skip
    catalog.expansions.begin(encoder, "any", means=b"m", cells=None)
    catalog.expansions.finish(encoder, {one.id: 9}, gone=[])
    catalog.log.add(
        records.NewSearch(
            time=1.5, operator="o", command="query", probe_sha256="ff", hits=3,
            filters={"camera": [1, 2]}, picture=b"p",
        )
    )  # fmt: skip
    catalog.residence.move_vectors("http://there:6333", left="embedded")
    catalog.residence.leave_for(records.Whereabouts(address="postgresql://there/g", home="h"))
    (image,) = catalog.images.all()
    (embedding,) = catalog.embeddings.all(encoder)
    (count,) = catalog.images.counts()
    (logged,) = catalog.log.entries()
    found = [
        image, embedding, count, logged, *catalog.encoders(), catalog.runs.last(),
        catalog.learned.calibration(encoder), recorded, *catalog.places.cameras(),
        *catalog.places.datasets(), catalog.expansions.of(encoder),
        *catalog.residence.left, catalog.residence.moved,
    ]  # fmt: skip
    assert {type(record) for record in found} == set(RECORDS)
    for record in found:
        assert dataclasses.is_dataclass(record)
        assert not isinstance(record, type)
        for name, hint in typing.get_type_hints(type(record)).items():
            value = getattr(record, name)
            kinds = {typing.get_origin(kind) or kind for kind in parts_of(hint)}
            assert type(value) in kinds, (type(record).__name__, name, value)
    assert image.sighting == seen
    assert image.file == tmp_path / "a/b.jpg"
    assert image == catalog.images.describe(encoder, [one.id])[one.id]
    assert [image] == catalog.images.of([one.id, one.id, 5])
    assert (embedding.state, embedding.checksum) == (State.INDEXED, 7)
    assert logged.filters == {"camera": [1, 2]}


def test_the_log_gives_each_kept_picture_once_and_lists_searches_without(catalog: Catalog) -> None:
    def search(time: float, picture: bytes | None, digest: str) -> None:
        catalog.log.add(
            records.NewSearch(
                time=time,
                operator="o",
                command="query",
                probe_sha256=digest,
                filters={"time": time},
                hits=0,
                picture=picture,
            )
        )

    pictures = {hashlib.sha256(data).hexdigest(): data for data in (b"one", b"two")}
    for time, (digest, data) in enumerate([*pictures.items()] * 2):
        search(time, data, digest)
    search(4, None, "00")
    search(5, b"", "11")  # nothing was kept
    assert dict(catalog.log.pictures()) == pictures
    assert len(list(catalog.log.pictures())) == 2
    assert [e.time for e in catalog.log.entries(since=2)] == [2, 3, 4, 5]
    assert [e.has_picture for e in catalog.log.entries()] == [True] * 4 + [False, True]
    catalog.log.forget_probes(list(pictures)[:1])
    assert list(catalog.log.pictures()) == [*pictures.items()][1:]
    catalog.log.add(
        records.NewSearch(
            time=6,
            operator="o",
            command="query",
            probe_sha256="",
            filters={},
            hits=0,
            picture=b"late",
        )
    )
    some = catalog.log.pictures()
    next(some)
    some.close()  # type: ignore[attr-defined]
    catalog.places.add_dataset("still writable", Path("/"))


def test_the_log_tells_all_pictures_of_a_search_by_what_they_are_for(catalog: Catalog) -> None:
    def search(time: float, first: str, *others: records.LoggedPicture) -> None:
        catalog.log.add(
            records.NewSearch(
                time=time,
                operator="o",
                command="query",
                probe_sha256=first,
                filters={},
                hits=0,
                picture=None,
                others=others,
            )
        )

    def also(role: records.Role, digest: str, picture: bytes | None) -> records.LoggedPicture:
        return records.LoggedPicture(role=role, sha256=digest, picture=picture)

    together, unlike = records.Role.TOGETHER, records.Role.UNLIKE
    search(1, "aa", also(together, "bb", b"two"), also(unlike, "cc", b"three"))
    search(2, "bb")
    search(3, "dd", also(unlike, "aa", None), also(unlike, "bb", b"two"))
    told = [(e.probe_sha256, e.together, e.unlike, e.has_picture) for e in catalog.log.entries()]
    assert told == [
        ("aa", ("bb",), ("cc",), True), ("bb", (), (), False), ("dd", (), ("aa", "bb"), True)
    ]  # fmt: skip
    assert [e.unlike for e in catalog.log.entries(since=3)] == [("aa", "bb")]
    assert list(catalog.log.pictures()) == [("bb", b"two"), ("cc", b"three")]
    catalog.log.forget_probes(["bb"])
    told = [(e.probe_sha256, e.together, e.unlike, e.has_picture) for e in catalog.log.entries()]
    assert told == [
        ("aa", ("",), ("cc",), True), ("", (), (), False), ("dd", (), ("aa", ""), False)
    ]  # fmt: skip
    assert list(catalog.log.pictures()) == [("cc", b"three")]


def test_indexed_images_may_be_asked_for_by_data_set(catalog: Catalog, tmp_path: Path) -> None:
    encoder = catalog.add_encoder(fingerprint="f" * 64, name="e", dimension=4, payloads=2)
    found = {}
    for name in ("one", "two"):
        new = Candidate(image_id(name, "a.jpg"), Sighting("a.jpg"), 1, 1)
        (tmp_path / name).mkdir()
        found[catalog.places.add_dataset(name, tmp_path / name)] = new.id
        catalog.embeddings.stale(catalog.places.add_dataset(name, tmp_path / name), encoder, [new])
        catalog.embeddings.finish(encoder, indexed={new.id: ("", 7)})
    for dataset, id in found.items():
        assert catalog.embeddings.indexed_ids(encoder, dataset_id=dataset) == {id}
    assert catalog.embeddings.indexed_ids(encoder) == set(found.values())


def test_a_catalog_notes_where_its_vectors_and_itself_are(catalog: Catalog) -> None:
    assert (catalog.store, catalog.home) == (None, None)
    catalog.record_store("http://one:6333")
    catalog.record_home("machine /folder")
    catalog.record_store("http://two:6333")
    assert (catalog.store, catalog.home) == ("http://two:6333", "machine /folder")


def test_a_copy_becomes_a_catalog_of_its_own_and_keeps_what_it_lists(
    catalog: Catalog, ids: tuple[int, int]
) -> None:
    one = candidate("a.jpg")
    catalog.embeddings.stale(*ids, [one])
    catalog.embeddings.mark_deleting([one.id], compact=True)
    catalog.record_store("http://one:6333")
    catalog.record_home("machine /folder")
    before = catalog.images.all()
    key = catalog.key
    catalog.become_another()
    assert catalog.key != key
    assert len(catalog.key) == len(key)
    assert (catalog.store, catalog.home) == (None, None)
    assert catalog.compaction_owed  # its file holds what the original's does
    assert catalog.images.all() == before


ROOTS = {"one": "/data", "two": "/data/sub", "all": "/"}
PATHS = (
    "a.jpg", "./a.jpg", "sub/a.jpg", "sub//a.jpg", "sub/./a.jpg", "sub/../a.jpg", "a.jpg/", ".",
    "/data/a.jpg", "data/sub/a.jpg", "SUB/a.jpg", "%.jpg", "_.jpg", "\u00e9.jpg",
)  # fmt: skip
GIVEN = (
    *PATHS, "/data/sub/a.jpg", "/data//sub/a.jpg", "/data/./a.jpg", "/data/sub/../a.jpg", "/data",
    "/", "/a.jpg", "/data/sub/sub/a.jpg", "\udcff.jpg", "/data/\udcff.jpg",
)  # fmt: skip
NUMBERS = st.one_of(st.none(), st.integers(-1, 3))
NAMES = NUMBERS.map(lambda n: None if n is None else str(n))
TIMES = st.one_of(st.none(), st.sampled_from([-5.0, 0.0, 1.0, 2.5]))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with the catalog's tables."""
    if request.param == "sqlite":
        opened: Database = SqliteFile(Path(":memory:"))
        tables.metadata.create_all(opened.engine)
    else:
        opened = PostgresDatabase(request.getfixturevalue("catalog_url"), purpose="test")
    with closing(opened):
        yield opened


def catalog_of(empty: Database, images: list[tuple[Any, ...]]) -> Catalog:
    """A catalog with these images in it and nothing else: data set, path, identity, camera,
    timestamp and time of adding."""
    named = [{"id": 10 * d + n, "site_id": d, "name": str(n)}
             for d, n in itertools.product(range(1, 4), range(-1, 4))]  # fmt: skip
    rows = [
        {
            "id": id,
            "dataset_id": dataset,
            "split": "gallery",
            "path": path,
            "identity_id": None if identity is None else 10 * dataset + identity,
            "camera_id": None if camera is None else 10 * dataset + camera,
            "timestamp": timestamp,
            "added": added,
        }
        for id, (dataset, path, identity, camera, timestamp, added) in enumerate(images, start=1)
    ]
    with empty.engine.execution_options(writes=True).begin() as db:
        for table in reversed(tables.metadata.sorted_tables):
            db.execute(delete(table))
        sets = enumerate(ROOTS.items(), start=1)
        db.execute(insert(tables.site), [{"id": id, "name": f"site {id}"} for id in (1, 2, 3)])
        db.execute(
            insert(tables.dataset),
            [{"id": id, "name": n, "root": r, "site_id": id} for id, (n, r) in sets],
        )
        for table in (tables.camera, tables.identity):
            db.execute(insert(table), named)
        if rows:
            db.execute(insert(tables.image), rows)
    return Catalog(empty)


@given(
    images=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from(PATHS),
            NUMBERS,
            NUMBERS,
            TIMES,
            st.sampled_from([0.0, 2.0]),
        ),
        max_size=25,
        unique_by=lambda image: image[:2],
    ),
    identity=st.one_of(NAMES, st.sampled_from(["nobody", "\udcff"])),
    camera=NAMES,
    before=st.one_of(TIMES, st.sampled_from([float("inf"), float("-inf"), float("nan")])),
    dataset=st.sampled_from([None, "one", "two", "all", "none", "\udcff"]),
    paths=st.lists(st.sampled_from(GIVEN).map(Path), max_size=8).map(tuple),
)
@example(
    images=[(1, f"{t}{a}.jpg", 1, 1, t, a) for t in (None, 0.0, 2.0) for a in (0.0, 2.0)],
    identity="1",
    camera="1",
    before=1.0,
    dataset=None,
    paths=(),
)
@example(
    images=[(d, path, 1, 1, None, 0.0) for d in (1, 2, 3) for path in PATHS],
    identity=None,
    camera=None,
    before=None,
    dataset=None,
    paths=(Path("/data/sub/a.jpg"), Path("a.jpg")),
)
def test_the_images_meant_are_found_in_sql_as_they_are_in_python(
    empty: Database,
    images: list[tuple[Any, ...]],
    identity: str | None,
    camera: str | None,
    before: float | None,
    dataset: str | None,
    paths: tuple[Path, ...],
) -> None:
    catalog = catalog_of(empty, images)
    every = catalog.images.all()
    assert len(every) == len(images)
    found = catalog.images.matching(
        identity=identity, camera=camera, before=before, dataset=dataset, paths=paths
    )
    if not paths and all(one is None for one in (identity, camera, before, dataset)):
        assert found == every
        return
    asked = Selection(
        identity=identity, camera=camera, before=before, dataset=dataset, images=paths
    )  # which says the same of crops that wait, and are in no catalog
    assert found == [record for record in every if asked.fits(record)]


def test_a_path_is_looked_up_from_the_folder_one_is_in(
    catalog: Catalog, ids: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = str(tmp_path / "crops/b.jpg")  # as of a file that was rejected
    two = [candidate("crops/a.jpg"), candidate(outside)]
    catalog.embeddings.stale(*ids, two)
    (tmp_path / "crops").mkdir()
    monkeypatch.chdir(tmp_path / "crops")
    (found,) = catalog.images.matching(paths=[Path("a.jpg")])
    assert found.path == "crops/a.jpg"
    (found,) = catalog.images.matching(paths=[Path("b.jpg")])
    assert found.path == outside
    assert catalog.images.matching(paths=[Path("c.jpg")]) == []
