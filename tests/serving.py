"""A service for tests: the real app behind a real socket, in this process or in one of its own."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

import reidsearch
from reidsearch import faults, lock
from reidsearch.config import Config
from reidsearch.gallery import Gallery
from reidsearch.service import server
from reidsearch.service.app import App
from reidsearch.service.limits import Limits

T = TypeVar("T")

LONG = 120  # seconds after which what hangs is given up
PACKAGE = Path(reidsearch.__file__).parent.parent


def finished(work: Coroutine[None, None, T]) -> T:
    """What it returns, in a loop of its own; in another thread, as the driver of the browser keeps
    a loop running in that of the tests."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, work).result()


@contextmanager
def served(gallery: Gallery, limits: Limits | None = None) -> Iterator[httpx.Client]:
    """A client of a service over this gallery, in a thread."""
    with closing(server.listen("127.0.0.1", 0)) as listening:
        app = App(gallery, limits=limits)
        running = server.server(app)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            url = server.url_of(listening)
            with httpx.Client(base_url=url, timeout=LONG, trust_env=False) as client:
                until(lambda: running.started)
                yield client
        finally:
            running.should_exit = True
            thread.join(LONG)


def until(true: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start(settings: Config, *words: str, fault: str = "") -> "subprocess.Popen[bytes]":
    """``reidsearch serve`` as a process, once it answers."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "reidsearch", "--data-dir", str(settings.data_dir),
            "--encoder", str(settings.encoder), "serve", "--port", "0", *words,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, faults.VARIABLE: fault, "PYTHONPATH": str(PACKAGE)},
    )  # fmt: skip
    until(lambda: process.poll() is not None or address(settings, process))
    return process


def address(settings: Config, process: "subprocess.Popen[bytes]") -> str | None:
    """Where that process answers, once it does."""
    found = lock.holder(settings.data_dir) if settings.data_dir.exists() else None
    if found is None or found.pid != process.pid or found.address is None:
        return None
    try:
        return found.address if httpx.get(f"{found.address}/healthz", trust_env=False) else None
    except httpx.TransportError:
        return None
