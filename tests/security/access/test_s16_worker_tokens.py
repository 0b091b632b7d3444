"""S16: a worker's token reaches the ledger alone, and there its own workers and what they hold."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from nas_service.access import Role, TokenCreate
from nas_service.api import auth
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import LeaseLost, LedgerRefused, NameTaken, NotAdmitted, NotYours
from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import writing
from nas_service.store.models import WorkerRow, table
from nas_service.studies import StudySpec
from nas_service.trials import EpochReport, Lease, Outcome, Proposal, WorkerInfo

EPOCH = EpochReport(epoch=1, train_loss=1.0, validation_loss=1.0, accuracy=0.5)
Connect = Callable[[str], HttpLedger]


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings.model_copy(update={"port": 0})) as address:
        yield address


@pytest.fixture
def connect(address: str, service: Service, tmp_path: Path) -> Iterator[Connect]:
    """Return what makes a token of a name for workers and opens its ledger."""
    opened = []

    def open_ledger(name: str) -> HttpLedger:
        made = service.create_token(TokenCreate(name=name, role=Role.worker))
        opened.append(HttpLedger(address, made.token, tmp_path / name))
        return opened[-1]

    yield open_ledger
    for one in opened:
        one.close()


def join(ledger: Any, name: str) -> int:
    worker_id: int = ledger.register(WorkerInfo(name=name, host="there", pid=1)).worker_id
    return worker_id


@pytest.fixture
def held(
    connect: Connect, service: Service, make_proposal: Callable[..., Proposal]
) -> tuple[HttpLedger, Lease]:
    """A ledger of one token, and the lease that its worker holds."""
    ledger = connect("owner")
    study = service.create_study(StudySpec(dataset="digits")).study
    (lease,) = ledger.reserve(study, join(ledger, "owner"), [make_proposal(1)]).leases
    return ledger, lease


def header_of(ledger: HttpLedger) -> dict[str, str]:
    return {"Authorization": ledger._connection._client.headers["Authorization"]}


def outcome(report_id: str = "report-1") -> Outcome:
    return Outcome(report_id=report_id, state="complete", metrics={"accuracy": 0.5})


def test_another_token_s_worker_is_refused_by_every_call(
    held: tuple[HttpLedger, Lease], connect: Connect, make_proposal: Callable[..., Proposal]
) -> None:
    _, lease = held
    thief, owner = connect("thief"), lease.worker_id
    figures = dict.fromkeys(("median_ms", "low_ms", "high_ms", "min_ms", "p90_ms", "p99_ms"), 0.5)
    names = {"device": "cpu", "runtime": "onnxruntime", "runtime_version": "1", "machine": "a board"}
    measurement = Measurement.model_validate({**names, **figures, "network_hash": "0" * 64})
    calls: list[Callable[[], object]] = [
        lambda: thief.leave(owner),
        lambda: thief.next_work(owner),
        lambda: thief.join_study(1, owner),
        lambda: thief.reserve(1, owner, [make_proposal(2)]),
        lambda: thief.next_measurement(owner),
        lambda: thief.answer_measurement(1, owner, "no"),
        lambda: thief.store_measurement(make_proposal(2).architecture, measurement, owner),
    ]
    for call in calls:
        with pytest.raises(NotYours, match="another token"):
            call()
    with pytest.raises(NotYours, match="has worked for"):
        thief.give_up(1, "out of spite")


@pytest.mark.parametrize("forges", ["the worker too", "the trial alone"])
def test_another_worker_s_lease_is_lost_to_whoever_names_it(
    held: tuple[HttpLedger, Lease], connect: Connect, service: Service, forges: str
) -> None:
    owner, lease = held
    thief = connect("thief")
    own = join(thief, "thief")
    if forges == "the worker too":
        stolen = lease
        for call in (thief.heartbeat, thief.release, lambda given: thief.report(given, EPOCH)):
            with pytest.raises(LeaseLost):
                call(stolen)
    else:
        stolen = lease.model_copy(update={"worker_id": own})
        assert thief.heartbeat(stolen) == thief.report(stolen, EPOCH) == "lost"
        thief.release(stolen)
    with pytest.raises(NotYours if forges == "the worker too" else LeaseLost):
        thief.complete(stolen, outcome("stolen-1"))
    assert service.curve(lease.trial_id) == []
    assert owner.report(lease, EPOCH) == "continue"
    owner.complete(lease, outcome())
    trial = service.trial(lease.trial_id)
    assert (trial.state, trial.worker) == ("complete", "owner")


def test_a_report_for_another_worker_s_lease_is_answered_with_409(
    held: tuple[HttpLedger, Lease], address: str, service: Service
) -> None:
    _, lease = held
    token = service.create_token(TokenCreate(name="thief", role=Role.worker)).token
    body = {"lease": lease.model_dump(), "report": EPOCH.model_dump()}
    answer = httpx.post(
        f"{address}/api/v1/leases/{lease.trial_id}:report",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:nas:lease-lost"


def test_the_name_of_a_living_worker_belongs_to_its_token(
    held: tuple[HttpLedger, Lease], connect: Connect, service: Service
) -> None:
    owner, lease = held
    heir = connect("heir")
    with pytest.raises(NameTaken, match="owner"):
        join(heir, "owner")
    assert owner.heartbeat(lease) == "continue"
    # Its own token may come again; that ends what it held.
    assert join(owner, "owner") == lease.worker_id
    owner.leave(lease.worker_id)
    assert join(heir, "owner") == lease.worker_id
    with pytest.raises(NotYours):
        owner.next_work(lease.worker_id)


def test_the_name_of_a_dead_worker_is_free(
    held: tuple[HttpLedger, Lease], connect: Connect, service: Service
) -> None:
    _, lease = held
    workers = table(WorkerRow)
    with writing(service.engine) as connection:
        long_ago = workers.c.heartbeat_at - 1000
        connection.execute(update(workers).values(heartbeat_at=long_ago))
    assert join(connect("heir"), "owner") == lease.worker_id


def test_a_local_worker_s_name_is_taken_too(connect: Connect, ledger: SqlLedger) -> None:
    join(ledger, "local")
    with pytest.raises(NameTaken):
        join(connect("remote"), "local")


def test_an_admin_s_token_serves_workers_too(
    held: tuple[HttpLedger, Lease], address: str, settings: Settings, tmp_path: Path
) -> None:
    _, lease = held
    token = (settings.data_home / "token").read_text().strip()
    with closing(HttpLedger(address, token, tmp_path / "cache")) as ledger:
        join(ledger, "admin's")
        assert ledger.heartbeat(lease) == "continue"


def test_a_revoked_token_is_refused_within_seconds_and_stays_so(
    held: tuple[HttpLedger, Lease], service: Service, settings: Settings
) -> None:
    assert auth.TRUST_S < 5.0
    owner, lease = held
    service.revoke_token(next(token.id for token in service.tokens() if token.name == "owner"))

    def ask_until_refused() -> None:
        while True:
            owner.heartbeat(lease)

    with pytest.raises(NotAdmitted, match="revoked"):
        ask_until_refused()
    # Also by a server that has never seen it.
    with serving(settings.model_copy(update={"port": 0})) as second:
        answer = httpx.post(
            f"{second}/api/v1/leases:acquire",
            headers=header_of(owner),
            json={"worker_id": lease.worker_id},
            trust_env=False,
        )
    assert answer.status_code == 401


def test_an_expired_token_is_refused(
    address: str, service: Service, settings: Settings, tmp_path: Path
) -> None:
    made = service.create_token(TokenCreate(name="short", role=Role.worker, expires_days=1))
    with sqlite3.connect(settings.data_home / "nas.db") as database:
        past = datetime(2026, 1, 1, tzinfo=UTC).isoformat(" ")
        database.execute("UPDATE tokens SET expires_at = ? WHERE id = ?", (past, made.id))
        database.commit()
    database.close()
    with closing(HttpLedger(address, made.token, tmp_path / "cache")) as ledger, pytest.raises(NotAdmitted):
        join(ledger, "late")


def test_a_revoked_first_token_stays_revoked_when_the_server_starts_again(settings: Settings) -> None:
    settings = settings.model_copy(update={"port": 0})
    with serving(settings):
        pass
    service = Service.open(settings)
    service.revoke_token(1)
    service.close()
    token = (settings.data_home / "token").read_text().strip()
    with serving(settings) as address:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(f"{address}/api/v1/leases:acquire", headers=headers, json={}, trust_env=False)
    assert answer.status_code == 401


def test_a_worker_goes_on_under_its_name_with_the_next_token(
    held: tuple[HttpLedger, Lease], connect: Connect, service: Service
) -> None:
    """Rotation: the new token is made, the worker restarted with it, the old one revoked."""
    _, lease = held
    successor = connect("owner-2")
    with pytest.raises(NameTaken):
        join(successor, "owner")
    service.revoke_token(next(token.id for token in service.tokens() if token.name == "owner"))
    assert join(successor, "owner") == lease.worker_id
    # What it had finished before counts, since nobody else took the trial over meanwhile.
    successor.complete(lease, outcome())
    assert service.trial(lease.trial_id).state == "complete"


def test_a_token_names_itself_once_and_only_lesser_things_afterwards(
    address: str, settings: Settings
) -> None:
    admin = {"Authorization": f"Bearer {(settings.data_home / 'token').read_text().strip()}"}
    with httpx.Client(base_url=address, headers=admin, trust_env=False) as http:
        wanted = {"name": "pi4", "role": "worker", "expires_days": 30}
        made = http.post("/api/v1/tokens", json=wanted)
        assert made.status_code == 201
        assert made.headers["cache-control"] == "no-store"
        token = made.json()["token"]
        assert token.startswith("nw_")
        assert http.post("/api/v1/tokens", json=wanted).status_code == 409
        listed = http.get("/api/v1/tokens").text
        assert "pi4" in listed
        assert token not in listed + http.get("/api/v1/audit").text
        revoked = http.post(f"/api/v1/tokens/{made.json()['id']}:revoke").json()
        assert revoked["state"] == "revoked"
        # The name is free again.
        assert http.post("/api/v1/tokens", json=wanted).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a", "role": "boss"}, "/role"),
        ({"name": "a", "role": "all"}, "/role"),
        ({"name": "12", "role": "viewer"}, "/name"),
        ({"name": "", "role": "viewer"}, "/name"),
        ({"name": "a" * 101, "role": "viewer"}, "/name"),
        ({"name": "a\n", "role": "viewer"}, "/name"),
        ({"name": "a", "role": "viewer", "expires_days": 0}, "/expires_days"),
        ({"name": "a", "role": "viewer", "expires_days": 10**9}, "/expires_days"),
        ({"name": "a", "role": "viewer", "token": "nw_mine"}, "/token"),
    ],
)
def test_a_token_that_cannot_be_made_names_its_field(
    address: str, settings: Settings, body: dict[str, Any], field: str
) -> None:
    admin = {"Authorization": f"Bearer {(settings.data_home / 'token').read_text().strip()}"}
    answer = httpx.post(f"{address}/api/v1/tokens", json=body, headers=admin, trust_env=False)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == field


def test_an_unknown_worker_is_told_so(connect: Connect) -> None:
    with pytest.raises(LedgerRefused, match="register first"):
        connect("lost").next_work(999)
