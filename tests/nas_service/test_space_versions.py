"""Versions of a study's space: what is kept, what counts, and what goes on."""

from typing import Any

import pytest
from ledger_contract import NARROW, WIDE, drawn, join, make_spec, outcome
from sqlalchemy import text

from nas_service.errors import InvalidInput, NotFound, Stale
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.store.engine import writing
from nas_service.studies import Budget, Search
from nas_service.trials import Trial
from search_spaces import RandomTrial, resolve_space

SMALL_ONLY = {**WIDE, "forbid": [{"branch.kernel": {"min": 5}}]}


def train(service: Service, ledger: SqlLedger, study: int, *seeds: int, space: Any = NARROW) -> list[Trial]:
    """Have networks of a space proposed and trained, each more accurate than the last."""
    worker, trained = join(ledger), []
    version = service.study(study).space_version
    for seed in seeds:
        reservation = ledger.reserve(study, worker, [drawn(space, seed, version)])
        for trial, lease in zip(reservation.trials, reservation.leases, strict=True):
            accuracy = {"accuracy": 0.5 + trial.number / 100}
            ledger.complete(lease, outcome(trial.id, metrics=accuracy))
            trained.append(service.trial(trial.id))
    return trained


def launch(service: Service, space: Any = NARROW, **changes: Any) -> int:
    return service.create_study(make_spec(**{"space": space, "budget": Budget(trials=20), **changes})).study


def test_every_version_is_kept_and_each_trial_knows_its_own(service: Service, ledger: SqlLedger) -> None:
    study = launch(service)
    first = train(service, ledger, study, 1)
    view = service.change_space(study, WIDE)
    assert (view.space_version, view.spec.space) == (2, WIDE)
    second = train(service, ledger, study, 2, space=WIDE)
    assert [trial.space_version for trial in first + second] == [1, 2]
    versions = service.spaces(study)
    assert [(version.version, version.space) for version in versions] == [(1, NARROW), (2, WIDE)]
    kinds = [event.kind for event in service.events(study_id=study)]
    assert kinds.count("study.space") == 1
    with pytest.raises(NotFound):
        service.spaces(study + 1)


def test_the_same_space_again_changes_nothing(service: Service) -> None:
    study = launch(service)
    assert service.change_space(study, dict(NARROW)).space_version == 1
    assert len(service.spaces(study)) == 1


def test_a_wider_space_lets_all_earlier_trials_count(service: Service, ledger: SqlLedger) -> None:
    study = launch(service)
    trained = train(service, ledger, study, 1, 2, 3)
    before = service.front(study)
    service.change_space(study, WIDE)
    assert all(service.trial(trial.id).excluded is None for trial in trained)
    assert service.front(study) == before


def test_a_narrower_space_leaves_trials_visible_but_out_of_the_count(
    service: Service, ledger: SqlLedger
) -> None:
    study = launch(service, WIDE)
    trained = train(service, ledger, study, *range(8), space=WIDE)
    service.change_space(study, NARROW)
    excluded = {trial.id for trial in trained if service.trial(trial.id).excluded}
    assert 0 < len(excluded) < len(trained)
    shown = service.trials(study).items
    assert {item.id for item in shown if item.excluded == "not in version 2 of the space"} == excluded
    view = service.front(study)
    assert not excluded & {member.trial for member in view.front}
    assert view.hypervolume_history[-1].trials == len(trained) - len(excluded)
    # They were trained: the budget is spent.
    assert service.study(study).trials.trained == len(trained)
    service.change_space(study, WIDE)
    assert not [item for item in service.trials(study).items if item.excluded]
    assert service.front(study).hypervolume_history[-1].trials == len(trained)


def test_a_rule_excludes_by_name_what_was_drawn_and_what_was_enqueued(
    service: Service, ledger: SqlLedger
) -> None:
    study = launch(service, WIDE)
    large = resolve_space({**NARROW, "stage": {**NARROW["stage"], "branch": {"kernel": 5}}})
    small = resolve_space({**NARROW, "stage": {**NARROW["stage"], "width": 5}})
    ids = [
        service.enqueue(study, space.sample(RandomTrial(0), (1, 8, 8), 10).to_dict()).id
        for space in (large, small)
    ]
    service.change_space(study, SMALL_ONLY)
    reasons = [service.trial(trial).excluded for trial in ids]
    assert reasons == ["version 2 of the space forbids branch.kernel at least 5", None]
    assert [service.trial(trial).space_version for trial in ids] == [None, None]


def test_a_trial_that_the_newest_space_draws_again_counts_again(service: Service, ledger: SqlLedger) -> None:
    study = launch(service)
    trained = train(service, ledger, study, 1)[0]
    with writing(service.engine) as connection:
        # As if the newest space knew this network under parameters of another kind only.
        connection.execute(text("UPDATE trials SET excluded = 'not in version 1 of the space'"))
    revision = ledger.changes(study, 0).revision
    assert train(service, ledger, study, 1) == []
    assert service.trial(trained.id).excluded is None
    assert [trial.id for trial in ledger.changes(study, revision).trials] == [trained.id]


def test_a_searched_out_study_goes_on_in_a_wider_space(service: Service, ledger: SqlLedger) -> None:
    study = launch(service, search=Search(max_infeasible_in_a_row=2))
    train(service, ledger, study, 1, 1, 1)
    assert "searched out" in service.study(study).reason
    view = service.change_space(study, WIDE)
    assert (view.state, view.finished_at) == ("running", None)
    assert len(train(service, ledger, study, 2, space=WIDE)) == 1


@pytest.mark.parametrize("ends", ["budget", "cancel"])
def test_a_study_without_budget_or_cancelled_stays_ended(
    ends: str, service: Service, ledger: SqlLedger
) -> None:
    study = launch(service, budget=Budget(trials=1 if ends == "budget" else 2))
    trained = train(service, ledger, study, 1)[0]
    if ends == "cancel":
        service.cancel(study)
    state = service.study(study).state
    assert service.change_space(study, {**NARROW, "depth": 1}).state == state
    assert service.trial(trained.id).excluded
    assert service.front(study).front == []


def test_a_change_on_stale_knowledge_is_refused(service: Service, ledger: SqlLedger) -> None:
    study = launch(service)
    known = service.study(study).sequence
    train(service, ledger, study, 1)
    with pytest.raises(Stale, match="has changed"):
        service.change_space(study, WIDE, sequence=known)
    assert service.change_space(study, WIDE, sequence=service.study(study).sequence).space_version == 2


def test_a_space_that_cannot_be_is_refused_by_field(service: Service) -> None:
    study = launch(service)
    with pytest.raises(InvalidInput) as caught:
        service.change_space(study, {"forbid": [{"stage.fuse": "add"}]})
    assert caught.value.errors[0].pointer == "/space/forbid/0"
    assert service.study(study).space_version == 1
