"""A service that ends, by word or by force, loses nothing that it has confirmed."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reidsearch import Crop, faults
from reidsearch.config import Config
from reidsearch.gallery import Gallery
from reidsearch.pushing.add import Outcome
from tests.conftest import COLORS, Run, write_crop
from tests.serving import LONG, PACKAGE, address, start, until
from tests.test_serve import PROBE, sent


@contextmanager
def running(
    settings: Config, *, fault: str = ""
) -> "Iterator[tuple[subprocess.Popen[bytes], str]]":
    """A service in a process of its own, and where it answers; killed where it still runs."""
    process = start(settings, fault=fault)
    try:
        url = address(settings, process)
        assert url is not None, process.communicate()
        yield process, url
    finally:
        process.kill()
        _, said = process.communicate(timeout=LONG)
        assert b"Traceback" not in said, said.decode()


def picture(number: int) -> bytes:
    person = 1 + number % len(COLORS)
    return write_crop(Path(f"{number}.png"), color=COLORS[person], seed=number).read_bytes()


def push(url: str, number: int) -> int | None:
    """The id under which a crop was confirmed; None where the service ended before."""
    files = {"image": (f"{number}.png", picture(number))}
    try:
        answer = httpx.post(
            f"{url}/api/images", files=files, data={"camera": "1"}, timeout=LONG, trust_env=False
        )
    except httpx.TransportError:
        return None
    if answer.status_code == 503:
        return None
    assert answer.status_code in (200, 201), answer.text
    return int(answer.json()["id"])


def pushed_until_it_ends(url: str, end: "threading.Event", enough: int) -> dict[int, int]:
    """What was confirmed, number by number, in four threads; ``end`` is set after so many."""
    confirmed: dict[int, int] = {}

    def work(first: int) -> None:
        number = first
        while (id := push(url, number)) is not None:
            confirmed[number] = id
            number += 4
            if len(confirmed) >= enough:
                end.set()

    with ThreadPoolExecutor(4) as pool:
        for worked in [pool.submit(work, first) for first in range(4)]:
            worked.result(LONG)
    return confirmed


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_confirmed_is_there_after_the_service_ends_under_load(
    settings: Config, by: signal.Signals
) -> None:
    with running(settings) as (process, url):
        end = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            pushing = pool.submit(pushed_until_it_ends, url, end, 12)
            assert end.wait(LONG)
            process.send_signal(by)
            confirmed = pushing.result(LONG)
        assert process.wait(LONG) == (0 if by is signal.SIGTERM else -by)
    with Gallery(settings) as gallery:
        for number, id in confirmed.items():
            assert gallery.stored(id).data == picture(number)
        every = {hit.id for hit in gallery.query(picture(0), top_k=1000).hits}
        assert set(confirmed.values()) <= every
        (again,) = gallery.add([Crop(picture(max(confirmed)), camera="1")])
        assert getattr(again, "outcome", None) is Outcome.UNCHANGED
        gallery.doctor(fix=True)
        assert not gallery.doctor().left


@pytest.mark.parametrize("point", faults.PUSH)
def test_a_kill_at_any_point_of_taking_in_loses_nothing_confirmed(
    settings: Config, point: str
) -> None:
    with running(settings) as (_, url):
        first = push(url, 0)
    assert first is not None
    with running(settings, fault=point) as (process, url):
        assert push(url, 1) is None
        assert process.wait(LONG) == -signal.SIGKILL
    with running(settings) as (_, url):
        assert push(url, 0) == first
        assert push(url, 1) is not None
        hits = httpx.post(
            f"{url}/api/query",
            files={"image": ("a.png", picture(0))},
            trust_env=False,
            timeout=LONG,
        ).json()["hits"]
        assert len(hits) == 2
    with Gallery(settings) as gallery:
        assert not gallery.doctor().left


def test_a_request_that_runs_is_answered_before_the_service_ends(
    settings: Config, market: Path, run: Run
) -> None:
    run("ingest", market)
    with running(settings) as (process, url):
        request = httpx.Request("POST", f"{url}/api/query", files=[sent(market / PROBE)])
        body = request.read()
        at = httpx.URL(url)
        with socket.create_connection((at.host, at.port or 80), timeout=LONG) as connection:
            head = [f"{name}: {value}" for name, value in request.headers.items()]
            connection.sendall("\r\n".join(["POST /api/query HTTP/1.1", *head, "", ""]).encode())
            connection.sendall(body[:100])
            until(lambda: "requests_running 2.0" in httpx.get(f"{url}/metrics").text)
            process.send_signal(signal.SIGTERM)
            until(lambda: _refuses(url))
            connection.sendall(body[100:])
            answer = b""
            while some := connection.recv(65536):
                answer += some
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"hits": [' in answer
        assert process.wait(LONG) == 0


def test_a_taken_port_and_an_own_gallery_are_told_of(settings: Config) -> None:
    with running(settings) as (_, url):
        port = str(httpx.URL(url).port)
        other = subprocess.run(
            ["python", "-m", "reidsearch", "--data-dir", "other", "serve", "--port", port],
            capture_output=True, text=True, timeout=LONG, check=False,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        )  # fmt: skip
        assert other.returncode == 2
        assert f"port {port} cannot be listened at" in other.stderr
        again = start(settings)
        _, said = again.communicate(timeout=LONG)
        assert again.returncode == 4
        assert f"at {url}" in said.decode()


def _refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz", trust_env=False)
    except httpx.TransportError:
        return True
    return False
