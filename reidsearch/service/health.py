"""For whoever watches over the service: ``/healthz``, ``/readyz``, ``/metrics``."""

from contextlib import suppress
from typing import TypedDict

from fastapi import APIRouter, Request
from starlette.responses import Response

from reidsearch.errors import ReidsearchError
from reidsearch.inspection.status import Status
from reidsearch.service import problems
from reidsearch.service.parts import Anyone, service_of
from reidsearch.service.replies import PROBLEM, Described, Document, described
from reidsearch.service.vocabulary import HTTP

router = APIRouter(tags=["health"])

METRICS = "text/plain; version=0.0.4; charset=utf-8"


TEXT: Described = {
    200: {
        "description": "Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


class HealthDocument(TypedDict):
    """That it is well."""

    status: str


@router.get("/healthz", responses=described(HealthDocument, "It runs."), response_class=Document)
async def healthz() -> Document:
    """Whether the service runs."""
    return Document({"status": "ok"})


@router.get(
    "/readyz",
    responses=described(HealthDocument, "A query would be answered now."),
    response_class=Document,
)
async def readyz(request: Request) -> Response:
    """Whether a query would be answered; if not, 503 and why."""
    service = service_of(request)
    try:
        await service.workers.run(service.gallery.ready)
    except ReidsearchError as error:
        kind = type(error).__name__
        return problems.response(503, error.message, hint=error.hint_in(HTTP), kind=kind)
    return Document({"status": "ready"})


@router.get(
    "/metrics",
    responses=TEXT | PROBLEM,
    response_class=Response,
)
async def metrics(asking: Anyone) -> Response:
    """Requests, latencies, queues, images."""
    service = asking.service
    status: Status | None = None
    with suppress(ReidsearchError):
        status = await service.workers.run(service.gallery.status)
    gauges = {
        "requests_running": service.guards.running,
        "requests_asked": service.workers.asked,
        "body_bytes": service.guards.bytes,
        "crops_waiting": service.intake.waiting,
    }
    return Response(service.metrics.text(gauges, status), media_type=METRICS)
