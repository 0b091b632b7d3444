"""Which devices can measure latency now, as conditions and rows."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from nas_service.devices import LOCAL_DEVICES
from nas_service.measurements import StoredMeasurement
from nas_service.store.engine import now_seconds
from nas_service.store.models import MeasurementRequestRow, MeasurementRow, StudyRow, WorkerRow, table
from nas_service.views import DeviceView, WorkerView

STUDY, WORKER = table(StudyRow), table(WorkerRow)
MEASUREMENT, REQUEST = table(MeasurementRow), table(MeasurementRequestRow)
# Of one network; each machine and version of a runtime has one.
MOST_MEASUREMENTS = 100


def is_served(
    connection: Connection, devices: Sequence[str], lost_after_s: ColumnElement[float]
) -> ColumnElement[bool]:
    """Return whether a study's latency can be measured now if a worker takes up one of its trials.

    A study that needs none always can; one of a local device where the worker's own machine has it and is
    quiet; one of a named device where a quiet worker of that name is alive.

    Args:
        connection: Whose database's clock counts.
        devices: The local devices on which the worker measures now.
        lost_after_s: A worker not heard of for so long is not alive.
    """
    named = WORKER.alias("named")
    alive = select(named.c.id).where(
        named.c.device == STUDY.c.latency_device,
        named.c.measures_only,
        named.c.noise.is_(None),
        ~named.c.has_left,
        named.c.heartbeat_at > now_seconds(connection) - lost_after_s,
    )
    return or_(
        STUDY.c.latency_device.is_(None),
        STUDY.c.latency_device.in_(devices),
        and_(STUDY.c.latency_device.not_in(LOCAL_DEVICES), alive.exists()),
    )


def read_devices(connection: Connection, workers: list[WorkerView]) -> list[DeviceView]:
    """Return every device that was measured on, asked for, or served by a worker, by name."""
    count = func.count().label("count")
    key = (MEASUREMENT.c.device, MEASUREMENT.c.runtime, MEASUREMENT.c.runtime_version)
    stored = connection.execute(select(*key, count).group_by(*key).order_by(*key)).all()
    unanswered = select(REQUEST.c.device, count).where(REQUEST.c.state.in_(("waiting", "measuring")))
    waiting = {row.device: row.count for row in connection.execute(unanswered.group_by(REQUEST.c.device))}
    needed = select(STUDY.c.latency_device).where(STUDY.c.latency_device.is_not(None)).distinct()
    named = {worker.device for worker in workers if worker.measures_only}
    names = {row.device for row in stored} | waiting.keys() | named | set(connection.scalars(needed))
    return [
        DeviceView(
            name=name,
            runtimes=[f"{row.runtime} {row.runtime_version}" for row in stored if row.device == name],
            measurements=sum(row.count for row in stored if row.device == name),
            waiting=waiting.get(name, 0),
            workers_alive=sum(worker.is_alive and worker.measures_on(name) for worker in workers),
            noise=next((w.noise for w in workers if w.noise and w.is_alive and w.measures_on(name)), None),
        )
        for name in sorted(names)
    ]


def read_measurements(connection: Connection, network_hash: str) -> list[StoredMeasurement]:
    """Return all measurements of a folded network, by device and machine, the newest first of each."""
    names = StoredMeasurement.model_fields
    query = select(*(MEASUREMENT.c[name] for name in names)).where(MEASUREMENT.c.network_hash == network_hash)
    order = (MEASUREMENT.c.device, MEASUREMENT.c.machine, MEASUREMENT.c.id.desc())
    rows = connection.execute(query.order_by(*order).limit(MOST_MEASUREMENTS)).mappings()
    return [StoredMeasurement.model_validate(dict(row)) for row in rows]
