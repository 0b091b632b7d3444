"""Where a candidate's latency comes from: it is remembered, predicted, measured here, or asked for."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from nas_service.devices import is_local
from nas_service.ledger.protocol import Ledger, LedgerUnavailable
from nas_service.measurements import Measurement
from nas_service.studies import StudySpec
from search_spaces import Architecture
from search_spaces.deployment import DeployedNetwork, deployed
from workers.interruption import Interrupted
from workers.latency import measure
from workers.latency.device import runtime_of
from workers.latency.predictions import Predictions, settles
from workers.patience import Patience

# How often a named device's answer is looked for.
POLL_S = 0.25


class NotMeasured(Exception):
    """A named device could not measure the network."""


class LatencySource:
    """Answers with the latency of one candidate after another.

    Args:
        ledger: Remembers measurements, and passes requests on to named devices.
        worker_id: Under which measurements are stored.
        patience: Repeats calls through an outage, and says when to end.
        predictions: What was learnt of each device; without it every candidate is measured.
        quiet: In which a measurement on a device of this machine is taken, where several threads ask.
    """

    def __init__(
        self,
        ledger: Ledger,
        worker_id: int,
        patience: Patience,
        predictions: Predictions | None = None,
        *,
        quiet: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._ledger = ledger
        self._worker_id = worker_id
        self._patience = patience
        self._predictions = predictions
        self._predicting = threading.Lock()
        self._quiet = quiet

    def latency(
        self, architecture: Architecture, spec: StudySpec, is_lost: Callable[[], bool]
    ) -> Measurement:
        """Return the latency on the study's device, measured now only if nothing else settles it.

        Args:
            architecture: The candidate.
            spec: Its device, limits and objectives.
            is_lost: Whether the trial's lease is lost; asked while a named device is waited for.

        Raises:
            Interrupted: The worker is told to end, the lease is lost, or the named device is away.
            NotMeasured: The named device failed.
        """
        network = deployed(architecture)
        known = self._remembered(network, spec.device) or self._predicted(network, spec)
        if known is not None:
            return known
        if is_local(spec.device):
            return self._measured(architecture, spec.device)
        return self._asked_for(architecture, network, spec.device, is_lost)

    def _remembered(self, network: DeployedNetwork, device: str) -> Measurement | None:
        """Return what was measured of the network in the same runtime on the same kind of machine."""
        if not is_local(device):
            # Only the ledger knows which version a named device runs: its answer to a request settles that.
            return None
        here = runtime_of(device)
        try:
            known = self._ledger.known_measurement(network.hash, device, here.version, here.machine)
        except LedgerUnavailable:
            return None
        return known if known is not None and not known.is_noisy else None

    def _predicted(self, network: DeployedNetwork, spec: StudySpec) -> Measurement | None:
        if self._predictions is None or "latency_ms" not in spec.constraints:
            return None
        with self._predicting:
            predicted = self._predictions.of(network, spec.device)
        return predicted if predicted is not None and settles(spec, predicted) else None

    def _measured(self, architecture: Architecture, device: str) -> Measurement:
        with self._quiet(device):
            measurement = measure(architecture, device)
        keep = partial(self._ledger.store_measurement, architecture.to_dict(), measurement, self._worker_id)
        self._patience.try_once(keep)
        return measurement

    def _asked_for(
        self,
        architecture: Architecture,
        network: DeployedNetwork,
        device: str,
        is_lost: Callable[[], bool],
    ) -> Measurement:
        """Ask until the device has answered; its request is shared by all that ask for the same network."""
        ask = partial(self._ledger.request_measurement, device, architecture.to_dict(), network.hash)
        while True:
            request = self._patience.call(ask)
            if request is not None and request.measurement is not None:
                return request.measurement
            if request is not None and request.state == "failed":
                raise NotMeasured(f"{device} could not measure it: {request.reason}")
            if is_lost():
                raise Interrupted("lost")
            # A trial that waits for a device which is away is given back, and costs no attempt.
            is_away = request is None or not request.is_served
            if is_away or self._patience.ends.wait(POLL_S):
                raise Interrupted("stopped")
