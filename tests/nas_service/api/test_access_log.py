"""Each answer carries its request's id; the log has it, and of the address the route's template alone."""

import logging
from typing import Any

import httpx
import pytest

from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import LedgerRefused
from nas_service.logs import entry_of
from nas_service.service import Service
from nas_service.settings import Settings


@pytest.fixture
def access(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "nas.access")
    return caplog


def entries(caplog: pytest.LogCaptureFixture, http: httpx.Client, count: int) -> list[dict[str, Any]]:
    """Return the lines of `count` requests; one is written when its answer has been sent already."""
    told: list[dict[str, Any]] = []
    for _ in range(1000):
        http.get("/readyz")
        lines = [record for record in caplog.records if record.name == "nas.access"]
        told = [{"level": record.levelname, **record.__dict__["fields"]} for record in lines]
        told = [line for line in told if line["route"] != "/readyz"]
        if len(told) >= count:
            break
    assert len(told) == count
    return sorted(told, key=lambda line: (line["route"], line["status"]), reverse=True)


def test_an_id_is_made_and_answered(http: httpx.Client) -> None:
    first, second = (http.get("/healthz").headers["x-request-id"] for _ in range(2))
    assert len(first) == 16
    assert first != second


def test_a_valid_id_is_taken_over_and_stands_in_the_problem(http: httpx.Client) -> None:
    answer = http.get("/api/v1/studies/7", headers={"X-Request-ID": "mine-00000001"})
    assert answer.headers["x-request-id"] == "mine-00000001"
    assert answer.json()["request_id"] == "mine-00000001"


def test_a_wrong_id_is_replaced(http: httpx.Client) -> None:
    answer = http.get("/api/v1/studies/7", headers={"X-Request-ID": "<script>"})
    assert answer.json()["request_id"] == answer.headers["x-request-id"] != "<script>"


def test_a_refusal_by_the_guard_has_an_id_too(http: httpx.Client) -> None:
    answer = http.get("/studies", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_pages_show_the_id_of_a_failure_of_our_own(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = http.get("/studies/7", headers={"Accept": "text/html"})
    assert missing.headers["x-request-id"] not in missing.text

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Service, "study", fail)
    failed = http.get("/studies/7", headers={"Accept": "text/html"})
    assert (missing.status_code, failed.status_code) == (404, 500)
    assert f"Request {failed.headers['x-request-id']}" in failed.text


def test_a_line_has_the_template_and_not_what_was_typed(
    http: httpx.Client, access: pytest.LogCaptureFixture
) -> None:
    http.get("/api/v1/studies/7/front", params={"metrics": "private"})
    http.get("/private-path?private=1")
    front, nothing = entries(access, http, 2)
    assert front["route"] == "/api/v1/studies/{study_id}/front"
    assert (front["method"], front["status"]) == ("GET", 404)
    assert front["ms"] > 0
    assert nothing["route"] == "-"
    assert "private" not in access.text


def test_what_is_asked_all_the_time_is_quiet_until_it_fails(
    http: httpx.Client, access: pytest.LogCaptureFixture
) -> None:
    http.get("/healthz")
    http.get("/static/base.css")
    http.get("/static/nothing.css")
    assert [(line["route"], line["level"]) for line in entries(access, http, 3)] == [
        ("/static", "INFO"),
        ("/static", "DEBUG"),
        ("/healthz", "DEBUG"),
    ]


def test_a_worker_s_line_and_the_server_s_have_one_id(
    address: str, settings: Settings, access: pytest.LogCaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nas_service.exchange")
    seen: dict[str, dict[str, Any]] = {}

    class Watching(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.setdefault(record.name, entry_of(record))

    watching = Watching()
    logging.getLogger().addHandler(watching)
    ledger = HttpLedger(address, (settings.data_home / "token").read_text().strip(), settings.data_home)
    try:
        for study in (5, 6):
            with pytest.raises(LedgerRefused, match="no study"):
                ledger.changes(study, 0)
    finally:
        logging.getLogger().removeHandler(watching)
        ledger.close()
    server, worker = seen["nas.access"], seen["nas_service.exchange"]
    assert server["request_id"] == worker["request_id"]
    assert server["study"] == 5
