"""What is said of servers that refuse, speak something else, or are not there."""

import logging
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch.errors import StoreError, StoreUnreachable
from reidsearch.stores import address_of, connection, is_at
from reidsearch.stores.connection import Patience
from reidsearch.stores.server import ServerStore
from tests.qdrant_server import Fault, QdrantStandIn
from tests.test_server_faults import PATIENT
from tests.test_stores import DIMENSION, points, unit

# What is refused for a second is refused; an answer may take as long as a busy machine needs.
SHORT = replace(PATIENT, opening=1, calls=1, timeout=60)


def open_store(url: str, patience: Patience = SHORT) -> ServerStore:
    return ServerStore(url, collection="people", dimension=DIMENSION, patience=patience)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which ``serve`` is handed each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


# The sentences are those of a server of version 1.18.
@pytest.mark.parametrize(
    ("fault", "sentence", "hint"),
    [
        (
            Fault.BROKEN,
            "Service internal error: No space left on device: WAL buffer size exceeds available "
            "disk space",
            "disk is full",
        ),
        (
            Fault.BROKEN,
            "Service internal error: 1 of 1 read operations failed: Service internal error: Tonic "
            "status error: code: 'The service is currently unavailable', message: \"Failed to "
            'connect to http://NODE:6335/, error: transport error"',
            "node",
        ),
        (Fault.FORBIDDEN, "Forbidden: Write access to collection people is required", "not write"),
    ],
)
def test_a_refusal_shows_the_servers_own_sentence_and_a_hint_that_fits(
    qdrant: QdrantStandIn, fault: Fault, sentence: str, hint: str
) -> None:
    store = open_store(qdrant.url)
    qdrant.sentence = sentence
    qdrant.plan = lambda number, path: fault
    with pytest.raises(StoreError) as error:
        store.upsert(points(unit(2)))
    assert sentence in error.value.message
    assert qdrant.url in error.value.message
    assert hint in error.value.hint
    store.close()


def test_a_full_disk_is_not_tried_for_long(qdrant: QdrantStandIn) -> None:
    store = open_store(qdrant.url)
    qdrant.sentence = "Service internal error: No space left on device: WAL buffer size"
    qdrant.plan = lambda number, path: Fault.BROKEN
    before = len(qdrant.requests)
    with pytest.raises(StoreUnreachable, match="No space left"):
        store.upsert(points(unit(2)))
    assert len(qdrant.requests) == before + 1
    store.close()


def test_that_it_waits_is_said_with_whom_for_and_how_long(
    qdrant: QdrantStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="reidsearch")
    assert connection.TOLD_AFTER < 2
    store = open_store(qdrant.url, PATIENT)
    qdrant.plan = lambda number, path: None if caplog.records else Fault.AWAY
    assert store.count() == 0
    (said,) = caplog.records
    assert qdrant.url in said.getMessage()
    assert f"up to {PATIENT.calls:.0f} s" in said.getMessage()
    store.close()


def test_nothing_is_said_where_the_server_answers(
    qdrant: QdrantStandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="reidsearch")
    monkeypatch.setattr(connection, "TOLD_AFTER", 5.0)  # a busy machine is no absent server
    store = open_store(qdrant.url)
    store.upsert(points(unit(3)))
    store.close()
    assert caplog.records == []


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that nobody knows."""
    if shutil.which("openssl") is None:
        pytest.skip("making a certificate takes openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_certificate_that_is_not_trusted_is_named_at_once(tmp_path: Path) -> None:
    context = certificate(tmp_path)

    tries = []

    def serve(connection: socket.socket) -> None:
        tries.append(connection)
        with suppress(OSError):
            context.wrap_socket(connection, server_side=True).recv(1)

    with listening(serve) as port:
        with pytest.raises(StoreUnreachable, match="CERTIFICATE_VERIFY_FAILED") as error:
            open_store(f"https://127.0.0.1:{port}", PATIENT)
        assert len(tries) == 1
    assert "SSL_CERT_FILE" in error.value.hint
    assert "docker" not in error.value.hint


def test_http_where_the_server_speaks_tls_is_told_to_write_https(tmp_path: Path) -> None:
    context = certificate(tmp_path)

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            context.wrap_socket(connection, server_side=True)

    with listening(serve) as port, pytest.raises(StoreUnreachable) as error:
        open_store(f"http://127.0.0.1:{port}")
    assert "https://" in error.value.hint


def test_https_where_the_server_does_not_speak_tls_is_told_to_write_http() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with listening(serve) as port, pytest.raises(StoreUnreachable) as error:
        open_store(f"https://127.0.0.1:{port}")
    assert "http:// for https://" in error.value.hint


def test_the_port_of_grpc_is_told_from_that_of_rest() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(bytes.fromhex("000006040000000000000300000100") + b"\0" * 90)

    with listening(serve) as port, pytest.raises(StoreUnreachable) as error:
        open_store(f"http://127.0.0.1:{port}")
    assert "gRPC" in error.value.hint
    assert "docker" not in error.value.hint


def test_a_server_on_this_machine_is_not_looked_for_behind_a_proxy(
    qdrant: QdrantStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # nobody is there
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for host in ("127.0.0.1", "localhost"):
        store = open_store(qdrant.url.replace("127.0.0.1", host))
        assert store.count() == 0
        store.close()


def test_a_proxy_on_the_way_to_an_absent_server_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:s3cret@127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    sooner = replace(SHORT, opening=0.1)
    with pytest.raises(StoreUnreachable, match=r"http://qdrant\.example:6333") as error:
        ServerStore("qdrant.example", collection="people", dimension=DIMENSION, patience=sooner)
    assert "the proxy 127.0.0.1:1" in error.value.hint
    assert "s3cret" not in error.value.hint + error.value.message


def test_a_scheme_and_a_port_may_be_left_out(qdrant: QdrantStandIn) -> None:
    store = open_store(qdrant.url.removeprefix("http://"))
    assert store.address == qdrant.url
    store.close()
    assert address_of("localhost") == "http://localhost:6333"
    assert address_of("https://qdrant.example") == "https://qdrant.example:443"
    assert address_of("https://[::1]:6333/behind/") == "https://[::1]:6333/behind"
    for url in ("grpc://localhost:6334", "http://", "localhost:port"):
        with pytest.raises(StoreError, match="is no Qdrant address"):
            address_of(url)


def test_an_address_without_a_port_still_names_the_server_it_named_before() -> None:
    assert is_at("https://qdrant.example", "https://qdrant.example:443")
    assert is_at("https://qdrant.example", "https://qdrant.example:6333")  # until 0.1.0
    assert not is_at("https://qdrant.example:443", "https://qdrant.example:6333")
    assert not is_at("http://qdrant.example", "https://qdrant.example:6333")
    assert not is_at("qdrant.example", "embedded")
