"""One set of data with a server on loopback, one that is reached from elsewhere, and a token of each role."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nas_service.access import Role, TokenCreate
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def http(home: Path) -> Iterator[httpx.Client]:
    """A server on loopback."""
    with (
        serving(Settings(home=home, port=0)) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def outside(home: Path, http: httpx.Client) -> Iterator[httpx.Client]:
    """A server on the same data that listens on all addresses."""
    settings = Settings(home=home, port=0, host="0.0.0.0", behind_proxy=True)
    with (
        serving(settings) as address,
        httpx.Client(base_url=address.replace("0.0.0.0", "127.0.0.1"), trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def keeper(home: Path, http: httpx.Client) -> Iterator[Service]:
    """The service on the servers' data, without any server."""
    service = Service.open(Settings(home=home))
    yield service
    service.close()


@pytest.fixture(scope="module")
def bearers(keeper: Service) -> dict[Role, dict[str, str]]:
    """The header that a token of each role is shown by."""
    made = {role: keeper.create_token(TokenCreate(name=f"a-{role}", role=role)) for role in Role}
    return {role: {"Authorization": f"Bearer {token.token}"} for role, token in made.items()}
