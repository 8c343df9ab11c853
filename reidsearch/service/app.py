"""The app: routes, guards, and the gallery that they share for as long as it runs."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp

from reidsearch import __version__
from reidsearch.errors import ReidsearchError
from reidsearch.gallery import Gallery
from reidsearch.service import asking, health, overview, page, pictures, problems
from reidsearch.service.guards import Guards
from reidsearch.service.intake import Intake
from reidsearch.service.limits import Limits
from reidsearch.service.metrics import Metrics
from reidsearch.service.parts import Bearer, Service
from reidsearch.service.replies import SCHEMAS
from reidsearch.service.tokens import Tokens
from reidsearch.service.workers import Workers

log = logging.getLogger(__name__)


class App(FastAPI):
    """The routes behind their guards, over one open gallery, which whoever opened it closes."""

    def __init__(
        self,
        gallery: Gallery,
        *,
        limits: Limits | None = None,
        names: frozenset[str] = frozenset(),
    ) -> None:
        """``names`` are what the service is called in URLs, beside addresses and localhost."""
        limits = limits or Limits()
        # What people send are pictures of people: they stay in memory, whatever their size.
        MultiPartParser.spool_max_size = limits.body
        self._names = names
        self._limits = limits
        self._guards: Guards | None = None
        self._tokens = Tokens(gallery.config.data_dir)
        self._metrics = Metrics()
        self._gallery = gallery
        super().__init__(
            title="reidsearch",
            version=__version__,
            description="Find the same person across cameras.",
            docs_url=None,  # its page would ask another host for its scripts
            redoc_url=None,
            redirect_slashes=False,
            lifespan=_running,
            license_info={"name": "Apache-2.0"},
            dependencies=[Bearer],
        )
        problems.install(self)
        for one in (asking, pictures, overview, health, page):
            self.include_router(one.router)

    def start(self) -> None:
        """Begin what ends when the app does."""
        self.state.service = Service(
            self._gallery,
            Workers(self._gallery.query_all),
            self._tokens,
            self._metrics,
            self.guards,
            Intake(self._gallery),
        )

    def stop(self) -> None:
        """Take in the crops that wait, and end. Idempotent."""
        service: Service | None = getattr(self.state, "service", None)
        if service is not None:
            service.intake.close()
            service.workers.close()

    @property
    def guards(self) -> Guards:
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        assert self._guards is not None
        return self._guards

    def build_middleware_stack(self) -> ASGIApp:
        self._guards = Guards(
            super().build_middleware_stack(),
            tokens=self._tokens,
            metrics=self._metrics,
            limits=self._limits,
            names=self._names,
        )
        return self._guards

    def openapi(self) -> dict[str, object]:
        if self.openapi_schema is None:
            found = super().openapi()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(SCHEMAS.components)
        assert self.openapi_schema is not None
        return self.openapi_schema


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, App)
    app.start()
    service: Service = app.state.service
    with suppress(ReidsearchError):  # /readyz tells, and so does every query
        await service.workers.run(service.gallery.ready)
    # What is there by now stays, and need not be looked through for garbage with every request.
    gc.collect()
    gc.freeze()
    yield
    app.stop()
