"""What processes on many machines hold against each other through a PostgreSQL server, asked as it
is, and through a pooler in both of its modes that give a transaction one session."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import make_url

from reidsearch import CatalogLocked
from reidsearch.catalog import hold, schema
from reidsearch.catalog import postgres as postgres_module
from reidsearch.catalog.database import HoldLost, Mode
from reidsearch.catalog.postgres import PostgresDatabase
from reidsearch.errors import CatalogUnreachable
from tests import pgbouncer
from tests.postgres import Cluster, run_sql
from tests.serving import until


@pytest.fixture(params=["direct", "session", "transaction"])
def url(request: pytest.FixtureRequest, postgres: Cluster, catalog_url: str) -> Iterator[str]:
    if request.param == "direct":
        yield catalog_url
        return
    with pgbouncer.pooler(postgres, request.param) as pooler:
        yield pooler.url(catalog_url)


def test_who_deletes_waits_for_those_that_take_in_and_the_other_way_round(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "TOLD_AFTER", 0.1)
    monkeypatch.setattr(postgres_module, "HELD", 0.1)
    with (
        closing(PostgresDatabase(url, purpose="ingest")) as one,
        closing(PostgresDatabase(url, purpose="forget")) as other,
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


def test_a_worker_lives_as_long_as_its_session(url: str) -> None:
    with (
        closing(PostgresDatabase(url, purpose="ingest")) as one,
        closing(PostgresDatabase(url, purpose="ingest")) as other,
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


def test_nothing_is_written_by_who_has_lost_what_it_held(url: str) -> None:
    with closing(schema.open_shared(url, purpose="forget")) as catalog:
        with catalog.database.held(Mode.EXCLUSIVE):
            catalog.record_home("here")
            others = "FROM pg_stat_activity WHERE datname = current_database()"
            others += " AND pid <> pg_backend_pid()"
            # It waits until each has ended, for so many milliseconds at most.
            run_sql(url, f"SELECT pg_terminate_backend(pid, 60000) {others}")
            with pytest.raises(HoldLost, match="restarted, or cut off"):
                catalog.record_home("there")
        assert catalog.home == "here"
        with catalog.database.held(Mode.EXCLUSIVE):
            catalog.record_home("there")
        assert catalog.home == "there"


def test_nothing_stays_held_in_a_session_that_a_pooler_gives_to_others(url: str) -> None:
    with (
        closing(PostgresDatabase(url, purpose="ingest")) as one,
        closing(PostgresDatabase(url, purpose="forget")) as other,
    ):
        with pytest.raises(ZeroDivisionError), one.working(), one.held(Mode.EXCLUSIVE):
            raise ZeroDivisionError
        with one.working(), one.held(Mode.SHARED):
            one.close()
        with one.working(), one.held(Mode.EXCLUSIVE):
            pass
        with other.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = ("
            held += "SELECT oid FROM pg_database WHERE datname = current_database())"
            until(lambda: db.exec_driver_sql(held).scalar() == 0)  # a connection has just ended
            idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            idle += " AND datname = current_database()"
            until(lambda: db.exec_driver_sql(idle).scalar() == 0)


def test_what_is_held_outlasts_a_server_that_ends_who_does_nothing(
    url: str, postgres: Cluster
) -> None:
    name = make_url(url).database
    run_sql(postgres.url, f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = 50")
    with closing(schema.open_shared(url, purpose="forget")) as catalog:
        with catalog.database.held(Mode.EXCLUSIVE):
            time.sleep(0.3)
            catalog.record_home("here")
        assert catalog.home == "here"


def test_who_is_cut_off_while_it_waits_may_ask_again(url: str) -> None:
    with (
        closing(PostgresDatabase(url, purpose="ingest")) as one,
        closing(PostgresDatabase(url, purpose="forget")) as other,
        ThreadPoolExecutor(1) as beside,
    ):

        def take() -> None:
            with other.held(Mode.EXCLUSIVE):
                pass

        with one.held(Mode.SHARED):
            waiting = beside.submit(take)
            waits = "FROM pg_stat_activity WHERE wait_event = 'advisory'"
            waits += " AND datname = current_database()"
            with one.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                until(lambda: db.exec_driver_sql(f"SELECT 1 {waits}").scalar())
                db.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {waits}")
            with pytest.raises(CatalogUnreachable):
                waiting.result()
        take()
