"""S14: streams want the same as any route, end with what their reader was let in by, and are counted."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from nas_service.access import Role, TokenCreate
from nas_service.api import auth, streams
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import StudySpec

STREAMS = (
    "/api/v1/events/stream",
    "/api/v1/events:stream",
    "/api/v1/studies/{study}/events/stream",
    "/api/v1/studies/{study}/events:stream",
)
EACH = 3


@pytest.fixture
def closed(settings: Settings, service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on which nothing is open, which looks at its readers often."""
    monkeypatch.setattr(auth, "TRUST_S", 0.0)
    monkeypatch.setattr(streams, "LOOK_S", 0.1)
    own = {"port": 0, "behind_proxy": True, "max_streams_each": EACH}
    with serving(settings.model_copy(update=own)) as address:
        yield address


@pytest.fixture
def http(closed: str) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=closed, trust_env=False, timeout=120, limits=limits) as client:
        yield client


def bearer(service: Service, name: str, role: Role = Role.viewer) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.create_token(TokenCreate(name=name, role=role)).token}"}


def read_to_the_end(answer: httpx.Response, ends: Callable[[], object]) -> list[str]:
    """Return the stream's lines; `ends` is called once the first has come."""
    lines = answer.iter_lines()
    seen = [next(lines)]
    ends()
    return seen + list(lines)


def test_a_reader_is_looked_at_often_enough() -> None:
    assert streams.LOOK_S + auth.TRUST_S <= 10.0


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_wants_what_every_route_wants(http: httpx.Client, service: Service, path: str) -> None:
    path = path.format(study=1)
    for headers in ({}, {"Authorization": "Bearer nw_wrong"}, {"Cookie": "nas_session=wrong"}):
        assert http.get(path, headers=headers).status_code == 401
    assert http.get(path, headers=bearer(service, "worker", Role.worker)).status_code == 403
    # A token in the address is none: addresses are kept in logs and histories.
    token = bearer(service, "reader")["Authorization"].split()[1]
    for name in ("token", "access_token", "Authorization"):
        assert http.get(path, params={name: token}).status_code == 401


def test_a_stream_ends_when_its_token_is_revoked_and_others_go_on(
    http: httpx.Client, service: Service
) -> None:
    leaving, staying = bearer(service, "leaving"), bearer(service, "staying")
    token_id = next(token.id for token in service.tokens() if token.name == "leaving")
    with (
        http.stream("GET", STREAMS[0], headers=staying) as other,
        http.stream("GET", STREAMS[0], headers=leaving) as answer,
    ):
        others = other.iter_lines()
        assert next(others)
        seen = read_to_the_end(answer, lambda: service.revoke_token(token_id))
        assert "snapshot" in "".join(seen)
        study = service.create_study(StudySpec(dataset="digits"))
        assert any(f'"study_id":{study.study}' in line for line in others)
    assert http.get(STREAMS[0], headers=leaving).status_code == 401


def test_a_stream_ends_when_its_token_has_expired(
    http: httpx.Client, service: Service, settings: Settings
) -> None:
    headers = bearer(service, "ending")
    statement = "UPDATE tokens SET expires_at = '2026-01-01 00:00:00' WHERE name = 'ending'"
    with http.stream("GET", STREAMS[0], headers=headers) as answer:
        read_to_the_end(answer, lambda: _write(settings, statement))


@pytest.mark.parametrize("how", ["logs out", "its token is revoked"])
def test_a_stream_of_a_session_ends_with_it(http: httpx.Client, service: Service, how: str) -> None:
    token = bearer(service, "reader")["Authorization"].split()[1]
    http.post("/login", data={"token": token})
    csrf = http.get("/studies").text.partition('name="csrf_token" value="')[2][:64]

    def end() -> None:
        if how == "logs out":
            assert http.post("/logout", headers={"X-CSRF-Token": csrf}).status_code == 303
        else:
            service.revoke_token(next(one.id for one in service.tokens() if one.name == "reader"))

    with http.stream("GET", STREAMS[0]) as answer:
        read_to_the_end(answer, end)


def test_one_token_holds_so_many_streams_and_others_are_not_affected(
    http: httpx.Client, service: Service
) -> None:
    greedy, modest = bearer(service, "greedy"), bearer(service, "modest")
    token = greedy["Authorization"].split()[1]
    with ExitStack() as held:
        for _ in range(EACH):
            answer = held.enter_context(http.stream("GET", STREAMS[0], headers=greedy))
            assert answer.status_code == 200
        refused = http.get(STREAMS[0], headers=greedy)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        # A session is no way around it.
        http.post("/login", data={"token": token})
        assert http.get(STREAMS[0]).status_code == 429
        http.cookies.clear()
        with http.stream("GET", STREAMS[0], headers=modest) as other:
            assert other.status_code == 200
        assert http.get("/api/v1/studies", headers=greedy).status_code == 200
    # Closed ones give their places back.
    while (status := _status(http, greedy)) != 200:
        assert status == 429


def test_on_loopback_an_address_holds_so_many(settings: Settings, service: Service) -> None:
    own = {"port": 0, "max_streams_each": 1}
    with (
        serving(settings.model_copy(update=own)) as address,
        httpx.Client(base_url=address, trust_env=False) as http,
        http.stream("GET", STREAMS[0]) as answer,
    ):
        assert answer.status_code == 200
        assert http.get(STREAMS[0]).status_code == 429
        with http.stream("GET", STREAMS[0], headers=bearer(service, "reader")) as other:
            assert other.status_code == 200


def _status(http: httpx.Client, headers: dict[str, str]) -> int:
    with http.stream("GET", STREAMS[0], headers=headers) as answer:
        return answer.status_code


def _write(settings: Settings, statement: str) -> None:
    with sqlite3.connect(settings.data_home / "nas.db") as database:
        assert database.execute(statement).rowcount == 1
        database.commit()
    database.close()
