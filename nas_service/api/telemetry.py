"""Prometheus metrics: what this process counts, and what the database's rows say.

The names all start with `nas_`; docs/operations.md lists them. Labels take few values: templates of routes,
methods, statuses, states.
"""

from collections.abc import Callable, Iterable

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, QueuePool
from sqlalchemy.exc import SQLAlchemyError

from nas_service import __version__
from nas_service.store.totals import Totals

router = APIRouter(tags=["health"])

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Return all metrics in Prometheus' text format."""
    content = await run_in_threadpool(generate_latest, request.app.state.metrics)
    return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


class Requests:
    """Counts the requests that one process has answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self._answered = Counter("nas_http_requests", "Requests answered.", labels, registry=registry)
        self._durations = Histogram(
            "nas_http_request_duration_seconds",
            "From a request's head to its answer's end; event streams are left out.",
            ("method", "route"),
            buckets=DURATIONS_S,
            registry=registry,
        )

    def count(self, method: str, route: str, status: int, *, seconds: float | None) -> None:
        """Count an answer; `seconds` is None for one that lasts as long as somebody listens."""
        known = method if method in METHODS else "other"
        self._answered.labels(known, route, str(status)).inc()
        if seconds is not None:
            self._durations.labels(known, route).observe(seconds)


class OfRows(Collector):
    """What the database says: the same on every server process over it.

    Args:
        read: Returns the present totals.
    """

    def __init__(self, read: Callable[[], Totals]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Yield the totals; a database that is away is told by `nas_database_up` alone."""
        try:
            totals = self._read()
        except SQLAlchemyError:
            yield GaugeMetricFamily("nas_database_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("nas_database_up", "Whether the database answers.", 1)
        for name, text, counts in (
            ("nas_studies", "Studies by state.", totals.studies),
            ("nas_trials", "Trials of all studies by state.", totals.trials),
            ("nas_proposals_answered", "Proposals that never became trials, by why.", totals.proposals),
            ("nas_workers", "Workers by whether they were heard of within a lease.", totals.workers),
            ("nas_leases", "Trials that a worker holds, and those whose lease has run out.", totals.leases),
            ("nas_measurement_requests", "Latencies asked of devices, by state.", totals.measurements),
        ):
            family = GaugeMetricFamily(name, text, labels=("state",))
            for state, count in counts.items():
                family.add_metric((state,), count)
            yield family
        yield CounterMetricFamily(
            "nas_trial_takeovers",
            "Trials begun again by another attempt since this process started.",
            totals.takeovers,
        )


class OfProcess(Collector):
    """What is at present open in one server process.

    Args:
        streams: How many event streams are followed.
        engine: Whose connections are counted.
    """

    def __init__(self, streams: Callable[[], int], engine: Engine) -> None:
        self._streams = streams
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """Yield streams, connections and the program's version."""
        yield GaugeMetricFamily(
            "nas_event_stream_clients", "Event streams that are followed.", self._streams()
        )
        yield self._connections()
        build = GaugeMetricFamily("nas_build", "Always 1; the label says the version.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build

    def _connections(self) -> Metric:
        family = GaugeMetricFamily(
            "nas_database_connections", "Connections of the pool by state.", labels=("state",)
        )
        pool = self._engine.pool
        if isinstance(pool, QueuePool):
            family.add_metric(("used",), pool.checkedout())
            family.add_metric(("idle",), pool.checkedin())
        return family


def new_registry() -> CollectorRegistry:
    """Return a registry that knows the process: memory, processor time, open files, garbage collections."""
    # When each label set turned up first doubles the series and tells nobody anything.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
