"""The folder of an Edge shard: made, loaded, repaired, and what it says when it fails."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as qdrant

from reidsearch.errors import StoreError, StoreLocked
from reidsearch.files import replacing
from reidsearch.stores.base import (
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    UNOPTIMISED,
    refused,
)

T = TypeVar("T")

SETTINGS = "edge_config.json"
FLOAT = 4  # bytes
READ = 1 << 20  # bytes at a time
# Edge's files: integers are matched by their map, numbers by their range.
AHEAD = (
    "vector_storage*/quantized.data",
    "payload_index/*-map/*.bin",
    *(f"payload_index/*-{field}-numeric/*.bin" for field in FLOAT_FIELDS),
)
SEGMENTS = 4  # at most; what came last is in small ones, or each change would rewrite the largest
OWNER = "owner.json"  # in the shard's folder, so that it comes and goes with what it speaks of
# Edge writes through memory maps, and a full disk ends a process that does so at once, without an
# error. So nothing is written where less than this is free (bytes): its files grow by 32 MB.
RESERVE = 128 << 20


def set_owner(path: Path, owner: str) -> None:
    """Write down whose the collection is."""
    with replacing(path / OWNER) as partial:
        partial.write_text(json.dumps({"owner": owner}), encoding="utf-8")


def owner(path: Path) -> str | None:
    """Whose the collection is, where that is known."""
    try:
        return str(json.loads((path / OWNER).read_text(encoding="utf-8"))["owner"])
    except (OSError, ValueError, KeyError, TypeError):  # nobody's, or cut short by a power cut
        return None


def beside(path: Path) -> tuple[Path, Path]:
    """Where a copy of the collection is made, and where the one it replaces is put aside."""
    return path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.old")


def _recover(path: Path) -> None:
    """Finish a replacement that was cut short: without a collection in its place, the copy was
    whole; with one, whatever lies beside it is done with or was not finished."""
    new, old = beside(path)
    if not path.exists() and new.exists() and old.exists():
        new.rename(path)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)


def require_space(path: Path, taken: int = 0) -> None:
    """Raise StoreError where less is free than must stay so when so many bytes are ``taken``."""
    free, needed = shutil.disk_usage(path).free, RESERVE + taken
    if free < needed:
        raise StoreError(
            f"the disk of {path} is full: {free / 1e6:.0f} MB are free, and "
            f"{needed / 1e6:.0f} MB must stay so",
            hint="Free some space, or choose another {data_dir}; what is stored stays, and running "
            "{same_call} again goes on.",
        )


def load_or_create(path: Path, dimension: int) -> qdrant.EdgeShard:
    """The shard in ``path``, made where it is missing; what was cut short there is finished."""
    if path.suffix != ".new":
        _recover(path)
    if (path / SETTINGS).exists():
        _read_ahead(path)
        return _indexed(qdrant.EdgeShard.load(str(path)))
    path.mkdir(parents=True, exist_ok=True)
    require_space(path)
    # Vectors arrive with unit length, so the dot product is the cosine; and unlike Cosine, Dot
    # stores them bit for bit.
    params = qdrant.EdgeVectorParams(size=dimension, distance=qdrant.Distance.Dot)
    return _indexed(qdrant.EdgeShard.create(str(path), qdrant.EdgeConfig(vectors=params)))


def _read_ahead(path: Path) -> None:
    """Read into the system's cache what searches need of every vector: the quantised copies, and a
    quarter as much of payload indexes. Without it that is read page by page in no order, which a
    disk takes ten times as long for: of the copies by loading a shard, of indexes by the first
    searches, a thousand pages each. Closing one drops them."""
    for pattern in AHEAD:
        for file in path.glob(f"segments/*/{pattern}"):
            with file.open("rb", buffering=0) as opened:
                while opened.read(READ):
                    pass


def load_quantised(path: Path) -> qdrant.EdgeShard:
    """The shard in ``path``, set up to be optimised: vectors stay on disk, and smaller copies of
    them in the system's cache; pinned ones would be read at every opening, and held twice
    meanwhile. There is no graph of neighbours, which takes long to make, and misses too much where
    a filter leaves little of it."""
    stored = {
        name: qdrant.EdgeVectorParams(
            size=params["size"], distance=qdrant.Distance.Dot, memory=qdrant.Memory.Cold
        )
        for name, params in _settings(path)["vectors"].items()
    }
    least = max(params.size for params in stored.values()) * UNOPTIMISED * FLOAT // 1024
    config = qdrant.EdgeConfig(
        vectors=stored,
        hnsw_config=qdrant.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10),
        quantization_config=qdrant.TurboQuantQuantizationConfig(
            bits=qdrant.TurboQuantBitSize.Bits4, memory=qdrant.Memory.Cached
        ),
        optimizers=qdrant.EdgeOptimizersConfig(
            default_segment_number=SEGMENTS, indexing_threshold=least, max_segment_size=2**40
        ),
    )
    return _indexed(qdrant.EdgeShard.load(str(path), config), from_memory=True)


def is_quantised(path: Path) -> bool:
    """Whether the shard in ``path`` was optimised; where there is none, it was not."""
    try:
        return _settings(path).get("quantization_config") is not None
    except (OSError, ValueError):
        return False


def unoptimised(path: Path) -> int:
    """How many points were written to the shard since it was last optimised: Edge keeps the
    versions of these, of 8 bytes each, in files of that name."""
    written = path.glob("segments/*/mutable_id_tracker.versions")
    return sum(file.stat().st_size for file in written) // 8


def _settings(path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((path / SETTINGS).read_text(encoding="utf-8"))
    return settings


def _indexed(shard: qdrant.EdgeShard, *, from_memory: bool = False) -> qdrant.EdgeShard:
    """The shard with its payload indexes, also where an earlier version made it: then it had
    others, or has them in memory, where every opening reads them whole. These are put on disk where
    that is asked for, as it takes seconds."""
    cold = qdrant.Memory.Cold
    wanted: dict[str, qdrant.PayloadSchemaParams] = {}
    wanted |= {field: qdrant.KeywordIndexParams(memory=cold) for field in KEYWORD_FIELDS}
    wanted |= {field: qdrant.IntegerIndexParams(memory=cold) for field in INTEGER_FIELDS}
    wanted |= {field: qdrant.FloatIndexParams(memory=cold) for field in FLOAT_FIELDS}
    schema = shard.info().payload_schema
    there = {
        field
        for field, info in schema.items()
        if not from_memory or (info.params is not None and info.params.memory == cold)
    }
    stale, missing = schema.keys() - (wanted.keys() & there), wanted.keys() - there
    for field in sorted(stale):
        shard.update(qdrant.UpdateOperation.delete_field_index(field))
    for field in sorted(missing):
        shard.update(qdrant.UpdateOperation.create_field_index(field, wanted[field]))
    if stale or missing:
        shard.flush()
    return shard


def translated(path: Path, action: Callable[[], T]) -> T:
    """Run ``action``; Edge's errors, all of them bare Exceptions, become ours."""
    try:
        return action()
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"the vector store {path} cannot be used: {error.strerror}",
            hint="Check the folder's permissions and free space, or choose another {data_dir}.",
        ) from None
    except Exception as error:
        if "WouldBlock" in str(error):
            raise StoreLocked(
                f"another process holds the vector store {path}",
                hint="Wait until the other reidsearch has ended, or run a Qdrant server and use "
                "{qdrant_url}: a server answers many at once.",
            ) from None
        if not os.access(path, os.W_OK):
            raise StoreError(
                f"the vector store {path} cannot be written",
                hint="Check the folder's permissions, or choose another {data_dir}.",
            ) from None
        if known := refused(str(error), f"the vector store {path} failed: {error}"):
            raise known from None
        raise StoreError(
            f"the vector store {path} failed: {error}",
            hint="If it is damaged, delete that folder and ingest again: all vectors can be "
            "computed anew from the images.",
        ) from error
