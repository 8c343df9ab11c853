"""How a server keeps a collection: made so, held against the settings, and brought to them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Protocol, TypeVar

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from reidsearch.stores.base import (
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    VECTOR_NAMES,
    Ailment,
    Trouble,
)
from reidsearch.types import Kind

T = TypeVar("T")

OWNER = "reidsearch-owner"  # the key in a collection's metadata
EXPANDED = VECTOR_NAMES[Kind.EXPANDED]
TURBO = (1, 18)  # the first version that knows the quantisation, and a second vector
GRAPHLESS = models.HnswConfigDiff(m=0)  # every search compares all vectors, or copies of them
COPIES = models.TurboQuantization(
    turbo=models.TurboQuantQuantizationConfig(always_ram=True, bits=models.TurboQuantBitSize.BITS4)
)
DEFAULT_REPLICAS = 2  # where there are nodes for them
INDEXES: dict[str, models.PayloadSchemaParams] = {
    **{
        field: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, on_disk=True)
        for field in KEYWORD_FIELDS
    },
    **{
        field: models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, on_disk=True)
        for field in INTEGER_FIELDS
    },
    **{
        field: models.FloatIndexParams(type=models.FloatIndexType.FLOAT, on_disk=True)
        for field in FLOAT_FIELDS
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a server is to keep a collection: in how many ``shards``, each in how many ``replicas``
    on other nodes, so many of which must have taken what is written (``write_consistency``); None
    follows from the number of nodes. ``on_disk`` are vectors, and ``quantised`` ones have smaller
    copies in memory."""

    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None
    on_disk: bool = True
    quantised: bool = True

    def of(self, nodes: int) -> tuple[int, int, int]:
        """Shards, replicas and write consistency in a cluster of so many nodes. By default one of
        the replicas may be away without holding writes up."""
        replicas = self.replicas or min(nodes, DEFAULT_REPLICAS)
        return self.shards or nodes, replicas, self.write_consistency or max(1, replicas - 1)


class Ask(Protocol):
    """Calls the server, again where it may yet answer. So each call is of one request: of many,
    one may fail every time."""

    def __call__(self, action: Callable[[QdrantClient], T], /) -> T: ...


def make(
    ask: Ask,
    collection: str,
    *,
    dimension: int,
    layout: Layout,
    owner: str | None = None,
) -> None:
    """Make the collection."""
    nodes = ask(_count_nodes)
    shards, replicas, consistency = layout.of(nodes or 1)
    quantised = layout.quantised and ask(_version) >= TURBO

    def create(client: QdrantClient) -> None:
        if client.collection_exists(collection):
            return  # by a try that was done, but not answered
        client.create_collection(
            collection,
            # Dot, as in edge.py: unit vectors are stored bit for bit.
            vectors_config=models.VectorParams(
                size=dimension, distance=models.Distance.DOT, on_disk=layout.on_disk
            ),
            shard_number=shards if nodes else layout.shards,
            replication_factor=replicas,
            write_consistency_factor=consistency,
            hnsw_config=GRAPHLESS,
            quantization_config=COPIES if quantised else None,
            metadata=None if owner is None else {OWNER: owner},
        )

    ask(create)


def kept_as(layout: Layout) -> models.VectorParamsDiff:
    """How a vector of the points is kept, where it is changed."""
    return models.VectorParamsDiff(
        on_disk=layout.on_disk,
        hnsw_config=GRAPHLESS,
        quantization_config=COPIES if layout.quantised else models.Disabled.DISABLED,
    )


def is_quantised(client: QdrantClient, collection: str) -> bool:
    """Whether searches may compare smaller copies of the vectors."""
    return client.get_collection(collection).config.quantization_config is not None


def ailments(ask: Ask, collection: str, layout: Layout) -> list[Ailment]:
    """How the collection is not kept as it should be, replicas that are not in use, and a server
    that this was not tried with."""
    replicas = ask(lambda c: _replicas(c, collection))
    info = ask(lambda c: c.get_collection(collection))
    found = [
        Ailment(Trouble.SETTINGS, f"{collection} has {one}")
        for one in _differences(ask, info, layout, replicas)
    ]
    if info.status is models.CollectionStatus.RED:
        failed = info.optimizer_status
        why = "it does not say why"
        if isinstance(failed, models.OptimizersStatusOneOf1):
            why = failed.error
        found.append(Ailment(Trouble.STATE, f"{collection} is red: {why}"))
    dead = [one for one, state in replicas.items() if state is models.ReplicaState.DEAD]
    peers = ask(_peers) if dead else {}
    for shard, peer in dead:
        where = peers.get(peer, "no node that is known")
        what = f"shard {shard} of {collection} on {where} (peer {peer})"
        found.append(Ailment(Trouble.REPLICA, what))
    server, here = ask(lambda c: c.info().version), version("qdrant-client")
    if not TURBO <= _numbers(server) <= _numbers(here):
        least = ".".join(map(str, TURBO))
        what = f"the server is of version {server}, the client of {here}"
        found.append(Ailment(Trouble.VERSION, f"{what}; the least that was tried is {least}"))
    return found


def is_whole(client: QdrantClient, collection: str) -> bool:
    """Whether every shard has more than one replica, and all are in use."""
    replicas = _replicas(client, collection)
    each = Counter(shard for shard, _ in replicas)
    states = set(replicas.values())
    return min(each.values(), default=0) > 1 and states == {models.ReplicaState.ACTIVE}


