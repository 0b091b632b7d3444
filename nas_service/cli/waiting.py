"""Why a study that somebody follows does not go on."""

import re
import time
from collections.abc import Callable

from nas_service.cli.backend import Backend
from nas_service.cli.output import say
from nas_service.devices import LOCAL_DEVICES, is_local
from nas_service.reasons import NO_WORKER, tells_of_progress
from nas_service.studies import StudySpec
from nas_service.views import DeviceView, StudyView

# What passes sooner, such as the gap between two trials, is no news.
PATIENCE_S = 3.0


class WaitingNews:
    """Says what a study waits for, once for each reason; figures alone make no other reason.

    Args:
        has_own_workers: Workers are being started for it, so that none alive is no news.
        now: Seconds of a clock that never goes back.
    """

    def __init__(self, *, has_own_workers: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._has_own_workers, self._now = has_own_workers, now
        self._kind, self._since, self._told = "", now(), ""

    def tell(self, study: StudyView) -> None:
        """Take note of how the study stands, and say its reason if it has been waiting for a while."""
        kind = re.sub(r"\d+", "#", study.reason)
        if kind != self._kind:
            self._kind, self._since = kind, self._now()
        if self._is_ordinary(study.reason):
            self._told = ""
        elif kind != self._told and self._now() - self._since >= PATIENCE_S:
            say(f"study {study.study} waits: {study.reason}")
            self._told = kind

    def _is_ordinary(self, reason: str) -> bool:
        return tells_of_progress(reason) or (self._has_own_workers and reason == NO_WORKER)


def say_missing_device(backend: Backend, spec: StudySpec) -> None:
    """Warn of a device that no living worker serves: one may join later, and a name may be mistyped."""
    if not spec.needs_latency or is_local(spec.device):
        return
    devices = {device.name: device for device in backend.devices()}
    if spec.device in devices and devices[spec.device].workers_alive:
        return
    others = [_known(device) for name, device in devices.items() if name not in (spec.device, *LOCAL_DEVICES)]
    say(
        f"warning: no live worker has the device {spec.device!r}, and trials wait until one joins; "
        f"known devices: {', '.join([*LOCAL_DEVICES, *others])}"
    )


def _known(device: DeviceView) -> str:
    return device.name if device.workers_alive else f"{device.name} (no live worker)"
