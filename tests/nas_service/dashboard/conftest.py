"""A real server on an ephemeral port, and a real browser that refuses to overlook anything."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import uvicorn
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from nas_service.app import create_app
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, StudySpec, Training
from nas_service.trials import EpochReport, Lease, Outcome, Proposal, WorkerInfo

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions "
    # Pages of the browser's own, loaded ahead of any need.
    "--disable-features=PreloadTopChromeWebUI,SpareRendererForSitePerProcess"
)
# A busy machine takes seconds to read plotly.js, and each context reads it anew.
PATIENCE_MS = 30_000


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve the application in a thread, and yield its address."""
    config = uvicorn.Config(
        create_app(settings),
        host="127.0.0.1",
        port=0,
        log_level="warning",
        ws="none",
        # An open event stream would keep the server from stopping.
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    started = threading.Event()
    while not server.started and thread.is_alive():
        started.wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS.split())
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a browser would only mutter about."""

    address: str
    said: list[str] = field(default_factory=list)
    # Parts of complaints that a test provokes on purpose.
    forgiven: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        return [text for text in self.said if not any(part in text for part in self.forgiven)]

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text}")

    def on_request(self, request: Request) -> None:
        is_local = request.url.startswith((self.address, "data:", "blob:"))
        if not is_local:
            self.said.append(f"request to {urlsplit(request.url).netloc}")


@pytest.fixture
def watch(address: str) -> Iterator[Watch]:
    """Fails the test on a console error, a breach of the content security policy, or a foreign request."""
    watch = Watch(address)
    yield watch
    assert watch.complaints == []


@pytest.fixture
def context(browser: Browser, address: str, watch: Watch) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    context.on("console", watch.on_console)
    context.on("request", watch.on_request)
    context.on("weberror", lambda error: watch.said.append(f"exception: {error.error}"))
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


class Search:
    """A running study and a worker on it that says how each candidate ends."""

    def __init__(
        self, service: Service, ledger: SqlLedger, make_proposal: Callable[..., Proposal], **changes: Any
    ) -> None:
        self.spec = StudySpec(
            name="digits under 20,000",
            dataset="digits",
            constraints={"params": Constraint(max=20_000), "latency_ms": Constraint(max=4.0, at="p90")},
            training=Training(epochs=9, early_stopping="none"),
            budget=Budget(trials=100),
        ).model_copy(update=changes)
        self.service = service
        self.ledger = ledger
        self.study = service.create_study(self.spec).study
        name = f"worker-{self.study}"
        self.worker = ledger.register(WorkerInfo(name=name, host="here", pid=1)).worker_id
        self._proposals = (make_proposal(seed, self._analytic()) for seed in count(1))

    def _analytic(self) -> dict[str, Constraint]:
        return {name: limit for name, limit in self.spec.constraints.items() if name == "params"}

    def reserve(self, *, is_feasible: bool = True) -> Lease | None:
        """Propose one candidate on the wanted side of the limits; a feasible one is leased."""
        proposal = next(proposal for proposal in self._proposals if proposal.is_feasible == is_feasible)
        leases = self.ledger.reserve(self.study, self.worker, [proposal]).leases
        return leases[0] if leases else None

    def end(self, state: str, accuracy: float, latency_ms: float) -> int:
        """Train one candidate and let it end in `state`; returns its trial's id."""
        lease = self.reserve()
        assert lease is not None
        for epoch in range(1, 4):
            report = EpochReport(
                epoch=epoch, train_loss=2 / epoch, validation_loss=2.2 / epoch, accuracy=accuracy * epoch / 3
            )
            self.ledger.report(lease, report)
        self.ledger.complete(lease, self._outcome(state, accuracy, latency_ms))
        return lease.trial_id

    @staticmethod
    def _outcome(state: str, accuracy: float, latency_ms: float) -> Outcome:
        return Outcome.model_validate(
            {
                "report_id": uuid4().hex,
                "state": state,
                "reason": None if state == "complete" else f"ended as {state}",
                "metrics": {"accuracy": accuracy, "latency_ms": latency_ms},
                "violations": {"latency_ms": latency_ms / 4.0 - 1},
                "latency": {"median_ms": latency_ms, "p90_ms": latency_ms * 1.1},
                "timings": {"latency_s": 0.5, "training_s": 5.0},
                "versions": {"python": "3.11"},
                "error": "loss is not finite" if state == "failed" else None,
            }
        )


def fill(search: Search) -> Search:
    """Give a study some of everything; those that must never be on a front look better than all others."""
    for accuracy, latency_ms in ((0.90, 0.5), (0.95, 1.0), (0.97, 2.0), (0.93, 1.5), (0.89, 0.9)):
        search.end("complete", accuracy, latency_ms)
    for state in ("pruned", "failed", "infeasible"):
        for _ in range(2):
            search.end(state, 0.999, 0.01)
    for _ in range(12):
        search.reserve(is_feasible=False)
    return search


@pytest.fixture
def new_search(
    service: Service, ledger: SqlLedger, make_proposal: Callable[..., Proposal]
) -> Callable[..., Search]:
    """Makes running studies: `new_search(name="...")`."""
    return partial(Search, service, ledger, make_proposal)


@pytest.fixture
def mixed_search(new_search: Callable[..., Search]) -> Search:
    """A running study with three trials on its front and all other states around it."""
    return fill(new_search())


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings) as address:
        yield address
