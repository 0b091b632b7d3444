"""S3: a browser's session is not its token, opens no more than it, and ends; guessing is slowed down."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from nas_service.access import Role, TokenCreate
from nas_service.api import auth
from nas_service.api.limits import WINDOW_S, FailedAttempts
from nas_service.api.login import LOGINS_OVERALL, LOGINS_PER_ADDRESS
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings

Open = Callable[..., httpx.Client]


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the database each time, so that nothing has to be waited for."""
    monkeypatch.setattr(auth, "TRUST_S", 0.0)


@pytest.fixture
def closed(settings: Settings, service: Service) -> Iterator[str]:
    """A server of the test's own on which nothing is open."""
    with serving(settings.model_copy(update={"port": 0, "behind_proxy": True})) as address:
        yield address


@pytest.fixture
def client(closed: str) -> Iterator[Open]:
    """Return what opens clients, each with cookies of its own, if need be from another address."""
    opened = []

    def new(local_address: str = "127.0.0.1") -> httpx.Client:
        transport = httpx.HTTPTransport(local_address=local_address)
        opened.append(httpx.Client(base_url=closed, transport=transport, timeout=30))
        return opened[-1]

    yield new
    for one in opened:
        one.close()


def token_of(service: Service, role: Role, name: str = "somebody") -> str:
    return service.create_token(TokenCreate(name=name, role=role)).token


def logged_in(client: httpx.Client, token: str) -> httpx.Client:
    assert client.post("/login", data={"token": token}).status_code == 303
    return client


def changed_row(settings: Settings, statement: str) -> None:
    with sqlite3.connect(settings.data_home / "nas.db") as database:
        assert database.execute(statement).rowcount == 1
        database.commit()
    database.close()


