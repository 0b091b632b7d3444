"""Latency measurements: what is stored of them, and what workers and ledger say to each other about them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from nas_service.trials import Value


class Measurement(Value):
    """The latency of one network on one device; all times in milliseconds for one example.

    `machine` tells apart what a device's name does not: "cpu" is another processor on every host. A predicted
    one has the same fields; its interval is that of the prediction, and it has neither rounds nor runs.
    """

    device: str
    runtime: str
    runtime_version: str
    machine: str
    # Hash of the folded network (`search_spaces.deployment`).
    network_hash: str = Field(min_length=64, max_length=64)
    # The median over rounds of each round's shortest run, the machine's drift divided out.
    median_ms: StrictFloat = Field(gt=0.0)
    # Ends of the 95 % interval of that median.
    low_ms: StrictFloat = Field(gt=0.0)
    high_ms: StrictFloat = Field(gt=0.0)
    # Over all runs, disturbed ones included.
    min_ms: StrictFloat = Field(gt=0.0)
    p90_ms: StrictFloat = Field(gt=0.0)
    p99_ms: StrictFloat = Field(gt=0.0)
    # Of the fixed reference network in the same rounds, as it ran.
    reference_ms: StrictFloat | None = None
    rounds: StrictInt = 0
    runs: StrictInt = 0
    threads: StrictInt = 1
    batch: StrictInt = 1
    # The interval stayed wider than asked for until the time was up.
    is_noisy: StrictBool = False
    is_predicted: StrictBool = False


class StoredMeasurement(Value):
    """A measurement with the architecture that it was taken of; a predictor learns from these."""

    id: int
    architecture: dict[str, Any]
    measurement: Measurement
    worker: str | None = None
    created_at: datetime


MeasurementState = Literal["waiting", "measuring", "measured", "failed"]


class MeasurementRequest(Value):
    """A network that a device is asked to measure."""

    id: int
    device: str
    architecture: dict[str, Any]
    network_hash: str
    state: MeasurementState = "waiting"
    # Why it failed.
    reason: str | None = None
    # When it is measured.
    measurement: Measurement | None = None
    # Whether a quiet worker of the device is alive.
    is_served: StrictBool = True
