"""S3: pages of other origins, and names that were bent to this address, change and read nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from access_routes import Route, every_route

from nas_service.access import Role
from nas_service.api.guard import HEADERS
from nas_service.server import serving
from nas_service.settings import Settings

UNSAFE = [route for route in every_route() if route.method in ("POST", "PUT", "PATCH", "DELETE")]
PAUSE = "/api/v1/studies/999:pause"
ARCHITECTURE = "stages: []"


@pytest.fixture
def browser(outside: httpx.Client, bearers: dict[Role, dict[str, str]]) -> Iterator[httpx.Client]:
    """What an operator's browser holds after the login."""
    with httpx.Client(base_url=outside.base_url, trust_env=False, timeout=30) as client:
        token = bearers[Role.operator]["Authorization"].split()[1]
        assert client.post("/login", data={"token": token}).status_code == 303
        yield client


def csrf_in(client: httpx.Client) -> str:
    found = re.search(r'<meta name="csrf-token" content="([0-9a-f]{64})">', client.get("/studies").text)
    assert found is not None
    return found[1]


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


@pytest.mark.parametrize("route", UNSAFE, ids=str)
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
    http: httpx.Client, bearers: dict[Role, dict[str, str]], route: Route, header: dict[str, str]
) -> None:
    answer = http.request(route.method, route.address, headers={**bearers[Role.admin], **header})
    assert answer.status_code == 403


def test_our_own_pages_may_change_things(http: httpx.Client) -> None:
    origin = f"http://{http.base_url.host}:{http.base_url.port}"
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert http.post(PAUSE, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""]
)
def test_only_json_is_taken_where_json_is_meant(http: httpx.Client, kind: str) -> None:
    for path in ("/api/v1/studies", "/api/v1/studies/999/trials", "/api/v1/studies/999:pause"):
        assert http.post(path, content=b"{}", headers={"Content-Type": kind}).status_code == 415


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


def test_a_session_changes_nothing_without_what_only_its_pages_know(browser: httpx.Client) -> None:
    csrf = csrf_in(browser)
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "é".encode()}):
        answer = browser.post(PAUSE, headers=headers)
        assert answer.status_code == 403
        assert "load the page again" in answer.json()["detail"]
    assert browser.post(PAUSE, headers={"X-CSRF-Token": csrf}).status_code == 404
    # Reading needs none.
    assert browser.get("/api/v1/studies").status_code == 200


def test_what_the_pages_of_one_session_know_is_worth_nothing_in_another(
    browser: httpx.Client, outside: httpx.Client, bearers: dict[Role, dict[str, str]]
) -> None:
    csrf = csrf_in(browser)
    with httpx.Client(base_url=outside.base_url, trust_env=False) as other:
        token = bearers[Role.operator]["Authorization"].split()[1]
        other.post("/login", data={"token": token})
        assert csrf_in(other) != csrf
        assert other.post(PAUSE, headers={"X-CSRF-Token": csrf}).status_code == 403


def test_a_plain_form_carries_it_in_a_field(browser: httpx.Client) -> None:
    csrf = csrf_in(browser)
    assert f'name="csrf_token" value="{csrf}"' in browser.get("/describe").text
    pasted = {"architecture": ARCHITECTURE}
    assert browser.post("/describe", data=pasted).status_code == 403
    answer = browser.post("/describe", data={**pasted, "csrf_token": csrf})
    # The form reached its page, which says what is wrong with the text.
    assert answer.status_code == 422
    assert ARCHITECTURE in answer.text
    too_many = {f"field{number}": "" for number in range(50)}
    assert browser.post("/describe", data=too_many).status_code == 422
    assert browser.post("/describe", data={"architecture": "x" * 2_000_000}).status_code == 413


def test_a_bearer_token_needs_none(outside: httpx.Client, bearers: dict[Role, dict[str, str]]) -> None:
    assert outside.post(PAUSE, headers=bearers[Role.operator]).status_code == 404
