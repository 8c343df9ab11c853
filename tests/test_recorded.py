"""The stand-in answers as a Qdrant server of version 1.18.3 did, call by call.

Each line of contract.jsonl and ahead.jsonl in tests/recorded is one exchange: method, path,
request, status, response. refusals.jsonl has what a server said in a situation, which is brought
about anew.
"""

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.qdrant_cluster import ClusterStandIn
from tests.qdrant_server import QdrantStandIn

RECORDED = Path(__file__).parent / "recorded"
CLOSE = 1e-5  # between numbers that are the same
# What is never the same twice: how long it took, what a snapshot is, how far the optimiser is.
VOLATILE = {
    "time",
    *("name", "creation_time", "size", "checksum"),
    *("segments_count", "indexed_vectors_count", "update_queue"),
}
OPTIMISER = ("green", "yellow")  # the status of a collection: in order, or being put in order
# How far a score among quantised copies is from that of the vectors themselves, of eight numbers.
QUANTISED = 0.15

Exchange = dict[str, Any]


def exchanges(name: str) -> list[Exchange]:
    text = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def ask(url: str, method: str, path: str, body: bytes | None, length: int = 0) -> tuple[int, Any]:
    """The status, and what is in the body; ``length`` is what a request says of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"Content-Type": "application/json"}
    if length:
        headers["Content-Length"] = str(length)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    with response:
        return response.status, json.load(response)


def _body(**told: Any) -> bytes:
    return json.dumps(told).encode()


def same(found: Any, expected: Any) -> bool:
    """Whether two answers say the same, what is volatile aside."""
    if isinstance(expected, dict):
        volatile = VOLATILE if "vectors" not in expected else set()
        if "distance" in expected:  # the size of a vector is no snapshot's
            volatile = set()
        keys = expected.keys() - volatile
        return found.keys() - volatile == keys and all(same(found[k], expected[k]) for k in keys)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return abs(float(found) - expected) < CLOSE
    if expected in OPTIMISER:
        return found in OPTIMISER
    return bool(found == expected)


def same_hits(found: list[Exchange], expected: list[Exchange]) -> bool:
    """Whether these are the same hits; of those with equal scores any may come, in any order."""
    if [hit["score"] for hit in expected] != pytest.approx(
        [hit["score"] for hit in found], abs=CLOSE
    ):
        return False
    mine = {hit["id"]: hit for hit in found}
    for hit in expected:
        tied = sum(abs(hit["score"] - other["score"]) < CLOSE for other in expected) > 1
        if not (tied and hit["id"] not in mine) and not same(mine[hit["id"]], hit):
            return False
    return True


def among(every: list[Exchange], expected: list[Exchange]) -> bool:
    """Whether hits that were found among quantised copies are about as near as they were said."""
    mine = {hit["id"]: hit for hit in every}
    return all(
        abs(mine[hit["id"]]["score"] - hit["score"]) < QUANTISED
        and same(mine[hit["id"]] | {"score": 0}, hit | {"score": 0})
        for hit in expected
    )


def is_exact(request: Exchange) -> bool:
    """Where a collection is quantised, a search compares copies unless it is told otherwise; others
    of the recorded ones are exact."""
    params = request.get("params") or {}
    rescored = (params.get("quantization") or {}).get("rescore")
    return bool(params.get("exact") or rescored)


@pytest.mark.parametrize("name", ["contract", "ahead"])
def test_the_stand_in_answers_as_a_server_did(qdrant: QdrantStandIn, name: str) -> None:
    for exchange in exchanges(name):
        method, path, request = exchange["method"], exchange["path"], exchange["request"]
        body = None if request is None else json.dumps(request).encode()
        status, response = ask(qdrant.url, method, path, body)
        assert status == exchange["status"], (method, path, response)
        where, expected = (method, path, response), exchange["response"]
        if status != 200:
            assert response["status"] == expected["status"], where
        elif path.endswith("/points/query/batch"):
            answers = zip(response["result"], expected["result"], strict=True)
            assert all(map(is_exact, request["searches"]))
            assert all(same_hits(one["points"], hits["points"]) for one, hits in answers), where
        elif path.endswith("/points/query") and is_exact(request):
            assert same_hits(response["result"]["points"], expected["result"]["points"]), where
        elif path.endswith("/points/query"):
            body = _body(**request | {"limit": 100, "score_threshold": None})
            every = ask(qdrant.url, method, path, body)[1]["result"]["points"]
            assert among(every, expected["result"]["points"]), (*where, expected)
        elif path.endswith("/points/query/groups"):
            body = _body(**request | {"group_size": 100})
            every = ask(qdrant.url, method, path, body)[1]["result"]["groups"]
            groups = {one["id"]: one["hits"] for one in every}
            for one in expected["result"]["groups"]:
                assert among(groups[one["id"]], one["hits"]), where
        else:
            assert same(response, expected), (*where, expected)


def _point(id: int, size: int) -> bytes:
    return _body(points=[{"id": id, "vector": [1.0] + [0.0] * (size - 1), "payload": {}}])


def _search(**told: Any) -> bytes:
    return _body(query={"nearest": [1.0] + [0.0] * 703}, **told)


def _strict(qdrant: QdrantStandIn) -> None:
    rules = {"enabled": True, "max_query_limit": 100, "unindexed_filtering_retrieve": False}
    ask(qdrant.url, "PATCH", "/collections/C", _body(strict_mode_config=rules))


def _full(qdrant: QdrantStandIn) -> None:
    qdrant.full = True


def _gone(qdrant: QdrantStandIn) -> None:
    ask(qdrant.url, "DELETE", "/collections/C", None)


WHO = {"must": [{"key": "who", "match": {"value": 1}}]}
# What is sent in each situation, and what has happened before.
SITUATIONS: dict[str, tuple[bytes, Callable[[QdrantStandIn], None] | None]] = {
    "vector of another dimension": (_point(1, 2), None),
    "id that is none": (_point(-1, 704), None),
    "no such collection": (_body(limit=1), _gone),
    "made already": (_body(vectors={"size": 704, "distance": "Dot"}), None),
    "cut off JSON": (b'{"limit":', None),
    "limit 0": (_search(limit=0), None),
    "88 MB body": (b"", None),
    "full disk": (_point(1, 704), _full),
    "no such named vector": (_search(using="nope"), None),
    "strict mode, filter without index": (_search(filter=WHO), _strict),
    "strict mode, limit": (_search(limit=300), _strict),
}
CLUSTERS = "a shard without a living replica"


ALONE = [told for told in exchanges("refusals") if told["situation"] != CLUSTERS]


@pytest.mark.parametrize("told", ALONE, ids=lambda told: str(told["situation"]))
def test_the_stand_in_refuses_as_a_server_did(qdrant: QdrantStandIn, told: Exchange) -> None:
    body, before = SITUATIONS[told["situation"]]
    made = _body(vectors={"size": 704, "distance": "Dot"})
    assert ask(qdrant.url, "PUT", "/collections/C", made)[0] == 200
    if before is not None:
        before(qdrant)
    length = 88_810_941 if told["situation"] == "88 MB body" else len(body)
    status, response = ask(qdrant.url, told["method"], told["path"], body, length)
    assert status == told["status"]
    assert response["status"] == told["response"]["status"]


def test_a_cluster_without_a_shards_last_replica_refuses_as_one_did(nodes: ClusterStandIn) -> None:
    (told,) = [told for told in exchanges("refusals") if told["situation"] == CLUSTERS]
    first, _, third = nodes.nodes
    made = _body(vectors={"size": 704, "distance": "Dot"}, replication_factor=1)
    assert ask(first.url, "PUT", "/collections/C", made)[0] == 200
    assert ask(third.url, "PUT", "/collections/C/points", _point(1, 704))[0] == 200
    third.down()
    status, response = ask(first.url, told["method"], told["path"], _body(limit=10))
    assert status == told["status"]
    assert response["status"] == told["response"]["status"]
