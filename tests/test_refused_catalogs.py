"""What a PostgreSQL server, or the way to it, says no with: each error made for real."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from reidsearch import CatalogError, UsageError
from reidsearch.catalog import postgres as postgres_module
from reidsearch.catalog import schema
from reidsearch.catalog.database import Mode
from reidsearch.config import Config, load
from reidsearch.errors import CatalogUnreachable, NewerSchema
from reidsearch.gallery import Gallery
from tests import pgbouncer
from tests.postgres import Cluster, cluster, database, run_sql

SECRET = "tr0ub4dor"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "OPENING", 0.3)


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
    monkeypatch.setattr(postgres_module, "OLDEST", 99)
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


def test_many_that_open_an_empty_database_at_once_make_one_catalog(postgres: Cluster) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with database(postgres.url) as url, ThreadPoolExecutor(6) as pool:

        def key(_: int) -> str:
            with closing(schema.open_shared(url, purpose="test")) as catalog:
                return catalog.key

        assert len(set(pool.map(key, range(6)))) == 1


def test_a_pooler_that_cannot_do_what_is_needed_is_refused_before_anything_is_asked(
    postgres: Cluster, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pgbouncer.pooler(postgres, "statement") as pooler:
        error = refused(pooler.url(catalog_url))
        assert not isinstance(error, CatalogUnreachable)  # no waiting would help
        assert "gives every statement another session" in error.message
        assert "transaction, or session" in error.hint
    # Which of many catalogs in one database is meant may be said with the schema's name.
    monkeypatch.setenv("PGOPTIONS", "-csearch_path=elsewhere")
    with pgbouncer.pooler(postgres, "transaction") as pooler:
        error = refused(pooler.url(catalog_url))
        assert "does not pass on" in error.message
        assert "ALTER ROLE" in error.hint
    dropping = {"ignore_startup_parameters": "options"}
    with pgbouncer.pooler(postgres, "transaction", **dropping) as pooler:
        error = refused(pooler.url(catalog_url))
        assert "search_path=elsewhere" in error.message
        assert "ALTER ROLE" in error.hint


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_with_too_few_sessions_says_how_many_are_needed(
    postgres: Cluster, catalog_url: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(postgres_module, "PATIENCE", 0.1)
    few = {"default_pool_size": 1, "query_wait_timeout": 1}
    with (
        pgbouncer.pooler(postgres, mode, **few) as pooler,
        closing(schema.open_shared(pooler.url(catalog_url), purpose="test")) as catalog,
        pytest.raises(CatalogUnreachable, match="no session free") as caught,
        catalog.database.held(Mode.EXCLUSIVE),
    ):
        catalog.record_home("here")
    assert "default_pool_size" in caught.value.hint
