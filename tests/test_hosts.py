"""Several machines on one gallery, with a real network between them that fails as networks do:
packets vanish and nobody is told, one machine is cut off for good, clocks differ."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import make_url

import reidsearch as package
from reidsearch import Gallery, faults
from reidsearch.catalog import postgres
from reidsearch.config import Config
from reidsearch.errors import CatalogUnreachable, StoreUnreachable
from reidsearch.settings import CatalogUrl
from tests import hosts
from tests.hosts import Host, Network
from tests.postgres import Cluster, cluster, database, programs
from tests.processes import LONG, wait_until_it_stands
from tests.qdrant_cluster import ClusterStandIn
from tests.qdrant_server import QdrantStandIn
from tests.test_many import crops, ended, files
from tests.test_server_faults import IMPATIENT, open_stores_with

Process = subprocess.Popen[str]

CATALOG, STORES, WORKERS = "catalog", ("one", "two"), ("north", "south", "west")
IMPOSSIBLE = hosts.impossible() if sys.platform == "linux" else "only Linux has namespaces"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

pytestmark = [
    pytest.mark.skipif(IMPOSSIBLE is not None, reason=str(IMPOSSIBLE)),
    pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed"),
]


@dataclass
class Site:
    """Machines, and a gallery that they share."""

    network: Network
    nodes: ClusterStandIn
    settings: Config
    folder: Path

    def on(
        self,
        name: str,
        *words: object,
        fault: str = "",
        disk: str | None = None,
        clock: str | None = None,
    ) -> Process:
        """A command on a machine, which has a data dir of its own and, but where ``disk`` names
        one that it shares, files of its own; its ``clock`` may be off."""
        assert self.settings.catalog_url is not None
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(package.__file__).parent.parent),
            "REIDSEARCH_CATALOG_URL": self.settings.catalog_url.secret,
            "REIDSEARCH_QDRANT_URL": self.nodes.url,
            "REIDSEARCH_ENCODER": str(self.settings.encoder),
            "REIDSEARCH_DATA_DIR": str(self.folder / f"data of {name}"),
            "REIDSEARCH_MACHINE": disk or name,
            faults.VARIABLE: fault,
        }
        if clock is not None:
            environment |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME": clock}
        command = [*self.network[name].prefix, sys.executable, "-m", "reidsearch"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*command, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            env=environment,
        )

    def crops(self, name: str, count: int, *, first: int = 0) -> Path:
        return crops(self.folder / name, count, first=first)

    @contextmanager
    def here(self, name: str, **changed: object) -> Iterator[Gallery]:
        """The gallery, open in this process as on that machine."""
        settings = replace(self.settings, **changed)  # type: ignore[arg-type]
        with self.network[name].inside(), closing(Gallery(settings, purpose="test")) as opened:
            yield opened

    def stored(self) -> int:
        """How many images are stored, none of them twice; nothing is wrong with any."""
        with self.network[WORKERS[0]].inside():
            found = files(self.settings)
        assert len(found) == len(set(found))
        return len(found)


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Network, Cluster]]:
    with (
        closing(Network(CATALOG, *STORES, *WORKERS)) as network,
        cluster(on=network[CATALOG]) as server,
    ):
        yield network, server


@pytest.fixture
def site(machines: tuple[Network, Cluster], settings: Config, tmp_path: Path) -> Iterator[Site]:
    network, server = machines
    with ExitStack() as stack:
        stack.callback(network.mend)
        name = make_url(stack.enter_context(database(server.url))).database
        url = server.url_afar(str(name))
        nodes = ClusterStandIn(len(STORES))
        for node, host in zip(nodes.nodes, map(network.__getitem__, STORES), strict=True):
            stack.enter_context(listening(node, host))
        given = replace(settings, catalog_url=CatalogUrl(url), qdrant_url=nodes.url)
        yield Site(network, nodes, given, tmp_path)


@contextmanager
def listening(node: QdrantStandIn, host: Host) -> Iterator[None]:
    """A store's node, on that machine."""
    node.address = host.address
    with host.inside():
        node.__enter__()
    try:
        yield
    finally:
        node.awake.set()
        node.__exit__(None, None, None)


def stopped(process: Process) -> Process:
    wait_until_it_stands(process)  # type: ignore[arg-type]
    return process


def test_machines_ingest_query_calibrate_and_serve_one_gallery_at_once(site: Site) -> None:
    shared, own = site.crops("shared", 60), site.crops("own", 30, first=200)
    sub = site.crops("shared/sub", 20, first=100)
    first = site.on("north", "ingest", site.crops("first", 20, first=300), "--json")
    assert ended(first)["ingested"] == 20
    token, _ = site.on("west", "token", "ann", "--role", "search").communicate(timeout=LONG)
    (site.folder / "token").write_text(token.strip())
    address = site.network["west"].address
    service = site.on("west", "serve", "--host", address, "--port", 8733)
    try:
        ingests = [
            site.on("north", "ingest", shared, "--json", disk="nas"),
            site.on("south", "ingest", shared, "--json", disk="nas"),
            site.on("south", "ingest", sub, "--json", disk="nas"),
            site.on("west", "ingest", own, "--json"),
        ]
        probe = sorted(own.iterdir())[0]
        beside = [
            site.on("west", "query", probe, "--json"),
            site.on("north", "calibrate", "--source", "gallery", "--json"),
        ]
        assert service.stderr is not None
        said = service.stderr.readline()
        while "http://" not in said:
            assert said, service.poll()
            said = service.stderr.readline()
        asked = ["--server", f"http://{address}:8733", "--token-file", site.folder / "token"]
        beside.append(site.on("south", *asked, "query", probe, "--json"))
        for process in beside:
            assert json.loads(process.communicate(timeout=LONG)[0])
            assert process.returncode == 0
        assert sum(int(str(ended(process)["ingested"])) for process in ingests) == 110
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=LONG)
    assert site.stored() == 130


