"""Who is let in: hosts, origins, tokens; and the headers on every answer."""

import hashlib
import sqlite3
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from nas_service.api import auth
from nas_service.api.guard import HEADERS
from nas_service.app import create_app
from nas_service.server import serving
from nas_service.settings import Settings

JSON = {"Content-Type": "application/json"}
# Beside these nothing answers without a token where the server can be reached from elsewhere.
PUBLIC = {"/healthz", "/readyz", "/login", "/static/{path}", "/favicon.ico"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def http(home: Path) -> Iterator[httpx.Client]:
    with (
        serving(Settings(home=home, port=0)) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def outside(home: Path, http: httpx.Client) -> Iterator[httpx.Client]:
    """A server on the same data that listens on all addresses."""
    with (
        serving(Settings(home=home, port=0, host="0.0.0.0", behind_proxy=True)) as address,
        httpx.Client(base_url=address.replace("0.0.0.0", "127.0.0.1"), trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def bearer(home: Path, http: httpx.Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {(home / 'token').read_text().strip()}"}


def every_route() -> list[tuple[str, str, bool]]:
    """Return method, path and whether it is a worker's, of all that the application answers."""
    routes: list[tuple[str, str, bool]] = []
    for context in iter_route_contexts(create_app(Settings()).routes):
        route: Any = context
        if isinstance(context.original_route, Mount):
            routes.append(("GET", f"{route.path}/{{path}}", False))
            continue
        is_workers = "ledger" in (getattr(route, "tags", None) or [])
        routes += [(method, route.path_format, is_workers) for method in sorted(route.methods)]
    return routes


def filled(path: str) -> str:
    values = {"sha256": "0" * 64, "name": "digits", "kind": "weights", "path": "base.css"}
    for name in (part.split("}")[0] for part in path.split("{")[1:]):
        path = path.replace("{" + name + "}", values.get(name, "1"))
    return path


def test_the_walk_sees_all_parts_of_the_application() -> None:
    paths = {path for _, path, _ in every_route()}
    assert {"/", "/studies/{study_id}", "/static/{path}", "/api/v1/leases:acquire", "/healthz"} <= paths
    assert len(paths) > 50


@pytest.mark.parametrize(("method", "path"), [route[:2] for route in every_route() if route[2]])
@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer nw_wrong"}, {"Authorization": "Basic eDp5"}]
)
def test_worker_routes_want_a_token_on_loopback_too(
    http: httpx.Client, method: str, path: str, header: dict[str, str]
) -> None:
    # What stands in the body must not matter: it is not read.
    answer = http.request(method, filled(path), headers={**JSON, **header}, content=b"{not json")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), [route[:2] for route in every_route()])
def test_nothing_but_the_public_routes_answers_outside_without_a_token(
    outside: httpx.Client, method: str, path: str
) -> None:
    answer = outside.request(method, filled(path))
    if path in PUBLIC:
        assert answer.status_code in (200, 304, 401 if method == "POST" else 200, 415)
    else:
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/nothing", "/static/../studies", "/healthz/x", "//studies"]
)
def test_an_unknown_address_tells_nothing_outside(outside: httpx.Client, path: str) -> None:
    assert outside.get(path).status_code in (401, 404 if path.startswith("/static") else 401)


def test_a_browser_outside_is_led_to_the_login(outside: httpx.Client) -> None:
    answer = outside.get("/studies", headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/studies"
    assert outside.get("/api/v1/studies", headers={"Accept": "text/html"}).status_code == 401


def test_a_token_opens_everything_outside(outside: httpx.Client, bearer: dict[str, str]) -> None:
    assert outside.get("/api/v1/studies", headers=bearer).status_code == 200
    assert outside.get("/studies", headers=bearer).status_code == 200


def test_the_login_sets_a_cookie_that_opens_pages_but_no_worker_route(
    outside: httpx.Client, bearer: dict[str, str]
) -> None:
    token = bearer["Authorization"].split()[1]
    answer = outside.post("/login", data={"token": token, "next": "/studies"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/studies"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    try:
        assert outside.get("/studies").status_code == 200
        assert outside.post("/api/v1/leases:acquire", json={"worker_id": 1}).status_code == 401
    finally:
        outside.cookies.clear()


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", ""])
def test_the_login_leads_to_no_other_server(
    outside: httpx.Client, bearer: dict[str, str], target: str
) -> None:
    token = bearer["Authorization"].split()[1]
    answer = outside.post("/login", data={"token": token, "next": target})
    outside.cookies.clear()
    assert answer.headers["location"] == "/"


def test_a_wrong_login_is_refused(outside: httpx.Client) -> None:
    answer = outside.post("/login", data={"token": "nw_guess", "next": '"><script>'})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "localhost.evil"]
)
def test_a_foreign_host_is_refused(http: httpx.Client, outside: httpx.Client, host: str) -> None:
    for client in (http, outside):
        for path in ("/healthz", "/studies", "/static/base.css", "/api/v1/studies"):
            assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1234", "[::1]:8000"])
def test_the_names_of_loopback_are_known(http: httpx.Client, host: str) -> None:
    assert http.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_named_host_is_known_and_takes_the_freedom_of_loopback(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=0, allowed_hosts="nas.lab, other.lab")
    with serving(settings) as address, httpx.Client(base_url=address, trust_env=False) as http:
        assert http.get("/healthz", headers={"Host": "nas.lab"}).status_code == 200
        assert http.get("/api/v1/studies", headers={"Host": "nas.lab"}).status_code == 401
        assert http.get("/api/v1/studies").status_code == 401


UNSAFE = [route[:2] for route in every_route() if route[0] in ("POST", "PUT", "PATCH", "DELETE")]


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_origins_change_nothing(
    http: httpx.Client, bearer: dict[str, str], method: str, path: str, header: dict[str, str]
) -> None:
    answer = http.request(method, filled(path), headers={**bearer, **header})
    assert answer.status_code == 403


def test_our_own_pages_may_change_things(http: httpx.Client) -> None:
    origin = f"http://{http.base_url.host}:{http.base_url.port}"
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert http.post("/api/v1/studies/77:pause", headers=headers).status_code == 404


def test_other_origins_are_never_invited(http: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "GET"):
        answer = http.request(method, "/api/v1/studies", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("path", "host"),
    [("/studies", None), ("/api/v1/studies", None), ("/static/base.css", None), ("/x", None), ("/", "evil")],
)
def test_every_answer_carries_the_security_headers(http: httpx.Client, path: str, host: str | None) -> None:
    answer = http.get(path, headers={"Host": host} if host else {})
    for name in HEADERS:
        assert name in answer.headers
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in answer.headers


def test_the_token_is_for_its_owner_and_the_database_knows_only_its_hash(
    home: Path, http: httpx.Client, bearer: dict[str, str]
) -> None:
    path = home / "token"
    token = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token.startswith("nw_")
    assert len(token) >= 43
    with sqlite3.connect(home / "nas.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    assert token not in dump
    assert hashlib.sha256(token.encode()).hexdigest() in dump


def test_two_installations_have_different_tokens(tmp_path: Path) -> None:
    assert auth.ensure_token(tmp_path / "a") != auth.ensure_token(tmp_path / "b")
    assert auth.ensure_token(tmp_path / "a") == auth.ensure_token(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["token"]


def test_a_revoked_token_is_refused_even_after_a_restart(settings: Settings) -> None:
    settings = settings.model_copy(update={"port": 0})
    with serving(settings):
        pass
    token = (settings.data_home / "token").read_text().strip()
    with sqlite3.connect(settings.data_home / "nas.db") as database:
        database.execute("UPDATE tokens SET revoked_at = ?", (datetime.now(UTC).isoformat(" "),))
        database.commit()
    database.close()
    with serving(settings) as address:
        answer = httpx.post(
            f"{address}/api/v1/leases:acquire",
            headers={"Authorization": f"Bearer {token}"},
            json={"worker_id": 1},
            trust_env=False,
        )
    assert answer.status_code == 401
