"""Processes die, hang and are cut off; no finished result is lost and none counts twice."""

import os
import signal
from collections.abc import Callable

import pytest
from machines import Machines, eventually
from proxy import Proxy

from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, StudySpec, Training
from nas_service.views import TrialView

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
        trial = service.trial(item.id)
        points = [point for point in service.curve(item.id) if point.attempt == trial.attempt]
        if len(points) >= epochs:
            return trial
    return None


def is_finished(service: Service, study: int) -> bool:
    return service.study(study).state == "finished"


def test_a_trial_whose_worker_is_killed_is_finished_by_another(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    study = launch(service, trials=2, epochs=60)
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
    study = launch(service, trials=1, epochs=100)
    sleeper = machines.worker("sleeper")
    trial = eventually(lambda: in_training(service, study))
    assert isinstance(trial, TrialView)
    os.kill(sleeper.pid, signal.SIGSTOP)
    machines.worker("heir")
    eventually(lambda: (running := in_training(service, study)) and running.worker == "heir")
    os.kill(sleeper.pid, signal.SIGCONT)
    eventually(lambda: is_finished(service, study))
    eventually(lambda: "lost to another attempt" in machines.log("sleeper"))
    assert service.trial(trial.id).worker == "heir"
    check_rows(study, 1)


def test_a_worker_told_to_end_gives_its_trial_back_at_once(
    service: Service, machines: Machines, check_rows: CheckRows
) -> None:
    study = launch(service, trials=1, epochs=60)
    leaver = machines.worker("leaver")
    eventually(lambda: in_training(service, study))
    leaver.terminate()
    assert leaver.wait(timeout=60) == 0
    assert "given back" in machines.log("leaver")
    machines.worker("heir")
    eventually(lambda: is_finished(service, study))
    check_rows(study, 1)


def test_a_killed_server_loses_nothing_and_workers_go_on(
    service: Service, machines: Machines, port: int, check_rows: CheckRows
) -> None:
    server = machines.server(port)
    study = launch(service, trials=3, epochs=40)
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
    assert remote.poll() is None
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
