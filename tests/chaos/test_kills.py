"""Processes die, hang and are cut off; no finished result is lost and none counts twice."""

import signal
from collections.abc import Callable

import pytest
from machines import Machines, eventually
from proxy import Proxy

from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import MeasurementRequest
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, StudySpec, Training
from nas_service.views import TrialView
from search_spaces import Architecture, RandomTrial, resolve_space
from search_spaces.deployment import deployed

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
CheckRows = Callable[[int, int], None]


def launch(service: Service, *, trials: int, epochs: int) -> int:
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=20_000)},
        training=Training(epochs=epochs, early_stopping="none"),
        budget=Budget(trials=trials),
    )
    return service.create_study(spec).study


def in_training(service: Service, study: int, *, epochs: int = 1) -> TrialView | None:
    """Return a trial that runs and has finished so many epochs in its newest attempt."""
    for item in service.trials(study, state="running").items:
        points = [point for point in service.curve(item.id) if point.attempt == item.attempt]
        if len(points) >= epochs:
            return service.trial(item.id)
    return None


def is_finished(service: Service, study: int) -> bool:
    return service.study(study).state == "finished"


def test_a_trial_whose_worker_is_killed_is_finished_by_another(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    study = launch(service, trials=2, epochs=30)
    victim = machines.worker("victim")
    trial = eventually(lambda: in_training(service, study))
    assert isinstance(trial, TrialView)
    victim.kill()
    machines.worker("heir")
    eventually(lambda: is_finished(service, study))
    after = service.trial(trial.id)
    assert after.state == "complete"
    assert (after.attempt, after.worker) == (trial.attempt + 1, "heir")
    assert after.params == trial.params
    check_rows(study, 2)


def test_a_worker_that_sleeps_beyond_its_lease_changes_nothing_when_it_wakes(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    study = launch(service, trials=1, epochs=40)
    sleeper = machines.worker("sleeper")
    trial = eventually(lambda: in_training(service, study))
    assert isinstance(trial, TrialView)
    sleeper.send(signal.SIGSTOP)
    machines.worker("heir")
    eventually(lambda: (running := in_training(service, study)) and running.worker == "heir")
    sleeper.send(signal.SIGCONT)
    eventually(lambda: is_finished(service, study))
    eventually(lambda: "lost to another attempt" in machines.log("sleeper"))
    assert service.trial(trial.id).worker == "heir"
    check_rows(study, 1)


def test_a_worker_told_to_end_gives_its_trial_back_at_once(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    study = launch(service, trials=1, epochs=30)
    leaver = machines.worker("leaver")
    eventually(lambda: in_training(service, study))
    leaver.send(signal.SIGTERM)
    assert leaver.wait(60) == 0
    assert "given back" in machines.log("leaver")
    machines.worker("heir")
    eventually(lambda: is_finished(service, study))
    check_rows(study, 1)


def test_a_killed_server_loses_nothing_and_workers_go_on(
    service: Service, machines: Machines, port: int, check_rows: CheckRows
) -> None:
    server = machines.server(port)
    study = launch(service, trials=3, epochs=20)
    token = (machines.settings.data_home / "token").read_text().strip()
    remote = machines.worker(
        "remote",
        "--server",
        f"http://127.0.0.1:{port}",
        NAS_TOKEN=token,
        NAS_HOME=str(machines.folder / "elsewhere"),
    )
    trial = eventually(lambda: in_training(service, study))
    assert isinstance(trial, TrialView)
    server.kill()
    eventually(lambda: "the service is away" in machines.log("remote"))
    machines.server(port)
    eventually(lambda: is_finished(service, study))
    assert remote.code is None
    assert service.trial(trial.id).state == "complete"
    check_rows(study, 3)


def test_a_worker_over_http_works_beside_a_local_one_without_a_database(
    service: Service, machines: Machines, port: int, check_rows: CheckRows
) -> None:
    machines.server(port)
    token = (machines.settings.data_home / "token").read_text().strip()
    elsewhere = machines.folder / "elsewhere"
    machines.worker(
        "remote", "--server", f"http://127.0.0.1:{port}", NAS_TOKEN=token, NAS_HOME=str(elsewhere)
    )
    machines.worker("local")
    # Work waits until both have joined: on a busy machine the first would end all of it alone.
    eventually(lambda: {worker.name for worker in service.workers()} == {"remote", "local"})
    study = launch(service, trials=12, epochs=6)
    eventually(lambda: is_finished(service, study))
    workers = {trial.worker for trial in service.trials(study, state="complete").items}
    assert workers == {"remote", "local"}
    assert not (elsewhere / "nas.db").exists()
    check_rows(study, 12)


# Longer than a lease, and than all retries before those of the longest wait.
@pytest.mark.parametrize("seconds", [5.0, 15.0])
def test_a_worker_that_is_cut_off_goes_on_and_delivers(
    seconds: float, service: Service, machines: Machines, port: int, check_rows: CheckRows
) -> None:
    machines.server(port)
    study = launch(service, trials=1, epochs=30)
    token = (machines.settings.data_home / "token").read_text().strip()
    with Proxy(port) as proxy:
        machines.worker(
            "remote",
            "--server",
            f"http://127.0.0.1:{proxy.port}",
            NAS_TOKEN=token,
            NAS_HOME=str(machines.folder / "elsewhere"),
        )
        trial = eventually(lambda: in_training(service, study))
        assert isinstance(trial, TrialView)
        proxy.cut_for(seconds)
        eventually(lambda: is_finished(service, study))
    # Nobody else was there to take it over: the first attempt's result counts.
    after = service.trial(trial.id)
    assert (after.state, after.worker) == ("complete", "remote")
    check_rows(study, 1)


def test_a_request_whose_device_is_killed_while_it_measures_is_served_by_the_next(
    service: Service, ledger: SqlLedger, machines: Machines
) -> None:
    networks = [resolve_space("multi_scale").sample(RandomTrial(seed), (1, 32, 32), 10) for seed in range(8)]

    def ask(network: Architecture) -> MeasurementRequest:
        return ledger.request_measurement("board", network.to_dict(), deployed(network).hash)

    for network in networks:
        ask(network)
    first = machines.worker("first", "--measure-only", "--device", "board")
    held = eventually(lambda: [request for request in map(ask, networks) if request.state == "measuring"])
    first.kill()
    machines.worker("second", "--measure-only", "--device", "board")
    eventually(lambda: all(ask(network).state == "measured" for network in networks))
    stored = ledger.measurements("board")
    assert held
    assert len(stored) == len({row.measurement.network_hash for row in stored}) == len(networks)
    assert stored[-1].worker == "second"


def test_a_trial_waits_through_the_death_of_its_device(service: Service, machines: Machines) -> None:
    spec = StudySpec(dataset="digits", device="board", training=Training(epochs=1), budget=Budget(trials=3))
    study = service.create_study(spec).study
    machines.worker("trainer")
    eventually(lambda: "no live worker with device board" in service.study(study).reason)
    victim = machines.worker("victim", "--measure-only", "--device", "board")
    eventually(lambda: service.study(study).trials.trained)
    victim.kill()
    machines.worker("heir", "--measure-only", "--device", "board")
    eventually(lambda: is_finished(service, study))
    states = service.study(study).trials
    assert (states.complete + states.pruned, states.failed) == (3, 0)


def test_a_search_told_to_end_takes_its_workers_along_and_pauses(
    service: Service, machines: Machines
) -> None:
    search = machines.search("--dataset", "digits", "--objective", "accuracy", "--epochs", "500")
    eventually(lambda: any(in_training(service, study.study) for study in service.studies().items))
    (study,) = service.studies().items
    search.send_signal(signal.SIGTERM)
    assert search.wait(60) == 130
    assert [worker.state for worker in service.workers()] == ["stopped"]
    assert service.study(study.study).state == "paused"
