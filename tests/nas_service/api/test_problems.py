"""Errors: always problem+json, always naming the field, never a 500 for bad input."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from nas_service import app as application
from nas_service.access import Role
from nas_service.api import policy
from nas_service.api.errors import refusal, respond
from nas_service.problems import CAUSES, RAISED, REFUSALS, Problem, service_error
from nas_service.server import Server, serving
from nas_service.settings import Settings

JSON = {"Content-Type": "application/json"}
STUDIES = "/api/v1/studies"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Bad input changes nothing: one server serves all."""
    settings = Settings(home=tmp_path_factory.mktemp("problems"), port=0)
    with serving(settings) as address, httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        yield client


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = answer.json()
    assert content["status"] == status
    assert content["type"].startswith("urn:nas:")
    assert content["title"]
    assert content["detail"]
    return content


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"trainin": {}}, "/trainin", ["did you mean", "training"]),
        ({"training": {"epoch": 3}}, "/training/epoch", ["did you mean", "epochs"]),
        ({"dataset": "nowhere"}, "/dataset", ["nowhere", "digits"]),
        ({"dataset": "http://example.test/x.npz"}, "/dataset", ["digits"]),
        ({"space": "pyramid"}, "/space", ["pyramidal"]),
        (
            {"space": {"family": "two_conv", "override": {"stges": 2}}},
            "/space/override/stges",
            ["did you mean", "stage"],
        ),
        ({"objectives": [{"metric": "speed"}]}, "/objectives/0/metric", ["speed", "accuracy"]),
        ({"constraints": {"params": {"max": "many"}}}, "/constraints/params/max", ["number"]),
        ({"constraints": {"params": {}}}, "/constraints/params", ["max or min"]),
        ({"search": {"sampler": "best"}}, "/search/sampler", ["tpe"]),
        ({"budget": {"trials": 0}}, "/budget/trials", ["1"]),
        ({"budget": {"trials": 10**40}}, "/budget/trials", ["1000000"]),
        ({"name": ""}, "/name", ["1 character"]),
        ({"name": "\ud800"}, "/name", ["unicode"]),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(
    http: httpx.Client, spec: dict[str, Any], changes: dict[str, Any], pointer: str, words: list[str]
) -> None:
    content = problem(http.post(STUDIES, content=_json({**spec, **changes}), headers=JSON), 422)
    assert content["type"] == "urn:nas:invalid-input"
    (error,) = content["errors"]
    assert error["pointer"] == pointer
    text = f"{error['message']} {error.get('allowed')}"
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", f"{STUDIES}/7", 404),
        ("GET", f"{STUDIES}/abc", 404),
        ("GET", f"{STUDIES}/-1", 404),
        ("GET", f"{STUDIES}/0", 422),
        ("GET", f"{STUDIES}/{2**63}", 422),
        ("GET", f"{STUDIES}/{'9' * 5000}", 404),
        ("GET", f"{STUDIES}/7/front", 404),
        ("GET", f"{STUDIES}/7/events", 404),
        ("GET", f"{STUDIES}/7/events/stream", 404),
        ("POST", f"{STUDIES}/7:pause", 404),
        ("POST", f"{STUDIES}/7:explode", 404),
        ("DELETE", f"{STUDIES}/7", 404),
        ("GET", f"{STUDIES}?page_size=0", 422),
        ("GET", f"{STUDIES}?page_size=501", 422),
        ("GET", f"{STUDIES}?page_token=nonsense", 422),
        ("GET", f"{STUDIES}?page_token=%ff%00", 422),
        ("GET", f"{STUDIES}?state=sleeping", 422),
        ("GET", "/api/v1/trials/7", 404),
        ("GET", "/api/v1/trials/7/curve", 404),
        ("GET", "/api/v1/families/pyramid", 404),
        ("GET", "/api/v1/families/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/api/v1/datasets/nowhere", 404),
        ("GET", f"/api/v1/artifacts/{'0' * 64}", 404),
        ("GET", "/api/v1/artifacts/..%2ftoken", 404),
        ("GET", "/api/v1/artifacts/token", 422),
        ("GET", "/api/v1/events?after=-1", 422),
        ("GET", "/api/v1/events?limit=100000", 422),
        ("PUT", STUDIES, 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/static/../token", 404),
        ("GET", "/static/%2e%2e/%2e%2e/client.py", 404),
    ],
)
def test_wrong_addresses_are_problems(http: httpx.Client, method: str, path: str, status: int) -> None:
    problem(http.request(method, path), status)


