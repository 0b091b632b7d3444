"""S12: the server fetches nothing: an address where a name is wanted is refused, and no socket opened."""

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_s05_no_pickle import ROOT
from test_s06_samplers import names_in

URLS = (
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata.google.internal/",
    "https://example.com/data.npz",
    "http://127.0.0.1:8000/api/v1/studies",
    "http://[::ffff:169.254.169.254]/",
    "http://2130706433/",
    "http://0x7f000001/",
    "ftp://example.com/data.npz",
    "file:///etc/passwd",
    "gopher://127.0.0.1:5432/_",
    "s3://bucket/data.npz",
    "gs://bucket/data.npz",
    "//example.com/data.npz",
    "\\\\example.com\\share",
    "data:application/octet-stream;base64,UEsFBg==",
)
# Parts of the server that touch what users send.
READERS = [
    *(ROOT / "nas_service" / "api").glob("*.py"),
    *(ROOT / "nas_service" / "datasets").glob("*.py"),
    *(ROOT / "nas_service" / "dashboard").glob("*.py"),
    *(ROOT / "search_spaces").rglob("*.py"),
    *(ROOT / "nas_service").glob("*_service.py"),
    *(
        ROOT / "nas_service" / name
        for name in ("plain_data.py", "spec_file.py", "reading_process.py", "service.py", "launch_checks.py")
    ),
]
FETCHERS = (
    "httpx",
    "requests",
    "urllib.request",
    "urllib3",
    "aiohttp",
    "http.client",
    "ftplib",
    "fsspec",
    "s3fs",
    "socket",
)


@pytest.fixture
def outward(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Forbid connections and look-ups beyond this machine; yields those that were tried."""
    tried: list[str] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def is_here(host: str) -> bool:
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_here(address[0]):
            tried.append(str(address))
            raise PermissionError(f"a test reached out to {address}")
        connect(self, address)

    def guarded_look_up(host: Any, *more: Any, **options: Any) -> Any:
        if host is not None and not is_here(str(host)):
            tried.append(str(host))
            raise PermissionError(f"a test looked up {host}")
        return look_up(host, *more, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield tried
    assert tried == []


@pytest.mark.usefixtures("outward")
@pytest.mark.parametrize("url", URLS)
def test_an_address_is_no_data_set(url: str, http: httpx.Client) -> None:
    answer = http.post("/api/v1/studies", json={"dataset": url, "budget": {"trials": 3}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/dataset"
    headers = {"Content-Type": "application/octet-stream"}
    answer = http.post("/api/v1/datasets", params={"name": url}, content=b"x", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/name"
    answer = http.post("/api/v1/datasets", params={"filename": url}, content=url.encode(), headers=headers)
    assert answer.status_code == 422


@pytest.mark.usefixtures("outward")
def test_the_whole_way_of_a_study_opens_no_connection(http: httpx.Client) -> None:
    launched = http.post("/api/v1/studies", json={"dataset": "digits", "budget": {"trials": 3}})
    assert launched.status_code == 201
    study = launched.json()["study"]
    for path in ("", "/trials", "/front", "/events", "/result"):
        assert http.get(f"/api/v1/studies/{study}{path}").status_code == 200
    for page in ("/studies", f"/studies/{study}", "/families", "/datasets", "/workers", "/describe"):
        assert http.get(page).status_code == 200


def test_the_guard_of_these_tests_guards(outward: list[str]) -> None:
    with pytest.raises(PermissionError):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(PermissionError):
        socket.getaddrinfo("example.com", 80)
    assert len(outward) == 2
    outward.clear()


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_reads_input_cannot_fetch(path: Path) -> None:
    assert not [name for name in names_in(path) if name in FETCHERS or name.startswith("httpx.")]
