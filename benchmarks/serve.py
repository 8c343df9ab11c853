"""``reidsearch serve`` under load, beside the library alone.

    reidsearch ingest DATA && python -m benchmarks.serve DATA/query
    python -m benchmarks.serve DATA/query --mixed 10000

The first asks the same questions of the library in this process (one thread, and as many as help),
then of a service in a process of its own with one client and with 16, in turn, so that the ratios
are of one run; every answer is compared with the library's. The second sends requests of all kinds,
a tenth of them hostile, and tells the service's memory on the way. The gallery is the one that the
settings name (REIDSEARCH_DATA_DIR); what the second pushes is forgotten at the end.
"""

import argparse
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import reidsearch
from reidsearch import config, lock
from reidsearch.service.workers import THREADS

CLIENTS = 16
PROBES = 1120  # many turns: of few, the first, in which clients come one by one, would tell the p95
BOUNDARY = "----reidsearch"
LONG = 120.0


@dataclass(frozen=True)
class Probe:
    """A picture and its file's name."""

    name: str
    data: bytes


def form(probe: Probe | None, fields: dict[str, object]) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    if probe is not None:
        head = f'form-data; name="image"; filename="{probe.name}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n"
        parts.append(head.encode() + probe.data + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Client:
    """One connection, kept."""

    def __init__(self, url: str) -> None:
        at = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=LONG)

    def post(self, path: str, probe: Probe | None, **fields: object) -> tuple[int, bytes]:
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.send("POST", path, form(probe, fields), kind)

    def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        self._connection.request(method, path, body or None, headers or {})
        answer = self._connection.getresponse()
        return answer.status, answer.read()


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """A service in a process of its own: its address and number."""
    command = [sys.executable, "-m", "reidsearch", "serve", "--port", "0", "--rate", "1000000"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    folder = config.load({}).data_dir
    try:
        while (found := lock.holder(folder)) is None or found.pid != process.pid:
            if process.poll() is not None:
                raise SystemExit("the service did not start")
            time.sleep(0.05)
        assert found.address is not None
        client = Client(found.address)
        while True:
            with suppress(OSError, http.client.HTTPException):
                if client.send("GET", "/readyz")[0] == 200:
                    break
            client = Client(found.address)
            time.sleep(0.05)
        yield found.address, process.pid
    finally:
        process.terminate()
        process.wait()


def timed(ask: Callable[[Probe], object], probes: list[Probe], clients: int) -> list[float]:
    """Seconds of each question, asked by so many at once; the last is that of all together."""

    def one(probe: Probe) -> float:
        started = time.perf_counter()
        ask(probe)
        return time.perf_counter() - started

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = list(pool.map(one, probes))
    return [*seconds, time.perf_counter() - started]


def told(what: str, seconds: list[float]) -> float:
    *each, whole = seconds
    p95 = statistics.quantiles(each, n=20)[-1]
    print(
        f"{what}: {len(each) / whole:.1f} queries/s, median {statistics.median(each) * 1000:.1f} "
        f"ms, p95 {p95 * 1000:.1f} ms",
        flush=True,
    )
    return len(each) / whole


def load(probes: list[Probe], rounds: int) -> None:
    documents: dict[str, str] = {}
    library, shared, alone, together, medians, p95s = [], [], [], [], [], []
    for _ in range(rounds):
        with reidsearch.open() as gallery:

            def ask(probe: Probe, gallery: reidsearch.Gallery = gallery) -> None:
                document = gallery.query(probe.data, name=probe.name).document()
                documents[probe.name] = json.dumps(document, ensure_ascii=False)

            timed(ask, probes[:CLIENTS], 1)
            library.append(told("library, one thread", timed(ask, probes, 1)))
            shared.append(told(f"library, {THREADS} threads", timed(ask, probes, THREADS)))
        with serving() as (url, _):
            own = [Client(url) for _ in range(CLIENTS)]

            def post(probe: Probe, own: list[Client] = own) -> None:
                client = own.pop()
                status, body = client.post("/api/query", probe)
                own.append(client)
                assert status == 200, body
                assert body.decode() == documents[probe.name], probe.name

            timed(post, probes[:CLIENTS], 1)
            seconds = timed(post, probes, 1)
            alone.append(told("service, 1 client", seconds))
            medians.append(statistics.median(seconds[:-1]))
            seconds = timed(post, probes, CLIENTS)
            together.append(told(f"service, {CLIENTS} clients", seconds))
            p95s.append(statistics.quantiles(seconds[:-1], n=20)[-1])
    print(f"{CLIENTS} clients against the library:", _median(together, library, "one thread"))
    print(f"{CLIENTS} clients against the library:", _median(together, shared, "its threads"))
    print("p95 of 16 clients against the median of one:", _median(p95s, medians, "client"))
    print("every answer equal to the library's")


def _median(upper: list[float], lower: list[float], what: str) -> str:
    ratio = statistics.median(a / b for a, b in zip(upper, lower, strict=True))
    return f"{ratio:.2f}x ({what})"


def resident(pid: int) -> float:
    """MB of memory that are the process's own, without mapped files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))


def mixed(probes: list[Probe], requests: int) -> None:
    made = random.Random(0)
    statuses: Counter[str] = Counter()
    memory: list[float] = []
    with serving() as (url, pid):
        client = Client(url)
        hits = json.loads(client.post("/api/query", probes[0])[1])["hits"]
        ids = [hit["id"] for hit in hits]

        def friendly(kind: int, probe: Probe) -> int:
            client = Client(url)
            id = made.choice(ids)
            calls: list[Callable[[], tuple[int, bytes]]] = [
                lambda: client.post("/api/query", probe),
                lambda: client.post("/api/query", probe, exclude_camera=True, top_k=50),
                lambda: client.post("/api/trace", probe, min_score=0.7),
                lambda: client.send("GET", f"/api/images/{id}"),
                lambda: client.send("GET", f"/api/images/{id}/similar"),
                lambda: client.send("GET", "/api/cameras"),
                lambda: client.send("GET", "/metrics"),
                lambda: client.post("/api/images", probe, camera="1", dataset="benchmark"),
            ]
            return calls[kind % len(calls)]()[0]

        def hostile(kind: int, probe: Probe) -> int:
            client = Client(url)
            half = Probe(probe.name, probe.data[: len(probe.data) // 2])
            huge = {"Content-Length": str(10**11), "Content-Type": "multipart/form-data"}
            calls: list[Callable[[], tuple[int, bytes]]] = [
                lambda: client.post("/api/query", half),
                lambda: client.post("/api/query", Probe("x.jpg", os.urandom(100_000))),
                lambda: client.send("POST", "/api/query", b"", huge),
                lambda: client.post("/api/query", probe, top_k="many"),
                lambda: client.post("/api/images", probe, timestamp="yesterday"),
                lambda: client.send("GET", "/api/images/..%2f..%2fetc%2fpasswd"),
                lambda: client.send("GET", "/api/cameras", b"", {"Host": "evil.example"}),
                lambda: client.send("GET", "/api/cameras", b"", {"Origin": "http://evil.example"}),
                lambda: client.send("GET", "/api/audit", b"", {"Authorization": "Bearer \x01"}),
                lambda: _slow(url),
            ]
            return calls[kind % len(calls)]()[0]

        def one(number: int) -> None:
            probe = probes[number % len(probes)]
            ask = hostile if number % 10 == 0 else friendly
            try:
                status = str(ask(number // 10 if number % 10 == 0 else number, probe))
            except (OSError, http.client.HTTPException, ValueError) as error:
                status = type(error).__name__
            statuses[status] += 1
            if number % max(requests // 20, 1) == 0:
                memory.append(resident(pid))
                print(f"{number} requests: {memory[-1]:.0f} MB", flush=True)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(requests)))
        half = memory[len(memory) // 2 :]
        print("answers:", dict(sorted(statuses.items())))
        print(f"memory over the second half: {half[0]:.0f} to {memory[-1]:.0f} MB")
        print("answers afterwards:", Client(url).post("/api/query", probes[0])[0])
    with reidsearch.open() as gallery:
        gallery.forget(before=time.time() + 86_400, dataset="benchmark")


def _slow(url: str) -> tuple[int, bytes]:
    """Begin a request, and leave."""
    at = urllib.parse.urlsplit(url)
    with socket.create_connection((at.hostname or "", at.port or 80)) as connection:
        connection.sendall(b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n")
        time.sleep(0.1)
    return 0, b""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="pictures to search for")
    parser.add_argument("--probes", type=int, default=PROBES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mixed", type=int, metavar="N")
    given = parser.parse_args()
    paths = sorted(given.folder.glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // given.probes)][: given.probes]
    probes = [Probe(path.name, path.read_bytes()) for path in paths]
    if given.mixed:
        mixed(probes, given.mixed)
    else:
        load(probes, given.rounds)


if __name__ == "__main__":
    main()