def test_what_is_not_allowed_says_what_is(http: httpx.Client) -> None:
    answer = http.put(f"{STUDIES}:find")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/octet-stream", 415),
        ("text/html", 415),
        ("", 415),
        ("application/json; charset=utf-8", 422),
    ],
)
def test_only_json_and_yaml_bodies_are_read(http: httpx.Client, kind: str, status: int) -> None:
    problem(http.post(STUDIES, content=b"{}", headers={"Content-Type": kind}), status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b"\x00",
        b"[" * 5000,
        b'{"dataset": ' * 3000,
        b"a: &x [1]\nb: *x",
        b"!!python/object/apply:os.system [id]",
        b"dataset: digits\ndataset: digits",
        b"dataset: .nan",
        b'{"dataset": "digits", "budget": {"minutes": 1e999}}',
        b'{"dataset": "digits", "constraints": {"params": {"max": NaN}}}',
        b"1: 2",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/yaml"])
def test_a_body_that_is_no_spec_is_refused(http: httpx.Client, body: bytes, kind: str) -> None:
    problem(http.post(STUDIES, content=body, headers={"Content-Type": kind}), 422)


def test_a_spec_that_is_too_large_is_refused(http: httpx.Client) -> None:
    problem(http.post(STUDIES, content=b"x" * 300_000, headers=JSON), 422)
    problem(http.post(STUDIES, content=b"x" * 2_000_000, headers=JSON), 413)
    problem(http.post(STUDIES, content=iter([b"x" * 900_000] * 2), headers=JSON), 413)


@pytest.mark.parametrize("order", ["params->>'x'; drop table trials", "\x00", "worker", ""])
def test_listings_are_ordered_by_known_columns_only(
    http: httpx.Client, create: Callable[..., int], order: str
) -> None:
    content = problem(http.get(f"{STUDIES}/{create()}/trials", params={"order_by": order}), 422)
    assert "number" in content["errors"][0]["allowed"]


def test_an_unexpected_failure_says_an_id_and_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    router = APIRouter()

    @router.get("/failing")
    def fail() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(application, "API_ROUTERS", (*application.API_ROUTERS, router))
    # Found anew: this process may know them without it already.
    monkeypatch.setattr(application, "all_routes", application.all_routes.__wrapped__)
    monkeypatch.setitem(policy.POLICIES, "GET /api/v1/failing", policy.Policy(Role.viewer))
    app = Server(settings.model_copy(update={"port": 0}))
    with app.in_thread() as address:
        answer = httpx.get(f"{address}/api/v1/failing", trust_env=False)
    content = problem(answer, 500)
    assert "secret" not in answer.text
    assert content["request_id"] in caplog.text
    assert "a secret detail" in caplog.text


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_every_type_of_problem_is_documented_with_its_exception() -> None:
    table = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    statuses = {cause.name: cause.status for cause in CAUSES}
    statuses = {name: status for status, (name, _) in REFUSALS.items()} | statuses
    assert statuses.keys() == RAISED.keys()
    for name, raised in RAISED.items():
        assert f"| `urn:nas:{name}` | {statuses[name]} | `{raised.__name__}` |" in table
        told = Problem(type=f"urn:nas:{name}", title="", status=statuses[name], detail="why")
        assert type(service_error(told)) is raised


def test_what_may_be_tried_again_says_when() -> None:
    answer = respond(refusal(429, "too many"), {"Retry-After": "17"})
    assert (answer.headers["retry-after"], json.loads(bytes(answer.body))["retry_after_s"]) == ("17", 17.0)