def adjust(ask: Ask, collection: str, layout: Layout) -> None:
    """Bring the collection to what it should be, but for the number of its shards."""
    nodes = ask(_count_nodes)
    _, replicas, consistency = layout.of(nodes or 1)
    quantised = layout.quantised and ask(_version) >= TURBO
    named = ask(lambda c: c.get_collection(collection).config.params.vectors)
    kept = kept_as(replace(layout, quantised=quantised))
    ask(
        lambda c: c.update_collection(
            collection,
            vectors_config=dict.fromkeys(named if isinstance(named, dict) else [""], kept),
            hnsw_config=GRAPHLESS,
            quantization_config=COPIES if quantised else models.Disabled.DISABLED,
            collection_params=models.CollectionParamsDiff(
                replication_factor=replicas, write_consistency_factor=consistency
            )
            if nodes
            else None,
        )
    )
    index(ask, collection)
    if nodes and nodes > 1:
        _replicate(ask, collection, min(replicas, nodes))


def index(ask: Ask, collection: str) -> None:
    """Make the payload indexes, or make them anew where they are others."""
    for field, wanted in INDEXES.items():
        ask(
            lambda c, field=field, wanted=wanted: c.create_payload_index(  # type: ignore[misc]
                collection, field, wanted, wait=True
            )
        )


def _replicate(ask: Ask, collection: str, replicas: int) -> None:
    """Let each shard have so many replicas, on the nodes that have the fewest."""
    there: defaultdict[int, list[int]] = defaultdict(list)
    busy = Counter(dict.fromkeys(ask(_peers), 0))
    for shard, peer in ask(lambda c: _replicas(c, collection)):
        there[shard].append(peer)
        busy[peer] += 1
    for shard, peers in there.items():
        while len(peers) < replicas and (free := [peer for peer in busy if peer not in peers]):
            target = min(free, key=lambda peer: (busy[peer], peer))
            operation = models.ReplicateShardOperation(
                replicate_shard=models.ReplicateShard(
                    shard_id=shard, from_peer_id=peers[0], to_peer_id=target
                )
            )
            ask(lambda c, one=operation: c.cluster_collection_update(collection, one))  # type: ignore[misc]
            peers.append(target)
            busy[target] += 1


def _differences(
    ask: Ask,
    info: models.CollectionInfo,
    layout: Layout,
    replicas: Mapping[tuple[int, int], object],
) -> Iterator[str]:
    params, graph = info.config.params, info.config.hnsw_config.m
    named = params.vectors if isinstance(params.vectors, dict) else {"": params.vectors}
    if graph:
        yield f"a graph that no search uses (m = {graph})"
    if any(one is not None and bool(one.on_disk) != layout.on_disk for one in named.values()):
        place, other = ("memory", "disk") if layout.on_disk else ("disk", "memory")
        yield f"its vectors in {place}, not on {other}"
    for distance in {one.distance for one in named.values() if one} - {models.Distance.DOT}:
        yield f"the distance {distance.value}, not {models.Distance.DOT.value}"
    quantised = layout.quantised and ask(_version) >= TURBO
    if (info.config.quantization_config is not None) != quantised:
        yield ("no " if quantised else "") + "smaller copies of its vectors"
    if missing := sorted(INDEXES.keys() - info.payload_schema.keys()):
        yield f"no index of {', '.join(missing)}"
    nodes = ask(_count_nodes)
    if nodes is None:
        return
    wanted = dict(zip(("shards", "replicas", "write consistency"), layout.of(nodes), strict=True))
    counts = Counter(shard for shard, _ in replicas)
    made = {
        "shards": params.shard_number,
        "replicas": min(params.replication_factor or 1, *counts.values()) if counts else 1,
        "write consistency": params.write_consistency_factor or 1,
    }
    if layout.shards is None:  # it followed from the nodes there were
        del wanted["shards"]
    if nodes == 1:  # there is nowhere to put them, and nothing to agree on
        del wanted["replicas"], wanted["write consistency"]
    for key, value in wanted.items():
        if made[key] != value:
            yield f"{key} {made[key]}, not {value}"


def _count_nodes(client: QdrantClient) -> int | None:
    """How many nodes the cluster has, 1 where the server is none; None where a key that is for some
    collections alone may not ask."""
    try:
        told = client.cluster_status()
    except UnexpectedResponse as error:
        if error.status_code in (401, 403, 404):
            return None
        raise
    return len(told.peers) if isinstance(told, models.ClusterStatusOneOf1) else 1


def _replicas(client: QdrantClient, collection: str) -> dict[tuple[int, int], models.ReplicaState]:
    """The state of each replica, by shard and node; none where the key may not ask."""
    try:
        told = client.collection_cluster_info(collection)
    except UnexpectedResponse as error:
        if error.status_code in (401, 403, 404):
            return {}
        raise
    here = {(one.shard_id, told.peer_id): one.state for one in told.local_shards}
    return here | {(one.shard_id, one.peer_id): one.state for one in told.remote_shards}


def _peers(client: QdrantClient) -> dict[int, str]:
    """Where the nodes of a cluster are."""
    told = client.cluster_status()
    if not isinstance(told, models.ClusterStatusOneOf1):
        return {}
    return {int(peer): info.uri for peer, info in told.peers.items()}


def _version(client: QdrantClient) -> tuple[int, int]:
    return _numbers(client.info().version)


def _numbers(version: str) -> tuple[int, int]:
    """A version's first two numbers, zeros where it has none."""
    found = [int(one) if one.isdecimal() else 0 for one in version.split(".")[:2]]
    first, second = [*found, 0, 0][:2]
    return first, second
