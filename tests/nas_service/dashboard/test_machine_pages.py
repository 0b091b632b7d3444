"""The pages of studies, workers and devices, of settings and of the reference, as a client sees them."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from httpx import Client
from sqlalchemy import update

from nas_service.dashboard.small_svg import BINS, histogram, sparkline
from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement
from nas_service.service import Service
from nas_service.store.engine import reading, writing
from nas_service.store.models import WorkerRow
from nas_service.store.throughput import recent_throughput
from nas_service.trials import Outcome, WorkerInfo


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(base_url=address, trust_env=False) as client:
        yield client


def measured(network_hash: str, median_ms: float, **changes: Any) -> Measurement:
    figures = dict.fromkeys(("median_ms", "min_ms", "p90_ms", "p99_ms"), median_ms)
    values = {
        "device": "cpu",
        "runtime": "onnxruntime",
        "runtime_version": "1.23",
        "machine": "a machine",
        "network_hash": network_hash,
        "low_ms": median_ms * 0.98,
        "high_ms": median_ms * 1.02,
        **figures,
    }
    return Measurement.model_validate({**values, **changes})


def test_cards_show_the_best_feasible_network_and_the_front_in_small(
    client: Client, mixed_search: Any, service: Service
) -> None:
    page = unescape(client.get("/studies").text)
    assert "97.00 %" in page
    assert "99.90 %" not in page
    assert page.count('<svg class="spark"') == 1
    assert page.count("<circle cx=", page.index('class="spark"')) == 3
    study = service.study(mixed_search.study)
    assert study.reason in page.lower()
    assert f'value="{study.trials.trained}" max="100"' in page


def test_studies_are_found_by_state_and_by_a_part_of_their_names(
    client: Client, service: Service, new_search: Callable[..., Any]
) -> None:
    one, other = new_search(name="100 % of Digits"), new_search(name="words")
    service.pause(other.study)

    def names(query: str) -> list[str]:
        listed = [study["name"] for study in client.get(f"/api/v1/studies?{query}").json()["items"]]
        page = client.get(f"/fragments/studies?{query}").text
        assert page.count('class="study-name"') == len(listed)
        return listed

    assert names("name=digits") == [one.spec.name]
    assert names("name=%25") == [one.spec.name]
    assert names("name=_") == []
    assert names("state=paused") == [other.spec.name]
    assert "No study is like that" in client.get("/studies?name=none").text


def test_the_rates_of_workers_are_those_of_the_last_hour(service: Service, mixed_search: Any) -> None:
    now = datetime.now(UTC)
    started = now - timedelta(hours=3)
    with writing(service.engine) as connection:
        connection.execute(update(WorkerRow).values(started_at=started))
    with reading(service.engine) as connection:
        rate = recent_throughput(connection, now)[mixed_search.worker]
        assert (rate.trials, rate.epochs) == (9.0, 9 * 3.0)
        assert recent_throughput(connection, started + timedelta(hours=9)) == {}
    # Rated over the time since its start, where that is shorter.
    with writing(service.engine) as connection:
        connection.execute(update(WorkerRow).values(started_at=now - timedelta(minutes=30)))
    with reading(service.engine) as connection:
        assert recent_throughput(connection, now)[mixed_search.worker].trials == pytest.approx(18.0, rel=0.01)


def test_a_lost_worker_and_a_noisy_one_are_told_with_what_to_do(
    client: Client, service: Service, ledger: SqlLedger
) -> None:
    for name, noise in (("gone", None), ("loud", "timings differ by 30 %")):
        ledger.register(WorkerInfo(name=name, host="there", pid=1, noise=noise))
    with writing(service.engine) as connection:
        connection.execute(update(WorkerRow).where(WorkerRow.name == "gone").values(heartbeat_at=0.0))
    # Each word of a command is an element of its own.
    words = re.sub(r"<[^>]+>", "", client.get("/workers").text)
    assert "nas worker start --name gone" in words
    assert "too noisy to measure latency: timings differ by 30 %" in words


def test_a_device_tells_its_latencies_and_how_predictions_have_held(
    client: Client, service: Service, ledger: SqlLedger, new_search: Callable[..., Any]
) -> None:
    search = new_search()
    hashes = [f"{number:064x}" for number in range(3)]
    for network_hash, median_ms in zip(hashes, (0.1, 1.0, 10.0), strict=True):
        ledger.store_measurement({"depth": 1}, measured(network_hash, median_ms), search.worker)
    for network_hash, predicted_ms in zip(hashes, (0.11, 1.01, 10.1), strict=True):
        latency = measured(network_hash, predicted_ms, is_predicted=True).model_dump()
        outcome = Outcome(report_id=uuid4().hex, state="complete", metrics={"accuracy": 0.9}, latency=latency)
        ledger.complete(search.reserve(), outcome)
    figures = service.device_latencies("cpu")
    assert figures.medians_ms == (10.0, 1.0, 0.1)
    assert figures.half_width == pytest.approx(0.02)
    assert figures.predicted == 3
    assert figures.median_error == pytest.approx(0.01)
    # The first one's interval ends below what was measured.
    assert figures.inside == pytest.approx(2 / 3)
    page = client.get("/devices").text
    assert '<svg class="bins"' in page
    assert "1.0 % off in the middle of 3 networks" in page
    assert client.get("/fragments/devices").status_code == 200


def test_the_reference_tells_of_every_operation(client: Client) -> None:
    page = unescape(client.get("/docs").text)
    for path, operations in client.get("/api/v1/openapi.json").json()["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in operations.values():
            assert f'id="{operation["operationId"]}"' in page


def test_tokens_are_for_admins_alone(client: Client, service: Service) -> None:
    page = client.get("/settings").text
    assert "Only admins see and make tokens" in page
    assert client.get("/fragments/tokens").status_code == 401


def test_a_front_in_small_climbs_by_steps() -> None:
    assert sparkline([(1.0, 0.5)]) == ""
    svg = sparkline([(2.0, 0.9), (1.0, 0.5)])
    assert svg.count("<circle") == 2
    assert 'points="5.0,39.0 155.0,39.0 155.0,5.0"' in svg


def test_a_histogram_holds_every_value_and_names_its_ends() -> None:
    svg, ends = histogram([1.0, 10.0, 100.0])
    assert svg.count("<rect") == 3
    assert [round(end, 6) for end in ends] == [1.0, 10.0, 100.0]
    assert histogram([]) == ("", [])
    svg, ends = histogram([5.0] * 9)
    assert svg.count("<rect") == 1 <= BINS
    assert ends[0] < 5.0 < ends[2]
