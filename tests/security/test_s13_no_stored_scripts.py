"""S13: what people upload or name never runs in anybody's browser: what answers say.

`tests/nas_service/dashboard/test_hostile_names.py` opens every page.
"""

from collections.abc import Callable, Iterator

import hostile_files as files
import httpx
import numpy as np
import pytest
from starlette.routing import Route

from nas_service.app import create_app
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings

MARKUP = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'


@pytest.mark.parametrize("name", ["a.svg", "a.html", "a.npz", "a.zip", "a.svg.npz", "a.xml", "a.js", "a.css"])
@pytest.mark.parametrize("content", [MARKUP.encode(), b"<!doctype html><script>alert(1)</script>"])
def test_markup_is_no_data_set(name: str, content: bytes, upload: Callable[..., httpx.Response]) -> None:
    answer = upload(content, name)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a&b", '"', "a'b", "javascript:alert(1)"])
def test_markup_is_no_name_of_a_data_set(name: str, http: httpx.Client) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    answer = http.post("/api/v1/datasets", params={"name": name}, content=b"x", headers=headers)
    assert answer.status_code == 422


def test_classes_named_by_markup_come_back_as_text(
    http: httpx.Client, upload: Callable[..., httpx.Response]
) -> None:
    names = np.array([MARKUP[:90], "cat", "dog"])[files.LABELS]
    answer = upload(files.npz(x=files.npy_of(files.IMAGES), y=files.npy_of(names)), "marked.npz")
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert MARKUP[:90] not in http.get("/datasets").text


@pytest.fixture
def stored(service: Service, ledger: SqlLedger, finished_study: int) -> str:
    return ledger.put_artifact(MARKUP.encode())


@pytest.fixture
def own_http(service: Service, settings: Settings) -> Iterator[httpx.Client]:
    from nas_service.server import serving

    with serving(settings.model_copy(update={"port": 0})) as address:
        token = (settings.data_home / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
            yield client


def test_a_download_is_a_file_to_keep_never_a_page(
    stored: str, own_http: httpx.Client, service: Service
) -> None:
    digits = service.dataset("digits").sha256
    for path in (f"/api/v1/artifacts/{stored}", f"/api/v1/datasets/{digits}/content"):
        answer = own_http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_answer_forbids_sniffing_framing_and_foreign_scripts(
    own_http: httpx.Client, settings: Settings
) -> None:
    paths = {route.path for route in _routes(create_app(settings).routes) if "GET" in (route.methods or ())}
    assert len(paths) > 30
    for path in sorted(paths):
        if path.endswith("stream"):
            continue
        filled = "/".join("1" if "{" in part else part for part in path.split("/"))
        answer = own_http.get(filled)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["x-frame-options"] == "DENY", path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path


def _routes(routes: list[object]) -> Iterator[Route]:
    """Yield all routes, those of included routers too."""
    for route in routes:
        if isinstance(route, Route):
            yield route
        else:
            yield from _routes(list(getattr(getattr(route, "original_router", route), "routes", [])))
