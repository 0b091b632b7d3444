"""Latency measurements over HTTP: what is known, and what named devices are asked for. For workers alone."""

from typing import Annotated

from fastapi import APIRouter, Query

from nas_service.api.bodies import WorkerRoute
from nas_service.api.dependencies import Id, TheLedger
from nas_service.ledger.calls import Answer, Ask, Keep, Known, Measurements, Serve, Served
from nas_service.measurements import MeasurementRequest
from nas_service.row_ids import MAX_ID

router = APIRouter(route_class=WorkerRoute, tags=["ledger"])

Device = Annotated[str, Query(min_length=1, max_length=63)]
NetworkHash = Annotated[str, Query(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str | None, Query(max_length=500)]
Since = Annotated[int, Query(ge=0, le=MAX_ID, description="Only what was stored after this one.")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/measurements:known")
def known_measurement(
    ledger: TheLedger,
    network_hash: NetworkHash,
    device: Device,
    runtime_version: Text = None,
    machine: Text = None,
) -> Known:
    """Return the newest measurement of a network on a device."""
    return Known(measurement=ledger.known_measurement(network_hash, device, runtime_version, machine))


@router.get("/measurements")
def list_measurements(
    ledger: TheLedger, device: Device, since_id: Since = 0, limit: Limit = 500
) -> Measurements:
    """List a device's measurements, the oldest first."""
    return Measurements(items=ledger.measurements(device, since_id, limit))


@router.post("/measurements", status_code=204)
def store_measurement(ledger: TheLedger, call: Keep) -> None:
    """Store a measurement; the same again is harmless."""
    ledger.store_measurement(call.architecture, call.measurement, call.worker_id)


@router.post("/measurements:request")
def request_measurement(ledger: TheLedger, call: Ask) -> MeasurementRequest:
    """Ask a named device to measure a network, or say how that stands."""
    return ledger.request_measurement(call.device, call.architecture, call.network_hash)


@router.post("/measurements:acquire")
def next_measurement(ledger: TheLedger, call: Serve) -> Served:
    """Say what a worker of a named device is to measure."""
    return Served(request=ledger.next_measurement(call.worker_id))


@router.post("/measurements/requests/{request_id:row}:answer", status_code=204)
def answer_measurement(ledger: TheLedger, request_id: Id, call: Answer) -> None:
    """End a request; the answer of a worker that lost it changes nothing."""
    ledger.answer_measurement(request_id, call.worker_id, call.result)
