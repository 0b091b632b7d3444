"""The ledger over HTTP, against a real server in a thread."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from job_contract import JobContract
from ledger_contract import LedgerContract
from measurement_contract import MeasurementContract

from nas_service.access import Role, TokenCreate
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import LedgerRefused, LedgerUnavailable
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.trials import Proposal, WorkerInfo

WORKER = WorkerInfo(name="worker", host="there", pid=1)


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings.model_copy(update={"port": 0})) as address:
        yield address


@pytest.fixture
def token(address: str, service: Service) -> str:
    return service.create_token(TokenCreate(name="workers", role=Role.worker)).token


@pytest.fixture
def ledger(address: str, token: str, tmp_path: Path) -> Iterator[HttpLedger]:
    ledger = HttpLedger(address, token, tmp_path / "cache")
    yield ledger
    ledger.close()


class TestOverHttp(LedgerContract, MeasurementContract, JobContract):
    """A remote worker."""

    def test_a_wrong_token_is_refused(self, address: str, tmp_path: Path) -> None:
        with opened(address, tmp_path) as ledger, pytest.raises(LedgerRefused, match="token"):
            ledger.register(WORKER)

    def test_a_proposal_that_nobody_could_read_is_refused(
        self, address: str, token: str, make_proposal: Callable[..., Proposal]
    ) -> None:
        unreadable = make_proposal(1).model_copy(update={"architecture": {}}).model_dump(mode="json")
        answer = httpx.post(
            f"{address}/api/v1/studies/1/proposals",
            json={"worker_id": 1, "proposals": [unreadable]},
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"] == "/proposals"
        assert "input_shape" in error["message"]

    def test_a_data_set_is_fetched_once_and_a_damaged_copy_again(
        self, ledger: HttpLedger, service: Service
    ) -> None:
        sha256 = service.dataset("digits").sha256
        path = ledger.fetch_dataset(sha256)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        first = path.stat().st_mtime_ns
        assert ledger.fetch_dataset(sha256).stat().st_mtime_ns == first
        path.write_bytes(b"damaged")
        assert hashlib.sha256(ledger.fetch_dataset(sha256).read_bytes()).hexdigest() == sha256

    def test_a_trickster_s_file_is_not_kept(self, tmp_path: Path) -> None:
        with (
            answering(b"something else") as address,
            opened(address, tmp_path / "cache") as ledger,
            pytest.raises(LedgerUnavailable, match="sha256"),
        ):
            ledger.fetch_dataset("0" * 64)
        assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []

    def test_another_kind_of_server_is_no_ledger(self, tmp_path: Path) -> None:
        with (
            answering(b"<html>welcome</html>") as address,
            opened(address, tmp_path) as ledger,
            pytest.raises(LedgerUnavailable, match="another kind"),
        ):
            ledger.register(WORKER)

    def test_a_server_that_is_away_is_told_apart_from_a_wrong_call(self, tmp_path: Path) -> None:
        with answering(b"") as address:
            pass
        with (
            opened(address, tmp_path) as ledger,
            pytest.raises(LedgerUnavailable, match=r"127\.0\.0\.1"),
        ):
            ledger.register(WORKER)

    def test_an_artifact_is_stored_under_its_hash(self, ledger: HttpLedger, service: Service) -> None:
        sha256 = ledger.put_artifact(b"weights")
        assert sha256 == ledger.put_artifact(b"weights")
        assert service.artifact_path(sha256).read_bytes() == b"weights"


def opened(address: str, cache: Path) -> "closing[HttpLedger]":
    return closing(HttpLedger(address, "nw_unknown", cache))


class answering:  # noqa: N801
    """A server of another kind: it answers everything with the same bytes."""

    def __init__(self, content: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
