"""A real server on an ephemeral port, on the data of `service`."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings

SPEC: dict[str, Any] = {"dataset": "digits", "budget": {"trials": 5}, "training": {"epochs": 3}}


@pytest.fixture
def spec() -> dict[str, Any]:
    return dict(SPEC)


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings.model_copy(update={"port": 0})) as address:
        yield address


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    # Plain HTTP: to load certificates would take longer than many a test.
    with httpx.Client(base_url=address, trust_env=False, verify=False, timeout=30) as client:
        yield client


@pytest.fixture
def token(address: str, settings: Settings) -> str:
    return (settings.data_home / "token").read_text().strip()


@pytest.fixture
def create(http: httpx.Client, spec: dict[str, Any]) -> Callable[..., int]:
    """Return what launches a study with changes to the spec and says its id."""

    def launch(**changes: Any) -> int:
        answer = http.post("/api/v1/studies", json={**spec, **changes})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["study"])

    return launch
