"""Workers confirm fronts and train chosen networks once more."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load

from nas_service.confirmations import RetrainRequest
from nas_service.errors import InvalidInput
from nas_service.exports import ExportRequest
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Confirm, Objective, Recipe, StudySpec, Training
from nas_service.trials import WorkerInfo
from nas_service.views import StudyView
from workers.jobs.confirm import seed_of
from workers.worker import Worker


def work(ledger: SqlLedger, study: int, folder: Path) -> None:
    """Run a worker until there is nothing left to do for a study."""
    information = WorkerInfo(name="worker", host="here", pid=1)
    Worker(ledger, information, folder, study_id=study, until_finished=True).run()


@pytest.fixture
def study(service: Service, ledger: SqlLedger, tmp_path: Path) -> StudyView:
    """Return a study of two trials that was searched and confirmed by one worker."""
    spec = StudySpec(
        dataset="digits",
        space={"family": "two_conv", "override": {"depth": [2], "stage1": {"width": [8]}}},
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        training=Training(epochs=1, early_stopping="none", recipe=Recipe(deterministic=True)),
        budget=Budget(trials=2),
        confirm=Confirm(seeds=2),
    )
    launched = service.create_study(spec)
    work(ledger, launched.study, tmp_path)
    return service.study(launched.study)


def test_a_finished_study_s_front_is_confirmed_on_the_test_part_by_the_same_workers(
    service: Service, study: StudyView
) -> None:
    assert study.reason == "the budget of 2 trials is used up"
    view = service.confirmation(study.study)
    assert view.runs == view.runs_complete == 2 * len(view.members)
    for member in view.members:
        assert member.confirmed
        first, second = (run.metrics["accuracy"] for run in member.runs)
        assert member.confirmed.mean["accuracy"] == pytest.approx((first + second) / 2)
        assert sorted(member.runs[0].artifacts) == ["architecture.json", "weights.safetensors"]
        jobs = [service.job(run.job) for run in member.runs]
        assert len({job.result["seed"] for job in jobs}) == 2
        # 299 test examples: what is measured there is a multiple of one of them.
        count = first * 299
        assert count == pytest.approx(round(count))


def test_equal_runs_have_equal_seeds_and_others_have_others() -> None:
    seeds = {seed_of(3, ordinal, run) for ordinal in range(50) for run in range(20)}
    assert len(seeds) == 1000
    assert seed_of(3, 1, 2) == seed_of(3, 1, 2)


def test_a_network_is_trained_on_for_other_data_with_its_lowest_stage_frozen(
    service: Service, ledger: SqlLedger, study: StudyView, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (60, 10, 10), dtype=np.uint8)
    file = tmp_path / "other.npz"
    np.savez(file, x_train=images, y_train=np.arange(60) % 3)
    service.add_dataset(file, "other")
    trial = service.trial_by_number(study.study, 0)
    request = RetrainRequest(epochs=2, dataset="other", from_weights=True, freeze=1)
    job = service.retrain(trial.id, request)
    work(ledger, study.study, tmp_path)
    done = service.job(job.id)
    assert (done.state, done.result["epochs"]) == ("complete", 2)
    assert [name for name in done.result["transfer"]["mismatched"] if "stage" in name] == []
    assert any(name.startswith("head.") for name in done.result["transfer"]["mismatched"])
    before, after = (
        load(service.artifact_path(sha256).read_bytes())
        for sha256 in (trial.artifacts["weights"], done.artifacts["weights.safetensors"])
    )
    kept = {name: value for name, value in before.items() if name.startswith("stage1.")}
    assert kept
    assert all(bool((after[name] == value).all()) for name, value in kept.items())
    # What leaves is prepared, and answers, as it was trained: by statistics of the other data.
    job = service.export_trial(trial.id, ExportRequest(formats=("torch",), job=job.id))
    work(ledger, study.study, tmp_path)
    exported = service.job(job.id)
    assert exported.state == "complete", exported.reason
    sha256 = exported.artifacts["preprocessing.json"]
    prepared = json.loads(service.artifact_path(sha256).read_bytes())
    assert (prepared["input_shape"], prepared["classes"]) == ([1, 10, 10], ["0", "1", "2"])
    assert {name: prepared[name] for name in ("mean", "deviation")} == done.result["normalisation"]
    assert exported.artifacts["weights.safetensors"] == done.artifacts["weights.safetensors"]
    assert exported.result["forms"][0]["accuracy"] == done.result["metrics"]["accuracy"]
    # What was trained costs nothing of the study's budget, and stands in none of its figures.
    assert service.study(study.study).trials.trained == 2
    with pytest.raises(InvalidInput, match=r"the network has 2 stages"):
        service.retrain(trial.id, RetrainRequest(epochs=1, from_weights=True, freeze=3))
