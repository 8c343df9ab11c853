"""A cluster of three nodes, of which one is gone, hangs or comes back empty."""

import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch.config import Config
from reidsearch.errors import StoreUnreachable
from reidsearch.gallery import Gallery
from reidsearch.stores import Trouble, silence
from reidsearch.stores.addresses import is_near
from reidsearch.stores.layout import Layout
from reidsearch.stores.server import ServerStore
from reidsearch.types import Filter
from tests.conftest import Run
from tests.qdrant_cluster import DEAD, ClusterStandIn
from tests.qdrant_server import Fault, QdrantStandIn
from tests.test_recorded import ask
from tests.test_server_faults import IMPATIENT, PATIENT, open_stores_with
from tests.test_stores import DIMENSION, contents, points, unit

NAME = "people"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    open_stores_with(PATIENT, monkeypatch)


@pytest.fixture
def remote(settings: Config, market: Path, nodes: ClusterStandIn) -> Config:
    """The settings of a gallery whose vectors are on the cluster; filled."""
    given = replace(settings, qdrant_url=nodes.url)
    with Gallery(given, purpose="test") as gallery:
        gallery.ingest(market)
    return given


def open_store(url: str, layout: Layout | None = None, **told: object) -> ServerStore:
    return ServerStore(
        url,
        collection=NAME,
        dimension=DIMENSION,
        patience=PATIENT,
        layout=layout or Layout(),
        **told,  # type: ignore[arg-type]
    )


def only(nodes: ClusterStandIn) -> str:
    """The name of the one collection."""
    (name,) = nodes.collections
    return name


def states(nodes: ClusterStandIn) -> list[str]:
    return [one.state for shards in nodes.replicas[only(nodes)] for one in shards]


def test_a_collection_is_made_for_the_nodes_there_are(nodes: ClusterStandIn) -> None:
    open_store(nodes.url).close()
    made = nodes.collections[NAME]
    assert made.params["shard_number"] == 3
    assert made.params["replication_factor"] == 2
    assert made.params["write_consistency_factor"] == 1
    assert made.hnsw["m"] == 0
    assert made.quantization == {"turbo": {"always_ram": True, "bits": "bits4"}}
    assert made.vectors[""]["on_disk"] is True


def test_three_replicas_write_to_two_and_one_node_has_one(
    nodes: ClusterStandIn, qdrant: QdrantStandIn
) -> None:
    open_store(nodes.url, Layout(replicas=3)).close()
    assert nodes.collections[NAME].params["write_consistency_factor"] == 2
    open_store(qdrant.url, Layout(on_disk=False, quantised=False)).close()
    alone = qdrant.collections[NAME]
    assert alone.params["replication_factor"] == 1
    assert alone.params["shard_number"] == 1
    assert alone.quantization is None
    assert alone.vectors[""]["on_disk"] is False


def test_settings_say_how_a_collection_is_kept(
    settings: Config, market: Path, nodes: ClusterStandIn, run: Run, tmp_path: Path
) -> None:
    lines = (
        "qdrant_shards = 2",
        'qdrant_replicas = "3"',
        "qdrant_write_consistency = 3",
        "qdrant_on_disk = false",
        "qdrant_quantised = false",
    )
    Path("reidsearch.toml").write_text("\n".join(lines))
    run("--qdrant-url", nodes.url, "--quiet", "ingest", market)
    made = nodes.collections[only(nodes)]
    assert made.params["shard_number"] == 2
    assert made.params["replication_factor"] == 3
    assert made.params["write_consistency_factor"] == 3
    assert made.vectors[""]["on_disk"] is False
    assert made.quantization is None
    Path("reidsearch.toml").write_text("qdrant_replicas = 0")
    assert "qdrant_replicas" in run("status", exit_code=2).stderr


def test_payload_indexes_are_on_disk(qdrant: QdrantStandIn) -> None:
    with closing(open_store(qdrant.url)) as store:
        store.upsert(points(unit(1)))
    indexes = qdrant.collections[NAME].indexes
    assert set(indexes) == {"split", "camera_id", "dataset_id", "time"}
    assert all(index["on_disk"] for index in indexes.values())


def test_a_server_too_old_to_quantise_is_used_without(qdrant: QdrantStandIn) -> None:
    qdrant.version = (1, 16, 3)
    with closing(open_store(qdrant.url)) as store:
        store.upsert(points(unit(3)))
        assert store.count() == 3
        (ailment,) = store.ailments()
    assert ailment.trouble is Trouble.VERSION
    assert "1.16.3" in ailment.what


