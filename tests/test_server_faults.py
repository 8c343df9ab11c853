"""A Qdrant server that is absent, slow, broken, or dies: tried again for a while, nothing lost."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reidsearch import datasets, ingest
from reidsearch.catalog import State
from reidsearch.cli import app
from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder
from reidsearch.environment import API_KEY, api_key
from reidsearch.errors import StoreError, StoreUnreachable, UsageError
from reidsearch.stores import server
from reidsearch.stores.connection import Patience
from reidsearch.stores.server import ServerStore
from reidsearch.types import Kind
from tests.conftest import Run, filling
from tests.processes import LONG
from tests.qdrant_server import Fault, QdrantStandIn
from tests.test_ingest import snapshot
from tests.test_stores import DIMENSION, contents, points, unit

PASSING = [fault for fault in Fault if fault is not Fault.FORBIDDEN]
SECRET = "s3cr3t-k3y-0f-th3-s3rv3r"


# Tries follow each other soon; a busy machine does not run out of them.
PATIENT = Patience(opening=60, calls=60, timeout=1, first_wait=0.01, longest_wait=0.1)
IMPATIENT = replace(PATIENT, calls=1)  # once it is open
ABSENT = replace(PATIENT, opening=0.5)


def open_stores_with(patience: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that galleries do."""
    monkeypatch.setattr(server, "ServerStore", partial(ServerStore, patience=patience))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    open_stores_with(PATIENT, monkeypatch)


@pytest.fixture
def remote(settings: Config, qdrant: QdrantStandIn) -> Config:
    return replace(settings, qdrant_url=qdrant.url)


def open_store(qdrant: QdrantStandIn, patience: Patience = PATIENT) -> ServerStore:
    return ServerStore(qdrant.url, collection="people", dimension=DIMENSION, patience=patience)


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_tried_again_and_leaves_no_trace(
    qdrant: QdrantStandIn, fault: Fault
) -> None:
    vectors = unit(600)
    qdrant.plan = lambda number, path: fault if number % 3 == 1 else None
    store = open_store(qdrant)
    store.upsert(points(vectors))
    store.delete([2, 3])
    ids, stored = contents(store)
    assert ids.tolist() == [1, *range(4, 601)]
    assert stored.tobytes() == np.delete(vectors, [1, 2], axis=0).tobytes()
    assert len(qdrant.requests) < 40  # bounded, about half of them faults
    store.close()


def _every_third(first: int, fault: Fault, number: int, path: str) -> Fault | None:
    return fault if number % 3 == first else None


@pytest.mark.parametrize("fault", PASSING)
def test_expanded_vectors_get_through_faults_that_pass(qdrant: QdrantStandIn, fault: Fault) -> None:
    vectors, expanded = unit(600), unit(600, seed=1)
    store = open_store(qdrant)
    store.upsert(points(vectors))
    for first in range(3):  # so that each kind of request fails once
        qdrant.plan = partial(_every_third, first, fault)
        store.drop_expanded()
        store.write_expanded(np.arange(1, 601), expanded)
        ((ids, found),) = store.scroll(kind=Kind.EXPANDED)
        assert ids.tolist() == list(range(1, 601))
        assert found.tobytes() == expanded.tobytes()
    assert contents(store)[1].tobytes() == vectors.tobytes()
    store.close()


def test_a_refusal_is_not_tried_again(qdrant: QdrantStandIn) -> None:
    store = open_store(qdrant)
    before = len(qdrant.requests)
    qdrant.plan = lambda number, path: Fault.FORBIDDEN
    with pytest.raises(StoreError, match="403") as error:
        store.upsert(points(unit(3)))
    assert not isinstance(error.value, StoreUnreachable)
    assert "QDRANT_API_KEY" in error.value.hint
    assert len(qdrant.requests) == before + 1
    store.close()


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_stays_is_given_up_in_bounded_time(
    qdrant: QdrantStandIn, fault: Fault
) -> None:
    store = open_store(qdrant, IMPATIENT)
    qdrant.plan = lambda number, path: fault
    started = time.monotonic()
    with pytest.raises(StoreUnreachable) as error:
        store.ids()
    assert time.monotonic() - started < PATIENT.calls / 2
    assert "run the same call again" in error.value.hint
    store.close()


def test_a_server_that_comes_back_is_gone_on_with(qdrant: QdrantStandIn) -> None:
    store = open_store(qdrant)
    store.upsert(points(unit(5)))
    qdrant.down()
    signal.signal(signal.SIGALRM, lambda *_: qdrant.up())
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    assert store.ids() == {1, 2, 3, 4, 5}
    store.close()


@pytest.mark.parametrize("fault", PASSING)
def test_an_ingest_through_a_failing_server_ends_as_through_a_sound_one(
    market: Path,
    settings: Config,
    remote: Config,
    encoder: Encoder,
    qdrant: QdrantStandIn,
    fault: Fault,
) -> None:
    with filling(settings) as opened:
        ingest.take_in(opened, datasets.read(market), encoder=encoder)
        expected = snapshot(opened)
    remote = replace(remote, data_dir=settings.data_dir.parent / "remote")
    qdrant.plan = lambda number, path: fault if number % 3 == 0 else None
    with filling(remote) as opened:
        report = ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert report.ingested == 31
        assert snapshot(opened) == expected


