"""Reads that are answered from memory: always what the rows say, whoever wrote them."""

import random
import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

from nas_service.dashboard.cloud import Cloud
from nas_service.errors import InvalidInput
from nas_service.ledger.sql import SqlLedger
from nas_service.paging import encode_token
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, StudySpec
from nas_service.trials import Outcome, Proposal, WorkerInfo
from nas_service.views import FrontView, TrialSummary

SPEC = StudySpec(
    dataset="digits",
    objectives=(Objective(metric="accuracy"), Objective(metric="latency_ms")),
    constraints={"latency_ms": Constraint(max=6.0)},
    budget=Budget(trials=1000),
)


class Search:
    """A study whose trials end as they are told."""

    def __init__(self, service: Service, make_proposal: Callable[..., Proposal]) -> None:
        self.study = service.create_study(SPEC).study
        self._ledger = SqlLedger(service.engine, settings=service.settings)
        self._worker = self._ledger.register(WorkerInfo(name="ender", host="here", pid=1)).worker_id
        self._make, self._seed = make_proposal, 0

    def end(self, accuracy: float, latency_ms: float, state: str = "complete") -> int:
        """Propose one and end it; returns its number."""
        leases = []
        while not leases:
            self._seed += 1
            reservation = self._ledger.reserve(self.study, self._worker, [self._make(self._seed)])
            leases = reservation.leases
        outcome = {
            "report_id": uuid4().hex,
            "state": state,
            "reason": None if state == "complete" else state,
            "metrics": {"accuracy": accuracy, "latency_ms": latency_ms},
            "violations": {"latency_ms": latency_ms / 6.0 - 1},
        }
        self._ledger.complete(leases[0], Outcome.model_validate(outcome))
        return reservation.trials[0].number


@pytest.fixture
def search(service: Service, make_proposal: Callable[..., Proposal]) -> Search:
    return Search(service, make_proposal)


def everything(service: Service, study: int) -> list[TrialSummary]:
    return service.trials(study, page_size=500).items


def front_by_force(trials: list[TrialSummary]) -> set[int]:
    worthy = [t for t in trials if t.state == "complete" and all(v <= 0 for v in t.violations.values())]
    points = {t.number: (-t.metrics["accuracy"], t.metrics["latency_ms"]) for t in worthy}

    def is_beaten(point: tuple[float, float]) -> bool:
        return any(
            other != point and other[0] <= point[0] and other[1] <= point[1] for other in points.values()
        )

    return {number for number, point in points.items() if not is_beaten(point)}


def numbers(view: FrontView) -> set[int]:
    return {member.number for member in view.front}


def test_the_front_follows_every_trial_in_each_process(service: Service, search: Search) -> None:
    chance = random.Random(0)
    other = Service(service.engine, service.settings)
    for _ in range(25):
        state = chance.choice(["complete", "complete", "complete", "pruned", "failed", "infeasible"])
        search.end(chance.randrange(8) / 8, float(chance.randrange(1, 9)), state)
        expected = front_by_force(everything(service, search.study))
        assert numbers(service.front(search.study)) == numbers(other.front(search.study)) == expected
        flagged = {trial.number for trial in everything(other, search.study) if trial.is_on_front}
        assert flagged == expected


@pytest.mark.parametrize("order", ["newest", "number", "accuracy", "latency_ms"])
@pytest.mark.parametrize("state", [None, "complete"])
def test_trials_that_come_while_one_turns_pages_move_none(
    service: Service, search: Search, order: str, state: str | None
) -> None:
    chance = random.Random(1)
    before = {search.end(chance.random(), chance.uniform(1, 5)) for _ in range(12)}
    seen: list[int] = []
    token = None
    while True:
        page = service.trials(search.study, order_by=order, state=state, page_size=3, page_token=token)  # type: ignore[arg-type]
        seen += [trial.number for trial in page.items]
        token = page.next_page_token
        if token is None:
            break
        # The best and the worst of all, so that one is before and one behind the reader in every order.
        for accuracy, latency_ms in ((1.0, 0.1), (0.0, 5.9)):
            if len(seen) < 12:
                search.end(accuracy, latency_ms)
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


def test_a_token_that_names_no_trial_leads_to_no_page(service: Service, search: Search) -> None:
    search.end(0.5, 1.0)
    token = encode_token(f"trials-{search.study}-None-accuracy-", 7)
    assert service.trials(search.study, order_by="accuracy", page_token=token).items == []
    with pytest.raises(InvalidInput):
        service.trials(search.study, order_by="latency_ms", page_token=token)


def test_a_cloud_read_from_arrays_is_that_of_the_trials(service: Service, search: Search) -> None:
    chance = random.Random(2)
    for _ in range(30):
        state = chance.choice(["complete", "complete", "pruned", "infeasible", "failed"])
        search.end(chance.random(), chance.uniform(1, 8), state)
    on_front = service.front(search.study).front
    shown = {"dominated", "infeasible", "pruned"}
    read = Cloud.read(
        service,
        service.study(search.study),
        on_front=[member.number for member in on_front],
        x="latency_ms",
        y="accuracy",
        show=shown,
    )
    made = Cloud.of(
        everything(service, search.study),
        on_front={member.trial for member in on_front},
        x="latency_ms",
        y="accuracy",
    )
    assert read == made
    assert all(read.counts[name] for name in shown)


def test_readers_beside_a_writer_see_a_whole_front(service: Service, search: Search) -> None:
    ends, wrong = threading.Event(), []

    def read() -> None:
        while not ends.is_set():
            try:
                front = service.front(search.study)
                page = service.trials(search.study, order_by="accuracy", page_size=500)
                assert numbers(front) <= {trial.number for trial in page.items}
            except Exception as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    # Each is better than all before, so that the front changes with every one.
    for place in range(25):
        search.end(place / 25, 5.0 - place / 10)
    ends.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert len(service.front(search.study).front) == 1
