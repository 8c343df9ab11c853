"""Requests to a service: how they are sent, and what their failures mean."""

import functools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from reidsearch import __version__, environment, errors
from reidsearch.errors import ImageError, ReidsearchError, StoreUnreachable, UsageError

Value: TypeAlias = str | int | float | bool | None
Fields: TypeAlias = Mapping[str, Value | Sequence[str | int]]
File: TypeAlias = tuple[str, bytes]  # the field, and what it holds

CONNECTING = 10.0  # seconds
ANSWERING = 300.0  # re-ranking a whole gallery may take minutes
TRIES = 30  # while the service says that there were too many requests
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class NotUnderstood(ReidsearchError):
    """What the service answers is not what this version of reidsearch expects."""


class Connection:
    """To the service at ``url``, with a token where it needs one. Threads may share it. After it
    was closed a request makes a connection of its own."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        headers = {"user-agent": f"reidsearch/{__version__}"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        self._made = functools.partial(
            httpx.Client,
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(ANSWERING, connect=CONNECTING),
            trust_env=urlsplit(url).hostname not in LOOPBACK,  # a proxy is elsewhere
        )
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None
        self._closed = False

    def get(self, path: str, fields: Fields | None = None) -> object:
        """The JSON that is answered. Raises as ``data``."""
        return self._json(self._sent("GET", path, params=_texts(fields or {})))

    def post(self, path: str, fields: Fields, files: Sequence[File] = ()) -> object:
        """The same of a form. Raises as ``data``."""
        sent = [(name, ("picture", data, "application/octet-stream")) for name, data in files]
        return self._json(self._sent("POST", path, data=_texts(fields), files=sent or None))

    def data(self, path: str) -> bytes:
        """The bytes that are answered.

        Raises StoreUnreachable where nobody answers, and the service's errors as those they are;
        NotUnderstood where it is no service, or one of another kind.
        """
        return self._sent("GET", path).content

    def close(self) -> None:
        """Idempotent."""
        with self._opening:
            self._closed = True
            if self._client is not None:
                self._client.close()

    @contextmanager
    def _connected(self) -> Iterator[httpx.Client]:
        with self._opening:
            if self._client is None:
                self._client = self._made()
            client = self._made() if self._closed else self._client
        try:
            yield client
        finally:
            if client is not self._client:
                client.close()

    def _sent(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, list[str]] | None = None,
        data: dict[str, list[str]] | None = None,
        files: list[tuple[str, tuple[str, bytes, str]]] | None = None,
    ) -> httpx.Response:
        for _ in range(TRIES):
            try:
                with self._connected() as client:
                    answer = client.request(method, path, params=params, data=data, files=files)
            except httpx.TransportError as error:
                raise StoreUnreachable(
                    f"no service answers at {self.url}: {str(error) or type(error).__name__}",
                    hint="See whether it runs there, and whether {server} is right.",
                ) from None
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            time.sleep(_wait(answer))
        if answer.is_success:
            return answer
        raise self._error(answer)

    def _json(self, answer: httpx.Response) -> object:
        try:
            found: object = answer.json()
        except ValueError:
            raise self.not_understood() from None
        return found

    def _error(self, answer: httpx.Response) -> ReidsearchError:
        """What a problem document tells of."""
        try:
            told = answer.json()
            kind, detail = str(told["kind"]), str(told["detail"])
        except (ValueError, KeyError, TypeError):
            return self.not_understood()
        if kind != "Request":
            hint = str(told.get("unfilled", told.get("hint", "")))
            return errors.of_kind(kind).like(detail, hint=hint, values=told.get("values", {}))
        hint = str(told.get("hint", ""))
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            hint = "Give one in a file with {token_file}, or in " + f"{environment.TOKEN}."
        if answer.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.REQUEST_TIMEOUT):
            return StoreUnreachable(f"the service at {self.url}: {detail}", hint=hint)
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            return UsageError(detail, hint=hint)
        if answer.status_code == httpx.codes.GONE:
            return ImageError(detail, hint=hint)
        return ReidsearchError(f"the service at {self.url}: {detail}", hint=hint)

    def not_understood(self) -> NotUnderstood:
        """The error of an answer that is none, with the versions at both ends."""
        theirs = None
        try:
            with self._connected() as client:
                told = client.get("/openapi.json").json()["info"]
            theirs = str(told["version"]) if told["title"] == "reidsearch" else None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            pass
        if theirs is None:
            return NotUnderstood(
                f"what answers at {self.url} is no reidsearch service",
                hint="See whether {server} is right.",
            )
        return NotUnderstood(
            f"the service at {self.url} is reidsearch {theirs}, and this is {__version__}: it "
            "answers something else than is expected here",
            hint="Use the same version at both ends.",
        )


def _texts(fields: Fields) -> dict[str, list[str]]:
    """As forms have them: without what is not given."""
    found = {}
    for name, value in fields.items():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        texts = [_text(one) for one in several if one is not None]
        if texts:
            found[name] = texts
    return found


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # A file's name need not be Unicode: what is not travels as people are shown it.
    return str(value).encode(errors="backslashreplace").decode()


def _wait(answer: httpx.Response) -> float:
    """Seconds until the service may be asked again."""
    text = answer.headers.get("retry-after", "1")
    return min(float(text), 10.0) if text.isascii() and text.isdecimal() else 1.0
