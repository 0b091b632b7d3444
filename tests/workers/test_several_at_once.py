"""One worker that trains three candidates at once, on a real ledger."""

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from nas_service.datasets import Dataset
from nas_service.datasets.dataset import save_dataset
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import Ledger, LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, Recipe, Search, StudySpec, Training
from nas_service.trials import EpochReport, Instruction, Lease, Outcome, Registration, WorkerInfo
from workers.noise import Noise
from workers.worker import Worker

DROPPING = Recipe(deterministic=True, dropout=0.1)


def study_of(trials: int, epochs: int = 2, seed: int = 4) -> StudySpec:
    return StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=20_000)},
        training=Training(epochs=epochs, early_stopping="none", recipe=DROPPING),
        budget=Budget(trials=trials),
        search=Search(seed=seed, sampler="random"),
    )


def crew(ledger: Ledger, folder: Path, study: int | None, at_once: int = 3) -> Worker:
    information = WorkerInfo(name=f"crew-{at_once}", host="here", pid=1)
    return Worker(
        ledger, information, folder, study_id=study, until_finished=study is not None, at_once=at_once
    )


class WatchedLedger(SqlLedger):
    """A real ledger that knows how many trials were reported at once, and loses the first answers."""

    failures = 4

    def __init__(self, service: Service) -> None:
        super().__init__(service.engine, settings=service.settings)
        self.lock = threading.Lock()
        self.begun: set[int] = set()
        self.running: set[int] = set()
        self.most = 0
        self.three_run = threading.Event()

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        with self.lock:
            self.begun.add(lease.trial_id)
            self.running.add(lease.trial_id)
            self.most = max(self.most, len(self.running))
            if len(self.running) == 3:
                self.three_run.set()
        return super().report(lease, report)

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        with self.lock:
            self.running.discard(lease.trial_id)
            self.failures -= 1
            is_cut_off = self.failures >= 0
        if is_cut_off and self.failures % 2:
            super().complete(lease, outcome)
        if is_cut_off:
            raise LedgerUnavailable("cut off")
        super().complete(lease, outcome)


def test_three_candidates_at_once_use_the_budget_exactly_through_outages(
    service: Service, tmp_path: Path
) -> None:
    ledger = WatchedLedger(service)
    study = service.create_study(study_of(7)).study
    crew(ledger, tmp_path, study).run()
    view = service.study(study)
    assert (view.state, view.trials.complete, view.trials.running) == ("finished", 7, 0)
    assert ledger.most > 1
    assert len(ledger.begun) == 7
    assert list(tmp_path.glob("*.json")) == []
    assert [worker.state for worker in service.workers()] == ["stopped"]
    numbers = [trial.number for trial in service.trials(study).items if trial.state == "complete"]
    assert len(set(numbers)) == 7


def test_a_candidate_ends_with_the_same_figures_however_many_train_beside_it(
    service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    figures = []
    for at_once in (1, 3):
        study = service.create_study(study_of(5)).study
        crew(ledger, tmp_path, study, at_once).run()
        trials = [service.trial(item.id) for item in service.trials(study, state="complete").items]
        # Random proposals of one seed are the same whoever asks when.
        figures.append({trial.number: trial.metrics for trial in trials})
    assert figures[0] == figures[1]


def test_told_to_end_all_three_trials_are_given_back(service: Service, tmp_path: Path) -> None:
    ledger = WatchedLedger(service)
    ledger.failures = 0
    study = service.create_study(study_of(3, epochs=10_000)).study
    worker = crew(ledger, tmp_path, study)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert ledger.three_run.wait(120)
    worker.end()
    thread.join(60)
    assert not thread.is_alive()
    view = service.study(study)
    assert (view.state, view.trials.running, view.trials.trained) == ("running", 3, 0)
    again = SqlLedger(service.engine, settings=service.settings)
    other = again.register(WorkerInfo(name="other", host="here", pid=2)).worker_id
    assert [again.next_work(other).kind for _ in range(3)] == ["run"] * 3


def test_three_at_once_share_one_connection_to_a_server(service: Service, tmp_path: Path) -> None:
    study = service.create_study(study_of(5)).study
    with serving(service.settings.model_copy(update={"port": 0})) as address:
        token = (service.settings.data_home / "token").read_text().strip()
        with closing(HttpLedger(address, token, tmp_path / "cache")) as ledger:
            crew(ledger, tmp_path / "spool", study).run()
    view = service.study(study)
    assert (view.state, view.trials.complete, view.trials.running) == ("finished", 5, 0)


class ChangeableNoise(Noise):
    """Noise that another test is always due for, and that every test finds changed."""

    is_due = True

    def has_changed(self) -> bool:
        return True


class JoinedLedger(WatchedLedger):
    """A real ledger that knows whether trials ran when the worker joined again."""

    failures = 0

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.joined_while: list[int] = []

    def register(self, worker: WorkerInfo) -> Registration:
        with self.lock:
            self.joined_while.append(len(self.running))
        return super().register(worker)


def test_a_worker_never_joins_again_while_it_holds_leases(service: Service, tmp_path: Path) -> None:
    ledger = JoinedLedger(service)
    study = service.create_study(study_of(4)).study
    worker = Worker(
        ledger,
        WorkerInfo(name="crew", host="here", pid=1),
        tmp_path,
        study_id=study,
        until_finished=True,
        noise=ChangeableNoise(lambda: None),
        at_once=3,
    )
    worker.run()
    assert service.study(study).trials.complete == 4
    assert len(ledger.begun) == 4
    assert set(ledger.joined_while) == {0}


class RareLedger(SqlLedger):
    """A real ledger whose data hold a class that is too small for three parts."""

    rare: Path | None = None

    def fetch_dataset(self, sha256: str) -> Path:
        return self.rare or super().fetch_dataset(sha256)


@pytest.mark.parametrize("at_once", [1, 3])
def test_data_that_cannot_be_split_end_the_study_at_once_and_not_the_worker(
    at_once: int, service: Service, tmp_path: Path
) -> None:
    ledger = RareLedger(service.engine, settings=service.settings)
    labels = np.array([0, 1] * 20 + [2, 2])
    dataset = Dataset("rare", np.zeros((42, 1, 8, 8), np.uint8), labels, None, None, ("a", "b", "c"))
    ledger.rare = tmp_path / f"{save_dataset(dataset, tmp_path)}.safetensors"
    study = service.create_study(study_of(50)).study
    crew(ledger, tmp_path / "spool", study, at_once).run()
    view = service.study(study)
    assert view.state == "failed"
    assert view.reason == "the data cannot be split: class 2 has 1 example; at least 2 are needed to split"
    assert 1 <= view.trials.failed <= at_once
    ledger.rare = None
    good = service.create_study(study_of(2)).study
    crew(ledger, tmp_path / "spool", good, at_once).run()
    assert service.study(good).trials.complete == 2
