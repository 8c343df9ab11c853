"""What a PostgreSQL server, or the way to it, says no with: each error made for real."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from reidsearch import CatalogError, CatalogLocked, UsageError
from reidsearch.catalog import hold, postgres, schema
from reidsearch.catalog.database import HoldLost, Mode
from reidsearch.catalog.postgres import PostgresDatabase
from reidsearch.config import Config, load
from reidsearch.errors import CatalogUnreachable, NewerSchema
from reidsearch.gallery import Gallery
from tests.postgres import Cluster, cluster, database, run_sql
from tests.serving import until

SECRET = "tr0ub4dor"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OPENING", 0.3)


def refused(url: str) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        schema.open_shared(url, purpose="test").close()
    told = f"{caught.value.message} {caught.value.hint}"
    assert SECRET not in told
    assert SECRET not in repr(caught.value)
    return caught.value


def test_a_server_that_is_not_there_is_to_be_looked_for(tmp_path: Path) -> None:
    error = refused(f"postgresql+psycopg://ann:{SECRET}@/people?host={tmp_path}")
    assert isinstance(error, CatalogUnreachable)
    assert error.exit_code == 4
    assert "does not answer" in error.message
    assert "postgresql+psycopg://ann@/people" in error.message


@pytest.fixture
def strict() -> Iterator[Cluster]:
    """A server that asks the user ann for a password, and nobody else."""
    with cluster() as server:
        run_sql(server.url, f"CREATE ROLE ann LOGIN PASSWORD '{SECRET}'")
        rules = server.folder / "data/pg_hba.conf"
        rules.write_text("local all ann scram-sha-256\n" + rules.read_text())
        run_sql(server.url, "SELECT pg_reload_conf()")
        yield server


def test_each_refusal_says_what_it_was_and_what_to_try(
    strict: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = make_url(strict.url).set(username="ann")
    missing = refused(ann.render_as_string())
    assert "PGPASSWORD" in missing.hint
    wrong = refused(ann.set(password=SECRET + "x").render_as_string(hide_password=False))
    assert "let this user in" in wrong.message
    monkeypatch.setenv("PGPASSWORD", SECRET)
    denied = refused(ann.render_as_string())
    assert "does not allow it" in denied.message
    assert "GRANT CREATE" in denied.hint
    monkeypatch.delenv("PGPASSWORD")
    nowhere = refused(make_url(strict.url).set(database="nowhere").render_as_string())
    assert "createdb" in nowhere.hint
    with database(strict.url) as url:
        name = make_url(url).database
        run_sql(strict.url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        assert "standby" in refused(url).hint
    monkeypatch.setattr(postgres, "OLDEST", 99)
    assert "Version 99 or later" in refused(strict.url).hint


def test_the_password_may_come_from_a_file_of_its_own(
    strict: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = make_url(strict.url).set(username="ann")
    file = tmp_path / "password"
    monkeypatch.setenv("REIDSEARCH_CATALOG_PASSWORD_FILE", str(file))
    with pytest.raises(UsageError, match="cannot be read"):
        schema.find_shared(ann.render_as_string(), purpose="test")
    for useless in (b"\n", b"\xff\xfe", b"\0"):
        file.write_bytes(useless)
        with pytest.raises(UsageError, match="holds no password"):
            schema.find_shared(ann.render_as_string(), purpose="test")
    file.write_text(f"{SECRET}\n")
    assert schema.find_shared(ann.render_as_string(), purpose="test") is None  # it may look
    assert schema.find_shared(strict.url, purpose="test") is None  # who needs none, is let in too
    given = ann.set(password="another").render_as_string(hide_password=False)
    assert "let this user in" in refused(given).message  # what the URL holds goes first


def test_a_catalog_of_a_newer_version_is_refused(catalog_url: str) -> None:
    run_sql(catalog_url, "UPDATE alembic_version SET version_num = '9999'")
    error = refused(catalog_url)
    assert isinstance(error, NewerSchema)
    assert "Nothing was changed" in error.hint


@pytest.mark.parametrize("text", ["sqlite:///x", f"mysql://ann:{SECRET}@host/x", "postgresql://[x"])
def test_what_is_no_address_of_a_catalog_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UsageError) as error:
        load({"catalog_url": text})
    assert SECRET not in f"{error.value.message} {error.value.hint}"


def test_a_password_in_the_url_is_used_and_never_shown(settings: Config, strict: Cluster) -> None:
    run_sql(strict.url, "CREATE DATABASE people OWNER ann")
    url = make_url(strict.url).set(username="ann", password=SECRET, database="people")
    given = load({"catalog_url": url.render_as_string(hide_password=False),
                  "qdrant_url": "http://127.0.0.1:1",
                  "data_dir": str(settings.data_dir)})  # fmt: skip
    assert SECRET not in repr(given) + str(given.catalog_url)
    with Gallery(given, purpose="test") as opened:
        assert opened._session.catalog.key
        told = {one.key: one.value for one in opened.status().settings}
    assert told["catalog_url"] == "postgresql+psycopg://ann@/people"


def test_who_deletes_waits_for_those_that_take_in_and_the_other_way_round(
    catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "TOLD_AFTER", 0.1)
    monkeypatch.setattr(postgres, "HELD", 0.1)
    with (
        closing(PostgresDatabase(catalog_url, purpose="ingest")) as one,
        closing(PostgresDatabase(catalog_url, purpose="forget")) as other,
    ):
        with one.held(Mode.SHARED), other.held(Mode.SHARED):
            pass
        for mine, theirs in ((Mode.SHARED, Mode.EXCLUSIVE), (Mode.EXCLUSIVE, Mode.SHARED)):
            with (
                one.held(mine),
                one.held(Mode.SHARED),  # what is inside changes nothing
                pytest.raises(CatalogLocked, match="reidsearch ingest on"),
                other.held(theirs),
            ):
                pass
            with other.held(theirs):
                pass


def test_a_worker_lives_as_long_as_its_session(catalog_url: str) -> None:
    with (
        closing(PostgresDatabase(catalog_url, purpose="ingest")) as one,
        closing(PostgresDatabase(catalog_url, purpose="ingest")) as other,
    ):

        def seen() -> set[int]:
            with other.engine.connect() as db:
                return other.workers(db)

        assert seen() == set()
        with one.working():
            assert seen() == {one.worker}
            with one.held(Mode.SHARED):
                assert seen() == {one.worker}
            one.retire()
            assert seen() == set()
            with one.held(Mode.SHARED):
                assert seen() == set()
        with one.working():
            one.close()
            until(lambda: seen() == set())  # the server sees that a connection has ended
            with one.held(Mode.SHARED):  # in another session
                assert seen() == {one.worker}


def test_nothing_is_written_by_who_has_lost_what_it_held(catalog_url: str) -> None:
    with closing(schema.open_shared(catalog_url, purpose="forget")) as catalog:
        with catalog.database.held(Mode.EXCLUSIVE):
            catalog.record_home("here")
            run_sql(
                catalog_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            with pytest.raises(HoldLost, match="restarted, or cut off"):
                catalog.record_home("there")
        assert catalog.home == "here"
        with catalog.database.held(Mode.EXCLUSIVE):
            catalog.record_home("there")
        assert catalog.home == "there"


def test_many_that_open_an_empty_database_at_once_make_one_catalog(postgres: Cluster) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with database(postgres.url) as url, ThreadPoolExecutor(6) as pool:

        def key(_: int) -> str:
            with closing(schema.open_shared(url, purpose="test")) as catalog:
                return catalog.key

        assert len(set(pool.map(key, range(6)))) == 1
