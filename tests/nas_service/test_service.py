"""The service on a real database."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas_service.errors import Conflict, InvalidInput, NotFound
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, StudySpec
from nas_service.trials import Proposal


def launch(service: Service, **changes: object) -> int:
    return service.create_study(StudySpec.model_validate({"dataset": "digits", **changes})).study


def test_nothing_but_complete_feasible_trials_is_on_the_front(service: Service, finished_study: int) -> None:
    front = service.front(finished_study)
    assert front.front
    for member in front.front:
        trial = service.trial(member.trial)
        assert trial.state == "complete"
        assert trial.is_feasible
        assert trial.is_on_front
    flags = {item.number for item in service.trials(finished_study, page_size=500).items if item.is_on_front}
    assert flags == {member.number for member in front.front}
    counts = service.study(finished_study).trials
    assert counts.pruned
    assert counts.failed
    assert counts.infeasible
    for metric in ("accuracy", "params", "latency_ms"):
        for member in service.front(finished_study, (metric,)).front:
            assert service.trial(member.trial).state == "complete"


def test_a_study_waits_for_workers_in_words(service: Service) -> None:
    view = service.study(launch(service))
    assert (view.state, view.trials.trained) == ("running", 0)
    assert "no worker is alive" in view.reason


@pytest.mark.parametrize(
    ("changes", "pointer", "word"),
    [
        ({"dataset": "letters"}, "/dataset", "digits"),
        ({"space": "pyramid"}, "/space", "pyramidal"),
        ({"space": {"family": "two_conv", "override": {"deep": 3}}}, "/space/override/deep", "deep"),
        ({"space": {"forbid": [{"depth": 1}, {"stage.fuse": "add"}]}}, "/space/forbid/1", "stage.fusion"),
        (
            {"space": {"family": "two_conv", "override": {"forbid": [{"depth": {"most": 2}}]}}},
            "/space/override/forbid/0/depth/most",
            "max",
        ),
        (
            {"training": {"recipe": {"augmentation": {"shift": 3}}}},
            "/training/recipe/augmentation/shift",
            "2 spatial axes",
        ),
    ],
)
def test_a_spec_that_cannot_run_is_refused_by_field(
    changes: dict[str, object], pointer: str, word: str, service: Service
) -> None:
    with pytest.raises(InvalidInput) as caught:
        launch(service, **changes)
    assert caught.value.errors[0].pointer == pointer
    assert word in str(caught.value)
    assert service.studies().items == []


def test_states_change_only_as_allowed(service: Service) -> None:
    study = launch(service)
    assert service.pause(study).state == "paused"
    with pytest.raises(Conflict, match="paused"):
        service.pause(study)
    assert service.resume(study).state == "running"
    with pytest.raises(Conflict, match="cancel it"):
        service.delete(study)
    assert service.cancel(study).state == "cancelled"
    with pytest.raises(Conflict):
        service.resume(study)
    service.delete(study)
    with pytest.raises(NotFound):
        service.study(study)


def test_a_drained_study_without_running_trials_is_finished(service: Service) -> None:
    assert service.drain(launch(service)).state == "finished"


def test_studies_are_paged_newest_first_and_found_by_name(service: Service) -> None:
    ids = [launch(service, name=f"study-{number}") for number in range(5)]
    first = service.studies(page_size=2)
    second = service.studies(page_size=2, page_token=first.next_page_token)
    assert [view.study for view in [*first.items, *second.items]] == ids[:0:-1]
    assert service.find_study("study-2").study == ids[2]
    assert service.find_study(str(ids[3])).name == "study-3"
    with pytest.raises(NotFound):
        service.find_study("study-9")
    with pytest.raises(InvalidInput):
        service.studies(page_token="nonsense")


def test_trials_are_ordered_best_first(service: Service, finished_study: int) -> None:
    items = service.trials(finished_study, state="complete", order_by="accuracy", page_size=500).items
    figures = [item.metrics["accuracy"] for item in items]
    assert figures == sorted(figures, reverse=True)
    pages, token = [], None
    while True:
        page = service.trials(finished_study, page_size=4, page_token=token)
        pages += [item.number for item in page.items]
        token = page.next_page_token
        if token is None:
            break
    assert pages == list(range(len(pages)))
    with pytest.raises(InvalidInput, match="order_by"):
        service.trials(finished_study, order_by="metrics->>'x'; drop table trials")


def test_an_enqueued_architecture_takes_its_place_in_the_budget(
    service: Service, make_proposal: Callable[..., Proposal]
) -> None:
    study = launch(service, budget={"trials": 1})
    first, second = make_proposal(1).architecture, make_proposal(2).architecture
    assert service.enqueue(study, first).state == "waiting"
    with pytest.raises(Conflict, match="budget"):
        service.enqueue(study, second)
    other = launch(service)
    service.enqueue(other, first)
    with pytest.raises(Conflict, match="knows this architecture"):
        service.enqueue(other, first)
    with pytest.raises(InvalidInput, match="stages"):
        service.enqueue(other, {"stages": []})


def test_preflight_reports_what_binds(service: Service) -> None:
    spec = StudySpec(dataset="digits", constraints={"params": Constraint(max=5000)}, budget=Budget(trials=10))
    report = service.preflight(spec, samples=200)
    assert 0 < report.feasible_share < 1
    assert report.binding is not None
    assert "params" in report.binding
    assert report.largest_feasible is not None
    assert report.largest_feasible["params"] <= 5000 < report.largest["params"]
    assert report.estimated_minutes is not None
    hopeless = service.preflight(spec.model_copy(update={"constraints": {"params": Constraint(max=10)}}), 50)
    assert hopeless.feasible_share == 0
    assert hopeless.estimated_minutes is None


FORBIDDING = {"family": "multi_scale", "override": {"forbid": [{"depth": 2}]}}


def test_preflight_counts_what_the_space_forbids(service: Service) -> None:
    report = service.preflight(StudySpec(dataset="digits", space=FORBIDDING), samples=100)
    assert 0 < report.forbidden_share < 1
    assert report.feasible_share == pytest.approx(1 - report.forbidden_share)
    assert report.binding is not None
    assert report.binding.startswith("the space forbids depth 2")
    nothing = {"family": "two_conv", "override": {"forbid": [{"depth": {"min": 1}}]}}
    hopeless = service.preflight(StudySpec(dataset="digits", space=nothing), samples=20)
    assert (hopeless.forbidden_share, hopeless.feasible_share, hopeless.estimated_minutes) == (1, 0, None)


def test_a_forbidden_architecture_is_not_enqueued(
    service: Service, make_proposal: Callable[..., Proposal]
) -> None:
    study = launch(service, space=FORBIDDING)
    networks = [make_proposal(seed).architecture for seed in range(20)]
    shallow = next(network for network in networks if len(network["stages"]) == 2)
    deep = next(network for network in networks if len(network["stages"]) > 2)
    with pytest.raises(InvalidInput, match="the study's space forbids depth 2"):
        service.enqueue(study, shallow)
    assert service.enqueue(study, deep).state == "waiting"
    assert service.study(study).trials.waiting == 1


def test_events_tell_a_study_from_launch_to_end(service: Service, finished_study: int) -> None:
    kinds = [event.kind for event in service.events(study_id=finished_study)]
    assert kinds[0] == "study.created"
    assert kinds[-1] == "study.state"
    assert {"trial.started", "trial.epoch", "trial.finished"} <= set(kinds)
    sequences = [event.sequence for event in service.events()]
    assert sequences == sorted(set(sequences))
    assert service.events(after=service.latest_event()) == []


def test_a_data_set_that_something_was_retrained_on_stays(service: Service, tmp_path: Path) -> None:
    pets = tmp_path / "pets.npz"
    np.savez(pets, x=np.arange(192, dtype=np.uint8).reshape(12, 4, 4), y=np.arange(12) % 3)
    sha256 = service.add_dataset(pets, None).sha256
    study = service.create_study(StudySpec(dataset="digits")).study
    service.create_job("retrain", study_id=study, payload={"dataset": "pets", "dataset_sha256": sha256})
    with pytest.raises(Conflict, match=f"job 1 of study {study} retrains"):
        service.delete_dataset("pets")
    assert service.dataset("pets").sha256 == sha256
    service.cancel(study)
    service.delete(study)
    service.delete_dataset("pets")
    with pytest.raises(NotFound):
        service.dataset("pets")
