"""How a server keeps a collection: made so, held against the settings, and brought to them."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

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


def make(
    client: QdrantClient,
    collection: str,
    *,
    dimension: int,
    layout: Layout,
    owner: str | None = None,
) -> None:
    """Make the collection."""
    nodes = count_nodes(client)
    shards, replicas, consistency = layout.of(nodes or 1)
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
        quantization_config=COPIES if _quantises(client, layout) else None,
        metadata=None if owner is None else {OWNER: owner},
    )


def second(layout: Layout) -> models.VectorParamsDiff:
    """How a second vector of the points is kept, which is made with a size alone."""
    return models.VectorParamsDiff(
        on_disk=layout.on_disk,
        hnsw_config=GRAPHLESS,
        quantization_config=COPIES if layout.quantised else None,
    )


def is_quantised(client: QdrantClient, collection: str) -> bool:
    """Whether searches may compare smaller copies of the vectors."""
    return client.get_collection(collection).config.quantization_config is not None


def count_nodes(client: QdrantClient) -> int | None:
    """How many nodes the cluster has, 1 where the server is none; None where a key that is for some
    collections alone may not ask."""
    try:
        told = client.cluster_status()
    except UnexpectedResponse as error:
        if error.status_code in (401, 403, 404):
            return None
        raise
    return len(told.peers) if isinstance(told, models.ClusterStatusOneOf1) else 1


def ailments(client: QdrantClient, collection: str, layout: Layout) -> list[Ailment]:
    """How the collection is not kept as it should be, replicas that are not in use, and a server
    that this was not tried with."""
    found = [Ailment(Trouble.SETTINGS, one) for one in _differences(client, collection, layout)]
    for (shard, peer), state in _replicas(client, collection).items():
        if state is models.ReplicaState.DEAD:
            where = _peers(client).get(peer, "no node that is known")
            what = f"shard {shard} of {collection} on {where} (peer {peer})"
            found.append(Ailment(Trouble.REPLICA, what))
    server, here = client.info().version, version("qdrant-client")
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


def adjust(client: QdrantClient, collection: str, layout: Layout) -> None:
    """Bring the collection to what it should be, but for the number of its shards."""
    nodes = count_nodes(client)
    _, replicas, consistency = layout.of(nodes or 1)
    named = client.get_collection(collection).config.params.vectors
    client.update_collection(
        collection,
        vectors_config=dict.fromkeys(named if isinstance(named, dict) else [""], second(layout)),
        hnsw_config=GRAPHLESS,
        quantization_config=COPIES if _quantises(client, layout) else models.Disabled.DISABLED,
        collection_params=models.CollectionParamsDiff(
            replication_factor=replicas, write_consistency_factor=consistency
        )
        if nodes
        else None,
    )
    for field, index in INDEXES.items():
        client.create_payload_index(collection, field, index, wait=True)
    if nodes and nodes > 1:
        _replicate(client, collection, min(replicas, nodes))


def _replicate(client: QdrantClient, collection: str, replicas: int) -> None:
    """Let each shard have so many replicas, on the nodes that have the fewest."""
    there: defaultdict[int, list[int]] = defaultdict(list)
    busy = Counter(dict.fromkeys(_peers(client), 0))
    for (shard, peer), state in _replicas(client, collection).items():
        if state is not models.ReplicaState.DEAD:
            there[shard].append(peer)
            busy[peer] += 1
    for shard, peers in there.items():
        while len(peers) < replicas:
            free = [peer for peer in busy if peer not in peers]
            if not free:
                break
            target = min(free, key=lambda peer: (busy[peer], peer))
            client.cluster_collection_update(
                collection,
                models.ReplicateShardOperation(
                    replicate_shard=models.ReplicateShard(
                        shard_id=shard, from_peer_id=peers[0], to_peer_id=target
                    )
                ),
            )
            peers.append(target)
            busy[target] += 1


def _differences(client: QdrantClient, collection: str, layout: Layout) -> Iterator[str]:
    info = client.get_collection(collection)
    params = info.config.params
    named = params.vectors if isinstance(params.vectors, dict) else {"": params.vectors}
    if info.config.hnsw_config.m:
        yield f"{collection} has a graph that no search uses (m = {info.config.hnsw_config.m})"
    for one in named.values():
        if one is not None and bool(one.on_disk) != layout.on_disk:
            place, other = ("memory", "disk") if layout.on_disk else ("disk", "memory")
            yield f"{collection} has its vectors in {place}, not on {other}"
            break
    if (info.config.quantization_config is not None) != _quantises(client, layout):
        has = "no smaller" if layout.quantised else "smaller"
        yield f"{collection} has {has} copies of its vectors"
    if missing := sorted(INDEXES.keys() - info.payload_schema.keys()):
        yield f"{collection} has no index of {', '.join(missing)}"
    nodes = count_nodes(client)
    if nodes is None:
        return
    wanted = dict(zip(("shards", "replicas", "write consistency"), layout.of(nodes), strict=True))
    counts = Counter(shard for shard, _ in _replicas(client, collection))
    made = {
        "shards": params.shard_number,
        "replicas": min(params.replication_factor or 1, min(counts.values(), default=1)),
        "write consistency": params.write_consistency_factor or 1,
    }
    if layout.shards is None:  # it followed from the nodes there were
        del wanted["shards"]
    if nodes == 1:  # there is nowhere to put them, and nothing to agree on
        del wanted["replicas"], wanted["write consistency"]
    for key, value in wanted.items():
        if made[key] != value:
            yield f"{collection} has {key} {made[key]}, not {value}"


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


def _quantises(client: QdrantClient, layout: Layout) -> bool:
    return layout.quantised and _numbers(client.info().version) >= TURBO


def _numbers(version: str) -> tuple[int, int]:
    """A version's first two numbers, zeros where it has none."""
    found = [int(one) if one.isdecimal() else 0 for one in version.split(".")[:2]]
    first, second = [*found, 0, 0][:2]
    return first, second
