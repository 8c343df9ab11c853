import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from reidsearch.catalog import schema, sqlite, tables
from reidsearch.catalog.records import LoggedPicture, NewSearch, Role
from reidsearch.errors import CatalogError, CatalogLocked, NewerSchema
from reidsearch.files import replacing
from reidsearch.types import Split


def test_a_new_catalog_is_at_head_and_its_tables_are_those_of_the_code(tmp_path: Path) -> None:
    opened = schema.open_catalog(tmp_path / "new" / "catalog.sqlite")
    with opened.engine.connect() as db:
        context = MigrationContext.configure(db)
        assert context.get_current_revision() == schema.HEAD
        assert compare_metadata(context, tables.metadata) == []
    opened.close()


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations()))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def made_by(path: Path, revision: str) -> None:
    """A catalog as that version left it, with a row in each of its tables."""
    engine = sqlite.connect(path)
    config = Config()
    config.set_main_option("script_location", str(schema.migrations()))
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, revision)
        tables = {name for (name,) in db.exec_driver_sql("SELECT name FROM sqlite_master").all()}
        rows = ROWS if revision < "0006" else {**SITES, **ROWS, **ROWS_WITH_SITES}
        if revision >= "0009":
            rows |= ROWS_WITH_MEANS
        if revision >= "0011":
            rows |= ROWS_WITH_MACHINES
        if revision >= "0012":
            rows |= ROWS_WITH_CELLS
        for table, values in rows.items():
            if table in tables:
                db.exec_driver_sql(f"INSERT INTO {table} VALUES {values}")
    engine.dispose()


ROWS = {
    "dataset": "(1, 'old', '/data')",
    "camera": "(1, 1, 6)",
    "identity": "(1, 1, 1501)",
    "encoder": "(1, 'abc', 'osnet', 512)",
    "ingest_run": "(1, 1, 1, 1.5, 2.5, 3, 4, 5)",
    "transit": "(1, 1.5, 'train', 1, 9, x'00')",
    "calibration": "(1, 1.5, 'train', 1, 9, x'00', 0.1, x'00', x'00')",
    "neighbours": "(1, 'gallery', x'00')",
    "expansion": "(1, 'times 8 3', 1, 1, x'00', x'00')",
}
SITES = {"site": "(1, 'old')"}
ROWS_WITH_SITES = {
    "dataset": "(1, 'old', '/data', 1, NULL)",
    "camera": "(1, 1, '6')",
    "identity": "(1, 1, '1501')",
    "encoder": "(1, 'abc', 'osnet', 512, 1)",
}
ROWS_WITH_MEANS = {"expansion": "(1, 'times 8 3', 1, 1, x'00', x'00', x'00')"}
ROWS_WITH_MACHINES = {"dataset": "(1, 'old', '/data', 1, NULL, NULL)"}
ROWS_WITH_CELLS = {
    "calibration": "(1, 1.5, 'train', 1, 9, x'00', 0.1, x'00', x'00', NULL, NULL)",
    "expansion": "(1, 'times 8 3', 1, 1, x'00', x'00', x'00', x'00')",
}
IMAGE = "INSERT INTO image (id, dataset_id, split, path, camera_id, identity_id, sha256) VALUES "
EMBEDDING = "INSERT INTO embedding (encoder_id, image_id, state) VALUES (1, 7, 'indexed')"


