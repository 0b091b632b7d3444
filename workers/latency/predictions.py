"""Predictions of latency, learnt from what was measured on each device."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nas_service.constraints import side_of
from nas_service.devices import is_local
from nas_service.ledger.protocol import Ledger, LedgerError
from nas_service.measurements import Measurement, StoredMeasurement
from nas_service.studies import StudySpec
from search_spaces import Architecture
from search_spaces.deployment import DeployedNetwork, deployed
from workers.latency.device import runtime_of

# A predictor learns anew when its measurements have grown by this part, and from the newest so many.
GROWTH = 0.1
NEWEST = 300
PAGE = 500


class Interval(Protocol):
    """A predicted median with the ends of its interval."""

    @property
    def median_ms(self) -> float: ...
    @property
    def low_ms(self) -> float: ...
    @property
    def high_ms(self) -> float: ...


class Predictor(Protocol):
    """What has learnt from measured networks."""

    def predict(self, network: DeployedNetwork) -> Interval: ...
    def unmeasured(self, network: DeployedNetwork) -> tuple[str, ...]:
        """Return what the network has and no measured one had: its time is anybody's guess."""
        ...


# From networks and their medians in milliseconds; raises ValueError where they are too few.
Fit = Callable[[Sequence[DeployedNetwork], Sequence[float]], Predictor]


def settles(spec: StudySpec, predicted: Measurement) -> bool:
    """Whether a prediction says enough of a candidate: it will not be measured then.

    It lies wholly on one side of the limit on the median, and no front will show it: a candidate that breaks
    the limit is on none, and one that keeps it is only where latency is no objective. What breaks a soft
    limit is measured, for it will be trained and looked at.
    """
    limit = spec.constraints.get("latency_ms")
    if limit is None or limit.at != "median":
        return False
    side = side_of(limit, predicted.low_ms, predicted.high_ms)
    is_objective = any(objective.metric == "latency_ms" for objective in spec.objectives)
    return (side == "broken" and not limit.soft) or (side == "kept" and not is_objective)


@dataclass(slots=True)
class _Learnt:
    """What is known of one device: the newest measurements, and the predictor of an earlier look at them."""

    rows: list[StoredMeasurement] = field(default_factory=list)
    # By id of the row.
    networks: dict[int, DeployedNetwork] = field(default_factory=dict)
    last_id: int = 0
    # How many measurements of a runtime version and machine were ever read, those no longer kept included.
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Of which runtime version and machine, and when how many had been read.
    fitted_to: tuple[str, str, int] = ("", "", 0)
    predictor: Predictor | None = None


class Predictions:
    """A predictor a device, kept up to date with the ledger's measurements.

    Args:
        ledger: Where measurements are kept; while it is away, what is known already is used.
        fit: Learns from measurements.
    """

    def __init__(self, ledger: Ledger, fit: Fit) -> None:
        self._ledger = ledger
        self._fit = fit
        self._learnt: dict[str, _Learnt] = {}

    def of(self, network: DeployedNetwork, device: str) -> Measurement | None:
        """Return a network's predicted latency with its interval; None where too little is known yet."""
        learnt = self._learnt.setdefault(device, _Learnt())
        self._read(learnt, device)
        if not learnt.rows:
            return None
        newest = learnt.rows[-1].measurement
        here = runtime_of(device) if is_local(device) else None
        version, machine = (here.version, here.machine) if here else (newest.runtime_version, newest.machine)
        self._learn(learnt, version, machine)
        if learnt.predictor is None or learnt.predictor.unmeasured(network):
            return None
        interval = learnt.predictor.predict(network)
        # Only the median is predicted; the other statistics stand for it and are shown nowhere.
        same = dict.fromkeys(("median_ms", "min_ms", "p90_ms", "p99_ms"), interval.median_ms)
        return Measurement(
            device=device,
            runtime=newest.runtime,
            runtime_version=version,
            machine=machine,
            network_hash=network.hash,
            low_ms=interval.low_ms,
            high_ms=interval.high_ms,
            is_predicted=True,
            **same,
        )

    def _read(self, learnt: _Learnt, device: str) -> None:
        """Read what came in; a row that another transaction commits out of order may be missed for good."""
        while True:
            try:
                page = self._ledger.measurements(device, learnt.last_id, PAGE)
            except LedgerError:
                return
            if page:
                learnt.last_id = page[-1].id
                learnt.rows = (learnt.rows + page)[-NEWEST:]
                learnt.counts.update(
                    _source_of(row.measurement) for row in page if not row.measurement.is_noisy
                )
            if len(page) < PAGE:
                return

    def _learn(self, learnt: _Learnt, version: str, machine: str) -> None:
        """Learn from what was measured in one version on one machine, unless hardly any of it is new."""
        rows = [row for row in learnt.rows if _is_of(row.measurement, version, machine)]
        count = learnt.counts[version, machine]
        before_version, before_machine, before_count = learnt.fitted_to
        if (before_version, before_machine) == (version, machine):
            news = count - before_count
            is_little = learnt.predictor is not None and news <= GROWTH * min(before_count, NEWEST)
            if news == 0 or is_little:
                return
        learnt.fitted_to = (version, machine, count)
        learnt.networks = {row.id: learnt.networks.get(row.id) or _network_of(row) for row in rows}
        try:
            medians = [row.measurement.median_ms for row in rows]
            learnt.predictor = self._fit(list(learnt.networks.values()), medians)
        except ValueError:
            # Too few so far.
            learnt.predictor = None


def _is_of(measurement: Measurement, version: str, machine: str) -> bool:
    return _source_of(measurement) == (version, machine) and not measurement.is_noisy


def _source_of(measurement: Measurement) -> tuple[str, str]:
    return measurement.runtime_version, measurement.machine


def _network_of(row: StoredMeasurement) -> DeployedNetwork:
    return deployed(Architecture.from_dict(row.architecture))
