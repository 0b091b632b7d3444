"""What a diverged trial counts as, from the worker to the sampler."""

from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from nas_service.datasets import Dataset
from nas_service.datasets.dataset import save_dataset
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Objective, StudySpec, Training
from nas_service.trials import WorkerInfo
from workers.replica import Replica
from workers.worker import Worker


class HugeLedger(SqlLedger):
    """A real ledger whose data lie at the end of the range of floats: no loss on them is finite."""

    folder: Path

    def fetch_dataset(self, sha256: str) -> Path:
        examples = np.full((60, 1, 8, 8), np.float32(3e38))
        examples[::2] = -3e38
        labels = (np.arange(60) % 10).astype(np.int64)
        dataset = Dataset("huge", examples, labels, None, None, tuple("abcdefghij"))
        return self.folder / f"{save_dataset(dataset, self.folder)}.safetensors"


@pytest.mark.parametrize(
    ("divergence", "state", "told"),
    [("fail", "failed", (TrialState.FAIL, None)), ("worst", "pruned", (TrialState.COMPLETE, [0.0, 1.0]))],
)
def test_a_diverged_trial_is_never_on_the_front_and_samplers_learn_of_it_if_asked(
    divergence: str, state: str, told: object, service: Service, tmp_path: Path
) -> None:
    ledger = HugeLedger(service.engine, settings=service.settings)
    ledger.folder = tmp_path
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="error")),
        training=Training.model_validate({"epochs": 3, "divergence": divergence}),
        budget=Budget(trials=2),
    )
    study = service.create_study(spec).study
    information = WorkerInfo(name="worker", host="here", pid=1)
    Worker(ledger, information, tmp_path / "spool", study_id=study, until_finished=True).run()
    trials = [service.trial(item.id) for item in service.trials(study).items]
    assert [trial.state for trial in trials] == [state, state]
    assert all(str(trial.reason).startswith("diverged in epoch 1: the loss is nan") for trial in trials)
    assert service.front(study).front == []
    changes = ledger.changes(study, 0)
    replica = Replica(_study(ledger, service, study), teaches_infeasible=True)
    replica.apply(changes)
    seen = replica.storage.get_all_trials(0)
    assert [(trial.state, trial.values) for trial in seen] == [told, told]


def _study(ledger: SqlLedger, service: Service, study_id: int) -> object:
    from nas_service.store.engine import reading
    from nas_service.store.models import StudyRow, table
    from nas_service.store.rows import study_from

    rows = table(StudyRow)
    with reading(service.engine) as connection:
        return study_from(connection.execute(rows.select().where(rows.c.id == study_id)).mappings().one())
