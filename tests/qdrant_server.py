"""A stand-in for a Qdrant server, over real HTTP, that fails when it is told to.

It answers the endpoints that the store uses, and some more, from dictionaries in memory. Whether a
real server behaves alike, tests/test_stores.py asks of one where QDRANT_URL is set, and
tests/test_recorded.py of what one has answered.
"""

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.qdrant_collection import Body, Collection, Refused, wrong
from tests.qdrant_snapshot import shard_snapshot

PEER = 3659708518663731  # what a node is called in its cluster
LARGEST = 33_554_432  # bytes of a body
FULL = "No space left on device: WAL buffer size exceeds available disk space"


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


# Says of the n-th request, counted from 1, what goes wrong with it.
Plan = Callable[[int, str], Fault | None]


class QdrantStandIn:
    """Use as a context manager; ``down`` and ``up`` stop and start it with what it holds."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.collections: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}
        self.version = (1, 18, 3)
        self.remembers = True  # metadata, as servers do since 1.16
        self.full = False  # its disk
        self.accepts: int | None = None  # bytes of a body, as a proxy before it may
        self.plan: Plan = lambda number, path: None
        self.requests: list[str] = []
        self.keys: set[str | None] = set()
        self.encodings: set[str | None] = set()  # that answers may have
        self.sentence = "as planned"  # the reason it gives for an answer that is an error
        self.retry_after: str | None = None  # a header of BUSY
        self.delay = 5.0  # seconds that SLOW takes
        self.awake = threading.Event()  # while clear, it neither answers nor hangs up
        self.awake.set()
        self.lock = threading.RLock()
        self.answers = self.work  # to each request; a cluster's nodes ask each other
        self._port = 0
        self._kept: socket.socket  # while it is entered
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self._port}"

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def __enter__(self) -> Self:
        # Nobody else is given the port while the server is down: here, nobody listens to it.
        self._kept = socket.socket()
        if sys.platform == "linux":  # elsewhere two sockets cannot be bound to one
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind((self.address, 0))
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
        self._server = ThreadingHTTPServer((self.address, self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        parts = urlsplit(request.path)
        path, query = parts.path, dict(parse_qsl(parts.query))
        self.awake.wait()
        if self.accepts is not None and length > self.accepts:
            request.rfile.read(length)
            self._send(request, 413, b"<html><h1>413 Request Entity Too Large</h1></html>")
            return
        if length > LARGEST:
            said = f"JSON payload ({length} bytes) is larger than allowed (limit: {LARGEST} bytes)."
            self._send(request, 400, as_error(said))
            return
        text = request.rfile.read(length) or b"{}"
        with self.lock:
            self.requests.append(f"{request.command} {path}")
            self.keys.add(request.headers.get("api-key"))
            self.encodings.add(request.headers.get("Accept-Encoding"))
            fault = self.plan(len(self.requests), path)
            if fault is Fault.DROPPED:
                request.close_connection = True
                return
            status, data = 200, b""
            if fault is not None and isinstance(fault.value, int):
                status, data = fault.value, as_error(self.sentence)
            else:
                try:
                    result = self.answers(request.command, path, query, parsed(text))
                    data = self._answered(path, result)
                except Refused as refused:
                    status = refused.status
                    data = b"" if refused.sentence is None else as_error(refused.sentence)
        if fault is Fault.DIES_AFTER_THE_WORK:
            request.close_connection = True
            return
        if fault is Fault.SLOW:
            time.sleep(self.delay)
        if fault is Fault.NONSENSE:
            data = b"<html>It works!</html>"
        self._send(request, status, data)

    def _answered(self, path: str, result: Any) -> bytes:
        """The body of an answer; made before anybody else changes what it is of."""
        if isinstance(result, bytes):  # a file
            return result
        answer = {"time": 0.0, "status": "ok", "result": result}
        if path == "/":
            version = ".".join(map(str, self.version))
            answer = {"title": "qdrant - vector search engine", "version": version}
        return json.dumps(answer).encode()

    def _send(self, request: BaseHTTPRequestHandler, status: int, data: bytes) -> None:
        try:
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(data)))
            if status == Fault.BUSY.value and self.retry_after is not None:
                request.send_header("Retry-After", self.retry_after)
            request.end_headers()
            request.wfile.write(data)
        except OSError:  # the client has gone
            request.close_connection = True

    def work(self, method: str, path: str, query: Mapping[str, str], body: Body) -> Any:
        """The answer to a request. Raises Refused, AssertionError on what is not known."""
        match method, path:
            case "GET", "/" | "/readyz":
                return None
            case "GET", "/cluster":
                return {"status": "disabled"}
            case "POST", "/collections/aliases":
                return self._alias(body["actions"])
        found = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
        assert found, path
        name, what = self.aliases.get(found[1], found[1]), found[2] or ""
        match method, what:
            case "GET", "/exists":
                return {"exists": name in self.collections}
            case "PUT", "":
                if name in self.collections:
                    raise wrong(f"Collection `{name}` already exists!", 409)
                self._require_known(body)
                self.collections[name] = Collection(body)
                return True
            case "DELETE", "":
                return self.collections.pop(name, None) is not None
        if name not in self.collections:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        collection = self.collections[name]
        if what.startswith("/vectors/"):
            if self.version < (1, 18):
                raise Refused(404, None)
            return collection.rename(method, what.removeprefix("/vectors/"), body)
        match method, what:
            case "PATCH", "":
                return collection.change(body, remembers=self.remembers)
            case "GET", "":
                return collection.info(remembers=self.remembers)
            case "GET", "/cluster":
                shards = collection.params["shard_number"]
                return {
                    "peer_id": PEER,
                    "shard_count": shards,
                    "local_shards": [
                        {"shard_id": one, "points_count": len(collection), "state": "Active"}
                        for one in range(shards)
                    ],
                    "remote_shards": [],
                    "shard_transfers": [],
                }
            case "GET", "/shards/0/snapshot":
                return shard_snapshot(collection)
            case "POST", "/snapshots":
                name = f"{name}-{PEER}.snapshot"
                told = {"name": name, "creation_time": "", "size": 0, "checksum": ""}
                collection.snapshots.append(told)
                return told
            case "GET", "/snapshots":
                return collection.snapshots
        if self.full and method == "PUT" and what.startswith("/points"):
            raise Refused(500, f"Service internal error: {FULL}")
        return collection.work(method, what, body)

    def _require_known(self, asked: Body) -> None:
        """What this version cannot read, it refuses."""
        quantization = asked.get("quantization_config") or {}
        if "turbo" in quantization and self.version < (1, 18):
            raise Refused(
                400,
                "Format error in JSON body: data did not match any variant of untagged enum "
                "QuantizationConfig",
            )

    def _alias(self, actions: list[Body]) -> bool:
        for action in actions:
            if told := action.get("create_alias"):
                self.aliases[told["alias_name"]] = told["collection_name"]
            else:
                del self.aliases[action["delete_alias"]["alias_name"]]
        return True


def parsed(text: bytes) -> Body:
    """A request's body. Raises Refused where it is no JSON."""
    try:
        body: Body = json.loads(text)
    except json.JSONDecodeError:  # only bodies that were cut off are known
        lines = text.split(b"\n")
        at = f"line {len(lines)} column {len(lines[-1])}"
        said = f"Format error in JSON body: EOF while parsing a value at {at}"
        raise Refused(400, said) from None
    return body


def as_error(sentence: str) -> bytes:
    return json.dumps({"time": 0.0, "status": {"error": sentence}}).encode()