def test_an_ingest_outlasts_a_catalog_that_is_out_of_reach_for_a_while(site: Site) -> None:
    ingest = stopped(
        site.on("north", "ingest", site.crops("crops", 60), "--json", fault="encoded!SIGSTOP")
    )
    site.network.cut(CATALOG)
    ingest.send_signal(signal.SIGCONT)
    time.sleep(8)
    assert ingest.poll() is None
    site.network.mend(CATALOG)
    assert ended(ingest)["ingested"] == 60
    assert site.stored() == 60


@pytest.mark.parametrize("what", ["the catalog", "the stores"])
def test_what_is_out_of_reach_for_good_is_told_and_the_next_ingest_completes(
    site: Site, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 1.0)
    monkeypatch.setattr(postgres, "GIVEN_UP", 3)
    open_stores_with(IMPATIENT, monkeypatch)
    folder = site.crops("crops", 60)
    away = [CATALOG] if what == "the catalog" else STORES

    def cut(_: object) -> None:
        for name in away:
            site.network.cut(name)

    error = CatalogUnreachable if what == "the catalog" else StoreUnreachable
    with site.here("north") as opened, pytest.raises(error) as raised:
        opened.ingest(folder, on_progress=cut)
    assert "again" in raised.value.hint
    site.network.mend()
    assert ended(site.on("north", "ingest", folder, "--json"))["found"] == 60
    assert site.stored() == 60


def test_a_store_node_out_of_reach_costs_seconds_and_the_other_is_asked(site: Site) -> None:
    ingest = stopped(
        site.on("north", "ingest", site.crops("crops", 60), "--json", fault="encoded!SIGSTOP")
    )
    site.network.cut(STORES[0])
    ingest.send_signal(signal.SIGCONT)
    assert ended(ingest)["ingested"] == 60
    site.network.mend()
    assert site.stored() == 60


@pytest.mark.parametrize("at", ["recorded", pytest.param("flushed", marks=pytest.mark.soak)])
def test_the_work_of_a_machine_that_is_cut_off_is_taken_over_and_not_done_twice(
    site: Site, at: str
) -> None:
    folder = site.crops("crops", 60)
    lost = stopped(site.on("north", "ingest", folder, "--json", fault=f"{at}!SIGSTOP", disk="nas"))
    site.network.cut("north")
    other = site.on("south", "ingest", folder, "--json", disk="nas")
    assert ended(other)["ingested"] == 60
    assert lost.poll() is None
    site.network.mend()
    lost.send_signal(signal.SIGCONT)
    assert ended(lost)["ingested"] == 0
    assert site.stored() == 60


def test_on_a_bad_line_everything_takes_longer_and_nothing_is_lost(site: Site) -> None:
    with site.network.bad("north"):
        ingest = site.on("north", "ingest", site.crops("north", 60), "--json")
        other = site.on("south", "ingest", site.crops("south", 60, first=100), "--json")
        assert ended(other)["ingested"] == 60
        assert ended(ingest)["ingested"] == 60
    assert site.stored() == 120


@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed")
def test_clocks_that_differ_by_hours_and_days_lose_nothing(site: Site) -> None:
    folder = site.crops("crops", 60)
    clocks = {"north": "+2d", "south": "+3h", "west": None}
    dying = stopped(
        site.on("north", "ingest", folder, fault="recorded!SIGSTOP", disk="nas", clock="+2d")
    )
    others = [
        site.on(name, "ingest", folder, "--json", disk="nas", clock=clock)
        for name, clock in clocks.items()
    ]
    dying.kill()
    dying.communicate()
    assert sum(int(str(ended(process)["ingested"])) for process in others) == 60
    assert site.stored() == 60


@pytest.mark.soak
@pytest.mark.parametrize("away", [(CATALOG,), STORES, ("north",)])
def test_whatever_is_cut_off_for_good_ends_commands_within_two_minutes(
    site: Site, away: tuple[str, ...]
) -> None:
    folder = site.crops("crops", 60)
    ingest = stopped(site.on("north", "ingest", folder, fault="encoded!SIGSTOP"))
    for name in away:
        site.network.cut(name)
    ingest.send_signal(signal.SIGCONT)
    _, said = ingest.communicate(timeout=LONG)
    assert ingest.returncode == 4, said
    assert "un the same command again" in " ".join(said.split())
    site.network.mend()
    assert ended(site.on("north", "ingest", folder, "--json"))["found"] == 60
    assert site.stored() == 60
