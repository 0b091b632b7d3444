"""Where a candidate's latency comes from."""

import threading
from typing import Any

import pytest

from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement
from nas_service.studies import StudySpec
from nas_service.trials import WorkerInfo
from search_spaces import Architecture
from search_spaces.deployment import deployed
from workers.interruption import Interrupted
from workers.latency.device import runtime_of
from workers.latency.source import LatencySource, NotMeasured
from workers.patience import Patience


def never() -> bool:
    return False


@pytest.fixture
def patience() -> Patience:
    return Patience()


@pytest.fixture
def source(ledger: SqlLedger, patience: Patience) -> LatencySource:
    worker = ledger.register(WorkerInfo(name="trainer", host="here", pid=1)).worker_id
    return LatencySource(ledger, worker, patience)


def timed(device: str = "cpu", **changes: Any) -> StudySpec:
    return StudySpec(dataset="digits", device=device, **changes)


def stored(architecture: Architecture, device: str, **changes: Any) -> Measurement:
    """A measurement of an architecture as this machine would have taken it."""
    here = runtime_of("cpu")
    figures = dict.fromkeys(("median_ms", "low_ms", "high_ms", "min_ms", "p90_ms", "p99_ms"), 123.0)
    values: dict[str, Any] = {"runtime_version": here.version, "machine": here.machine, **figures}
    return Measurement(
        device=device,
        runtime=here.name,
        network_hash=deployed(architecture).hash,
        **{**values, **changes},
    )


def serve(ledger: SqlLedger, **changes: Any) -> int:
    information = WorkerInfo(name="board", host="there", pid=1, device="pi4", measures_only=True)
    return ledger.register(information.model_copy(update=changes)).worker_id


def test_what_is_measured_here_is_stored_and_not_measured_again(
    source: LatencySource, ledger: SqlLedger, multi_scale: Architecture
) -> None:
    first = source.latency(multi_scale, timed(), never)
    assert not first.is_predicted
    assert [item.measurement for item in ledger.measurements("cpu")] == [first]
    ledger.store_measurement(multi_scale.to_dict(), first.model_copy(update={"machine": "other"}), 1)
    again = source.latency(multi_scale, timed(), never)
    assert first.is_noisy or again == first


def test_a_measurement_in_the_ledger_is_taken_as_it_is(
    source: LatencySource, ledger: SqlLedger, multi_scale: Architecture
) -> None:
    ledger.store_measurement(multi_scale.to_dict(), stored(multi_scale, "cpu"), 1)
    assert source.latency(multi_scale, timed(), never).median_ms == 123.0


@pytest.mark.parametrize(
    "other", [{"machine": "another"}, {"runtime_version": "0.1"}, {"is_noisy": True}], ids=str
)
def test_a_measurement_of_another_machine_or_version_or_a_noisy_one_is_none_of_this(
    other: dict[str, Any], source: LatencySource, ledger: SqlLedger, multi_scale: Architecture
) -> None:
    ledger.store_measurement(multi_scale.to_dict(), stored(multi_scale, "cpu", **other), 1)
    assert source.latency(multi_scale, timed(), never).median_ms != 123.0


def test_a_named_device_s_answer_is_waited_for(
    source: LatencySource, ledger: SqlLedger, multi_scale: Architecture
) -> None:
    board = serve(ledger)
    answers: list[Measurement] = []
    waiting = threading.Thread(
        target=lambda: answers.append(source.latency(multi_scale, timed("pi4"), never))
    )
    waiting.start()
    request = None
    while request is None:
        request = ledger.next_measurement(board)
    ledger.answer_measurement(request.id, board, stored(multi_scale, "pi4"))
    waiting.join()
    assert answers == [stored(multi_scale, "pi4")]


def test_a_named_device_s_failure_fails_the_candidate_with_its_reason(
    source: LatencySource, ledger: SqlLedger, multi_scale: Architecture
) -> None:
    board = serve(ledger)
    ledger.request_measurement("pi4", multi_scale.to_dict(), deployed(multi_scale).hash)
    request = ledger.next_measurement(board)
    assert request is not None
    ledger.answer_measurement(request.id, board, "out of memory")
    with pytest.raises(NotMeasured, match="pi4 could not measure it: out of memory"):
        source.latency(multi_scale, timed("pi4"), never)


def test_a_candidate_is_given_back_while_its_device_is_away(
    source: LatencySource, ledger: SqlLedger, multi_scale: Architecture
) -> None:
    with pytest.raises(Interrupted) as ending:
        source.latency(multi_scale, timed("pi4"), never)
    assert ending.value.ending == "stopped"
    serve(ledger, noise="31 % apart")
    with pytest.raises(Interrupted):
        source.latency(multi_scale, timed("pi4"), never)


def test_waiting_ends_when_the_lease_is_lost(
    source: LatencySource, ledger: SqlLedger, multi_scale: Architecture
) -> None:
    serve(ledger)
    with pytest.raises(Interrupted) as ending:
        source.latency(multi_scale, timed("pi4"), lambda: True)
    assert ending.value.ending == "lost"


def test_waiting_ends_when_the_worker_is_told_to(
    source: LatencySource, ledger: SqlLedger, patience: Patience, multi_scale: Architecture
) -> None:
    serve(ledger)
    patience.ends.set()
    with pytest.raises(Interrupted) as ending:
        source.latency(multi_scale, timed("pi4"), never)
    assert ending.value.ending == "stopped"
