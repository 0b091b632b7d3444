"""The SQL ledger's part on latency: what was measured, and what named devices are asked to measure."""

from typing import Any

from nas_service.ledger import measuring
from nas_service.ledger.protocol import LedgerRefused
from nas_service.ledger.transactions import Transactions
from nas_service.measurements import Measurement, MeasurementRequest, StoredMeasurement


class SqlMeasurements(Transactions):
    """The methods of `Ledger` on measurements; see the protocol for what each promises."""

    def known_measurement(
        self,
        network_hash: str,
        device: str,
        runtime_version: str | None = None,
        machine: str | None = None,
    ) -> Measurement | None:
        with self._reading() as connection:
            return measuring.find(connection, network_hash, device, runtime_version, machine)

    def store_measurement(
        self, architecture: dict[str, Any], measurement: Measurement, worker_id: int
    ) -> None:
        with self._writing() as connection:
            measuring.store(connection, architecture, measurement, self._name_of(connection, worker_id))

    def measurements(self, device: str, since_id: int = 0, limit: int = 500) -> list[StoredMeasurement]:
        with self._reading() as connection:
            return measuring.read_after(connection, device, since_id, limit)

    def request_measurement(
        self, device: str, architecture: dict[str, Any], network_hash: str
    ) -> MeasurementRequest:
        with self._reading() as connection:
            known = measuring.answered(connection, device, network_hash, self._lease_s)
        if known is not None:
            return known
        with self._writing() as connection:
            return measuring.ask(connection, device, architecture, network_hash)

    def next_measurement(self, worker_id: int) -> MeasurementRequest | None:
        self._beat(worker_id)
        with self._reading() as connection:
            server = measuring.server_of(connection, worker_id)
            if not server.measures_only:
                raise LedgerRefused(f"worker {worker_id} trains; only one that measures only serves requests")
            if server.noise or not measuring.has_open(connection, server):
                return None
        with self._writing() as connection:
            return measuring.claim(connection, server, self._lease_s)

    def answer_measurement(self, request_id: int, worker_id: int, answer: Measurement | str) -> None:
        with self._writing() as connection:
            worker = self._name_of(connection, worker_id)
            measuring.answer(connection, request_id, worker_id, answer, worker)
