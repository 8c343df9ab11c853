"""Whatever goes wrong, as ``application/problem+json`` (RFC 9457), in the library's words.

``type`` is always about:blank and ``title`` the status in words; ``detail`` says what happened and
why, ``hint`` what to try, ``kind`` which of the library's errors it is.
"""

import http
import logging
from collections.abc import Iterable, Mapping
from typing import NotRequired, TypedDict

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from reidsearch import errors
from reidsearch.service.assets import PREFIX
from reidsearch.service.vocabulary import HTTP

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY = 5  # seconds after which to ask again where the service is busy
SHOWN = 200  # characters of what a client sent that a message repeats
# What the page sends is what its own fields offer, but for an address that somebody wrote or kept.
ADDRESS = "The address asks for what this page does not have: clear the filters, or begin anew."

# The nearest class among those of an error counts.
STATUS: Mapping[type[errors.ReidsearchError], int] = {
    errors.UsageError: 422,
    errors.ImageError: 422,
    errors.UnknownImage: 404,
    errors.NotCalibrated: 409,
    errors.EmptyGallery: 409,
    errors.IncompleteGallery: 409,
    errors.GalleryClosed: 503,
    errors.StoreError: 503,
    errors.StoreElsewhere: 500,
    errors.CopiedGallery: 500,
    errors.CatalogLocked: 503,
    errors.ReidsearchError: 500,
}


class ProblemDocument(TypedDict):
    """An error. ``kind`` is one of the library's, or "Request" where the request itself is
    wrong. For programs that have other words for what a hint names, ``unfilled`` is the hint with
    such names in braces, and ``values`` are texts that stand for some of these."""

    type: str
    title: str
    status: int
    detail: str
    hint: NotRequired[str]
    unfilled: NotRequired[str]
    values: NotRequired[dict[str, str]]
    kind: str


class Problem(HTTPException):
    """A problem of the request, or of the service, rather than the library's."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers=headers)
        self.hint = hint


def busy(detail: str) -> Problem:
    """That there is more to do than can be done, for now."""
    return Problem(
        503, detail, hint="Ask again in a few seconds.", headers={"Retry-After": str(RETRY)}
    )


def response(
    status: int,
    detail: str,
    *,
    hint: str = "",
    kind: str = "Request",
    unfilled: tuple[str, Mapping[str, str]] = ("", {}),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as it is sent."""
    document: ProblemDocument = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "kind": kind,
    }
    if hint:
        document["hint"] = hint
    text, values = unfilled
    if text:
        document["unfilled"] = text
    if values:
        document["values"] = dict(values)
    return JSONResponse(document, status, headers, media_type=MEDIA_TYPE)


def of_library(error: errors.ReidsearchError, vocabulary: Mapping[str, str] = HTTP) -> JSONResponse:
    """One of the library's errors as it is sent, in those words."""
    status = next(STATUS[one] for one in type(error).__mro__ if one in STATUS)
    if status == 500:  # nothing that a client did: whoever runs the service is to know
        log.error("%s", error.message)
    headers = {"Retry-After": str(RETRY)} if status == 503 else None
    return response(
        status,
        error.message,
        hint=error.hint_in(vocabulary),
        kind=type(error).__name__,
        unfilled=error.unfilled,
        headers=headers,
    )


def of_any(error: Exception) -> JSONResponse:
    """Any other error as it is sent: what it was is for the log alone."""
    if isinstance(error, errors.ReidsearchError):
        return of_library(error)
    log.exception("Unexpected %s", type(error).__name__, exc_info=error)
    return response(
        500,
        "something went wrong that is a defect in reidsearch",
        hint="The service's log has it, under the request's id. Nothing stored is lost.",
        kind=type(error).__name__,
    )


def install(app: FastAPI) -> None:
    """Let an app answer all errors so."""

    async def any_of(_: Request, error: Exception) -> JSONResponse:
        return of_any(error)

    async def of_http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        hint = error.hint if isinstance(error, Problem) else ""
        return response(error.status_code, str(error.detail), hint=hint, headers=error.headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        of_page = request.url.path.startswith(PREFIX)
        hint = ADDRESS if of_page else "/openapi.json says what is taken."
        return response(422, _in_words(error.errors()), hint=hint)

    app.add_exception_handler(errors.ReidsearchError, any_of)
    app.add_exception_handler(Exception, any_of)  # else Starlette answers in words of its own
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, invalid)


def _in_words(found: Iterable[Mapping[str, object]]) -> str:
    """What is wrong with which fields."""
    said = []
    for one in found:
        where = one.get("loc")
        place = ".".join(map(str, where[1:])) if isinstance(where, tuple | list) else ""
        said.append(f"{place}: {one.get('msg')}" if place else str(one.get("msg")))
    return "; ".join(said)[: 5 * SHOWN]
