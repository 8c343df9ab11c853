"""Who is hostile gets a clear no, and nothing else; never an internal error."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from reidsearch.config import Config
from reidsearch.gallery import Gallery
from reidsearch.service import server
from reidsearch.service.guards import Guards
from reidsearch.service.limits import Limits, Rate
from reidsearch.service.metrics import Metrics
from reidsearch.service.tokens import FILE, Role, Tokens
from tests.conftest import Run
from tests.serving import finished, served, until
from tests.test_serve import PROBE, post, problem, sent

SMALL = Limits(body=200_000, bodies=400_000, rate=1000, burst=5000)
HASTY = replace(SMALL, seconds=0.5)


@pytest.fixture
def client(gallery: Gallery) -> Iterator[httpx.Client]:
    with served(gallery, SMALL) as opened:
        yield opened


def raw(client: httpx.Client, data: bytes, *, wait: float = 5.0) -> bytes:
    """What is answered to these bytes, until the service hangs up or says no more."""
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=wait) as connection:
        connection.sendall(data)
        answer = b""
        while True:
            try:
                some = connection.recv(65536)
            except (TimeoutError, ConnectionResetError):
                return answer
            if not some:
                return answer
            answer += some


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", ""],
)
def test_a_name_that_is_not_the_services_own_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/api/cameras", headers={"Host": host})
    assert answer.status_code in (400, 421), answer.text
    assert "camera" not in answer.text


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:8733", "192.0.2.7:8733"])
def test_an_address_and_localhost_are_its_own(client: httpx.Client, host: str) -> None:
    assert client.get("/api/cameras", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(
    client: httpx.Client, market: Path, headers: dict[str, str]
) -> None:
    files = [sent(market / PROBE)]
    problem(client.post("/api/query", files=files, headers=headers), 403)
    problem(client.get("/api/cameras", headers=headers), 403)
    own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/query", files=files, headers=own).status_code == 200


def test_every_answer_carries_the_headers_that_guard_a_browser(client: httpx.Client) -> None:
    for url in ("/healthz", "/nothing", "/api/cameras", "/openapi.json", "/api/images/1"):
        headers = client.get(url).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert len(headers["x-request-id"]) == 16
        assert "server" not in headers


def test_what_is_too_large_is_refused_by_its_length_and_by_what_comes(
    client: httpx.Client, market: Path
) -> None:
    head = b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
    head += b"boundary=x\r\n"
    assert b" 413 " in raw(client, head + b"Content-Length: 99999999999\r\n\r\n")
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    chunks = [part, *[b"a" * 0x10000] * 4]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    assert b" 413 " in raw(client, head + body)
    assert post(client, "/api/query", sent(market / PROBE)).status_code == 200


def whole(client: httpx.Client, path: Path) -> bytes:
    """A question as it is sent, head and body in one."""
    request = client.build_request("POST", "/api/query", files=[sent(path)])
    head = [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(["POST /api/query HTTP/1.1", *head, "", ""]).encode() + request.read()


def test_who_never_ends_a_request_is_hung_up_on(
    gallery: Gallery, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD", 0.3)
    with served(gallery, HASTY) as client:
        for head in (b"", b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "):
            assert raw(client, head, wait=60) == b""
        healthy = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answered = raw(client, healthy + b"GET /h", wait=60)
        assert answered.count(b"HTTP/1.1") == 1
        body = b"POST /api/query HTTP/1.1\r\nHost: localhost\r\n"
        body += b"Content-Type: multipart/form-data; boundary=x\r\n"
        body += b"Content-Length: 1000\r\n\r\n--x\r\n"
        assert b" 408 " in raw(client, body, wait=60)
        assert raw(client, whole(client, market / PROBE)).startswith(b"HTTP/1.1 200 ")


def test_a_service_that_was_late_itself_takes_what_has_come_but_waits_for_no_more(
    tmp_path: Path,
) -> None:
    taken: list[bytes] = []
    answered: list[Message] = []

    async def come() -> Message:
        await asyncio.sleep(0)  # it is there, and nobody has looked yet
        return {"type": "http.request", "body": b"ab", "more_body": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            taken.append((await receive())["body"])

    async def send(message: Message) -> None:
        answered.append(message)

    guards = Guards(
        app, tokens=Tokens(tmp_path), metrics=Metrics(), limits=Limits(seconds=0), names=frozenset()
    )
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    finished(guards(scope, come, send))
    assert taken == [b"ab"]
    assert answered[0]["status"] == 408


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /api/images/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/images/..%5c..%5cwindows HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET //etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/images/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/images/1e400 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/images/1?top_k=%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/audit?since=%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/audit?since=1e999 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n\0\0\0",
        b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}",
        b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"
        b"Content-Length: 2\r\n\r\n--",
        b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
        b"boundary=x\r\nContent-Length: 4\r\n\r\n--y\n",
        b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
        b"boundary=x; charset=\xff\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_nonsense_is_no_internal_error(client: httpx.Client, data: bytes) -> None:
    answer = raw(client, data, wait=1)
    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert b"root:" not in answer
    assert b"Traceback" not in answer
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("camera", "\0"), ("camera", "x" * 100_000), ("camera", "\u202e"), ("only_camera", ",,,"),
        ("time", "01/05/2024"), ("time", "9" * 100), ("since", "nan"), ("until", "inf"),
        ("name", "../../../etc/passwd"), ("name", "\0"), ("split", "../train"), ("top_k", "1e3"),
        ("top_k", "99999999999999999999999"), ("min_score", "nan"), ("min_score", "-inf"),
        ("plain", "maybe"), ("site", b"\xed\xa0\x80"), ("dataset", "'; --"),
        ("image_id", "-1"), ("image_id", str(2**63)), ("not_id", "1" * 400), ("image", "a text"),
        ("together", ""), ("by_stay", "2"),
    ],
)  # fmt: skip
def test_fields_of_any_kind_are_no_internal_error(
    client: httpx.Client, market: Path, field: str, value: str | bytes
) -> None:
    data = (market / PROBE).read_bytes()
    for url in ("/api/query", "/api/trace", "/api/images"):
        answer = client.post(url, data={field: value}, files=[("image", ("a.jpg", data))])
        assert answer.status_code in (200, 201, 404, 409, 413, 422), answer.text
        answer.json()


def test_a_picture_with_far_too_many_pixels_is_refused_undecoded(client: httpx.Client) -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("1", (60_000, 60_000)).save(buffer, "TIFF", compression="group4")
    assert len(buffer.getvalue()) < SMALL.body
    bomb = ("image", ("bomb.tif", buffer.getvalue()))
    for url, fields in (("query", {}), ("trace", {"min_score": 0.5}), ("images", {})):
        assert "pixels" in problem(post(client, f"/api/{url}", bomb, **fields), 422)["detail"]


def test_a_rate_is_per_client_and_refills() -> None:
    now = 0.0
    rate = Rate(Limits(rate=2, burst=3), clock=lambda: now)
    assert [rate.admits("a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert rate.admits("b")
    now = 1.0
    assert [rate.admits("a") for _ in range(3)] == [True] * 2 + [False]


def test_a_client_beyond_its_rate_is_told_to_wait(gallery: Gallery) -> None:
    with served(gallery, Limits(rate=0.01, burst=5)) as client:
        answers = [client.get("/api/cameras") for _ in range(30)]
    found = problem(answers[-1], 429)
    assert answers[-1].headers["retry-after"] == "1"
    assert "requests a second" in found["detail"]


def test_tokens_say_who_may_what_and_who_it_was(gallery: Gallery, market: Path) -> None:
    tokens = Tokens(gallery.config.data_dir)
    texts = {role: tokens.add(f"the {role} one", role) for role in Role}
    with served(gallery, SMALL) as client:

        def asked(role: Role | None, method: str, url: str) -> int:
            client.headers.pop("authorization", None)
            if role is not None:
                client.headers["authorization"] = f"Bearer {texts[role]}"
            files = [sent(market / PROBE)] if url in ("/api/query", "/api/images") else None
            return client.request(method, url, files=files).status_code

        wanted = {
            ("GET", "/healthz"): (200, 200, 200, 200),
            ("GET", "/metrics"): (401, 200, 200, 200),
            ("GET", "/api/cameras"): (401, 200, 403, 200),
            ("POST", "/api/query"): (401, 200, 403, 200),
            ("POST", "/api/images"): (401, 403, 201, 200),
            ("GET", "/api/audit"): (401, 403, 403, 200),
            ("GET", "/api/nothing"): (401, 404, 404, 404),
        }
        for (method, url), statuses in wanted.items():
            for role, status in zip([None, *Role], statuses, strict=True):
                assert asked(role, method, url) == status, (role, method, url)
        assert [one.operator for one in gallery.audit()] == ["the search one", "the admin one"]
        for wrong in ("Bearer", "Bearer x", f"Basic {texts[Role.ADMIN]}", texts[Role.ADMIN]):
            answer = client.get("/api/cameras", headers={"authorization": wrong})
            assert answer.headers["www-authenticate"] == "Bearer"
            assert texts[Role.ADMIN] not in answer.text
        tokens.remove("the search one")
        assert asked(Role.SEARCH, "GET", "/api/cameras") == 401


def test_a_file_of_tokens_holds_no_token_and_is_private(settings: Config) -> None:
    tokens = Tokens(settings.data_dir)
    text = tokens.add("ann", Role.SEARCH)
    file = settings.data_dir / FILE
    assert text not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert tokens.principal(text) == Tokens(settings.data_dir).principal(text) is not None
    assert tokens.principal(text[:-1]) is None
    file.write_text(json.dumps([{"name": "eve"}]))
    with pytest.raises(Exception, match="cannot be read"):
        tokens.principal(text)


def test_a_broken_file_of_tokens_lets_nobody_in(gallery: Gallery) -> None:
    (gallery.config.data_dir / FILE).write_text("[")
    with served(gallery, SMALL) as client:
        problem(client.get("/api/cameras", headers={"Authorization": "Bearer x"}), 500)


def test_no_secret_and_no_question_is_in_the_log(
    gallery: Gallery, market: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="reidsearch")
    text = Tokens(gallery.config.data_dir).add("ann", Role.ADMIN)
    with served(gallery, SMALL) as client:
        client.headers["authorization"] = f"Bearer {text}"
        answer = post(client, "/api/query", sent(market / PROBE), identity="secret")
        client.get("/api/audit", params={"since": "secret"})
        client.get("/api/%0a%1b[31m")
        until(lambda: any("%0a" in one for one in caplog.messages))
    said = "\n".join(caplog.messages)
    assert text not in said
    assert "secret" not in said
    assert "\x1b" not in said
    assert f"{answer.headers['x-request-id']} ann POST /api/query 422" in said


def test_without_tokens_it_is_for_this_machine_alone(run: Run, settings: Config) -> None:
    refused = run("serve", "--host", "0.0.0.0", "--port", "0", exit_code=2)
    assert "nobody needs a token" in refused.stderr
    assert "reidsearch token" in refused.stderr


def test_the_command_line_makes_lists_and_removes_tokens(run: Run, settings: Config) -> None:
    made = run("token", "ann", "--role", "search")
    text = made.stdout.strip()
    principal = Tokens(settings.data_dir).principal(text)
    assert principal is not None
    assert (principal.name, principal.role) == ("ann", Role.SEARCH)
    assert text not in made.stderr
    assert "ann" in run("token").stdout
    assert text not in run("token").stdout
    run("token", "ann", "--role", "admin", exit_code=2)
    run("token", "bob", exit_code=2)
    run("token", "ann", "--remove")
    assert Tokens(settings.data_dir).principal(text) is None
    assert Tokens(settings.data_dir).needed  # or the last one's removal would let everybody in
    run("token", "ann", "--remove", exit_code=2)


def test_a_flood_of_slow_requests_leaves_the_service_answering(
    client: httpx.Client, market: Path
) -> None:
    url = client.base_url
    slow = [socket.create_connection((url.host, url.port or 80)) for _ in range(50)]
    for one in slow:
        one.sendall(b"POST /api/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
    started = time.monotonic()
    assert post(client, "/api/query", sent(market / PROBE)).status_code == 200
    assert time.monotonic() - started < 60
    for one in slow:
        one.close()
