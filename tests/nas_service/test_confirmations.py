"""Confirming a front: who is asked for once, what it says, and that it begins by itself if that is asked."""

import threading
from collections.abc import Callable

import pytest

from nas_service.confirmations import ConfirmRequest, RetrainRequest
from nas_service.errors import Conflict, InvalidInput, NotFound
from nas_service.jobs import JobLease, JobOutcome
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Confirm, Objective, StudySpec, Training
from nas_service.trials import Outcome, Proposal, WorkerInfo

MakeProposal = Callable[..., Proposal]
TWICE = ConfirmRequest(top=None, seeds=2)


def searched(
    service: Service,
    ledger: SqlLedger,
    make_proposal: MakeProposal,
    accuracies: tuple[float, ...] = (0.9, 0.95),
    confirm: Confirm | None = None,
) -> int:
    """Return a finished study whose later trials are more accurate and larger."""
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        training=Training(epochs=2),
        budget=Budget(trials=len(accuracies)),
        confirm=confirm,
    )
    study = service.create_study(spec).study
    worker = ledger.register(WorkerInfo(name="searcher", host="here", pid=1)).worker_id
    sizes = sorted((make_proposal(seed) for seed in range(12)), key=lambda proposal: proposal.costs["params"])
    for proposal, accuracy in zip(sizes, accuracies, strict=False):
        (lease,) = ledger.reserve(study, worker, [proposal]).leases
        metrics = {"accuracy": accuracy, "error": 1 - accuracy}
        ledger.complete(
            lease, Outcome(report_id=f"report-{lease.trial_id}", state="complete", metrics=metrics)
        )
    return study


class Confirmer:
    """A worker that trains nothing and finds what it is told to."""

    def __init__(self, ledger: SqlLedger, study: int) -> None:
        self.ledger, self.study = ledger, study
        self.worker = ledger.register(WorkerInfo(name="confirmer", host="here", pid=1)).worker_id

    def take(self) -> JobLease:
        lease = self.ledger.next_work(self.worker, study_id=self.study).job_lease
        assert lease is not None
        return lease

    def end(self, lease: JobLease, accuracy: float) -> None:
        result = {"metrics": {"accuracy": accuracy, "error": 1 - accuracy}}
        outcome = JobOutcome(report_id=f"confirmed-{lease.job_id}", state="complete", result=result)
        self.ledger.complete_job(lease, outcome)


def test_each_member_and_seed_is_asked_for_once_however_often_it_is_asked(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal)
    requests = [threading.Thread(target=service.confirm, args=(study, TWICE)) for _ in range(4)]
    for request in requests:
        request.start()
    for request in requests:
        request.join()
    view = service.confirmation(study)
    assert [[run.run for run in member.runs] for member in view.members] == [[0, 1], [0, 1]]
    assert len(service.jobs(study=study).items) == 4
    more = service.confirm(study, ConfirmRequest(top=None, seeds=3))
    assert (more.runs, more.runs_complete) == (6, 0)


def test_a_trial_that_is_named_twice_is_trained_once(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal)
    number = service.front(study).front[0].number
    assert service.confirm(study, ConfirmRequest(trials=(number, number), seeds=2)).runs == 2
    assert len(service.jobs(study=study).items) == 2


def test_what_was_confirmed_before_is_shown_when_it_is_asked_for_again(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal)
    confirmer = Confirmer(ledger, study)
    for epochs, accuracy in ((10, 0.8), (20, 0.9)):
        service.confirm(study, ConfirmRequest(top=1, seeds=1, epochs=epochs))
        confirmer.end(confirmer.take(), accuracy)
    again = service.confirm(study, ConfirmRequest(top=1, seeds=1, epochs=10))
    assert len(service.jobs(study=study).items) == 2
    (member,) = again.members
    assert member.confirmed is not None
    assert member.confirmed.mean["accuracy"] == 0.8


def test_a_study_that_asks_for_it_is_confirmed_when_it_has_finished(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal, confirm=Confirm(top=1, seeds=2))
    view = service.study(study)
    assert view.state == "finished"
    assert view.reason.endswith("used up; its front is being confirmed (0 of 2 runs)")
    confirmer = Confirmer(ledger, study)
    for accuracy in (0.88, 0.86):
        confirmer.end(confirmer.take(), accuracy)
    assert service.study(study).reason == "the budget of 2 trials is used up"
    assert service.study(study).sequence > view.sequence
    assert ledger.next_work(confirmer.worker, study_id=study).kind == "finished"


