"""A search whose latency counts on a device of its own: one worker trains, another measures."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Recipe, StudySpec, Training
from nas_service.trials import WorkerInfo
from search_spaces import Architecture
from workers.latency import measure
from workers.measuring import MeasuringWorker, versions
from workers.noise import Noise
from workers.worker import Worker


def timed_study(**changes: object) -> StudySpec:
    values: dict[str, object] = {
        "dataset": "digits",
        "device": "pi4",
        "constraints": {"params": Constraint(max=20_000)},
        "training": Training(epochs=1, recipe=Recipe(deterministic=True)),
        "budget": Budget(trials=3),
    }
    return StudySpec.model_validate({**values, **changes})


@contextmanager
def board(ledger: SqlLedger) -> Iterator[list[str]]:
    """Serve pi4 from a thread, and list the networks that were measured."""
    seen: list[str] = []

    def quick(architecture: Architecture) -> Measurement:
        seen.append(architecture.hash)
        return measure(architecture, "pi4", time_cap_s=0.05)

    information = WorkerInfo(
        name="board", host="there", pid=1, device="pi4", measures_only=True, versions=versions()
    )
    worker = MeasuringWorker(ledger, information, quick, Noise(lambda: None))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield seen
    finally:
        worker.patience.ends.set()
        thread.join()


@contextmanager
def trainer(ledger: SqlLedger, study: int, folder: Path, noise: Noise | None = None) -> Iterator[Worker]:
    """Train a study's candidates from a thread; leaving waits for the study's end."""
    information = WorkerInfo(name="trainer", host="here", pid=1)
    worker = Worker(ledger, information, folder, study_id=study, until_finished=True, noise=noise)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        thread.join()


def until_reason(service: Service, study: int, part: str) -> None:
    for _ in range(600):
        if part in service.study(study).reason:
            return
        threading.Event().wait(0.05)
    raise AssertionError(service.study(study).reason)


def test_a_study_of_a_named_device_waits_for_it_and_is_measured_there(
    service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    study = service.create_study(timed_study()).study
    with trainer(ledger, study, tmp_path):
        until_reason(service, study, "no live worker with device pi4")
        assert service.study(study).trials.trained == 0
        with board(ledger) as seen:
            until_reason(service, study, "the budget of 3 trials is used up")
    complete = [service.trial(item.id) for item in service.trials(study, state="complete").items]
    assert len(complete) == 3
    for trial in complete:
        assert trial.latency is not None
        assert (trial.latency["device"], trial.latency["median_ms"]) == ("pi4", trial.metrics["latency_ms"])
        assert trial.attempt == 1
    assert sorted(seen) == sorted(trial.architecture_hash for trial in complete)


def test_what_one_study_measured_another_does_not_measure_again(
    service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    first, second = (service.create_study(timed_study()).study for _ in range(2))
    with board(ledger) as seen:
        for study in (first, second):
            with trainer(ledger, study, tmp_path):
                pass
        assert len(seen) == 3
    assert service.study(second).trials.complete == 3


def test_a_noisy_trainer_starts_once_its_machine_is_quiet(
    service: Service, ledger: SqlLedger, tmp_path: Path, monkeypatch: object
) -> None:
    is_quiet = threading.Event()
    noise = Noise(lambda: None if is_quiet.is_set() else "31 % apart")
    monkeypatch.setattr("workers.noise.NOISY_AGAIN_S", 0.0)  # type: ignore[attr-defined]
    study = service.create_study(timed_study(device="cpu", budget=Budget(trials=1))).study
    with trainer(ledger, study, tmp_path, noise):
        until_reason(service, study, "the machine is too noisy (trainer: 31 % apart)")
        is_quiet.set()
    assert service.study(study).trials.trained == 1
