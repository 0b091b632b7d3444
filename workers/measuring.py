"""A worker that only measures, for one named device; its process loads neither torch nor Optuna."""

import logging
import platform
from collections.abc import Callable
from time import perf_counter

import onnxruntime

import nas_service
from nas_service.ledger.protocol import Ledger, LedgerRefused, LedgerUnavailable
from nas_service.measurements import Measurement, MeasurementRequest
from nas_service.trials import WorkerInfo
from search_spaces import Architecture
from search_spaces.deployment import deployed
from workers.noise import Noise
from workers.patience import DRAIN_S, Patience

log = logging.getLogger("nas.worker")
IDLE_S = 0.5
MAX_REASON = 500


def versions() -> dict[str, str]:
    """Return the versions that a latency depends on."""
    return {
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "nas_service": nas_service.__version__,
    }


class MeasuringWorker:
    """Measures one network after another until told to end.

    Args:
        ledger: The service.
        information: What the worker says of itself; its device is the name that it serves.
        measure: Returns the latency of an architecture on this machine.
        noise: Whether the machine is quiet; while it is not, requests are left alone.
        drain_s: How long the present measurement may take when told to end; then it goes to others.
    """

    def __init__(
        self,
        ledger: Ledger,
        information: WorkerInfo,
        measure: Callable[[Architecture], Measurement],
        noise: Noise,
        *,
        drain_s: float = DRAIN_S,
    ) -> None:
        self.patience = Patience(drain_s)
        self._ledger = ledger
        self._information = information
        self._measure = measure
        self._noise = noise
        self._worker_id = 0

    def run(self) -> None:
        """Work until told to end; raises `LedgerRefused` if the service does not want this worker."""
        if not self._join():
            return
        log.info("joined as %s (%d), device %s", self._information.name, self._worker_id, self._device)
        self.patience.announce_by(lambda: self._ledger.draining(self._worker_id))
        while not self.patience.ends.is_set():
            request = self.patience.call(lambda: self._ledger.next_measurement(self._worker_id))
            if request is not None:
                self._serve(request)
            elif self._noise.is_due and self._noise.has_changed():
                self._join()
            else:
                self.patience.ends.wait(IDLE_S)
        self.patience.settle()
        self.patience.try_once(lambda: self._ledger.leave(self._worker_id))
        log.info("left")

    @property
    def _device(self) -> str:
        return self._information.device

    def _join(self) -> bool:
        """Join, or tell the service of another noise; False when told to end meanwhile."""
        information = self._information.model_copy(update={"noise": self._noise.reason})
        registration = self.patience.call(lambda: self._ledger.register(information))
        if registration is not None:
            self._worker_id = registration.worker_id
        return registration is not None

    def _serve(self, request: MeasurementRequest) -> None:
        started = perf_counter()
        answer = self._answer_to(request)
        said = answer if isinstance(answer, str) else f"{answer.median_ms:.4g} ms"
        log.info("request %d: %s (%.1f s)", request.id, said, perf_counter() - started)
        try:
            self.patience.call(
                lambda: self._ledger.answer_measurement(request.id, self._worker_id, answer),
                even_at_end=True,
            )
        except (LedgerRefused, LedgerUnavailable) as error:
            log.warning("the answer to request %d is not taken: %s", request.id, error)

    def _answer_to(self, request: MeasurementRequest) -> Measurement | str:
        """Measure, or say why that failed: a network that breaks here must not break the worker."""
        try:
            architecture = Architecture.from_dict(request.architecture)
            if deployed(architecture).hash != request.network_hash:
                return f"{self._information.name} folds it to another network: its version differs"
            return self._measure(architecture)
        except MemoryError:
            return "out of memory"
        except Exception as error:
            log.exception("request %d", request.id)
            return f"{type(error).__name__}: {error}"[:MAX_REASON]
