"""A stand-in for a Qdrant server, over real HTTP, that fails when it is told to.

It answers the few endpoints that the store uses, from a dictionary in memory. Whether a real server
behaves alike, tests/test_stores.py asks of one where QDRANT_URL is set, and tests/test_recorded.py
of what one has answered.
"""

import io
import json
import re
import socket
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np


class Fault(Enum):
    """What goes wrong with one request."""

    BUSY = 429
    BROKEN = 500
    AWAY = 503
    FORBIDDEN = 403
    NONSENSE = "answers with a page, as another program does"
    SLOW = "answers after a client has given up"
    DROPPED = "closes the connection before anything is done"
    DIES_AFTER_THE_WORK = "does it, and closes the connection without an answer"


class Refused(Exception):
    """An answer that is an error: its status, and the server's sentence, None for no body."""

    def __init__(self, status: int, sentence: str | None) -> None:
        self.status = status
        self.sentence = sentence


# Says of the n-th request, counted from 1, what goes wrong with it.
Plan = Callable[[int, str], Fault | None]


class QdrantStandIn:
    """Use as a context manager; ``down`` and ``up`` stop and start it with what it holds."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[int, dict[str, Any]]] = {}
        self.metadata: dict[str, dict[str, Any]] = {}  # of collections
        self.vectors: dict[str, dict[str, int]] = {}  # of collections: name and dimension of each
        self.version = (1, 18, 3)
        self.remembers = True  # metadata, as servers do since 1.16
        self.plan: Plan = lambda number, path: None
        self.requests: list[str] = []
        self.keys: set[str | None] = set()
        self.sentence = "as planned"  # the reason it gives for an answer that is an error
        self.delay = 5.0  # seconds that SLOW takes
        self._port = 0
        self._kept = socket.socket()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        # Nobody else is given the port while the server is down: here, nobody listens to it.
        if sys.platform == "linux":  # elsewhere two sockets cannot be bound to one
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind(("127.0.0.1", 0))
            self._port = self._kept.getsockname()[1]
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()
        self._kept.close()

    def up(self) -> None:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                stand_in.handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = json.loads(request.rfile.read(length) or b"{}")
        path = request.path.split("?")[0]
        with self._lock:
            self.requests.append(f"{request.command} {path}")
            self.keys.add(request.headers.get("api-key"))
            fault = self.plan(len(self.requests), path)
            if fault is Fault.DROPPED:
                request.close_connection = True
                return
            sentence: str | None = self.sentence
            status, result = 200, None
            if fault is not None and isinstance(fault.value, int):
                status = fault.value
            else:
                try:
                    result = self._work(request.command, path, body)
                except Refused as refused:
                    status, sentence = refused.status, refused.sentence
        if fault is Fault.DIES_AFTER_THE_WORK:
            request.close_connection = True
            return
        if fault is Fault.SLOW:
            time.sleep(self.delay)
        answer = {"time": 0.0, "status": "ok", "result": result}
        if path == "/":
            answer = {"title": "stand-in", "version": ".".join(map(str, self.version))}
        if status != 200:
            answer = {"time": 0.0, "status": {"error": sentence}}
        if isinstance(result, bytes):  # a snapshot
            data = result
        else:
            data = b"" if sentence is None else json.dumps(answer).encode()
        if fault is Fault.NONSENSE:
            data = b"<html>It works!</html>"
        try:
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
        except OSError:  # the client has gone
            request.close_connection = True

    def _work(self, method: str, path: str, body: dict[str, Any]) -> Any:
        if path == "/":
            return None
        found = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
        assert found, path
        name, what = found[1], found[2] or ""
        match method, what:
            case "GET", "/exists":
                return {"exists": name in self.collections}
            case "PUT", "":
                if name in self.collections:
                    raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
                self.collections[name] = {}
                self.vectors[name] = {"": body["vectors"]["size"]}
                self.metadata[name] = dict(body.get("metadata") or {})
                return True
            case "DELETE", "":
                return self.collections.pop(name, None) is not None
        if name not in self.collections:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        points, done = self.collections[name], {"operation_id": 1, "status": "completed"}
        if what.startswith("/vectors/"):
            if self.version < (1, 18):
                raise Refused(404, None)
            self._rename(method, what.removeprefix("/vectors/"), name, body)
            return done
        match method, what:
            case "PATCH", "":
                self.metadata[name] |= body.get("metadata") or {}
                return True
            case "GET", "":
                return self._info(name)
            case "GET", "/shards/0/snapshot":
                return self._shard_snapshot(name)
            case "PUT", "/index":
                return done
            case "PUT", "/points":
                batch = body["batch"]
                rows = zip(batch["ids"], batch["vectors"], batch["payloads"], strict=True)
                told = [(id, self._named(name, v), payload) for id, v, payload in rows]
                points.update({id: {"vectors": v, "payload": p} for id, v, p in told})
                return done
            case "PUT", "/points/vectors":
                news = [(one["id"], self._named(name, one["vector"])) for one in body["points"]]
                for id, vectors in news:
                    if id in points:
                        points[id]["vectors"] |= vectors
                missing = [id for id, _ in news if id not in points]
                if missing:  # the others are written
                    raise Refused(404, f"Not found: No point with id {missing[0]} found")
                return done
            case "POST", "/points/vectors/delete":
                for id in body["points"]:
                    for one in body["vector"]:
                        points[id]["vectors"].pop(one, None)
                return done
            case "POST", "/points/batch":
                for operation in body["operations"]:
                    told = operation["overwrite_payload"]
                    for id in told["points"]:
                        if id in points:
                            points[id]["payload"] = told["payload"]
                return [done for _ in body["operations"]]
            case "POST", "/points/delete":
                for id in body["points"]:
                    points.pop(id, None)
                return done
            case "POST", "/points":
                return [self._record(name, id, body) for id in body["ids"] if id in points]
            case "POST", "/points/count":
                return {"count": sum(_fits(one, body.get("filter")) for one in points.values())}
            case "POST", "/points/scroll":
                ids = [id for id in sorted(points) if _fits(points[id], body.get("filter"))]
                ids = [id for id in ids if id >= (body.get("offset") or 0)]
                page, rest = ids[: body["limit"]], ids[body["limit"] :]
                records = [self._record(name, id, body) for id in page]
                return {"points": records, "next_page_offset": rest[0] if rest else None}
            case "POST", "/points/query":
                using = body.get("using") or ""
                self._require(name, using)
                query = np.array(body["query"]["nearest"], dtype=np.float32)
                ids = [id for id in points if _fits(points[id], body.get("filter"))]
                ids = [id for id in ids if using in points[id]["vectors"]]
                scores = {
                    id: float(np.array(points[id]["vectors"][using], dtype=np.float32) @ query)
                    for id in ids
                }
                best = sorted(ids, key=lambda one: -scores[one])[: body["limit"]]
                return {"points": [{"id": id, "version": 0, "score": scores[id]} for id in best]}
        raise AssertionError(f"{method} {path} is not known")

    def _info(self, name: str) -> dict[str, Any]:
        """What a server says of a collection, as far as clients insist on it."""
        named = {one: {"size": d, "distance": "Dot"} for one, d in self.vectors[name].items()}
        config: dict[str, Any] = {
            "params": {"vectors": named if len(named) > 1 else named[""]},
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
            "optimizer_config": {
                "deleted_threshold": 0.2,
                "vacuum_min_vector_number": 1000,
                "default_segment_number": 0,
                "flush_interval_sec": 5,
            },
            "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
        }
        if self.remembers and self.metadata[name]:
            config["metadata"] = self.metadata[name]
        return {
            "status": "green",
            "optimizer_status": "ok",
            "points_count": len(self.collections[name]),
            "segments_count": 1,
            "config": config,
            "payload_schema": {},
        }

    def _shard_snapshot(self, name: str) -> bytes:
        """What a server sends of a shard: the files of one that Qdrant Edge can load, packed."""
        import qdrant_edge as edge

        with tempfile.TemporaryDirectory(prefix="stand-in-") as made:
            folder = Path(made) / "shard"
            folder.mkdir()
            params = {
                one: edge.EdgeVectorParams(size=size, distance=edge.Distance.Dot)
                for one, size in self.vectors[name].items()
            }
            shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=params))
            points = [
                edge.Point(id, one["vectors"], one["payload"])
                for id, one in self.collections[name].items()
            ]
            for start in range(0, len(points), 512):
                shard.update(edge.UpdateOperation.upsert_points(points[start : start + 512]))
            shard.flush()
            shard.close()
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                tar.add(folder, ".")
            return packed.getvalue()

    def _rename(self, method: str, vector: str, name: str, body: dict[str, Any]) -> None:
        """Give the collection ``name`` another named vector, or take one away."""
        if method == "PUT":
            self.vectors[name].setdefault(vector, body["dense"]["size"])
            return
        del self.vectors[name][vector]
        for point in self.collections[name].values():
            point["vectors"].pop(vector, None)

    def _require(self, name: str, vector: str) -> int:
        if vector not in self.vectors[name]:
            raise Refused(400, f"Wrong input: Not existing vector name error: {vector}")
        return self.vectors[name][vector]

    def _named(
        self, name: str, given: list[float] | dict[str, list[float]]
    ) -> dict[str, list[float]]:
        """Vectors by name, as they come in."""
        vectors = given if isinstance(given, dict) else {"": given}
        for key, vector in vectors.items():
            expected = self._require(name, key)
            if len(vector) != expected:
                said = f"expected dim: {expected}, got {len(vector)}"
                raise Refused(400, f"Wrong input: Vector dimension error: {said}")
        return vectors

    def _record(self, name: str, id: int, body: dict[str, Any]) -> dict[str, Any]:
        point = self.collections[name][id]
        record: dict[str, Any] = {"id": id}
        if body.get("with_payload"):
            record["payload"] = point["payload"]
        if wanted := body.get("with_vector"):
            names = list(self.vectors[name]) if wanted is True else wanted
            for one in names:
                self._require(name, one)
            vectors = {one: point["vectors"][one] for one in names if one in point["vectors"]}
            record["vector"] = vectors[""] if list(vectors) == [""] else vectors
        return record


def _fits(point: dict[str, Any], where: dict[str, Any] | None) -> bool:
    def holds(condition: dict[str, Any]) -> bool:
        if "has_vector" in condition:
            return condition["has_vector"] in point["vectors"]
        value = point["payload"].get(condition["key"])
        if condition.get("range") is None:
            match = condition["match"]
            return value == match["value"] if "value" in match else value in match["any"]
        low, high = condition["range"].get("gte"), condition["range"].get("lt")
        return value is not None and (
            (low is None or low <= value) and (high is None or value < high)
        )

    must, must_not = (where or {}).get("must") or [], (where or {}).get("must_not") or []
    return all(map(holds, must)) and not any(map(holds, must_not))
