"""What a Qdrant server's failures mean: whether they may pass, and what to tell people."""

import json
import re
import ssl
from collections.abc import Iterator
from json import JSONDecodeError
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from reidsearch.errors import StoreError, StoreUnreachable
from reidsearch.stores import base
from reidsearch.stores.addresses import is_loopback

PASSING = (429, 500, 502, 503, 504)  # answers that may be others a little later
# The last two are what qdrant-client makes of an answer that is none, as of another program's page.
UNANSWERED = (
    ResponseHandlingException,
    QdrantException,
    OSError,
    JSONDecodeError,
    AssertionError,
)
GRPC_PORT = 6334  # of a server as it comes
LONGEST = 500  # characters of a server's sentence that are shown
FULL = "no space left"
ILLEGAL = "illegal"  # h11's word for bytes that are no HTTP
# What servers of version 1.18 say, and what to do about it; tests/test_refusals.py has the wording.
HINTS = (
    (
        FULL,
        "The server's disk is full. Free some space there and run {same_call} again; what was "
        "stored stays.",
    ),
    (
        r"failed to connect to|currently unavailable|operations failed",
        "A node of the server's cluster is down, it seems. What was stored stays; run {same_call} "
        "again when it is back.",
    ),
    (
        "vector dimension error",
        "The collection was made for other vectors. Remove it from the server, and ingest again.",
    ),
    (
        "not found: collection",
        "The collection has gone from the server; ingest again, and it is made and filled anew.",
    ),
    (
        "limit exceeded|index required",
        "The server runs in strict mode and allows too little: raise its limits.",
    ),
)
TOO_LARGE = (
    "Not even the vector of one image gets through: let the server, or the proxy before it, take "
    "larger requests (nginx: client_max_body_size)."
)
TOO_MUCH = "The server allows less at a time: raise its limits."
CREDENTIALS = (
    "Put the server's key into the environment as REIDSEARCH_QDRANT_API_KEY, or into a file that "
    "REIDSEARCH_QDRANT_API_KEY_FILE names."
)
READ_ONLY = (
    "The key may read there and not write, or not in this collection: put one that may write into "
    "REIDSEARCH_QDRANT_API_KEY, or search only."
)


LIMIT = re.compile(r"limit exceeded (\d+) > (\d+)", re.I)
LARGER = "is larger than allowed"


class TooMuch(StoreError):
    """More was asked for, or sent, at a time than the server, or a proxy before it, allows;
    ``allowed`` is how many, where it says so, of how many that were ``given``."""

    given = 0
    allowed: int | None = None

    def fewer(self, than: int) -> int:
        """How many to try in place of so many, at least one."""
        allowed = than // 2 if self.allowed is None else min(self.allowed, than - 1)
        return max(1, allowed)


def waits(error: BaseException | None) -> float:
    """For how many seconds the server asks not to be called, 0 where it does not say."""
    return float(error.retry_after_s) if isinstance(error, ResourceExhaustedResponse) else 0.0


