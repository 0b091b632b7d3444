"""Zombie races: one trial, two workers that believe they hold it, and a barrier that lets both go at once."""

import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text

from nas_service.ledger.protocol import LeaseLost, Ledger, LedgerUnavailable
from nas_service.service import Service
from nas_service.store.engine import writing
from nas_service.trials import EpochReport, Lease, Outcome, Proposal, WorkerInfo

# Longer than any of these calls takes.
LONG_S = 60.0


@dataclass(frozen=True)
class Race:
    """How one race ended."""

    # Whose result counts, and how many calls of the sleeper were refused. "a third" took it over from both.
    winner: str
    refused: int


def expire(service: Service, trial_id: int) -> None:
    """Let a lease run out now, as if its worker had slept beyond it."""
    with writing(service.engine) as connection:
        connection.execute(
            text("UPDATE trials SET lease_expires_at = 1 WHERE id = :id AND state = 'running'"),
            {"id": trial_id},
        )


def race(
    service: Service, sleeper: Ledger, heir: Ledger, study: int, proposal: Proposal, rng: random.Random
) -> Race | None:
    """Let a sleeper's late calls run against the heir's; None where there was nothing to race for.

    The sleeper's lease has run out. One barrier lets both go: the heir takes the trial over and ends it; the
    sleeper reports an epoch, a heartbeat and its result, in an order drawn from `rng`.
    """
    mine = _join(sleeper, "sleeper")
    reservation = sleeper.reserve(study, mine, [proposal])
    if not reservation.leases:
        return None
    old = reservation.leases[0]
    other = _join(heir, "heir")
    expire(service, old.trial_id)
    barrier = threading.Barrier(2)
    answers: dict[str, list[str]] = {"sleeper": [], "heir": []}
    calls: list[Callable[[], object]] = [
        lambda: sleeper.complete(old, _outcome("sleeper")),
        lambda: sleeper.report(old, EpochReport(epoch=1, accuracy=0.0)),
        lambda: sleeper.heartbeat(old),
    ]
    rng.shuffle(calls)
    delay = rng.choice((0.0, 0.0, 0.001, 0.003, 0.006))
    # Now and then the heir comes when all is over: on a busy machine it might win every race otherwise.
    courtesy = rng.choice((0.0, 0.0, 0.0, LONG_S))
    is_over = threading.Event()

    def sleep() -> None:
        barrier.wait()
        threading.Event().wait(delay)
        answers["sleeper"] = [_answer(call) for call in calls]
        is_over.set()

    def inherit() -> None:
        barrier.wait()
        is_over.wait(courtesy)
        try:
            lease = heir.next_work(other, study_id=study).lease
        except LedgerUnavailable:
            answers["heir"] = ["away"]
            return
        if lease is not None and lease.trial_id == old.trial_id:
            answers["heir"] = [_answer(lambda: heir.complete(lease, _outcome("heir")))]

    threads = [threading.Thread(target=target) for target in (sleep, inherit)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _judged(service, old, answers)


def _join(ledger: Ledger, name: str) -> int:
    return ledger.register(WorkerInfo(name=name, host="here", pid=1)).worker_id


def _outcome(worker: str) -> Outcome:
    return Outcome(
        report_id=f"{worker}-{uuid.uuid4().hex}", state="complete", reason=worker, metrics={"accuracy": 0.5}
    )


def _answer(call: Callable[[], object]) -> str:
    try:
        return str(call() or "done")
    except LeaseLost:
        return "LeaseLost"
    except LedgerUnavailable:
        return "away"


def _judged(service: Service, old: Lease, answers: dict[str, list[str]]) -> Race | None:
    """Check that one result at most was accepted, and that it is the one that stands."""
    if "away" in answers["sleeper"] + answers["heir"]:
        return None
    accepted = [worker for worker in answers if "done" in answers[worker]]
    assert len(accepted) <= 1, f"{accepted} were accepted: {answers}"
    trial = service.trial(old.trial_id)
    if accepted:
        # Behind it stands that the heir's attempt was not the first.
        winner = (trial.reason or "").partition(";")[0]
        assert (trial.state, winner) == ("complete", accepted[0]), f"by {winner}: {answers}"
    assert ("sleeper" in accepted) == (trial.attempt == 1), f"attempt {trial.attempt}: {answers}"
    refused = sum(answer in ("LeaseLost", "lost") for answer in answers["sleeper"])
    return Race(accepted[0] if accepted else "a third", refused)