def test_the_cookie_is_not_the_token_and_no_script_reads_it(client: Open, service: Service) -> None:
    token = token_of(service, Role.viewer)
    answer = client().post("/login", data={"token": token, "next": "/studies"})
    assert answer.headers["location"] == "/studies"
    cookie = answer.headers["set-cookie"]
    assert token not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=604800"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_what_the_database_holds_logs_nobody_in(client: Open, service: Service, settings: Settings) -> None:
    token = token_of(service, Role.admin)
    browser = logged_in(client(), token)
    session = browser.cookies["nas_session"]
    with sqlite3.connect(settings.data_home / "nas.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    hashes = [hashlib.sha256(secret.encode()).hexdigest() for secret in (token, session)]
    assert all(hashed in dump for hashed in hashes)
    assert token not in dump
    assert session not in dump
    for guess in (*hashes, *(f"nw_{hashed}" for hashed in hashes)):
        assert (
            client().get("/api/v1/studies", headers={"Authorization": f"Bearer {guess}"}).status_code == 401
        )
        assert client().post("/login", data={"token": guess}).status_code == 401
        with_cookie = {"Cookie": f"nas_session={guess}"}
        assert client().get("/api/v1/studies", headers=with_cookie).status_code == 401


def test_a_session_opens_what_its_token_does(client: Open, service: Service) -> None:
    viewer = logged_in(client(), token_of(service, Role.viewer, "viewer"))
    assert viewer.get("/studies").status_code == 200
    assert viewer.get("/api/v1/tokens").status_code == 403
    admin = logged_in(client(), token_of(service, Role.admin, "admin"))
    assert admin.get("/api/v1/tokens").status_code == 200
    # A worker is nobody's browser.
    assert admin.post("/api/v1/leases:acquire", json={"worker_id": 1}).status_code == 401


def test_the_page_says_who_is_logged_in_as_what(client: Open, service: Service) -> None:
    page = logged_in(client(), token_of(service, Role.operator, "ada")).get("/studies").text
    assert "ada" in page
    assert "operator" in page
    assert "Log out" in page


def test_a_worker_s_token_opens_no_session(client: Open, service: Service) -> None:
    answer = client().post("/login", data={"token": token_of(service, Role.worker)})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_logging_out_ends_the_session_not_only_the_cookie(client: Open, service: Service) -> None:
    browser = logged_in(client(), token_of(service, Role.viewer))
    kept = browser.cookies["nas_session"]
    csrf = browser.get("/studies").text.partition('name="csrf_token" value="')[2][:64]
    assert browser.post("/logout", data={"csrf_token": csrf}).status_code == 303
    assert "nas_session" not in browser.cookies
    again = client().get("/api/v1/studies", headers={"Cookie": f"nas_session={kept}"})
    assert again.status_code == 401


def test_a_session_ends_with_its_token(client: Open, service: Service) -> None:
    browser = logged_in(client(), token_of(service, Role.viewer))
    assert browser.get("/api/v1/studies").status_code == 200
    service.revoke_token(next(token.id for token in service.tokens() if token.name == "somebody"))
    assert browser.get("/api/v1/studies").status_code == 401


@pytest.mark.parametrize("rows", ["sessions", "tokens"])
def test_a_session_ends_at_its_time_and_at_that_of_its_token(
    client: Open, service: Service, settings: Settings, rows: str
) -> None:
    browser = logged_in(client(), token_of(service, Role.viewer))
    which = "WHERE name = 'somebody'" if rows == "tokens" else ""
    changed_row(settings, f"UPDATE {rows} SET expires_at = '2026-01-01 00:00:00' {which}")
    assert browser.get("/api/v1/studies").status_code == 401


def test_a_session_lasts_no_longer_than_its_token(client: Open, service: Service) -> None:
    short = service.create_token(TokenCreate(name="short", role=Role.viewer, expires_days=1)).token
    cookie = client().post("/login", data={"token": short}).headers["set-cookie"]
    lasts_s = int(cookie.partition("Max-Age=")[2].partition(";")[0])
    assert 80_000 < lasts_s <= 86_400


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", ""])
def test_the_login_leads_to_no_other_server(client: Open, service: Service, target: str) -> None:
    answer = client().post("/login", data={"token": token_of(service, Role.viewer), "next": target})
    assert answer.headers["location"] == "/"


def test_a_wrong_login_is_refused_and_nothing_of_it_shown(client: Open) -> None:
    answer = client().post("/login", data={"token": "nw_guess", "next": '"><script>'})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "<script>" not in answer.text
    assert "nw_guess" not in answer.text


def test_an_address_that_guesses_waits_and_others_do_not(client: Open, service: Service) -> None:
    token = token_of(service, Role.viewer)
    guesser = client("127.0.0.2")
    for _ in range(LOGINS_PER_ADDRESS):
        assert guesser.post("/login", data={"token": "nw_guess"}).status_code == 401
    for guess in ("nw_guess", token):
        answer = guesser.post("/login", data={"token": guess})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= WINDOW_S
    logged_in(client("127.0.0.3"), token)


def test_guessing_from_everywhere_makes_logins_wait_but_no_token(client: Open, service: Service) -> None:
    token = token_of(service, Role.viewer)
    for number in range(LOGINS_OVERALL):
        guesser = client(f"127.0.1.{1 + number // LOGINS_PER_ADDRESS}")
        assert guesser.post("/login", data={"token": "nw_guess"}).status_code == 401
    assert client("127.0.0.3").post("/login", data={"token": token}).status_code == 429
    bearer = {"Authorization": f"Bearer {token}"}
    assert client("127.0.0.3").get("/api/v1/studies", headers=bearer).status_code == 200


def test_guessing_tokens_is_slowed_down_but_not_who_was_let_in_before(client: Open, service: Service) -> None:
    bearer = {"Authorization": f"Bearer {token_of(service, Role.viewer)}"}
    fresh = {"Authorization": f"Bearer {token_of(service, Role.viewer, 'fresh')}"}
    one = client()
    assert one.get("/api/v1/studies", headers=bearer).status_code == 200
    statuses = [
        one.get("/api/v1/studies", headers={"Authorization": f"Bearer nw_{number}"}).status_code
        for number in range(70)
    ]
    assert (set(statuses[:60]), set(statuses[60:])) == ({401}, {429})
    assert one.get("/api/v1/studies", headers=bearer).status_code == 200
    # Nobody can tell a good token from a guess while guesses are not looked at.
    assert one.get("/api/v1/studies", headers=fresh).status_code == 429
    assert client("127.0.0.2").get("/api/v1/studies", headers=fresh).status_code == 200


def test_failures_are_forgotten_after_a_minute() -> None:
    now = 0.0
    failed = FailedAttempts(2, 3, clock=lambda: now)
    failed.note("a")
    now = 10.0
    failed.note("a")
    assert (failed.address_waits_s("a"), failed.address_waits_s("b"), failed.all_wait_s()) == (50, 0, 0)
    failed.note("b")
    assert failed.all_wait_s() == 50
    now = 60.0
    assert (failed.address_waits_s("a"), failed.all_wait_s()) == (0, 0)
    failed.note("a")
    assert failed.address_waits_s("a") == 10
    now = 130.0
    assert (failed.address_waits_s("a"), failed.all_wait_s()) == (0, 0)


def test_the_use_of_a_token_is_written_down_coarsely(
    client: Open, service: Service, settings: Settings, closed: str
) -> None:
    bearer = {"Authorization": f"Bearer {token_of(service, Role.viewer)}"}
    one = client()
    assert one.get("/api/v1/studies", headers=bearer).status_code == 200

    def last_used() -> object:
        return next(token.last_used_at for token in service.tokens() if token.name == "somebody")

    while (first := last_used()) is None:
        one.get("/api/v1/studies", headers=bearer)
    one.get("/api/v1/studies", headers=bearer)
    assert last_used() == first


def test_two_servers_of_one_folder_know_the_same_sessions(
    client: Open, service: Service, settings: Settings, tmp_path: Path
) -> None:
    browser = logged_in(client(), token_of(service, Role.viewer))
    with serving(settings.model_copy(update={"port": 0, "behind_proxy": True})) as second:
        cookie = {"Cookie": f"nas_session={browser.cookies['nas_session']}"}
        assert httpx.get(f"{second}/api/v1/studies", headers=cookie, trust_env=False).status_code == 200
