"""What every request passes before a route sees it, and every answer on its way out.

Guarded against: names that lead here by DNS rebinding (Host), pages of other sites (Origin,
Sec-Fetch-Site), strangers (tokens), floods (rate, bytes), and clients that never end a request.
Nothing of it reads a body, which comes in only as far as it is allowed to.
"""

import asyncio
import ipaddress
import logging
import secrets
import time
from collections.abc import Mapping, MutableMapping
from typing import Any, TypeAlias

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reidsearch.errors import ReidsearchError
from reidsearch.service import assets, problems
from reidsearch.service.limits import Limits, Rate
from reidsearch.service.metrics import Metrics
from reidsearch.service.problems import Problem, busy
from reidsearch.service.tokens import ANYBODY, Principal, Tokens

log = logging.getLogger(__name__)

OPEN = frozenset({"/healthz", "/readyz", "/openapi.json"}) | assets.PATHS
"""What is answered without a token: it tells nothing of what is stored."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; img-src 'self' blob: data:; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    # What was forgotten is not to live on in a browser's cache.
    "cache-control": "no-store",
}
LATE = 0.5  # seconds: what came in time and was not looked at yet is taken, once
SAME = frozenset({"same-origin", "none"})  # of Sec-Fetch-Site: this site's page, or the user's hand
State: TypeAlias = MutableMapping[str, Any]  # Starlette's


class Guards:
    """An app behind its guards. ``names`` are what the service is called in URLs; addresses always
    are, as no name can be made to lead to another one's."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Tokens,
        metrics: Metrics,
        limits: Limits,
        names: frozenset[str],
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._metrics = metrics
        self._limits = limits
        self._names = names | {"localhost"}
        self._rate = Rate(limits)
        self.running = 0  # requests that are not answered yet
        self.bytes = 0  # of their bodies

    @property
    def most_bytes(self) -> int:
        """Of one request's body."""
        return self._limits.body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        id, started, status = secrets.token_hex(8), time.perf_counter(), 0
        held = 0
        deadline: float | None = time.monotonic() + self._limits.seconds
        late = False

        async def receive_some() -> Message:
            nonlocal held, deadline, late
            wait = None
            if deadline is not None:
                wait = deadline - time.monotonic()
                if wait <= 0:  # a service with much to do may have been late itself, not the client
                    wait, late = 0 if late else LATE, True
            try:
                message = await asyncio.wait_for(receive(), wait)
            except TimeoutError:
                raise Problem(408, "the request did not come whole in time") from None
            size = len(message.get("body", b""))
            held += size
            self.bytes += size
            if held > self._limits.body:
                raise self._too_large()
            if self.bytes > self._limits.bodies:
                raise busy("too much is being sent at once")
            if not message.get("more_body", False):
                deadline = None
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name for name, _ in message["headers"]}
                message["headers"] += [
                    (name.encode(), value.encode())
                    for name, value in {**HEADERS, "x-request-id": id}.items()
                    if name.encode() not in there
                ]
            await send(message)

        self.running += 1
        try:
            principal = self._admitted(scope)
            scope.setdefault("state", {}).update(principal=principal, request_id=id)
            await self._app(scope, receive_some, send_with_headers)
        except Exception as error:
            if not status:  # else it has been answered, and logged
                answer = _answer(error)
                await answer(scope, receive, send_with_headers)
        finally:
            self.running -= 1
            self.bytes -= held
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", None)
            self._metrics.answered(scope["method"], route, status, seconds)
            _log(scope, id, status, seconds)

    def _admitted(self, scope: Scope) -> Principal:
        """Who asks. Raises Problem where the request is not to be looked at any further."""
        headers = Headers(scope=scope)
        self._check_names(headers)
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdecimal() and int(length[:20]) > self._limits.body:
            raise self._too_large()
        principal, key = self._principal(scope, headers)
        if not self._rate.admits(key):
            raise Problem(
                429,
                f"more than {self._limits.rate:g} requests a second",
                hint="Ask more slowly.",
                headers={"Retry-After": "1"},
            )
        return principal

    def _check_names(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_own(host):
            raise Problem(
                421,
                "the service is not called by the name in the request's Host",
                hint="Use its address, or start it with that name as --allow-host.",
            )
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        if (origin is not None and origin.partition("://")[2] != host) or site not in SAME:
            raise Problem(403, "a page of another site may not ask this service")

    def _is_own(self, host: str) -> bool:
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        name = (name or port).lower() if not host.endswith("]") else host.lower()
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def _principal(self, scope: Scope, headers: Headers) -> tuple[Principal, str]:
        """Who asks, and by what requests of theirs are counted."""
        client = scope.get("client")
        address = f"address {client[0]}" if client else "address"
        if not self._tokens.needed:
            return ANYBODY, address
        scheme, _, text = headers.get("authorization", "").partition(" ")
        found = self._tokens.principal(text.strip()) if scheme.lower() == "bearer" else None
        if found is not None:
            return found, f"token {found.name}"
        if scope["path"] in OPEN:
            return ANYBODY, address
        if not self._rate.admits(address):
            raise Problem(429, "too many requests without a token", headers={"Retry-After": "1"})
        raise Problem(
            401,
            "a token is needed" if not text else "the token is not known here",
            hint="Send `Authorization: Bearer TOKEN`; whoever runs the service makes one.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _too_large(self) -> Problem:
        return Problem(
            413,
            f"a request may have {self._limits.body / 1e6:g} MB",
            hint="Cut the person out of the picture, or send fewer.",
        )


def _answer(error: Exception) -> ASGIApp:
    if isinstance(error, Problem):
        return problems.response(
            error.status_code, str(error.detail), hint=error.hint, headers=error.headers
        )
    if not isinstance(error, ReidsearchError):
        return problems.of_any(error)
    return problems.of_library(error)


def _log(scope: Scope, id: str, status: int, seconds: float) -> None:
    """One line, of nothing that a client could break it with, and without what was asked for."""
    principal = scope.get("state", {}).get("principal")
    who = getattr(principal, "name", None) or "-"
    path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:200]
    log.info("%s %s %s %s %d %.0f ms", id, who, scope["method"], path, status, seconds * 1000)
