"""The stand-in answers as a Qdrant server of version 1.18.3 did, call by call.

Each line of a file in tests/recorded is one exchange: method, path, request, status, response.
"""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.qdrant_server import QdrantStandIn

RECORDED = Path(__file__).parent / "recorded"
CLOSE = 1e-5  # between numbers that are the same
# What counts a server's own operations, and payloads: other calls changed some between these.
OWN = {"operation_id", "version", "time", "payload"}


def answer(url: str, exchange: dict[str, Any]) -> tuple[int, Any]:
    """The status, and what is in the body."""
    request = urllib.request.Request(
        f"{url}{exchange['path']}",
        data=None if exchange["request"] is None else json.dumps(exchange["request"]).encode(),
        method=exchange["method"],
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def same(found: Any, expected: Any) -> bool:
    """Whether two answers say the same, a server's own affairs aside."""
    if isinstance(expected, dict):
        keys = expected.keys() - OWN
        return found.keys() - OWN == keys and all(same(found[key], expected[key]) for key in keys)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return abs(float(found) - expected) < CLOSE
    return bool(found == expected)


def vectors_of(response: Any) -> dict[str, tuple[int, str]]:
    """The named vectors of a collection, which a GET tells among much else."""
    named = response["result"]["config"]["params"]["vectors"]
    return {name: (one["size"], one["distance"]) for name, one in named.items()}


def check_hits(exchange: dict[str, Any], response: Any) -> None:
    """Equal scores come in any order; where a search was not exact, any order is right."""
    expected, found = exchange["response"]["result"]["points"], response["result"]["points"]
    if not (exchange["request"].get("params") or {}).get("exact"):
        assert {hit["id"] for hit in found} == {hit["id"] for hit in expected}
        return
    scores = [hit["score"] for hit in expected]
    assert [hit["score"] for hit in found] == pytest.approx(scores, abs=CLOSE)
    for one, hit in zip(expected, found, strict=True):
        if sum(abs(one["score"] - score) < CLOSE for score in scores) == 1:
            assert hit["id"] == one["id"]


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDED.iterdir()))
def test_the_stand_in_answers_as_a_server_did(qdrant: QdrantStandIn, name: str) -> None:
    for line in (RECORDED / name).read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        method, path = exchange["method"], exchange["path"]
        status, response = answer(qdrant.url, exchange)
        assert status == exchange["status"], (method, path, response)
        if path.endswith("/points/query") and status == 200:
            check_hits(exchange, response)
        elif method == "GET" and not path.endswith("/exists"):
            assert vectors_of(response) == vectors_of(exchange["response"])
        else:
            assert same(response, exchange["response"]), (method, path, response)
