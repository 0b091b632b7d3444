"""Workers are told to end, or killed: what they trained is not trained again."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import Machines, eventually

from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import MeasurementRequest
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, Recipe, StudySpec, Training
from nas_service.views import TrialView
from search_spaces import Architecture, RandomTrial, resolve_space
from search_spaces.deployment import deployed

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
CheckRows = Callable[[int, int], None]
# For a worker that must not be hurried.
NO_HURRY = {"NAS_DRAIN_S": "1000"}


def launch(service: Service, *, epochs: int = 30, batch_size: int = 128) -> int:
    """Launch a study of one trial, which has rungs and none to rival it."""
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=20_000)},
        training=Training(epochs=epochs, recipe=Recipe(batch_size=batch_size)),
        budget=Budget(trials=1),
    )
    return service.create_study(spec).study


def in_training(service: Service, study: int, *, behind: int) -> TrialView | None:
    """Return the trial once it runs and has come behind an epoch."""
    for item in service.trials(study, state="running").items:
        if len(service.curve(item.id)) >= behind:
            return service.trial(item.id)
    return None


def is_finished(service: Service, study: int) -> bool:
    return service.study(study).state == "finished"


def state_of(service: Service, name: str) -> str | None:
    return next((worker.state for worker in service.workers() if worker.name == name), None)


def half_written(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if "part" in path.name]


def attempts_by_epoch(service: Service, trial: int) -> list[int]:
    return [point.attempt for point in service.curve(trial)]


def test_a_notice_and_then_a_kill_cost_no_finished_epoch(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    study = launch(service)
    leaver = machines.worker("leaver")
    trial = eventually(lambda: in_training(service, study, behind=2))
    assert isinstance(trial, TrialView)
    leaver.send(signal.SIGTERM)
    # Stored and released, whatever comes then.
    eventually(lambda: service.trial(trial.id).reason == "given back by its worker")
    leaver.kill()
    epochs = len(service.curve(trial.id))
    checkpoint = service.trial(trial.id).checkpoint
    assert checkpoint is not None
    assert checkpoint.epoch == epochs
    machines.worker("heir")
    eventually(lambda: is_finished(service, study))
    after = service.trial(trial.id)
    assert after.reason == f"resumed from epoch {epochs} after its worker gave it back"
    assert attempts_by_epoch(service, trial.id) == [1] * epochs + [2] * (30 - epochs)
    check_rows(study, 1)


def test_a_killed_worker_s_trial_goes_on_behind_its_last_rung(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    study = launch(service)
    victim = machines.worker("victim")
    trial = eventually(lambda: in_training(service, study, behind=11))
    assert isinstance(trial, TrialView)
    victim.kill()
    checkpoint = service.trial(trial.id).checkpoint
    assert checkpoint is not None
    machines.worker("heir")
    eventually(lambda: is_finished(service, study))
    assert checkpoint.epoch in (9, 27)
    assert service.trial(trial.id).reason == f"resumed from epoch {checkpoint.epoch} after a lost worker"
    check_rows(study, 1)


def test_an_epoch_that_takes_too_long_is_abandoned_for_the_one_before(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    # Some hundred steps an epoch: a few seconds.
    study = launch(service, epochs=3, batch_size=4)
    leaver = machines.worker("leaver", NAS_DRAIN_S="0")
    trial = eventually(lambda: in_training(service, study, behind=1))
    assert isinstance(trial, TrialView)
    # As Ctrl-C does.
    leaver.send(signal.SIGINT)
    assert leaver.wait(60) == 0
    kept, epochs = service.trial(trial.id), len(service.curve(trial.id))
    assert kept.checkpoint is not None
    assert kept.checkpoint.epoch == epochs
    assert half_written(machines.settings.data_home) == []
    machines.worker("heir")
    eventually(lambda: is_finished(service, study))
    assert attempts_by_epoch(service, trial.id) == [1] * epochs + [2] * (3 - epochs)
    check_rows(study, 1)


def test_a_draining_worker_is_listed_as_such_and_dies_of_a_second_signal(
    service: Service, machines: Machines
) -> None:
    study = launch(service)
    worker = machines.held_worker("worker", **NO_HURRY)
    eventually(lambda: in_training(service, study, behind=1))
    worker.send(signal.SIGTERM)
    eventually(lambda: state_of(service, "worker") == "draining")
    assert worker.code is None
    worker.send(signal.SIGTERM)
    assert worker.wait(60) == 128 + signal.SIGTERM
    assert half_written(machines.settings.data_home) == []


def test_a_worker_whose_server_hangs_ends_all_the_same(
    service: Service, machines: Machines, port: int
) -> None:
    server = machines.server(port)
    study = launch(service, epochs=10_000)
    token = (machines.settings.data_home / "token").read_text().strip()
    elsewhere = {"NAS_TOKEN": token, "NAS_HOME": str(machines.folder / "elsewhere"), "NAS_DRAIN_S": "1"}
    remote = machines.worker("remote", "--server", f"http://127.0.0.1:{port}", **elsewhere)
    eventually(lambda: in_training(service, study, behind=1))
    server.send(signal.SIGSTOP)
    remote.send(signal.SIGTERM)
    assert remote.wait(50) == 128 + signal.SIGTERM
    assert "ending although something hangs" in machines.log("remote")


def test_a_measuring_worker_told_to_end_answers_or_gives_back_what_it_holds(
    service: Service, ledger: SqlLedger, machines: Machines
) -> None:
    networks = [resolve_space("multi_scale").sample(RandomTrial(seed), (1, 32, 32), 10) for seed in range(6)]

    def ask(network: Architecture) -> MeasurementRequest:
        return ledger.request_measurement("board", network.to_dict(), deployed(network).hash)

    for network in networks:
        ask(network)
    first = machines.worker("first", "--measure-only", "--device", "board")
    eventually(lambda: any(ask(network).state == "measuring" for network in networks))
    first.send(signal.SIGTERM)
    assert first.wait(60) == 0
    assert state_of(service, "first") == "stopped"
    assert not any(ask(network).state == "measuring" for network in networks)
    machines.worker("second", "--measure-only", "--device", "board")
    eventually(lambda: all(ask(network).state == "measured" for network in networks))