def test_the_front_is_there_as_searched_and_as_confirmed(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal)
    assert all(member.confirmed is None for member in service.front(study).front)
    service.confirm(study, TWICE)
    confirmer = Confirmer(ledger, study)
    # In the order of asking: every member once, then twice. The larger one turns out to be no better.
    found = {0: iter((0.90, 0.92)), 1: iter((0.89, 0.91))}
    for _ in range(4):
        lease = confirmer.take()
        trial = service.trial(service.job(lease.job_id).trial_id or 0)
        confirmer.end(lease, next(found[trial.number]))
    front = service.front(study)
    assert [member.values["accuracy"] for member in front.front] == [0.9, 0.95]
    small, large = (member.confirmed for member in front.front)
    assert small
    assert large
    assert (small.runs, small.mean["accuracy"], small.optimism) == (
        2,
        pytest.approx(0.91),
        pytest.approx(-0.01),
    )
    assert large.optimism == pytest.approx(0.05)
    assert large.deviation["accuracy"] == pytest.approx(0.02 / 2**0.5)
    confirmed = service.front(study, form="confirmed")
    assert (confirmed.form, [member.number for member in confirmed.front]) == ("confirmed", [0])
    assert confirmed.front[0].values["accuracy"] == pytest.approx(0.91)
    assert confirmed.reference_point == front.reference_point
    assert confirmed.hypervolume < front.hypervolume
    view = service.confirmation(study)
    assert view.optimism == pytest.approx(0.02)
    assert not view.is_under_way


def test_a_run_that_lost_its_worker_is_taken_over_and_counted_once(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal, accuracies=(0.9,))
    service.confirm(study, ConfirmRequest(seeds=1))
    late = Confirmer(ledger, study)
    lost = late.take()
    ledger.leave(late.worker)
    other = SqlLedger(service.engine, settings=service.settings)
    worker = other.register(WorkerInfo(name="other", host="here", pid=2)).worker_id
    again = other.next_work(worker, study_id=study).job_lease
    assert again
    assert (again.job_id, again.attempt) == (lost.job_id, 2)
    late.worker, late.ledger = worker, other
    late.end(again, 0.8)
    member = service.front(study).front[0]
    assert member.confirmed
    assert (member.confirmed.runs, member.confirmed.deviation) == (1, {})


def test_runs_of_other_settings_are_not_put_together(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal, accuracies=(0.9,))
    service.confirm(study, ConfirmRequest(seeds=1))
    confirmer = Confirmer(ledger, study)
    confirmer.end(confirmer.take(), 0.8)
    view = service.confirm(study, ConfirmRequest(seeds=1, epochs=9))
    assert (view.epochs, view.runs, view.runs_complete) == (9, 1, 0)
    assert service.front(study).front[0].confirmed is None


def test_a_trial_can_be_named_if_it_is_complete(
    service: Service, ledger: SqlLedger, make_proposal: MakeProposal
) -> None:
    study = searched(service, ledger, make_proposal, accuracies=(0.95, 0.9))
    # Dominated: larger and worse.
    view = service.confirm(study, ConfirmRequest(trials=(1,), seeds=1))
    assert [member.number for member in view.members] == [1]
    with pytest.raises(NotFound, match="no trial 7"):
        service.confirm(study, ConfirmRequest(trials=(7,)))


def test_nothing_to_confirm_is_a_conflict(service: Service) -> None:
    study = service.create_study(StudySpec(dataset="digits")).study
    with pytest.raises(Conflict, match="no front to confirm"):
        service.confirm(study, ConfirmRequest())
    assert service.confirmation(study).members == []
    assert service.front(study, form="confirmed").front == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (RetrainRequest(epochs=1, freeze=1), "frozen only with from_weights"),
        (RetrainRequest(epochs=1, dataset="nowhere"), "unknown data set 'nowhere'"),
    ],
)
def test_what_cannot_be_retrained_is_refused_before_a_job_is_made(
    request_: RetrainRequest,
    message: str,
    service: Service,
    ledger: SqlLedger,
    make_proposal: MakeProposal,
) -> None:
    study = searched(service, ledger, make_proposal, accuracies=(0.9,))
    trial = service.trial_by_number(study, 0)
    with pytest.raises(InvalidInput, match=message):
        service.retrain(trial.id, request_)
    with pytest.raises(NotFound, match="left no architecture"):
        service.retrain(trial.id, RetrainRequest(epochs=1, from_weights=True))
    assert service.jobs(study=study).items == []