def may_pass(error: BaseException) -> bool:
    """Whether the same call may go through a little later: not over a full disk, not past a
    certificate that is not trusted, nor at a port that speaks something else."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code in PASSING and not re.search(FULL, sentence(error), re.I)
    if _tls(error) is not None or ILLEGAL in str(error):
        return False
    return isinstance(error, UNANSWERED)


def sentence(error: UnexpectedResponse) -> str:
    """What the server says itself, on one line; empty where its answer holds nothing of the kind,
    as a proxy's page."""
    text = error.content.decode("utf-8", "replace")
    try:
        said = json.loads(text)["status"]["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = "" if "<" in text else text
    return " ".join(str(said).split())[:LONGEST]


def refused(error: UnexpectedResponse, *, address: str) -> StoreError:
    """The error of an answer other than the one that was asked for: StoreUnreachable where it may
    be another later."""
    said = sentence(error)
    what = f"the Qdrant server at {address} answered {error.status_code} {error.reason_phrase}"
    if said:
        what += f": {said}"
    if known := base.refused(said, what):
        return known
    if error.status_code == 413 or LARGER in said:
        return TooMuch(what, hint=TOO_LARGE)
    hint = next((hint for words, hint in HINTS if re.search(words, said, re.I)), None)
    if error.status_code in PASSING:
        well = "What was stored stays; run {same_call} again when the server is well."
        return StoreUnreachable(what, hint=hint or well)
    if over := LIMIT.search(said):
        much = TooMuch(what, hint=hint or TOO_MUCH)
        much.given, much.allowed = map(int, over.groups())
        return much
    if error.status_code in (401, 403):
        return StoreError(what, hint=READ_ONLY if error.status_code == 403 else CREDENTIALS)
    return StoreError(what, hint=hint or "Look into the server's log.")


def refused_in_memory(error: KeyError | ValueError) -> StoreError:
    """The same of qdrant-client's memory mode, in a server's words."""
    said = f"No point with id {error}" if isinstance(error, KeyError) else str(error)
    if "is not found in the collection" in said:
        said = "Not existing vector name"
    return base.refused(said, said) or StoreError(said)


def is_unknown(error: UnexpectedResponse) -> bool:
    """Whether the server does not know the call itself: it says so without a sentence."""
    return error.status_code in (404, 405) and not sentence(error)


def too_old(version: str, *, address: str) -> StoreError:
    """The error of a server that cannot add a second vector to a collection."""
    return StoreError(
        f"the Qdrant server at {address} is of version {version}, and only those from 1.18 on can "
        "add expanded vectors to a collection",
        hint="Update the server (what is stored stays), or search without expansion: that goes on "
        "working.",
    )


def unanswered(error: BaseException, *, address: str, tried: str, tries: int) -> StoreUnreachable:
    """The error of a call that had no answer at ``address``, the last time from one of those that
    it names, ``tried``."""
    times = f"{tries} tries" if tries != 1 else "1 try"
    if isinstance(error, ResourceExhaustedResponse):
        return StoreUnreachable(
            f"the Qdrant server at {tried} takes no more for now: {error} ({times})",
            hint="It asks to wait for {seconds} s: run {same_call} again then, or raise its "
            "limits. What was stored stays.",
            seconds=str(error.retry_after_s),
        )
    what = f"no Qdrant server answers at {address}: {error or type(error).__name__} ({times})"
    return StoreUnreachable(what, hint=" ".join(_advice(error, tried)))


def _advice(error: BaseException, address: str) -> Iterator[str]:
    parts = urlsplit(address)
    tls = _tls(error)
    if parts.port == GRPC_PORT:
        yield f"{GRPC_PORT} is the port of Qdrant's gRPC; give the one of its REST API, 6333."
    elif tls is not None and "CERTIFICATE" in str(tls):
        yield (
            "The server's certificate is not trusted here: put the one that signed it into a file "
            "that SSL_CERT_FILE names, and use the host name that it was made for."
        )
    elif tls is not None:
        yield "The server does not speak TLS at that port, it seems: write http:// for https://."
    elif ILLEGAL in str(error):
        yield (
            "What answers there is no HTTP: write https:// where the server speaks TLS, and give "
            "the port of its REST API (6333), not of gRPC (6334)."
        )
    else:
        yield (
            "Start one with: docker compose up -d, or leave out {qdrant_url} to store the vectors "
            "in the data dir."
        )
        if parts.scheme == "http" and re.search("disconnect|reset", str(error)):
            yield "Where it speaks TLS, write https://."
    if proxy := _proxy(address):
        yield f"Requests to it go through the proxy {proxy}; NO_PROXY={parts.hostname} goes past."
    yield "What was stored stays; run {same_call} again to go on."


def _proxy(address: str) -> str | None:
    """The proxy that the environment names for this address, without a user or a password."""
    parts = urlsplit(address)
    if is_loopback(address) or proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return None if found is None else found.split("://")[-1].split("@")[-1]


def _tls(error: BaseException) -> BaseException | None:
    """What went wrong with TLS, where that is the cause."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return seen
        source = seen.source if isinstance(seen, ResponseHandlingException) else None
        seen = source if isinstance(source, BaseException) else (seen.__cause__ or seen.__context__)
    return None
