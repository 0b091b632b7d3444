"""The pages of what works and measures: workers and devices."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from nas_service.api.dependencies import TheService
from nas_service.dashboard.contents import trains
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.dashboard.small_svg import histogram
from nas_service.devices import is_local
from nas_service.service import Service
from nas_service.views import WorkerView

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_ORDER = {"running": 0, "draining": 0, "idle": 1, "lost": 2, "stopped": 3}
# Of those that have ended; the rest is history.
STOPPED_SHOWN = 50


@router.get("/workers")
def workers(service: TheService) -> Response:
    return render("workers.html", page="workers", **_workers(service))


@router.get("/fragments/workers")
def workers_part(service: TheService) -> Response:
    return render("parts/workers.html", **_workers(service))


@router.get("/devices")
def devices(service: TheService) -> Response:
    return render("devices.html", page="devices", devices=_devices(service))


@router.get("/fragments/devices")
def devices_part(service: TheService) -> Response:
    return render("parts/devices.html", devices=_devices(service))


def _workers(service: Service) -> dict[str, Any]:
    known = sorted(service.workers(), key=lambda worker: (_ORDER[worker.state], worker.name))
    present = [worker for worker in known if worker.state != "stopped"]
    stopped = [worker for worker in known if worker.state == "stopped"]
    rates = service.throughput()
    alive = [rates[worker.id] for worker in known if worker.is_alive and worker.id in rates]
    return {
        "workers": present,
        "stopped": _newest(stopped),
        "stopped_count": len(stopped),
        "rates": rates,
        "alive": sum(trains(worker) for worker in known),
        "training": sum(worker.state == "running" for worker in known),
        "lost": sum(worker.state == "lost" for worker in known),
        "trials_an_hour": sum(rate.trials for rate in alive),
        "epochs_an_hour": sum(rate.epochs for rate in alive),
    }


def _newest(stopped: Sequence[WorkerView]) -> list[WorkerView]:
    return sorted(stopped, key=lambda worker: worker.heartbeat_at, reverse=True)[:STOPPED_SHOWN]


def _devices(service: Service) -> list[dict[str, Any]]:
    shown = []
    for device in service.devices():
        latencies = service.device_latencies(device.name)
        picture, ends = histogram(latencies.medians_ms)
        shown.append(
            {
                "device": device,
                "latencies": latencies,
                "histogram": picture,
                "ends": ends,
                "is_local": is_local(device.name),
            }
        )
    return shown
