"""What /metrics says, read as Prometheus reads it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from nas_service.api.telemetry import Requests
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store import totals
from nas_service.store.totals import Counts
from nas_service.studies import Budget, StudySpec
from nas_service.trials import Proposal, WorkerInfo
from nas_service.views import TrialCounts


def scraped(http: httpx.Client) -> dict[str, Metric]:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def by_state(family: Metric) -> dict[str, float]:
    return {sample.labels["state"]: sample.value for sample in family.samples}


def test_rows_are_counted_by_state(http: httpx.Client, service: Service, finished_study: int) -> None:
    families = scraped(http)
    counts = service.study(finished_study).trials
    states = [name for name in TrialCounts.model_fields if name not in ("repeats", "forbidden")]
    assert by_state(families["nas_trials"]) == {state: getattr(counts, state) for state in states}
    assert by_state(families["nas_studies"])["finished"] == 1
    assert by_state(families["nas_workers"]) == {"alive": 0, "lost": 0, "stopped": 1}
    assert families["nas_database_up"].samples[0].value == 1


def test_every_state_is_there_before_anything_is_in_it(http: httpx.Client) -> None:
    families = scraped(http)
    for name in ("nas_studies", "nas_trials", "nas_workers", "nas_leases", "nas_measurement_requests"):
        states = by_state(families[name])
        assert states
        assert set(states.values()) == {0}


def test_requests_are_counted_by_route_and_never_by_path(http: httpx.Client) -> None:
    for study in range(1, 6):
        http.get(f"/api/v1/studies/{study}")
        http.get(f"/nothing-{study}")
    families = scraped(http)
    requests = {
        tuple(sample.labels.values()): sample.value
        for sample in families["nas_http_requests"].samples
        if sample.name.endswith("_total")
    }
    assert requests["GET", "/api/v1/studies/{study_id}", "404"] == 5
    assert requests["GET", "-", "404"] == 5
    timed = families["nas_http_request_duration_seconds"].samples
    assert [sample.value for sample in timed if sample.labels.get("le") == "+Inf"] == [5, 5]


def test_unknown_methods_share_a_label() -> None:
    registry = CollectorRegistry()
    requests = Requests(registry)
    for method in ("GET", "BREW", "SMASH"):
        requests.count(method, "-", 405, seconds=None)
    value = registry.get_sample_value(
        "nas_http_requests_total", {"method": "other", "route": "-", "status": "405"}
    )
    assert value == 2


def test_open_streams_and_the_process_are_told(http: httpx.Client, create: Callable[..., int]) -> None:
    with http.stream("GET", "/api/v1/events/stream") as stream:
        lines = stream.iter_lines()
        next(lines)
        create()
        # Whoever is told of it follows.
        next(line for line in lines if "study.created" in line)
        families = scraped(http)
        assert families["nas_event_stream_clients"].samples[0].value == 1
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
    assert set(by_state(families["nas_database_connections"])) == {"used", "idle"}


def test_without_its_database_the_rest_is_still_told(http: httpx.Client, settings: Settings) -> None:
    with sqlite3.connect(settings.data_home / "nas.db") as database:
        database.execute("ALTER TABLE workers RENAME TO lost")
    database.close()
    families = scraped(http)
    assert families["nas_database_up"].samples[0].value == 0
    assert "nas_trials" not in families
    assert "nas_http_requests" in families


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_takeovers_count_from_the_first_look(
    database: str,
    settings: Settings,
    make_proposal: Callable[[int], Proposal],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    # Events count once they have settled.
    monkeypatch.setattr(totals, "SETTLE", timedelta(seconds=-60))
    if database == "postgresql":
        settings = settings.model_copy(update={"database_url": request.getfixturevalue("postgres_url")})
    with closing(Service.open(settings)) as service:
        ledger = SqlLedger(service.engine, settings=settings)
        study = _study_with_a_lost_trial(service, ledger, make_proposal)
        counts = Counts(service.engine, 60.0)
        assert counts.read().leases == {"held": 0, "expired": 1}
        assert counts.read().takeovers == 0
        successor = ledger.register(WorkerInfo(name="successor", host="here", pid=2)).worker_id
        assert ledger.next_work(successor, study_id=study).kind == "run"
        assert counts.read().takeovers == 1
        assert counts.read().takeovers == 1
        assert counts.read().leases == {"held": 1, "expired": 0}


def _study_with_a_lost_trial(
    service: Service, ledger: SqlLedger, make_proposal: Callable[[int], Proposal]
) -> int:
    study = service.create_study(StudySpec(dataset="digits", budget=Budget(trials=3))).study
    worker = ledger.register(WorkerInfo(name="lost", host="here", pid=1)).worker_id
    (lease,) = ledger.reserve(study, worker, [make_proposal(1)]).leases
    ledger.release(lease)
    return study