@pytest.mark.parametrize("revision", [f"{at:04}" for at in range(1, int(schema.HEAD))])
def test_a_catalog_of_an_earlier_version_is_upgraded_with_what_it_holds(
    tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "c.sqlite"
    made_by(path, revision)
    with closing(sqlite3.connect(path)) as db:
        db.execute(IMAGE + "(7, 1, 'query', 'a.jpg', 1, 1, 'ff')")
        db.execute(EMBEDDING)
        if revision >= "0008":
            db.execute("INSERT INTO expanded VALUES (1, 7, 5, x'00', 99)")
        db.commit()
    opened = schema.open_catalog(path)
    with opened.engine.connect() as db:
        context = MigrationContext.configure(db)
        assert context.get_current_revision() == schema.HEAD
        assert compare_metadata(context, tables.metadata) == []
    (row,) = opened.images.all()
    assert (row.id, row.path, row.camera, row.identity, row.sha256, row.root) == (
        7, "a.jpg", "6", "1501", "ff", "/data"
    )  # fmt: skip
    assert (row.site, row.camera_id, row.identity_id) == ("old", 1, 1)
    assert [one.payloads for one in opened.encoders()] == [1]
    if revision < "0004":
        assert (row.added or 0) > 1_700_000_000  # as if it had come now
    (embedding,) = opened.embeddings.all(1)
    assert (embedding.state, embedding.checksum) == ("indexed", None)
    assert opened.runs.last() is not None
    # 0005 writes it otherwise: it is learned anew.
    assert (opened.learned.calibration(1) is None) == (revision < "0005")
    expansion = opened.expansions.of(1)
    assert (expansion is None) == (revision < "0008")
    # Before 0009 they were made without camera means.
    kept = (True, b"\0") if revision >= "0009" else (False, None)
    assert expansion is None or (expansion.current, expansion.means) == kept
    # What they carry is not told anew; that they were stored stays so.
    assert opened.expansions.checksums(1) == ({7: 99} if revision >= "0008" else {})
    assert opened.expansions.parts(1) == {}
    assert opened.learned.neighbours(1, Split.GALLERY) == (None if revision < "0003" else b"\0")
    opened.close()
    (backup,) = sqlite.backups(path)
    assert backup.name == f"c.sqlite.{revision}.backup"
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
        assert db.execute("SELECT id, path FROM image").fetchall() == [(7, "a.jpg")]
    schema.open_catalog(path).close()
    assert sqlite.backups(path) == [backup]


def test_a_log_of_searches_with_one_picture_each_goes_on_with_several(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    made_by(path, "0005")
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO query_log VALUES (1, 1.5, 'o', 'query', 'ff', '{}', 3, x'01')")
        db.commit()
    with closing(schema.open_catalog(path)) as opened:
        other = LoggedPicture(role=Role.UNLIKE, sha256="cc", picture=None)
        opened.log.add(NewSearch(
            time=2.5, operator="o", command="query", probe_sha256="aa", filters={}, hits=0,
            picture=None, others=[other],
        ))  # fmt: skip
        told = [(e.probe_sha256, e.unlike, e.has_picture) for e in opened.log.entries()]
        assert told == [("ff", (), True), ("aa", ("cc",), False)]


def test_a_half_backup_that_a_kill_leaves_is_found_among_them(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with replacing(tmp_path / "c.sqlite.0003.backup") as partial:
        assert sqlite.backups(path) == [partial]


def test_opening_again_keeps_the_catalog_and_its_key(tmp_path: Path) -> None:
    first = schema.open_catalog(tmp_path / "c.sqlite")
    first.places.add_dataset("a", tmp_path)
    key = first.key
    first.close()
    second = schema.open_catalog(tmp_path / "c.sqlite")
    assert second.key == key
    assert second.places.add_dataset("a", tmp_path) == 1
    second.close()
    other = schema.open_catalog(tmp_path / "other.sqlite")
    assert other.key != key
    other.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    schema.open_catalog(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(NewerSchema, match="9999") as error:
        schema.open_catalog(path)
    assert "pip install --upgrade" in error.value.hint
    db = sqlite3.connect(path)
    assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    db.close()


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"dear diary " * 100)
    with pytest.raises(CatalogError, match="not a database"):
        schema.open_catalog(path)
    assert path.read_bytes() == b"dear diary " * 100


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE recipes (name TEXT)")
    db.commit()
    db.close()
    with pytest.raises(CatalogError, match="another program"):
        schema.open_catalog(path)


def test_a_data_dir_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match="cannot be made"):
        schema.open_catalog(tmp_path / "file" / "home" / "c.sqlite")


def test_a_catalog_locked_by_another_program_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    schema.open_catalog(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    opened = schema.open_catalog(path, lock_seconds=0.2)
    started = time.monotonic()
    with pytest.raises(CatalogLocked, match="locked"):
        opened.places.add_dataset("a", tmp_path)
    assert 0.2 <= time.monotonic() - started < sqlite.LOCK_SECONDS / 2
    other.execute("ROLLBACK")
    other.close()
    assert opened.places.add_dataset("a", tmp_path) == 1
    opened.close()


def test_an_upgrade_that_fails_midway_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "migrations"
    shutil.copytree(schema.migrations(), scripts)
    script = scripts / "versions" / "0001_catalog.py"
    script.write_text(script.read_text() + "\n    raise RuntimeError('power cut')\n")
    path = tmp_path / "c.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: scripts)
        with pytest.raises(RuntimeError, match="power cut"):
            schema.open_catalog(path)
    db = sqlite3.connect(path)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == []
    db.close()
    schema.open_catalog(path).close()
