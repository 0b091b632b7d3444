"""Measurements and requests for them, each operation within the caller's transaction.

A request goes from waiting over measuring to measured or failed. It is held by a worker of its device under
a lease by the database's clock, and is taken over when that runs out, as a trial is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.devices import checked_remote
from nas_service.ledger.protocol import LedgerRefused
from nas_service.measurements import Measurement, MeasurementRequest, StoredMeasurement
from nas_service.store.engine import now_seconds
from nas_service.store.models import MeasurementRequestRow, MeasurementRow, WorkerRow, table
from nas_service.trials import MAX_ATTEMPTS

MEASUREMENT, REQUEST = table(MeasurementRow), table(MeasurementRequestRow)
WORKER = table(WorkerRow)
# A failure is what whoever waits is told; asked for again after so long, the network is measured once more.
FAILURE_KEPT_S = 60.0
WAITS_AGAIN: dict[str, Any] = {
    "state": "waiting",
    "reason": None,
    "measurement": None,
    "attempt": 0,
    "worker_id": None,
    "lease_expires_at": None,
    "answered_at": None,
}


def find(
    connection: Connection,
    network_hash: str,
    device: str,
    runtime_version: str | None,
    machine: str | None,
) -> Measurement | None:
    """Return the newest measurement of a network that is asked for so."""
    query = select(MEASUREMENT.c.measurement).where(
        MEASUREMENT.c.network_hash == network_hash, MEASUREMENT.c.device == device
    )
    if runtime_version is not None:
        query = query.where(MEASUREMENT.c.runtime_version == runtime_version)
    if machine is not None:
        query = query.where(MEASUREMENT.c.machine == machine)
    found = connection.execute(query.order_by(MEASUREMENT.c.id.desc()).limit(1)).scalar()
    return Measurement.model_validate(found) if found else None


def store(
    connection: Connection, architecture: dict[str, Any], measurement: Measurement, worker: str
) -> None:
    """Keep a measurement; a known one stays as it is, unless it was noisy and this one is not.

    A predicted one raises `LedgerRefused`.
    """
    if measurement.is_predicted:
        raise LedgerRefused("only measured latencies are stored: this one is predicted")
    names = ("network_hash", "device", "runtime", "runtime_version", "machine")
    values = {
        **{name: getattr(measurement, name) for name in names},
        "architecture": architecture,
        "measurement": measurement.model_dump(mode="json"),
        "worker": worker,
        "created_at": datetime.now(UTC),
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    inserted = dialect.insert(MEASUREMENT).values(values).on_conflict_do_nothing()
    is_known = connection.execute(inserted.returning(MEASUREMENT.c.id)).scalar() is None
    if is_known and not measurement.is_noisy:
        known = and_(*(MEASUREMENT.c[name] == values[name] for name in names))
        before = connection.execute(select(MEASUREMENT.c.measurement).where(known)).scalar_one()
        if before["is_noisy"]:
            connection.execute(update(MEASUREMENT).where(known).values(measurement=values["measurement"]))


def read_after(connection: Connection, device: str, since_id: int, limit: int) -> list[StoredMeasurement]:
    """Return a device's measurements behind an id, the oldest first."""
    names = StoredMeasurement.model_fields
    query = select(*(MEASUREMENT.c[name] for name in names))
    query = query.where(MEASUREMENT.c.device == device, MEASUREMENT.c.id > since_id)
    rows = connection.execute(query.order_by(MEASUREMENT.c.id).limit(limit)).mappings()
    return [StoredMeasurement.model_validate(dict(row)) for row in rows]


def answered(
    connection: Connection, device: str, network_hash: str, lost_after_s: float
) -> MeasurementRequest | None:
    """Return a request as it stands; None where it has to be made, or made anew.

    It is made anew when it failed a while ago, or when the device runs another version of its runtime by
    now than the one it was measured in.
    """
    try:
        checked_remote(device)
    except ValueError as error:
        raise LedgerRefused(str(error)) from error
    now = now_seconds(connection)
    is_ours = (REQUEST.c.device == device) & (REQUEST.c.network_hash == network_hash)
    query = select(REQUEST, (now - REQUEST.c.answered_at).label("age")).where(is_ours)
    row = connection.execute(query).mappings().one_or_none()
    if row is None or (row["state"] == "failed" and row["age"] > FAILURE_KEPT_S):
        return None
    servers = alive_servers(connection, device, lost_after_s)
    if row["state"] == "measured" and servers:
        runtime, version = row["measurement"]["runtime"], row["measurement"]["runtime_version"]
        if all(server["versions"].get(runtime, version) != version for server in servers):
            return None
    return _request_from(row, is_served=any(server["noise"] is None for server in servers))


def alive_servers(connection: Connection, device: str, lost_after_s: float) -> Sequence[RowMapping]:
    """Return versions and noise of the living workers that measure on a named device."""
    alive = (WORKER.c.heartbeat_at > now_seconds(connection) - lost_after_s) & ~WORKER.c.has_left
    query = select(WORKER.c.versions, WORKER.c.noise)
    query = query.where(WORKER.c.device == device, WORKER.c.measures_only, alive)
    return connection.execute(query).mappings().all()


