"""The ASGI application: routes, guard, and what lives as long as the server does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from nas_service import __version__
from nas_service.api import (
    PREFIX,
    architectures,
    conditional,
    datasets,
    errors,
    events,
    families,
    final,
    health,
    jobs,
    ledger,
    ledger_jobs,
    login,
    measurements,
    studies,
    study_files,
    telemetry,
    tokens,
    trials,
    workers,
)
from nas_service.api.access_log import AccessLog
from nas_service.api.auth import Access, ensure_token, register_token
from nas_service.api.gate import Gate
from nas_service.api.guard import Guard
from nas_service.api.openapi import DESCRIPTION, TAGS, describe
from nas_service.api.policy import Policies, confirm
from nas_service.api.tail import Tail
from nas_service.dashboard.rendering import no_route
from nas_service.dashboard.routes import STATIC
from nas_service.dashboard.routes import router as dashboard_router
from nas_service.ledger.sql import SqlLedger
from nas_service.leftovers import sweep_uploads
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.totals import Counts

API_ROUTERS = (
    studies.router,
    studies.once_router,
    studies.spec_router,
    studies.change_router,
    trials.router,
    trials.once_router,
    study_files.router,
    jobs.router,
    jobs.once_router,
    final.router,
    final.once_router,
    events.router,
    families.router,
    architectures.router,
    datasets.router,
    datasets.upload_router,
    workers.router,
    ledger.router,
    ledger.artifact_router,
    ledger_jobs.router,
    measurements.router,
    tokens.router,
)
FOR_EVERY_ROUTE: dict[str, Any] = {
    # Names that read well as methods of a generated client.
    "generate_unique_id_function": lambda route: route.name,
    # The second lock: a route answers only whom the gate let through to it.
    "dependencies": [Depends(confirm)],
}


def create_app(settings: Settings) -> FastAPI:
    """Return the application; the database is opened when it starts, not here."""
    app = FastAPI(
        title="Neural architecture search",
        version=__version__,
        summary="Search for shallow multi-scale CNNs under limits of size and latency.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        # The stock pages load scripts from elsewhere; the document itself is a route of ours.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings),
        routes=[*all_routes()],
        **FOR_EVERY_ROUTE,
    )
    app.state.settings = settings
    app.state.metrics = telemetry.new_registry()
    # Set by a server that was told to end: /readyz then sends requests elsewhere.
    app.state.is_ending = False
    app.state.readers = asyncio.Semaphore(datasets.READERS)
    app.state.failed_logins = login.failed_logins()
    # The last one added is the first one asked.
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(AccessLog, requests=telemetry.Requests(app.state.metrics))
    errors.install(app)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(conditional.NotModified, conditional.not_modified)
    app.state.policies = Policies(app.routes)
    describe(app)
    return app


@cache
def all_routes() -> list[BaseRoute]:
    """Return the routes of all applications of this process: to find what each depends on takes 0.1 s."""
    routes = APIRouter(**FOR_EVERY_ROUTE)
    for router in (health.router, telemetry.router, login.router):
        routes.include_router(router)
    for router in API_ROUTERS:
        routes.include_router(router, prefix=PREFIX)
    routes.include_router(dashboard_router)
    routes.mount("/static", StaticFiles(directory=STATIC), name="static")
    return routes.routes


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = Service.open(settings)
        register_token(service.engine, ensure_token(settings.data_home))
        app.state.service = service
        app.state.ledger = SqlLedger(service.engine, settings=settings)
        app.state.access = Access(service.engine)
        app.state.tail = Tail(service.events, service.latest_event)
        app.state.metrics.register(telemetry.OfRows(Counts(service.engine, settings.lease_s).read))
        app.state.metrics.register(telemetry.OfProcess(lambda: app.state.tail.streams, service.engine))
        following = asyncio.create_task(app.state.tail.run())
        app.state.sweeping = asyncio.create_task(run_in_threadpool(sweep_uploads, settings.uploads_folder))
        app.state.warming = asyncio.create_task(run_in_threadpool(service.warm_up))
        try:
            yield
        finally:
            app.state.tail.close()
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await app.state.warming
            await app.state.sweeping
            await app.state.access.close()
            service.close()

    return lifespan
