"""Probes: alive is not yet able to work."""

import sqlite3

import httpx

from nas_service import __version__
from nas_service.settings import Settings


def test_a_server_that_works_is_alive_and_ready(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok", "service": "nas", "version": __version__}
    assert http.get("/readyz").json()["status"] == "ready"


def test_without_its_database_it_is_alive_but_not_ready(http: httpx.Client, settings: Settings) -> None:
    with sqlite3.connect(settings.data_home / "nas.db") as database:
        database.execute("ALTER TABLE events RENAME TO lost")
    database.close()
    assert http.get("/healthz").status_code == 200
    for path in ("/readyz", "/api/v1/events"):
        answer = http.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["type"] == "urn:nas:unavailable"
