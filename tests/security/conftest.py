"""A server to attack, and what tells whether an attack reached anything."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

# Ordinary modules that several test files use lie beside them.
sys.path.insert(0, str(Path(__file__).parent))

from fuzzed_server import Target, fuzzed_server

from nas_service.datasets import read_dataset
from nas_service.errors import InvalidInput

DATASETS = "/api/v1/datasets"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with fuzzed_server(tmp_path_factory.mktemp("attacked") / "home") as target:
        yield target


@pytest.fixture(scope="module")
def http(target: Target) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=target.address, headers=target.headers, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def upload(http: httpx.Client) -> Callable[..., httpx.Response]:
    """Return what uploads bytes under a file name."""

    def send(content: bytes, filename: str) -> httpx.Response:
        headers = {"Content-Type": "application/octet-stream"}
        return http.post(DATASETS, params={"filename": filename}, content=content, headers=headers)

    return send


def _around(folder: Path) -> set[Path]:
    """Return all that lies in a folder and beside it; what lies beside it may change by itself within."""
    return {*folder.rglob("*"), *folder.parent.iterdir()}


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[bytes, str], str]:
    """Return what reads bytes as a file and says the one line by which they were refused."""

    def read(content: bytes, filename: str) -> str:
        path = tmp_path / filename
        path.write_bytes(content)
        before = _around(tmp_path)
        with pytest.raises(InvalidInput) as caught:
            read_dataset(path, "attack")
        assert _around(tmp_path) == before, "reading left something behind"
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        assert len(message) < 1000
        return message

    return read