def test_many_vectors_are_searched_through_their_copies_unless_all_are_to_be_compared(
    qdrant: QdrantStandIn,
) -> None:
    told: list[dict[str, object]] = []
    work = qdrant.answers

    def listen(method: str, path: str, query: object, body: dict) -> object:  # type: ignore[type-arg]
        if path.endswith("/query/batch"):
            told.extend(one["params"] for one in body["searches"])
        return work(method, path, query, body)  # type: ignore[arg-type]

    qdrant.answers = listen
    with closing(open_store(qdrant.url, exact_up_to=10)) as store:
        store.upsert(points(unit(10)))
        store.search(unit(1), limit=1, where=Filter())
        store.upsert(points(unit(11)[10:], first_id=11))
        store.search(unit(1), limit=1, where=Filter())
        store.search(unit(1), limit=1, where=Filter(), exact=True)
    exact = {"exact": True}
    assert [one.get("exact", False) for one in told] == [True, False, True]
    assert told[0] == told[2] == exact
    assert told[1]["quantization"] == {"rescore": True, "oversampling": 2.0}


def test_many_probes_are_one_request(qdrant: QdrantStandIn) -> None:
    with closing(open_store(qdrant.url)) as store:
        store.upsert(points(unit(60)))
        store.search(unit(1), limit=5, where=Filter())
        before = len(qdrant.requests)
        found = store.search(unit(60), limit=5, where=Filter())
    assert len(qdrant.requests) == before + 1
    assert [int(matches.ids[0]) for matches in found] == list(range(1, 61))


@pytest.mark.parametrize("how", ["gone", "hung"])
def test_a_node_that_is_away_costs_nothing_and_is_filled_again_when_it_is_back(
    nodes: ClusterStandIn, how: str
) -> None:
    vectors = unit(90)
    with closing(open_store(nodes.nodes[0].url)) as store:
        store.upsert(points(vectors[:30]))
        if how == "gone":
            nodes.nodes[2].down()
        else:
            nodes.nodes[2].awake.clear()
        assert store.count() == 30
        store.upsert(points(vectors[30:60], first_id=31))
        store.delete([1])
        ailing = {ailment.what for ailment in store.ailments()}
        assert len(ailing) == 2  # it has one replica of two of the three shards
        assert all("node-1002" in one for one in ailing)
        nodes.back(2)
        assert list(store.ailments()) == []
        store.upsert(points(vectors[60:], first_id=61))
        nodes.nodes[1].down()
        ids, stored = contents(store)
        assert ids.tolist() == list(range(2, 91))
        assert stored.tobytes() == vectors[1:].tobytes()


def test_the_next_address_is_asked_where_one_does_not_answer(nodes: ClusterStandIn) -> None:
    vectors = unit(20)
    with closing(open_store(nodes.url)) as store:
        for nth in range(3):
            nodes.nodes[nth].down()
            store.upsert(points(vectors))
            assert contents(store)[1].tobytes() == vectors.tobytes()
            nodes.back(nth)
    nodes.nodes[0].down()
    with closing(open_store(nodes.url)) as store:
        assert store.count() == 20


def test_an_address_that_hangs_is_left_for_the_next(nodes: ClusterStandIn) -> None:
    vectors = unit(20)
    with closing(open_store(nodes.url)) as store:
        store.upsert(points(vectors[:10]))
        nodes.nodes[0].awake.clear()
        store.upsert(points(vectors))
        assert contents(store)[1].tobytes() == vectors.tobytes()
        nodes.back(0)
        assert contents(store)[1].tobytes() == vectors.tobytes()


NEVER = replace(PATIENT, timeout=100_000)  # seconds; who waits for an answer does not end


def test_an_address_that_says_nothing_is_left_within_seconds_when_it_is_opened_or_later(
    nodes: ClusterStandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "LOOK_AFTER", 0.3)
    vectors = unit(20)
    nodes.nodes[0].awake.clear()
    store = ServerStore(nodes.url, collection=NAME, dimension=DIMENSION, patience=NEVER)
    with closing(store):
        store.upsert(points(vectors[:10]))
        nodes.back(0)
        nodes.nodes[1].awake.clear()  # the one that is asked by now
        store.upsert(points(vectors))
        assert contents(store)[1].tobytes() == vectors.tobytes()
        nodes.back(1)
    said = [one.getMessage() for one in caplog.records if "says nothing" in one.getMessage()]
    assert [node.url in one for node, one in zip(nodes.nodes, said, strict=False)] == [True, True]