def ask(
    connection: Connection, device: str, architecture: dict[str, Any], network_hash: str
) -> MeasurementRequest:
    """Make a request, or make an answered one anew; one that nobody has answered yet is shared."""
    values = {
        **WAITS_AGAIN,
        "device": device,
        "network_hash": network_hash,
        "architecture": architecture,
        "created_at": datetime.now(UTC),
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    is_ours = (REQUEST.c.device == device) & (REQUEST.c.network_hash == network_hash)
    again = update(REQUEST).where(is_ours, REQUEST.c.state.in_(("measured", "failed"))).values(WAITS_AGAIN)
    connection.execute(again)
    connection.execute(dialect.insert(REQUEST).values(values).on_conflict_do_nothing())
    return _request_from(connection.execute(select(REQUEST).where(is_ours)).mappings().one())


def server_of(connection: Connection, worker_id: int) -> RowMapping:
    """Return what matters of a worker to its device's requests; raises `LedgerRefused`."""
    query = select(WORKER.c.id, WORKER.c.device, WORKER.c.measures_only, WORKER.c.noise)
    row = connection.execute(query.where(WORKER.c.id == worker_id)).mappings().one_or_none()
    if row is None:
        raise LedgerRefused(f"there is no worker {worker_id}; register first")
    return row


def has_open(connection: Connection, server: RowMapping) -> bool:
    """Whether the device of a worker has anything to measure."""
    query = select(REQUEST.c.id).where(_is_open(connection, server)).limit(1)
    return connection.execute(query).scalar() is not None


def claim(connection: Connection, server: RowMapping, lease_s: float) -> MeasurementRequest | None:
    """Take the oldest open request of a worker's device; one that lost three workers is failed instead."""
    while True:
        query = select(REQUEST.c.id, REQUEST.c.attempt).where(_is_open(connection, server))
        oldest = query.order_by(REQUEST.c.id).limit(1).with_for_update(skip_locked=True)
        found = connection.execute(oldest).one_or_none()
        if found is None:
            return None
        if found.attempt < MAX_ATTEMPTS:
            break
        _end(connection, REQUEST.c.id == found.id, "failed", f"lost {MAX_ATTEMPTS} workers", None)
    held = {
        "state": "measuring",
        "attempt": REQUEST.c.attempt + 1,
        "worker_id": server["id"],
        "lease_expires_at": now_seconds(connection) + lease_s,
    }
    taken = update(REQUEST).where(REQUEST.c.id == found.id).values(held).returning(REQUEST)
    return _request_from(connection.execute(taken).mappings().one())


def answer(
    connection: Connection, request_id: int, worker_id: int, result: Measurement | str, worker: str
) -> None:
    """End a request that the worker holds, and keep the measurement; the answer of another is dropped."""
    row = connection.execute(select(REQUEST).where(REQUEST.c.id == request_id)).mappings().one_or_none()
    if row is None:
        raise LedgerRefused(f"there is no request {request_id}")
    holds = and_(REQUEST.c.id == request_id, REQUEST.c.worker_id == worker_id, REQUEST.c.state == "measuring")
    if isinstance(result, str):
        _end(connection, holds, "failed", result, None)
        return
    if (result.device, result.network_hash) != (row["device"], row["network_hash"]):
        raise LedgerRefused(f"the measurement is not of what request {request_id} asks for")
    if _end(connection, holds, "measured", None, result):
        store(connection, row["architecture"], result, worker)


def give_back(connection: Connection, worker_id: int) -> None:
    """Let a worker's unanswered requests go to the next one at once."""
    held = (REQUEST.c.worker_id == worker_id) & (REQUEST.c.state == "measuring")
    connection.execute(update(REQUEST).where(held).values(lease_expires_at=0.0))


def _is_open(connection: Connection, server: RowMapping) -> ColumnElement[bool]:
    lost = (REQUEST.c.state == "measuring") & (REQUEST.c.lease_expires_at < now_seconds(connection))
    return and_(REQUEST.c.device == server["device"], or_(REQUEST.c.state == "waiting", lost))


def _end(
    connection: Connection,
    condition: ColumnElement[bool],
    state: str,
    reason: str | None,
    measurement: Measurement | None,
) -> bool:
    values = {
        "state": state,
        "reason": reason,
        "measurement": measurement.model_dump(mode="json") if measurement else None,
        "lease_expires_at": None,
        "answered_at": now_seconds(connection),
    }
    return connection.execute(update(REQUEST).where(condition).values(values)).rowcount == 1


def _request_from(row: RowMapping, *, is_served: bool = True) -> MeasurementRequest:
    fields = {name: row[name] for name in MeasurementRequest.model_fields if name != "is_served"}
    return MeasurementRequest(**fields, is_served=is_served)
