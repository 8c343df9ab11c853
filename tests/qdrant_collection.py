"""A collection of the stand-in Qdrant server: what it holds, and the answers from it."""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np

Body = dict[str, Any]  # JSON, as it comes and goes

# What a server of version 1.18 tells of a collection that was made without saying so.
HNSW = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10000,
    "max_indexing_threads": 0,
    "on_disk": False,
}
OPTIMIZER = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
    "prevent_unoptimized": None,
}
WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}


class Refused(Exception):
    """An answer that is an error: its status, and the server's sentence, None for no body."""

    def __init__(self, status: int, sentence: str | None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def wrong(sentence: str, status: int = 400) -> Refused:
    return Refused(status, f"Wrong input: {sentence}")


class Collection(dict[int, dict[str, Any]]):
    """Points by id: each with its vectors by name, its payload, and the number of the operation
    that last changed it."""

    def __init__(self, asked: Body, *, nodes: int = 1) -> None:
        super().__init__()
        given = copy.deepcopy(asked)
        single = given["vectors"]
        self.vectors: dict[str, Body] = {"": single} if "size" in single else single
        self.params: Body = {
            "shard_number": given.get("shard_number") or nodes,
            "replication_factor": given.get("replication_factor") or 1,
            "write_consistency_factor": given.get("write_consistency_factor") or 1,
            "on_disk_payload": given.get("on_disk_payload", True),
        }
        self.hnsw = HNSW | (given.get("hnsw_config") or {})
        self.optimizer = OPTIMIZER | (given.get("optimizers_config") or {})
        self.quantization: Body | None = given.get("quantization_config")
        self.metadata: Body = given.get("metadata") or {}
        self.strict: Body = given.get("strict_mode_config") or {}
        self.indexes: dict[str, Body] = {}
        self.snapshots: list[Body] = []
        self.operation = 0
        self.broken: str | None = None  # why its optimiser has given up

    def copied(self, points: dict[int, dict[str, Any]]) -> Self:
        """The same with other points."""
        other = copy.copy(self)
        other.clear()
        other.update(points)
        return other

    def done(self, operations: int = 1) -> Body:
        """Count so many operations; the answer to the last one."""
        self.operation += operations
        return {"operation_id": self.operation, "status": "completed"}

    def work(self, method: str, what: str, body: Body) -> Any:
        """The answer to a request for what is in the collection. Raises Refused, AssertionError on
        what this stand-in does not know."""
        match method, what:
            case "PUT", "/index":
                given = body["field_schema"]
                self.indexes[body["field_name"]] = (
                    {"type": given} if isinstance(given, str) else given
                )
                return self.done(2)
            case "PUT", "/points":
                return self._upsert(body)
            case "PUT", "/points/vectors":
                return self._set_vectors(body)
            case "POST", "/points/vectors/delete":
                done = self.done()
                for point in self._chosen(body):
                    for one in body["vector"]:
                        point["vectors"].pop(one, None)
                        point["version"] = done["operation_id"]
                return done
            case ("POST" | "PUT", "/points/payload") | ("POST", "/points/payload/delete"):
                return self._set_payload(method, what, body)
            case "POST", "/points/batch":
                return [self._operation(one) for one in body["operations"]]
            case "POST", "/points/delete":
                done = self.done()
                for id in self._ids(body):
                    self.pop(id, None)
                return done
            case "POST", "/points":
                self._allow(len(body["ids"]), "limit")
                return [self._record(id, body) for id in body["ids"] if id in self]
            case "POST", "/points/count":
                return {"count": len(self._fitting(body))}
            case "POST", "/points/scroll":
                return self._scroll(body)
            case "POST", "/points/query":
                return {"points": self._query(body)}
            case "POST", "/points/query/batch":
                return [{"points": self._query(one)} for one in body["searches"]]
            case "POST", "/points/query/groups":
                return self._groups(body)
            case "POST", "/facet":
                counts = Counter(one["payload"].get(body["key"]) for one in self.values())
                hits = [{"value": value, "count": counts[value]} for value in counts]
                hits.sort(key=lambda hit: (-hit["count"], hit["value"]))
                return {"hits": hits[: body["limit"]]}
        raise AssertionError(f"{method} {what} is not known")

    def info(self, *, remembers: bool) -> Body:
        """What a server says of a collection."""
        many = len(self.vectors) > 1
        config: Body = {
            "params": {"vectors": self.vectors if many else self.vectors[""], **self.params},
            "hnsw_config": self.hnsw,
            "optimizer_config": self.optimizer,
            "wal_config": WAL,
            "quantization_config": self.quantization,
        }
        if remembers and self.metadata:
            config["metadata"] = self.metadata
        if self.strict:
            config["strict_mode_config"] = self.strict
        return {
            "status": "green" if self.broken is None else "red",
            "optimizer_status": "ok" if self.broken is None else {"error": self.broken},
            "indexed_vectors_count": 0,
            "points_count": len(self),
            "segments_count": 1,
            "config": config,
            "payload_schema": {key: self._schema(key) for key in self.indexes},
            "update_queue": {"length": 0},
        }

    def change(self, body: Body, *, remembers: bool) -> bool:
        """Change how the collection is kept."""
        if remembers:
            self.metadata |= body.get("metadata") or {}
        self.params |= body.get("params") or {}
        self.hnsw |= body.get("hnsw_config") or {}
        self.optimizer |= body.get("optimizers_config") or {}
        self.strict |= body.get("strict_mode_config") or {}
        if "quantization_config" in body:
            asked = body["quantization_config"]
            self.quantization = None if asked == "Disabled" else asked
        for name, params in (body.get("vectors") or {}).items():
            self.vectors[name] |= params
            if params.get("quantization_config") == "Disabled":
                del self.vectors[name]["quantization_config"]
        return True

    def rename(self, method: str, vector: str, body: Body) -> Body:
        """Give the collection another named vector, or take one away."""
        if method == "PUT":
            self.vectors.setdefault(vector, dict(body["dense"]))
        else:
            del self.vectors[vector]
            for point in self.values():
                point["vectors"].pop(vector, None)
        return self.done(2)

    def _schema(self, key: str) -> Body:
        index = self.indexes[key]
        points = sum(key in one["payload"] for one in self.values())
        told: Body = {"data_type": index["type"], "points": points}
        if len(index) > 1:
            told["params"] = index | ({"is_principal": None} if index["type"] == "integer" else {})
        return told

    def _upsert(self, body: Body) -> Body:
        if "batch" in body:
            batch = body["batch"]
            rows = zip(batch["ids"], batch["vectors"], batch["payloads"], strict=True)
            told = [(id, vector, payload) for id, vector, payload in rows]
        else:
            told = [(one["id"], one["vector"], one.get("payload")) for one in body["points"]]
        self._allow(len(told), "upsert limit", "upsert_max_batchsize")
        for id, _, _ in told:
            if not isinstance(id, int) or id < 0:
                raise Refused(
                    400,
                    f"Format error in JSON body: value {id} is not a valid point ID, valid values "
                    "are either an unsigned integer or a UUID",
                )
        named = [(id, self._named(vector), payload or {}) for id, vector, payload in told]
        done = self.done()
        for id, vectors, payload in named:
            self[id] = {"vectors": vectors, "payload": payload, "version": done["operation_id"]}
        return done

    def _set_vectors(self, body: Body) -> Body:
        news = [(one["id"], self._named(one["vector"])) for one in body["points"]]
        done = self.done()
        for id, vectors in news:
            if id in self:
                self[id]["vectors"] |= vectors
                self[id]["version"] = done["operation_id"]
        missing = [id for id, _ in news if id not in self]
        if missing:  # the others are written
            raise Refused(404, f"Not found: No point with id {missing[0]} found")
        return done

    def _set_payload(self, method: str, what: str, body: Body) -> Body:
        done = self.done()
        for point in self._chosen(body):
            if what.endswith("/delete"):
                kept = point["payload"].keys() - set(body["keys"])
                point["payload"] = {key: point["payload"][key] for key in kept}
            elif method == "PUT":
                point["payload"] = body["payload"]
            else:
                point["payload"] = point["payload"] | body["payload"]
            point["version"] = done["operation_id"]
        return done

    def _operation(self, operation: Body) -> Any:
        ((kind, told),) = operation.items()
        method, what = {
            "upsert": ("PUT", "/points"),
            "delete": ("POST", "/points/delete"),
            "set_payload": ("POST", "/points/payload"),
            "overwrite_payload": ("PUT", "/points/payload"),
        }[kind]
        return self.work(method, what, told)

    def _scroll(self, body: Body) -> Body:
        limit = body.get("limit", 10)
        self._allow(limit, "limit")
        if order := body.get("order_by"):
            key, sign = order["key"], -1 if order.get("direction") == "desc" else 1
            ids = [id for id in self._fitting(body) if key in self[id]["payload"]]
            ids.sort(key=lambda one: sign * self[one]["payload"][key])
            records = [
                self._record(id, body) | {"order_value": self[id]["payload"][key]}
                for id in ids[:limit]
            ]
            return {"points": records, "next_page_offset": None}
        ids = [id for id in sorted(self._fitting(body)) if id >= (body.get("offset") or 0)]
        page, rest = ids[:limit], ids[limit:]
        records = [self._record(id, body) for id in page]
        return {"points": records, "next_page_offset": rest[0] if rest else None}

    def _query(self, body: Body) -> list[Body]:
        limit, using = body.get("limit", 10), body.get("using") or ""
        if limit < 1:
            raise Refused(
                422,
                f"Validation error in JSON body: [internal.limit: value {limit} invalid, must be 1 "
                "or larger]",
            )
        self._allow(limit, "limit")
        self._require(using)
        probe, given = self._probe(body["query"], using)
        ids = [id for id in self._fitting(body) if using in self[id]["vectors"] and id not in given]
        stored = np.array([self[id]["vectors"][using] for id in ids], dtype=np.float32)
        scores = (stored @ probe).tolist() if ids else []
        best = sorted(zip(scores, ids, strict=True), key=lambda pair: -pair[0])
        least = body.get("score_threshold")
        best = [pair for pair in best if least is None or pair[0] >= least][:limit]
        return [
            {"id": id, "version": self[id]["version"], "score": score} | self._extra(id, body)
            for score, id in best
        ]

    def _probe(self, query: Any, using: str) -> tuple[np.ndarray, set[int]]:
        """The vector that is searched for, and the points that it was made of."""
        if not isinstance(query, dict):
            return np.array(query, dtype=np.float32), set()
        if "nearest" in query:
            return np.array(query["nearest"], dtype=np.float32), set()
        told = query["recommend"]
        examples = [told.get("positive") or [], told.get("negative") or []]
        given = {one for some in examples for one in some if isinstance(one, int)}
        means = [
            np.mean(
                [self[one]["vectors"][using] if isinstance(one, int) else one for one in some],
                axis=0,
            )
            for some in examples
            if some
        ]
        probe = means[0] if len(means) == 1 else means[0] + means[0] - means[1]
        return np.asarray(probe, dtype=np.float32), given

    def _groups(self, body: Body) -> Body:
        key, groups = body["group_by"], dict[Any, list[Body]]()
        for hit in self._query(body | {"limit": len(self) or 1}):
            value = self[hit["id"]]["payload"].get(key)
            if value is not None:
                groups.setdefault(value, []).append(hit)
        size = body["group_size"]
        found = [{"hits": hits[:size], "id": value} for value, hits in groups.items()]
        return {"groups": found[: body["limit"]]}

    def _allow(self, count: int, what: str, rule: str = "max_query_limit") -> None:
        """Refuse what strict mode does."""
        most = self.strict.get(rule) if self.strict.get("enabled") else None
        if most is not None and count > most:
            raise Refused(
                400,
                f'Bad request: Limit exceeded {count} > {most} for "{what}". Help: Reduce the '
                f'"{what}" parameter to or below {most}.',
            )

    def _require(self, vector: str) -> int:
        if vector not in self.vectors:
            raise wrong(f"Not existing vector name error: {vector}")
        size: int = self.vectors[vector]["size"]
        return size

    def _named(self, given: list[float] | dict[str, list[float]]) -> dict[str, list[float]]:
        """Vectors by name, as they come in."""
        vectors = dict(given) if isinstance(given, dict) else {"": given}
        for key, vector in vectors.items():
            expected = self._require(key)
            if len(vector) != expected:
                said = f"expected dim: {expected}, got {len(vector)}"
                raise wrong(f"Vector dimension error: {said}")
        return vectors

    def _record(self, id: int, body: Body) -> Body:
        return {"id": id} | self._extra(id, body)

    def _extra(self, id: int, body: Body) -> Body:
        """A point's payload and vectors, as far as they are wanted."""
        point, extra = self[id], Body()
        payload = body.get("with_payload")
        if isinstance(payload, dict):
            payload = payload["include"]
        if payload:
            some = point["payload"]
            if isinstance(payload, list):
                some = {key: some[key] for key in payload if key in some}
            extra["payload"] = some
        if wanted := body.get("with_vector"):
            names = list(self.vectors) if wanted is True else wanted
            for one in names:
                self._require(one)
            vectors = {one: point["vectors"][one] for one in names if one in point["vectors"]}
            extra["vector"] = vectors[""] if list(vectors) == [""] else vectors
        return extra

    def _ids(self, body: Body) -> list[int]:
        return list(body["points"]) if "points" in body else self._fitting(body)

    def _chosen(self, body: Body) -> Iterator[dict[str, Any]]:
        yield from (self[id] for id in self._ids(body) if id in self)

    def _fitting(self, body: Body) -> list[int]:
        """The ids of points that fit a request's filter."""
        where = body.get("filter") or {}
        must, must_not = where.get("must") or [], where.get("must_not") or []
        if self.strict.get("unindexed_filtering_retrieve") is False and self.strict.get("enabled"):
            self._require_indexes([*must, *must_not])
        return [
            id
            for id, point in self.items()
            if all(_holds(one, point) for one in must)
            and not any(_holds(one, point) for one in must_not)
        ]

    def _require_indexes(self, conditions: Iterable[Body]) -> None:
        for one in conditions:
            key = one.get("key")
            if key is None or key in self.indexes:
                continue
            value = (one.get("match") or {}).get("value")
            kind = "integer" if isinstance(value, int) else "keyword"
            raise Refused(
                400,
                f'Bad request: Index required but not found for "{key}" of one of the following '
                f"types: [{kind}]. Help: Create an index for this key or use a different filter.",
            )


def _holds(condition: Body, point: Body) -> bool:
    if "has_vector" in condition:
        return condition["has_vector"] in point["vectors"]
    if "has_id" in condition:
        raise AssertionError("has_id is not known")
    value = point["payload"].get(condition["key"])
    if condition.get("range") is None:
        match = condition["match"]
        return bool(value == match["value"] if "value" in match else value in match["any"])
    low, high = condition["range"].get("gte"), condition["range"].get("lt")
    return value is not None and (low is None or low <= value) and (high is None or value < high)
