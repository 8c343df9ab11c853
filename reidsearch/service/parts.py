"""What an app is made of, and what routes ask of a request."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, ParamSpec, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from reidsearch.gallery import Gallery
from reidsearch.search.answer import Answer
from reidsearch.search.inquiry import Inquiry
from reidsearch.service.guards import Guards
from reidsearch.service.intake import Intake
from reidsearch.service.metrics import Metrics
from reidsearch.service.problems import Problem
from reidsearch.service.tokens import Principal, Role, Tokens
from reidsearch.service.workers import Workers

P = ParamSpec("P")
T = TypeVar("T")

_bearer = HTTPBearer(auto_error=False, description="A token, where the service needs one.")


@dataclass(frozen=True)
class Service:
    """One open gallery behind HTTP."""

    gallery: Gallery
    workers: Workers
    tokens: Tokens
    metrics: Metrics
    guards: Guards
    intake: Intake


@dataclass(frozen=True)
class Asking:
    """Who asks, and what for."""

    service: Service
    principal: Principal

    @property
    def gallery(self) -> Gallery:
        return self.service.gallery

    async def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``action`` returns in a thread that may ask the gallery, logged as of who asks."""
        with self._acting():
            return await self.service.workers.run(action, *args, **kwargs)

    async def answer(self, ask: Callable[[], Inquiry]) -> Answer:
        """The answer to what ``ask`` asks, logged as of who asks."""
        with self._acting():
            return await self.service.workers.answer(ask)

    async def drawn(self, ask: Callable[[], Inquiry], draw: Callable[[Answer], T]) -> T:
        """What ``draw`` makes of that answer in a thread, in the same turn."""
        with self._acting():
            return await self.service.workers.drawn(ask, draw)

    def _acting(self) -> AbstractContextManager[None]:
        name = self.principal.name
        return nullcontext() if name is None else self.gallery.acting(name)


def service_of(request: Request) -> Service:
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def _needing(role: Role | None) -> Callable[[Request], Awaitable[Asking]]:
    async def check(request: Request) -> Asking:
        principal = request.state.principal
        assert isinstance(principal, Principal)
        if role is not None and not principal.may(role):
            raise Problem(
                403,
                f"the token of {principal.name} is for {principal.role}, and this needs {role}",
                hint="Ask whoever runs the service for another token.",
            )
        return Asking(service_of(request), principal)

    return check


Bearer = Security(_bearer)
Anyone = Annotated[Asking, Depends(_needing(None))]
Searching = Annotated[Asking, Depends(_needing(Role.SEARCH))]
Ingesting = Annotated[Asking, Depends(_needing(Role.INGEST))]
Governing = Annotated[Asking, Depends(_needing(Role.ADMIN))]


def only(*known: str, hint: str = "") -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses form fields and parameters beside these: a misspelt one would have
    no effect, and nobody would know. Raises Problem (422), whose ``hint`` is by default what there
    is."""

    async def check(request: Request) -> None:
        given = set(request.query_params)
        if request.method == "POST":
            given |= set(await request.form())
        unknown = sorted(given - set(known))
        if unknown:
            raise Problem(
                422,
                f"there is no field {unknown[0][:100]!r} here",
                hint=hint or f"There are: {', '.join(known)}.",
            )

    return check
