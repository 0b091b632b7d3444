"""What is learnt of a device from its measurements, and which candidates that settles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement, StoredMeasurement
from nas_service.service import Service
from nas_service.studies import Constraint, Objective, StudySpec
from nas_service.trials import WorkerInfo
from search_spaces import Architecture, RandomTrial, analyse, resolve_space
from search_spaces.deployment import DeployedNetwork, deployed
from search_spaces.families.pictures import typical
from workers.latency.device import runtime_of
from workers.latency.predictions import Predictions, settles
from workers.latency.source import LatencySource
from workers.patience import Patience
from workers.prediction import LatencyPredictor

SPACE = resolve_space("multi_scale")
FEWEST = 4


@dataclass
class MeanOfSeen:
    """The simplest predictor there is: what was seen on average, within a tenth."""

    median_ms: float

    @property
    def low_ms(self) -> float:
        return 0.9 * self.median_ms

    @property
    def high_ms(self) -> float:
        return 1.1 * self.median_ms

    def predict(self, network: DeployedNetwork) -> "MeanOfSeen":
        return self

    def unmeasured(self, network: DeployedNetwork) -> tuple[str, ...]:
        return ()


@dataclass
class Learner:
    """Fits that predictor, and counts how often."""

    sizes: list[int]

    def __call__(self, networks: Sequence[DeployedNetwork], median_ms: Sequence[float]) -> MeanOfSeen:
        self.sizes.append(len(networks))
        if len(networks) < FEWEST:
            raise ValueError("too few")
        return MeanOfSeen(sum(median_ms) / len(median_ms))


@pytest.fixture
def learner() -> Learner:
    return Learner([])


@pytest.fixture
def predictions(ledger: SqlLedger, learner: Learner) -> Predictions:
    return Predictions(ledger, learner)


@pytest.fixture
def store(ledger: SqlLedger) -> Callable[..., None]:
    """Return what stores measurements of networks of given seeds, all of 4 ms unless said otherwise."""
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    here = runtime_of("cpu")

    def keep(seeds: Sequence[int], device: str = "cpu", **changes: Any) -> None:
        for seed in seeds:
            architecture = drawn(seed)
            figures = dict.fromkeys(("median_ms", "low_ms", "high_ms", "min_ms", "p90_ms", "p99_ms"), 4.0)
            values: dict[str, Any] = {"runtime_version": here.version, "machine": here.machine, **figures}
            measurement = Measurement(
                device=device,
                runtime=here.name,
                network_hash=deployed(architecture).hash,
                **{**values, **changes},
            )
            ledger.store_measurement(architecture.to_dict(), measurement, worker)

    return keep


def drawn(seed: int) -> Architecture:
    return SPACE.sample(RandomTrial(seed), (1, 8, 8), 10)


def limited(at: str = "median", soft: bool = False, **changes: Any) -> StudySpec:
    objectives = (Objective(metric="accuracy"), Objective(metric="params"))
    limits = {"latency_ms": Constraint(max=3.0, at=at, soft=soft)}
    values: dict[str, Any] = {"dataset": "digits", "objectives": objectives, "constraints": limits}
    return StudySpec(**{**values, **changes})


def test_nothing_is_predicted_from_too_few(predictions: Predictions, store: Callable[..., None]) -> None:
    assert predictions.of(deployed(drawn(99)), "cpu") is None
    store(range(FEWEST - 1))
    assert predictions.of(deployed(drawn(99)), "cpu") is None


def test_a_prediction_is_marked_and_has_its_interval(
    predictions: Predictions, store: Callable[..., None]
) -> None:
    store(range(FEWEST))
    network = deployed(drawn(99))
    predicted = predictions.of(network, "cpu")
    assert predicted is not None
    assert predicted.is_predicted
    assert (predicted.median_ms, predicted.low_ms, predicted.high_ms) == pytest.approx((4.0, 3.6, 4.4))
    assert (predicted.network_hash, predicted.machine) == (network.hash, runtime_of("cpu").machine)


def test_other_machines_versions_devices_and_noisy_figures_teach_nothing(
    predictions: Predictions, store: Callable[..., None]
) -> None:
    store(range(10), machine="another")
    store(range(10), runtime_version="0.1")
    store(range(10), is_noisy=True)
    store(range(10), device="cpu-torch")
    assert predictions.of(deployed(drawn(99)), "cpu") is None


def test_a_named_device_s_newest_version_counts(predictions: Predictions, store: Callable[..., None]) -> None:
    store(range(FEWEST), device="pi4", machine="a board", runtime_version="1", median_ms=9.0)
    store(range(FEWEST), device="pi4", machine="a board", runtime_version="2", median_ms=5.0)
    predicted = predictions.of(deployed(drawn(99)), "pi4")
    assert predicted is not None
    assert (predicted.median_ms, predicted.runtime_version, predicted.machine) == (5.0, "2", "a board")


def test_it_learns_on_when_more_has_been_measured_than_it_keeps(
    predictions: Predictions, learner: Learner, store: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.latency.predictions.NEWEST", 20)
    store(range(20), median_ms=4.0)
    predictions.of(deployed(drawn(99)), "cpu")
    store(range(20, 22), median_ms=8.0)
    predictions.of(deployed(drawn(99)), "cpu")
    assert learner.sizes == [20]
    store(range(22, 40), median_ms=8.0)
    predicted = predictions.of(deployed(drawn(99)), "cpu")
    assert learner.sizes == [20, 20]
    assert predicted is not None
    assert predicted.median_ms == pytest.approx(8.0)


def test_it_learns_anew_as_measurements_grow_and_not_at_each_call(
    predictions: Predictions, learner: Learner, store: Callable[..., None]
) -> None:
    store(range(20))
    for _ in range(3):
        predictions.of(deployed(drawn(99)), "cpu")
    store([20, 21])
    predictions.of(deployed(drawn(99)), "cpu")
    assert learner.sizes == [20]
    store([22])
    predictions.of(deployed(drawn(99)), "cpu")
    assert learner.sizes == [20, 23]


class Away(SqlLedger):
    """A real ledger that is cut off once it has answered."""

    answers = 1

    def measurements(self, device: str, since_id: int = 0, limit: int = 500) -> list[StoredMeasurement]:
        if self.answers == 0:
            raise LedgerUnavailable("cut off")
        self.answers -= 1
        return super().measurements(device, since_id, limit)


def test_what_was_learnt_is_used_while_the_ledger_is_away(
    service: Service, store: Callable[..., None], learner: Learner
) -> None:
    store(range(FEWEST))
    predictions = Predictions(Away(service.engine, settings=service.settings), learner)
    first = predictions.of(deployed(drawn(99)), "cpu")
    assert first is not None
    assert predictions.of(deployed(drawn(99)), "cpu") == first


TIMED = (Objective(metric="accuracy"), Objective(metric="latency_ms"))


@pytest.mark.parametrize(
    ("spec", "median_ms", "is_settled"),
    [
        (limited(), 4.0, True),
        (limited(), 3.1, False),
        (limited(), 2.0, True),
        (limited(objectives=TIMED), 4.0, True),
        (limited(objectives=TIMED), 2.0, False),
        (limited(at="p90"), 4.0, False),
        (limited(soft=True), 4.0, False),
        (limited(soft=True), 2.0, True),
        (limited(constraints={}, objectives=TIMED), 4.0, False),
    ],
    ids=[
        "over",
        "near",
        "under",
        "objective over",
        "objective under",
        "of p90",
        "soft over",
        "soft under",
        "no limit",
    ],
)
def test_only_an_interval_clear_of_the_limit_settles_a_candidate(
    spec: StudySpec, median_ms: float, is_settled: bool
) -> None:
    interval = {"median_ms": median_ms, "low_ms": 0.9 * median_ms, "high_ms": 1.1 * median_ms}
    others = dict.fromkeys(("min_ms", "p90_ms", "p99_ms"), median_ms)
    predicted = Measurement(
        device="cpu",
        runtime="onnxruntime",
        runtime_version="1",
        machine="here",
        network_hash="0" * 64,
        is_predicted=True,
        **interval,
        **others,
    )
    assert settles(spec, predicted) == is_settled


def test_a_candidate_that_a_prediction_settles_is_not_measured_and_nothing_is_stored(
    ledger: SqlLedger, predictions: Predictions, store: Callable[..., None]
) -> None:
    store(range(FEWEST))
    source = LatencySource(ledger, 1, Patience(), predictions)
    assert source.latency(drawn(99), limited(), lambda: False).is_predicted
    assert len(ledger.measurements("cpu")) == FEWEST
    near = limited(constraints={"latency_ms": Constraint(max=4.0)})
    assert not source.latency(drawn(99), near, lambda: False).is_predicted
    assert len(ledger.measurements("cpu")) == FEWEST + 1


def test_a_network_that_was_measured_is_not_predicted(
    ledger: SqlLedger, predictions: Predictions, store: Callable[..., None]
) -> None:
    store(range(FEWEST))
    source = LatencySource(ledger, 1, Patience(), predictions)
    assert not source.latency(drawn(0), limited(), lambda: False).is_predicted


def test_a_worker_s_predictor_settles_a_network_far_over_the_limit(
    ledger: SqlLedger, store: Callable[..., None]
) -> None:
    for seed in range(60):
        store([seed], median_ms=1e-5 * analyse(drawn(seed)).macs)
    source = LatencySource(ledger, 1, Patience(), Predictions(ledger, LatencyPredictor.fit))
    network = drawn(99)
    truth_ms = 1e-5 * analyse(network).macs
    over = limited(constraints={"latency_ms": Constraint(max=truth_ms / 10)})
    latency = source.latency(network, over, lambda: False)
    assert latency.is_predicted
    assert latency.low_ms < truth_ms < latency.high_ms
    near = limited(constraints={"latency_ms": Constraint(max=truth_ms)})
    assert not source.latency(network, near, lambda: False).is_predicted
    # The space of the measured networks has no such operation.
    other = typical("deformable")
    assert not source.latency(other, over, lambda: False).is_predicted