def test_a_server_that_dies_for_good_in_an_ingest_leaves_progress_and_the_next_completes(
    market: Path,
    settings: Config,
    remote: Config,
    encoder: Encoder,
    qdrant: QdrantStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = partial(ServerStore, patience=IMPATIENT, batch=8)
    monkeypatch.setattr(server, "ServerStore", small)
    with filling(settings) as opened:
        ingest.take_in(opened, datasets.read(market), encoder=encoder)
        expected = snapshot(opened)
    remote = replace(remote, data_dir=settings.data_dir.parent / "remote")

    def die(number: int, path: str) -> Fault | None:
        upserts = sum(request.endswith("/points") for request in qdrant.requests)
        return Fault.DIES_AFTER_THE_WORK if upserts >= 2 else None

    qdrant.plan = die
    with (
        filling(remote) as opened,
        pytest.raises(StoreUnreachable),
    ):
        ingest.take_in(opened, datasets.read(market), encoder=encoder)
    qdrant.plan = lambda number, path: None
    with filling(remote) as opened:
        states = {row.state for row in opened.catalog.embeddings.all(opened.encoder_id)}
        assert State.PENDING in states
        ingest.take_in(opened, datasets.read(market), encoder=encoder)
        assert snapshot(opened) == expected


def test_an_absent_server_ends_with_4_and_says_what_to_try(
    market: Path, run: Run, qdrant: QdrantStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_stores_with(ABSENT, monkeypatch)
    qdrant.down()
    result = run("--qdrant-url", qdrant.url, "ingest", market, exit_code=4)
    assert f"no Qdrant server answers at {qdrant.url}" in result.stderr
    assert "docker compose up" in result.stderr


def test_queries_and_doctor_and_forget_work_through_a_server(
    market: Path, run: Run, qdrant: QdrantStandIn
) -> None:
    remote = ("--qdrant-url", qdrant.url)
    run(*remote, "--quiet", "ingest", market)
    answer = run(*remote, "query", market / "query/0001_c1s1_000001_00.jpg", "--json")
    assert json.loads(answer.stdout)["hits"][0]["identity"] == 1
    result = run(*remote, "forget", "--identity", 1, "--yes")
    assert "when it next optimises" in result.stderr
    (collection,) = qdrant.collections.values()
    assert len(collection) == 23
    assert json.loads(run(*remote, "doctor", "--json").stdout)["healthy"]
    collection.pop(next(iter(collection)))
    assert json.loads(run(*remote, "doctor", "--fix", "--json").stdout)["healthy"]
    assert len(collection) == 23


def test_an_interruption_does_not_wait_for_a_server_that_does_not_answer(
    market: Path, remote: Config, qdrant: QdrantStandIn
) -> None:
    qdrant.plan = lambda number, path: Fault.AWAY if path.endswith("/points") else None
    executable = Path(sys.executable).with_name("reidsearch")
    home, encoder = str(remote.data_dir), str(remote.encoder)
    words = ["--data-dir", home, "--encoder", encoder, "--qdrant-url", qdrant.url, "ingest"]
    process = subprocess.Popen(
        [str(executable), *words, str(market)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + LONG
    while sum(request.endswith("/points") for request in qdrant.requests) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=LONG)
    # It was asked in vain more than once, and would be for the rest of a minute.
    assert time.monotonic() - started < Patience().calls / 3
    assert process.returncode == 130, stderr


@pytest.mark.parametrize("by", ["environment", "file"])
@pytest.mark.parametrize("fault", [None, Fault.FORBIDDEN, Fault.BROKEN, "down"])
def test_the_servers_key_is_sent_and_never_shown(
    market: Path,
    tmp_path: Path,
    run: Run,
    qdrant: QdrantStandIn,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    fault: Fault | str | None,
) -> None:
    if by == "environment":
        monkeypatch.setenv(API_KEY, SECRET)
    else:
        (tmp_path / "key").write_text(f"{SECRET}\n")
        monkeypatch.setenv(f"{API_KEY}_FILE", str(tmp_path / "key"))
    open_stores_with(IMPATIENT if fault is None else replace(ABSENT, calls=0.5), monkeypatch)
    if fault == "down":
        qdrant.down()
    elif isinstance(fault, Fault):
        qdrant.plan = lambda number, path: fault
    home = str(tmp_path / "home")
    remote = ["--debug", "--data-dir", home, "--qdrant-url", qdrant.url]
    shown = ""
    for words in (("ingest", market), ("status",), ("doctor",), ("query", market / "query")):
        result = CliRunner().invoke(app, [*remote, *map(str, words)])
        shown += result.output
    if fault is not None:
        assert "Qdrant" in shown
    assert SECRET not in shown
    if fault != "down":
        assert qdrant.keys == {SECRET}


def test_a_key_that_cannot_be_used_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for environment in (
        {API_KEY: SECRET, f"{API_KEY}_FILE": "key"},
        {API_KEY: f"{SECRET}\nX-Header: 1"},
        {API_KEY: f"{SECRET}é"},
        {f"{API_KEY}_FILE": str(tmp_path / "absent")},
    ):
        with pytest.raises(UsageError) as error:
            api_key(environment)
        assert SECRET not in error.value.message + error.value.hint
    assert api_key({}) is None


def test_a_url_with_a_password_is_refused_without_showing_it(run: Run) -> None:
    result = run("--qdrant-url", f"https://me:{SECRET}@host:6333", "status", exit_code=2)
    assert SECRET not in result.output
    assert API_KEY in result.stderr
