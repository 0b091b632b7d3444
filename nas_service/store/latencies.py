"""What was measured on a device, and how well predictions for it have held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import Connection, func, select

from nas_service.store.models import MeasurementRow, TrialRow, table

MEASUREMENT, TRIAL = table(MeasurementRow), table(TrialRow)
# The newest so many of each are looked at.
NEWEST = 2000
HASHES_A_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class PredictionCheck:
    """A network whose latency was predicted for a trial, and also measured at another time."""

    predicted_ms: float
    # Ends of the prediction's interval.
    low_ms: float
    high_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """The part of the measured latency by which the prediction is off."""
        return abs(self.predicted_ms - self.measured_ms) / self.measured_ms


@dataclass(frozen=True, slots=True)
class DeviceLatencies:
    """The newest measurements of a device."""

    # Medians in milliseconds, the newest first.
    medians_ms: tuple[float, ...]
    # Half the width of the 95 % interval as a part of the median, in the middle of all; None without any.
    half_width: float | None
    # How many did not get as sharp as asked for.
    noisy: int
    machines: tuple[str, ...]
    # Trials whose latency was predicted and not measured.
    predicted: int
    checks: tuple[PredictionCheck, ...]

    @property
    def median_error(self) -> float | None:
        """The error of predictions, in the middle of all that could be checked."""
        return median(check.error for check in self.checks) if self.checks else None

    @property
    def inside(self) -> float | None:
        """The share of checked predictions whose interval holds what was measured."""
        if not self.checks:
            return None
        return sum(check.low_ms <= check.measured_ms <= check.high_ms for check in self.checks) / len(
            self.checks
        )


def read_latencies(connection: Connection, device: str) -> DeviceLatencies:
    """Return what the newest measurements of a device say."""
    query = select(MEASUREMENT.c.measurement, MEASUREMENT.c.machine).where(MEASUREMENT.c.device == device)
    rows = connection.execute(query.order_by(MEASUREMENT.c.id.desc()).limit(NEWEST)).all()
    figures = [row.measurement for row in rows]
    widths = [(one["high_ms"] - one["low_ms"]) / 2 / one["median_ms"] for one in figures]
    predicted = list(_predicted(connection, device))
    return DeviceLatencies(
        medians_ms=tuple(float(one["median_ms"]) for one in figures),
        half_width=median(widths) if widths else None,
        noisy=sum(bool(one.get("is_noisy")) for one in figures),
        machines=tuple(sorted({row.machine for row in rows})),
        predicted=len(predicted),
        checks=tuple(_checks(connection, device, predicted)),
    )


def _predicted(connection: Connection, device: str) -> Iterator[dict[str, Any]]:
    newest = select(func.coalesce(func.max(TRIAL.c.id), 0) - NEWEST).scalar_subquery()
    for latency in connection.scalars(select(TRIAL.c.latency).where(TRIAL.c.id > newest)):
        if latency and latency.get("is_predicted") and latency.get("device") == device:
            yield latency


def _checks(
    connection: Connection, device: str, predicted: Sequence[dict[str, Any]]
) -> Iterator[PredictionCheck]:
    known = {latency["network_hash"]: latency for latency in predicted}
    hashes = list(known)
    for begin in range(0, len(hashes), HASHES_A_STATEMENT):
        some = MEASUREMENT.c.network_hash.in_(hashes[begin : begin + HASHES_A_STATEMENT])
        query = select(MEASUREMENT.c.network_hash, MEASUREMENT.c.measurement)
        for row in connection.execute(query.where(some, MEASUREMENT.c.device == device)):
            latency = known[row.network_hash]
            yield PredictionCheck(
                predicted_ms=latency["median_ms"],
                low_ms=latency["low_ms"],
                high_ms=latency["high_ms"],
                measured_ms=row.measurement["median_ms"],
            )
