"""A stand-in for a cluster of Qdrant nodes, any of which fails when it is told to.

Points lie in shards by their ids, each shard in as many replicas as the collection has. A node
that is written to tells the others; a replica whose node does not answer is marked dead, and filled
again from another when its node is back.
"""

import copy
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from tests.qdrant_collection import Body, Collection, Refused
from tests.qdrant_server import QdrantStandIn

ACTIVE, DEAD = "Active", "Dead"
WAITED = 0.3  # seconds that a write waits for a node that hangs; a server waits 10


@dataclass
class Replica:
    """A shard's points on one node."""

    peer: int
    points: dict[int, dict[str, Any]] = field(default_factory=dict)
    state: str = ACTIVE


class ClusterStandIn:
    """Use as a context manager; ``nodes`` are its stand-in servers, which share what it holds."""

    def __init__(self, size: int = 3) -> None:
        self.nodes = [QdrantStandIn() for _ in range(size)]
        self.peers: dict[int, QdrantStandIn | None] = {
            1000 + nth: node for nth, node in enumerate(self.nodes)
        }  # a node that was emptied is another one, and what it was stays in the list
        self.collections: dict[str, Collection] = {}
        self.replicas: dict[str, list[list[Replica]]] = {}  # of each shard, by collection
        self.lock = threading.RLock()
        for node in self.nodes:
            node.lock = self.lock
            node.collections = self.collections
            node.answers = partial(self.work, node)

    @property
    def url(self) -> str:
        """All addresses."""
        return ",".join(node.url for node in self.nodes)

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for node in self.nodes:
            node.awake.set()
            node.__exit__(kind, error, traceback)

    def peer(self, node: QdrantStandIn) -> int:
        """What a node is called."""
        return next(peer for peer, one in self.peers.items() if one is node)

    def is_up(self, peer: int) -> bool:
        node = self.peers.get(peer)
        return node is not None and node.is_up and node.awake.is_set()

    def back(self, nth: int, *, empty: bool = False) -> None:
        """Start a node again. With what it had, its replicas are filled from others; ``empty`` it
        is another one to its cluster, and has none."""
        node = self.nodes[nth]
        with self.lock:
            if empty:
                peer = self.peer(node)
                self.peers |= {peer: None, peer + 1000: node}
                for replica in self._all(peer):
                    replica.state, replica.points = DEAD, {}
        node.awake.set()
        if not node.is_up:
            node.up()
        with self.lock:
            self._refill()

    def work(
        self, node: QdrantStandIn, method: str, path: str, query: Mapping[str, str], body: Body
    ) -> Any:
        """The answer of a node to a request."""
        peer = self.peer(node)
        if path == "/cluster":
            return self._told(peer)
        if path.startswith("/cluster/peer/"):
            return self._remove(int(path.rsplit("/", 1)[1]))
        _, _, name, what, *_ = [*path.split("/"), "", "", ""]
        if method == "PUT" and not what and name not in self.collections:
            done = node.work(method, path, query, {"shard_number": len(self.nodes)} | body)
            self._place(name)
            return done
        if name not in self.replicas or what in ("exists", "index", "snapshots"):
            return node.work(method, path, query, body)
        if what == "cluster":
            return self._shards(peer, name) if method == "GET" else self._replicate(name, body)
        if method == "DELETE" and not what:
            del self.replicas[name]
            return node.work(method, path, query, body)
        if not self._writes(method, path):
            self._show(name, peer, consistency=query.get("consistency"))
            return node.work(method, path, query, body)
        self._mark(name)
        self._require_written(name)
        self._show(name, peer, consistency=None)
        try:
            return node.work(method, path, query, body)
        finally:  # of some points, where others are refused
            self._spread(name)

    @staticmethod
    def _writes(method: str, path: str) -> bool:
        if method == "POST":
            return path.endswith(("/delete", "/payload", "/points/batch"))
        return method in ("PUT", "DELETE")

    def _place(self, name: str) -> None:
        params = self.collections[name].params
        peers, copies = list(self.peers), params["replication_factor"]
        self.replicas[name] = [
            [Replica(peers[(shard + nth) % len(peers)]) for nth in range(min(copies, len(peers)))]
            for shard in range(params["shard_number"])
        ]

    def _all(self, peer: int) -> Iterable[Replica]:
        for shards in self.replicas.values():
            for replicas in shards:
                yield from (one for one in replicas if one.peer == peer)

    def _mark(self, name: str) -> None:
        """Mark replicas dead whose nodes do not answer, after a while where they hang; never the
        last one that is not."""
        for replicas in self.replicas[name]:
            for one in replicas:
                others = [other for other in replicas if other is not one]
                if one.state == DEAD or all(other.state == DEAD for other in others):
                    continue
                node = self.peers.get(one.peer)
                if node is not None and node.is_up:
                    node.awake.wait(WAITED)
                if not self.is_up(one.peer):
                    one.state = DEAD

    def _require_written(self, name: str) -> None:
        least = self.collections[name].params["write_consistency_factor"]
        for replicas in self.replicas[name]:
            able = [one for one in replicas if one.state == ACTIVE and self.is_up(one.peer)]
            if len(able) < min(least, len(replicas)) or not able:
                raise self._unavailable("write", len(replicas))

    def _unavailable(self, what: str, of: int) -> Refused:
        said = (
            f"{of} of {of} {what} operations failed:\n  Service internal error: Tonic status "
            "error: code: 'The service is currently unavailable', message: \"Failed to connect to "
            'http://NODE:6335/, error: transport error"'
        )
        return Refused(500, f"Service internal error: {said}")

    def _show(self, name: str, peer: int, *, consistency: str | None) -> None:
        """Let the node see what the replicas hold that it asks."""
        seen: dict[int, dict[str, Any]] = {}
        for replicas in self.replicas[name]:
            able = [one for one in replicas if one.state == ACTIVE and self.is_up(one.peer)]
            if not able:
                raise self._unavailable("read", 1)
            able.sort(key=lambda one: one.peer != peer)  # its own first
            found = able[0].points
            if consistency is not None:  # what all of them have alike
                found = {
                    id: point
                    for id, point in found.items()
                    if all(other.points.get(id) == point for other in able)
                }
            seen |= found
        collection = self.collections[name]
        collection.clear()
        collection.update(copy.deepcopy(seen))

    def _spread(self, name: str) -> None:
        """Give all living replicas what the node made of the collection."""
        collection, shards = self.collections[name], self.replicas[name]
        for nth, replicas in enumerate(shards):
            points = {id: one for id, one in collection.items() if id % len(shards) == nth}
            for replica in replicas:
                if replica.state == ACTIVE and self.is_up(replica.peer):
                    replica.points = copy.deepcopy(points)

    def _replicate(self, name: str, body: Body) -> bool:
        told = body["replicate_shard"]
        replicas = self.replicas[name][told["shard_id"]]
        source = next(one for one in replicas if one.peer == told["from_peer_id"])
        replicas.append(Replica(told["to_peer_id"], copy.deepcopy(source.points)))
        return True

    def _remove(self, peer: int) -> bool:
        """Strike a node from the list, by force, and its replicas with it."""
        assert self.peers.pop(peer) is None
        for shards in self.replicas.values():
            for replicas in shards:
                replicas[:] = [one for one in replicas if one.peer != peer]
        return True

    def _refill(self) -> None:
        for shards in self.replicas.values():
            for replicas in shards:
                whole = [one for one in replicas if one.state == ACTIVE and self.is_up(one.peer)]
                for replica in replicas:
                    if whole and replica.state == DEAD and self.is_up(replica.peer):
                        replica.points = copy.deepcopy(whole[0].points)
                        replica.state = ACTIVE

    def _told(self, peer: int) -> Body:
        peers = {str(one): {"uri": f"http://node-{one}:6335/"} for one in self.peers}
        return {
            "status": "enabled",
            "peer_id": peer,
            "peers": peers,
            "raft_info": {
                "term": 1,
                "commit": 10,
                "pending_operations": 0,
                "leader": next(iter(self.peers)),
                "role": "Leader",
                "is_voter": True,
            },
            "consensus_thread_status": {
                "consensus_thread_status": "working",
                "last_update": "2026-11-25T18:12:47Z",
            },
            "message_send_failures": {},
        }

    def _shards(self, peer: int, name: str) -> Body:
        local, remote = [], []
        for nth, replicas in enumerate(self.replicas[name]):
            for one in replicas:
                told: Body = {"shard_id": nth, "state": one.state}
                if one.peer == peer:
                    local.append(told | {"points_count": len(one.points)})
                else:
                    remote.append(told | {"peer_id": one.peer})
        return {
            "peer_id": peer,
            "shard_count": len(self.replicas[name]),
            "local_shards": local,
            "remote_shards": remote,
            "shard_transfers": [],
        }
