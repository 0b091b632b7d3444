"""S2: every route, mount and stream has a policy, and nothing answers whom its policy does not name."""

from collections import Counter

import httpx
import pytest
from access_routes import Route, every_route
from fastapi import APIRouter

from nas_service import app as application
from nas_service.access import Role, allows
from nas_service.api.policy import CALCULATES, LEDGER, POLICIES, PUBLIC, Policies
from nas_service.server import serving
from nas_service.settings import Settings

ROUTES = every_route()
JSON = {"Content-Type": "application/json"}


def status_of(client: httpx.Client, route: Route, headers: dict[str, str]) -> int:
    """Ask without reading what comes: streams never end."""
    with client.stream(route.method, route.address, headers=headers) as answer:
        return answer.status_code


def test_the_walk_sees_all_parts_of_the_application() -> None:
    paths = {route.path for route in ROUTES}
    assert {"/", "/studies/{study_id}", "/static/{path}", "/api/v1/leases:acquire", "/healthz"} <= paths
    assert {"/api/v1/events/stream", "/api/v1/tokens", "/logout"} <= paths
    assert len(ROUTES) > 80


def test_no_line_of_the_table_is_of_a_route_that_is_gone() -> None:
    assert POLICIES.keys() == {str(route) for route in ROUTES}


def test_at_most_four_kinds_of_routes_are_public() -> None:
    assert len(PUBLIC) <= 4
    public = [route for route in ROUTES if route.policy.role is None]
    assert {str(route) for route in public} == {route for routes in PUBLIC.values() for route in routes}


def test_roles_and_methods_go_together() -> None:
    unsafe = [route for route in ROUTES if route.method != "GET"]
    viewers = {str(route) for route in unsafe if route.policy.role is Role.viewer}
    assert viewers == {*CALCULATES, "POST /logout"}
    assert all(str(route) in LEDGER for route in ROUTES if route.policy.role is Role.worker)
    assert {route.policy.role for route in ROUTES if "tokens" in route.path or "audit" in route.path} == {
        Role.admin
    }


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_nothing_but_the_public_routes_answers_outside_without_a_token(
    outside: httpx.Client, route: Route
) -> None:
    status = status_of(outside, route, {})
    if route.policy.role is not None:
        assert status == 401
    elif route.method == "GET":
        assert status == 200
    else:
        assert status in (401, 415)


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_each_role_gets_what_its_policy_says_and_nothing_else(
    outside: httpx.Client, bearers: dict[Role, dict[str, str]], route: Route
) -> None:
    for role, header in bearers.items():
        with outside.stream(route.method, route.address, headers={**JSON, **header}) as answer:
            if route.policy.role is None or allows(role, route.policy.role):
                assert answer.status_code not in (401, 403) or route.path == "/login", role
                continue
            assert answer.status_code == 403, role
            answer.read()
        problem = answer.json()
        assert problem["type"] == "urn:nas:forbidden"
        assert f"needs the role {route.policy.role}" in problem["detail"]
        assert f"'a-{role}'" in problem["detail"]
        assert "nas token create" in problem["detail"]


ALWAYS_GUARDED = [route for route in ROUTES if route.policy.role in (Role.worker, Role.admin)]


@pytest.mark.parametrize("route", ALWAYS_GUARDED, ids=str)
@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic eDp5"}])
def test_workers_and_admins_routes_want_a_token_on_loopback_too(
    http: httpx.Client, route: Route, header: dict[str, str]
) -> None:
    # What stands in the body must not matter: it is not read.
    answer = http.request(route.method, route.address, headers={**JSON, **header}, content=b"{not json")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_loopback_reads_and_changes_without_a_token_but_not_with_a_wrong_one(
    http: httpx.Client, bearers: dict[Role, dict[str, str]]
) -> None:
    change = "/api/v1/studies/999:pause"
    assert http.get("/api/v1/studies").status_code == 200
    assert http.post(change).status_code == 404
    wrong = {"Authorization": "Bearer nw_wrong"}
    assert http.get("/api/v1/studies", headers=wrong).status_code == 401
    # Who shows a token is taken at its word.
    assert http.post(change, headers=bearers[Role.viewer]).status_code == 403
    assert http.get("/api/v1/studies", headers=bearers[Role.worker]).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/api/v1/nothing", "/healthz/x", "//studies", "/static", "/api/v1/studies/", "/LOGIN"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "TRACE", "X-ODD"])
def test_an_unknown_address_tells_nothing_outside(outside: httpx.Client, path: str, method: str) -> None:
    assert outside.request(method, path).status_code == 401


@pytest.mark.parametrize("path", ["/static/../studies", "/static/..%2fstudies", "/static/%2e%2e/token"])
def test_the_static_folder_leads_nowhere_else(outside: httpx.Client, path: str) -> None:
    assert outside.get(path).status_code in (401, 404)


def test_a_route_that_nobody_wrote_into_the_table_is_refused_to_all(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = APIRouter()
    router.add_api_route("/forgotten", lambda: "open", methods=["GET", "POST"])
    monkeypatch.setattr(application, "API_ROUTERS", (*application.API_ROUTERS, router))
    # Found anew: this process may know them without it already.
    monkeypatch.setattr(application, "all_routes", application.all_routes.__wrapped__)
    with pytest.raises(AssertionError, match="GET /api/v1/forgotten"):
        every_route()
    with serving(settings.model_copy(update={"port": 0})) as address:
        token = (settings.data_home / "token").read_text().strip()
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            for method in ("GET", "POST"):
                answer = httpx.request(
                    method, f"{address}/api/v1/forgotten", headers=headers, trust_env=False
                )
                assert answer.status_code == 403
                assert "no policy" in answer.text


def test_a_route_answers_nobody_whom_the_gate_let_through_to_another_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second lock: were the gate to take one route for another, the route itself would refuse."""
    monkeypatch.setattr(Policies, "find", lambda self, *_: self.places[0])
    with serving(settings.model_copy(update={"port": 0, "behind_proxy": True})) as address:
        assert httpx.get(f"{address}/healthz", trust_env=False).status_code == 200
        for path in ("/api/v1/studies", "/studies", "/api/v1/tokens"):
            assert httpx.get(f"{address}{path}", trust_env=False).status_code == 403


def test_no_two_routes_share_method_and_address() -> None:
    assert [name for name, times in Counter(map(str, ROUTES)).items() if times > 1] == []


def test_a_browser_outside_is_led_to_the_login_and_a_wrong_role_told_in_words(
    outside: httpx.Client, bearers: dict[Role, dict[str, str]]
) -> None:
    page = {"Accept": "text/html"}
    answer = outside.get("/studies?name=a%26b&state=running", headers=page)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/studies%3Fname%3Da%2526b%26state%3Drunning"
    assert outside.get("/api/v1/studies", headers=page).status_code == 401
    refused = outside.get("/studies", headers={**page, **bearers[Role.worker]})
    assert refused.status_code == 403
    assert refused.headers["content-type"].startswith("text/html")
    assert "needs the role viewer" in refused.text
