"""Serve an app at a port, until the process is told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reidsearch.errors import UsageError
from reidsearch.service import memory
from reidsearch.service.app import App

log = logging.getLogger(__name__)

BACKLOG = 512
GRACE = 30  # seconds that running requests have to end
IDLE = 15  # seconds until a connection on which nothing is asked is closed
HEAD = 10.0  # seconds until a request's head has come whole
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Protocol(H11Protocol):
    """uvicorn's, without patience for clients that never end the head of a request."""

    _giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does so only for sockets that say what they are, which those of a listening one do
        # not. An answer's body would wait 40 ms for the client's word that it has the head.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        """Give up later, where a head is still to come or has begun to, and at no other time."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._giving_up is None:
            self._giving_up = self.loop.call_later(HEAD, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


class _Server(uvicorn.Server):
    """uvicorn's, which ends where it is told to, and leaves the rest of ending to its caller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def listen(host: str, port: int) -> socket.socket:
    """A socket at that address and port, any free one for 0. Raises UsageError where it is taken,
    or no address of this machine."""
    try:
        ((family, *_, address), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(
            f"{host} port {port} cannot be listened at: {error.strerror or error}",
            hint="Choose another port, or end what uses this one.",
        ) from None


def url_of(listening: socket.socket) -> str:
    """Where it is reached from this machine."""
    host, port, *_ = listening.getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server(app: App) -> uvicorn.Server:
    """A server for an app, to be given a socket."""
    return _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            log_config=None,
            log_level="error",  # a client's nonsense is no news
            access_log=False,  # there is one with request ids
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=GRACE,
            lifespan="on",
        )
    )


def serve(app: App, listening: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C, then end the requests that run."""
    memory.keep_little()
    try:
        server(app).run(sockets=[listening])
    finally:
        app.stop()  # where it was told twice to stop, it ended without
