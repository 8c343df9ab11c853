"""What a Qdrant server sends of a shard: the files of one that Qdrant Edge can load, packed."""

import io
import tarfile
import tempfile
from pathlib import Path

import qdrant_edge as edge

from tests.qdrant_collection import Collection

WRITTEN = 512  # points at a time


def shard_snapshot(collection: Collection) -> bytes:
    """A snapshot of the only shard of a collection."""
    with tempfile.TemporaryDirectory(prefix="stand-in-") as made:
        folder = Path(made) / "shard"
        folder.mkdir()
        params = {
            name: edge.EdgeVectorParams(size=told["size"], distance=edge.Distance.Dot)
            for name, told in collection.vectors.items()
        }
        shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=params))
        points = [edge.Point(id, one["vectors"], one["payload"]) for id, one in collection.items()]
        for start in range(0, len(points), WRITTEN):
            some = points[start : start + WRITTEN]
            shard.update(edge.UpdateOperation.upsert_points(some))
        shard.flush()
        shard.close()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(folder, ".")
        return packed.getvalue()