def test_an_address_that_is_slow_is_not_left_and_neither_is_one_beside_which_none_is_there(
    nodes: ClusterStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "LOOK_AFTER", 0.1)
    monkeypatch.setattr(silence, "LOOK", 0.3)
    store = ServerStore(nodes.url, collection=NAME, dimension=DIMENSION, patience=NEVER)
    with closing(store):
        store.upsert(points(unit(20)))
        first, *others = nodes.nodes
        first.delay = 1.0
        first.plan = lambda number, path: None if path == "/readyz" else Fault.SLOW
        asked = [len(node.requests) for node in others]
        assert store.count() == 20
        assert [len(node.requests) for node in others] == asked
        for node in nodes.nodes:
            node.awake.clear()

        def all_back() -> None:
            for nth in range(3):
                nodes.back(nth)

        back = threading.Timer(2.0, all_back)
        back.start()
        assert store.count() == 20
        back.join()


@pytest.fixture
def lost() -> Iterator[str]:
    """An address from which nothing comes back, no refusal either, as from behind a firewall: its
    queue of connections is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        while True:
            full = stack.enter_context(socket.socket())
            full.settimeout(0.1)
            if full.connect_ex(listening.getsockname()):
                break
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse where a queue is full")
def test_an_address_where_nobody_is_costs_seconds_once_and_no_more(
    lost: str, nodes: ClusterStandIn
) -> None:
    never = 100_000  # seconds; who waits as long for a connection as for an answer does not end
    patience = replace(PATIENT, opening=0.01, timeout=never, connecting=0.05)
    store = ServerStore(
        f"{lost},{nodes.url}", collection=NAME, dimension=DIMENSION, patience=patience
    )
    with closing(store):
        vectors = unit(20)
        store.upsert(points(vectors))
        assert contents(store)[1].tobytes() == vectors.tobytes()


def test_when_no_address_answers_all_are_named(nodes: ClusterStandIn) -> None:
    for node in nodes.nodes:
        node.down()
    with pytest.raises(StoreUnreachable) as error:
        ServerStore(
            nodes.url,
            collection=NAME,
            dimension=DIMENSION,
            patience=replace(IMPATIENT, opening=0.5),
        )
    assert all(node.url in error.value.message for node in nodes.nodes)


def test_other_addresses_of_the_same_cluster_are_remembered(
    remote: Config, settings: Config, market: Path, nodes: ClusterStandIn, run: Run
) -> None:
    first, second, _ = nodes.nodes
    run("--qdrant-url", first.url, "evaluate")  # one of them is enough
    with Gallery(settings, purpose="test") as gallery:
        assert gallery.status().store == nodes.url
    both = f"{second.url},{first.url}"
    run("--qdrant-url", both, "evaluate")
    first.down()
    with Gallery(settings, purpose="test") as gallery:
        assert gallery.status().store == both
        assert gallery.query(market / "query/0002_c1s1_000001_00.jpg").hits


def test_a_secret_in_one_of_several_addresses_is_refused(run: Run) -> None:
    result = run("--qdrant-url", "http://a:6333,http://me:s3cret@b:6333", "status", exit_code=2)
    assert "s3cret" not in result.output


def test_a_node_that_comes_back_empty_is_told_by_doctor_and_made_good(
    remote: Config, nodes: ClusterStandIn, run: Run
) -> None:
    nodes.nodes[1].down()
    nodes.back(1, empty=True)
    assert states(nodes).count(DEAD) == 2
    document = json.loads(run("doctor", "--json", exit_code=1).stdout)
    kinds = {one["kind"]: one["found"] for one in document["findings"]}
    assert kinds == {"dead-replica": 2}
    assert "(peer 1001)" in document["findings"][0]["subjects"][0]
    run("doctor", "--fix", exit_code=1)  # whether it comes back, only people know
    ask(nodes.nodes[0].url, "DELETE", "/cluster/peer/1001?force=true", None)
    assert [len(shard) for shard in nodes.replicas[only(nodes)]] == [1, 1, 2]
    run("doctor", "--fix")
    assert [len(shard) for shard in nodes.replicas[only(nodes)]] == [2, 2, 2]
    nodes.nodes[0].down()
    run("evaluate")


def test_without_a_shards_last_replica_the_servers_sentence_is_shown(
    settings: Config, market: Path, nodes: ClusterStandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("reidsearch.toml").write_text("qdrant_replicas = 1")
    remote = ("--qdrant-url", nodes.url)
    run(*remote, "--quiet", "ingest", market)
    open_stores_with(IMPATIENT, monkeypatch)
    nodes.nodes[2].down()
    result = run(*remote, "query", market / "query/0002_c1s1_000001_00.jpg", exit_code=4)
    assert "1 read operations failed" in " ".join(result.stderr.split())
    assert "node" in result.stderr
    nodes.back(2)
    run(*remote, "query", market / "query/0002_c1s1_000001_00.jpg")


def test_half_of_a_collection_that_is_gone_is_said_by_a_query_and_encoded_anew(
    remote: Config, market: Path, nodes: ClusterStandIn, run: Run
) -> None:
    for shard in nodes.replicas[only(nodes)]:
        for replica in shard:
            for id in sorted(replica.points)[::2]:
                del replica.points[id]
    probe = market / "query/0002_c1s1_000001_00.jpg"
    said = " ".join(run("query", probe).stderr.split())
    assert "the catalog lists 31" in said
    run("ingest", market)
    run("doctor", "--fix")
    assert "the catalog lists" not in run("query", probe).stderr
    assert "the catalog lists" not in run("status").stderr


def test_what_one_replica_took_and_the_other_not_is_found_and_mended(
    remote: Config, nodes: ClusterStandIn, run: Run
) -> None:
    shard = next(shard for shard in nodes.replicas[only(nodes)] if len(shard[0].points) > 1)
    first, second = sorted(shard[0].points)[:2]
    del shard[0].points[first]
    shard[1].points[second]["vectors"][""] = shard[1].points[second]["vectors"][""][::-1]
    document = json.loads(run("doctor", "--json", exit_code=1).stdout)
    assert {one["kind"]: one["found"] for one in document["findings"]} == {"missing-vector": 2}
    run("doctor", "--fix")
    assert shard[0].points.keys() == shard[1].points.keys()
    assert all(
        shard[0].points[id]["vectors"] == shard[1].points[id]["vectors"] for id in shard[0].points
    )


def test_forgetting_says_which_replicas_still_hold_it(
    remote: Config, nodes: ClusterStandIn, run: Run
) -> None:
    nodes.nodes[2].down()
    said = " ".join(run("forget", "--identity", 1, "--yes").stderr.split())
    assert "leaves it only when its node is back" in said
    nodes.back(2)
    run("doctor")


def test_a_collection_of_other_settings_is_told_and_brought_to_them(
    settings: Config, market: Path, nodes: ClusterStandIn, run: Run
) -> None:
    lines = "qdrant_replicas = 1\nqdrant_on_disk = false\nqdrant_quantised = false\n"
    Path("reidsearch.toml").write_text(lines)
    run("--qdrant-url", nodes.url, "--quiet", "ingest", market)
    collection = nodes.collections[only(nodes)]
    collection.hnsw["m"] = 16
    collection.indexes.pop("time")
    Path("reidsearch.toml").unlink()
    (found,) = json.loads(run("doctor", "--json", exit_code=1).stdout)["findings"]
    assert found["kind"] == "other-settings"
    said = " ".join(found["subjects"])
    for word in ("m = 16", "memory", "copies", "time", "replicas 1, not 2"):
        assert word in said
    run("doctor", "--fix")
    assert collection.hnsw["m"] == 0
    assert collection.vectors[""]["on_disk"] is True
    assert collection.quantization is not None
    assert [len(shard) for shard in nodes.replicas[only(nodes)]] == [2, 2, 2]
    Path("reidsearch.toml").write_text("qdrant_quantised = false")
    run("doctor", "--fix")
    assert collection.quantization is None
    nodes.nodes[0].down()
    run("evaluate")


def test_a_collection_that_is_red_is_told_with_the_servers_reason(
    settings: Config, market: Path, qdrant: QdrantStandIn, run: Run
) -> None:
    run("--qdrant-url", qdrant.url, "--quiet", "ingest", market)
    (collection,) = qdrant.collections.values()
    collection.broken = "Service internal error: segment cannot be read"
    (found,) = json.loads(run("doctor", "--json", exit_code=1).stdout)["findings"]
    assert found["kind"] == "broken-collection"
    assert "segment cannot be read" in found["subjects"][0]
    collection.broken = None
    collection.vectors[""]["distance"] = "Cosine"
    (found,) = json.loads(run("doctor", "--json", exit_code=1).stdout)["findings"]
    assert "the distance Cosine, not Dot" in found["subjects"][0]


def test_on_near_networks_nothing_is_packed() -> None:
    for near in ("http://localhost:6333", "http://10.0.0.7:6333", "http://node-1:6333"):
        assert is_near(near)
    for far in ("https://abc.cloud.example:6333", "http://8.8.8.8:6333"):
        assert not is_near(far)


def test_a_server_on_this_machine_is_asked_for_answers_as_they_are(qdrant: QdrantStandIn) -> None:
    with closing(open_store(qdrant.url)) as store:
        store.upsert(points(unit(3)))
        assert len(contents(store)[0]) == 3
    assert qdrant.encodings == {"identity"}


def test_the_number_of_shards_stays_and_is_told(
    remote: Config, nodes: ClusterStandIn, run: Run
) -> None:
    Path("reidsearch.toml").write_text("qdrant_shards = 6")
    document = json.loads(run("doctor", "--fix", "--json", exit_code=1).stdout)
    (found,) = document["findings"]
    assert "shards 3, not 6" in found["subjects"][0]


def test_a_full_disk_ends_an_ingest_and_the_next_completes(
    settings: Config, market: Path, qdrant: QdrantStandIn, run: Run
) -> None:
    remote = ("--qdrant-url", qdrant.url)
    qdrant.full = True
    said = " ".join(run(*remote, "ingest", market, exit_code=4).stderr.split())
    assert "No space left on device" in said
    assert "disk is full" in said
    assert sum(request.endswith("/points") for request in qdrant.requests) == 1
    qdrant.full = False
    run("ingest", market)
    run("doctor")


def test_a_network_that_is_cut_between_both_stores_leaves_what_the_next_ingest_ends(
    settings: Config, market: Path, qdrant: QdrantStandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_stores_with(IMPATIENT, monkeypatch)
    remote = ("--qdrant-url", qdrant.url)

    def cut(number: int, path: str) -> Fault | None:
        return Fault.DIES_AFTER_THE_WORK if path.endswith("/points") else None

    qdrant.plan = cut
    run(*remote, "ingest", market, exit_code=4)
    qdrant.plan = lambda number, path: None
    assert json.loads(run("ingest", market, "--json").stdout)["ingested"] == 31
    run("doctor")
    run("evaluate")


def test_requests_shrink_to_what_a_proxy_takes(qdrant: QdrantStandIn) -> None:
    vectors = unit(600)
    with closing(open_store(qdrant.url)) as store:
        qdrant.accepts = 8_000
        store.upsert(points(vectors))
        store.describe(list(range(1, 601)), [{"split": "gallery"}] * 600)
        store.write_expanded(np.arange(1, 601), vectors)
        found = store.search(vectors[:60], limit=1, where=Filter())
        assert [int(matches.ids[0]) for matches in found] == list(range(1, 61))
        qdrant.accepts = None
        assert contents(store)[1].tobytes() == vectors.tobytes()


def test_where_not_even_one_vector_gets_through_the_proxy_is_named(qdrant: QdrantStandIn) -> None:
    with closing(open_store(qdrant.url)) as store:
        store.upsert(points(unit(1)))
        qdrant.accepts = 50
        with pytest.raises(Exception, match="413") as error:
            store.upsert(points(unit(3)))
    assert "client_max_body_size" in getattr(error.value, "hint", "")


def test_pages_fit_what_strict_mode_allows(qdrant: QdrantStandIn) -> None:
    vectors = unit(250)
    with closing(open_store(qdrant.url)) as store:
        store.upsert(points(vectors))
        rules = {"enabled": True, "max_query_limit": 100, "upsert_max_batchsize": 30}
        qdrant.collections[NAME].strict = rules
        store.upsert(points(vectors))
        assert store.ids() == set(range(1, 251))
        assert store.stored(list(range(1, 400))) == set(range(1, 251))
        assert contents(store)[1].tobytes() == vectors.tobytes()
        (matches,) = store.search(vectors[:1], limit=100, where=Filter())
        assert len(matches) == 100
        with pytest.raises(Exception, match="Limit exceeded") as error:
            store.search(vectors[:1], limit=101, where=Filter())
    assert "strict mode" in getattr(error.value, "hint", "")


def test_a_server_that_asks_for_a_pause_is_given_it(
    qdrant: QdrantStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="reidsearch")
    with closing(open_store(qdrant.url)) as store:
        store.upsert(points(unit(3)))
        qdrant.retry_after = "1"
        before = len(qdrant.requests)
        qdrant.plan = lambda number, path: Fault.BUSY if number == before + 1 else None
        assert store.count() == 3
        assert len(qdrant.requests) == before + 2
        qdrant.retry_after = "3600"
        qdrant.plan = lambda number, path: Fault.BUSY
        with pytest.raises(StoreUnreachable, match="as planned") as error:
            store.count()
        assert "3600 s" in error.value.hint
