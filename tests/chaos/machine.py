"""The ledger and the service against a model of forty lines, step by step in any order (RELIABILITY G9)."""

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from checker import check, read_rows
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from model import ModelStudy, ModelTrial
from races import expire
from stub_worker import drawn

from nas_service.errors import Conflict
from nas_service.ledger.protocol import LeaseLost
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, Objective, Search, StudySpec, Training
from nas_service.trials import (
    TERMINAL_STATES,
    TRAINED_STATES,
    EpochReport,
    Lease,
    Outcome,
    Proposal,
    WorkerInfo,
)

WORKERS = st.integers(0, 2)
SEEDS = st.integers(0, 11)
SPEC = StudySpec(
    dataset="digits",
    objectives=(Objective(metric="accuracy"), Objective(metric="params")),
    constraints={"params": Constraint(max=20_000)},
    search=Search(max_infeasible_in_a_row=100_000),
    training=Training(epochs=3, early_stopping="none"),
    budget=Budget(trials=5),
)
PROPOSALS: dict[int, Proposal] = {}


def proposal(seed: int) -> Proposal:
    """Return one of few networks, so that repeats are frequent; drawn once."""
    if seed not in PROPOSALS:
        PROPOSALS[seed] = drawn(SPEC, (1, 8, 8), 10, seed)
    return PROPOSALS[seed]


class LedgerMachine(RuleBasedStateMachine):
    """One study, three workers, and everything that may happen to them.

    The database's clock is moved for one lease at a time: `expire` puts its end into the past.
    """

    # A file with the newest schema and no rows; set by the test.
    template: Path
    # Where copies of it lie; a folder in memory where there is one.
    scratch = Path("/dev/shm") if Path("/dev/shm").is_dir() else None

    leases = Bundle("leases")
    # (lease, outcome) of what was accepted.
    accepted = Bundle("accepted")

    def __init__(self) -> None:
        super().__init__()
        self._home = Path(tempfile.mkdtemp(prefix="nas-machine-", dir=self.scratch))
        shutil.copy(self.template, self._home / "nas.db")
        settings = Settings(home=self._home, database_url=None, lease_s=3600.0)
        self.service = Service.open(settings, migrate=False)
        self.ledger = SqlLedger(self.service.engine, settings=settings)
        self.model = ModelStudy(budget=5)
        self.hashes: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        self.study = self.service.create_study(SPEC).study
        self.workers = [self._register(place) for place in range(3)]

    def teardown(self) -> None:
        self.service.close()
        shutil.rmtree(self._home)

    # What workers do

    @rule(place=WORKERS)
    def joins_again(self, place: int) -> None:
        assert self._register(place) == self.workers[place]
        self.model.lose(self.workers[place])

    @rule(place=WORKERS)
    def leaves(self, place: int) -> None:
        self.ledger.leave(self.workers[place])
        self.model.lose(self.workers[place])

    @rule(target=leases, place=WORKERS, seeds=st.lists(SEEDS, min_size=1, max_size=3))
    def proposes(self, place: int, seeds: list[int]) -> Any:
        reservation = self.ledger.reserve(self.study, self.workers[place], [proposal(seed) for seed in seeds])
        expected = self._expected_reservation([proposal(seed) for seed in seeds])
        found = [trial.state for trial in reservation.trials]
        assert (found, len(reservation.repeats), reservation.refused) == expected
        for trial in reservation.trials:
            self.hashes[trial.architecture_hash] = trial.id
            self.model.trials[trial.id] = ModelTrial(trial.state)
        for lease in reservation.leases:
            self.model.trials[lease.trial_id].begin(self.workers[place])
        self.model.repeats += len(reservation.repeats)
        return multiple(*reservation.leases)

    def _expected_reservation(self, proposals: list[Proposal]) -> tuple[list[str], int, int]:
        """Return the states of the trials to be, and how many proposals are repeats and refused."""
        if self.model.state != "running":
            return [], 0, len(proposals)
        states: list[str] = []
        known, room, repeats, refused = set(self.hashes), self.model.room, 0, 0
        for one in proposals:
            if one.architecture_hash in known:
                repeats += 1
            elif one.is_feasible and states.count("running") >= room:
                refused += 1
            else:
                known.add(one.architecture_hash)
                states.append("running" if one.is_feasible else "infeasible")
        return states, repeats, refused

    @rule(target=leases, place=WORKERS)
    def asks_for_work(self, place: int) -> Any:
        worker = self.workers[place]
        work = self.ledger.next_work(worker, study_id=self.study)
        # Whether a study wants proposals is seen before trials that lost too many workers are failed.
        taken = self.model.claim(worker)
        if taken is None:
            ended = self.model.state not in ("running", "paused", "draining")
            wants = self.model.state == "running" and self.model.room > 0
            assert work.kind == ("finished" if ended else "propose" if wants else "idle")
            return multiple()
        assert work.kind == "run"
        assert work.lease is not None
        assert (work.lease.trial_id, work.lease.attempt) == (taken, self.model.trials[taken].attempt)
        return work.lease

    @rule(lease=leases)
    def beats(self, lease: Lease) -> None:
        assert self.ledger.heartbeat(lease) == self._expected_verdict(lease)

    @rule(lease=leases, epoch=st.integers(1, 3))
    def reports_an_epoch(self, lease: Lease, epoch: int) -> None:
        report = EpochReport(epoch=epoch, accuracy=0.5)
        assert self.ledger.report(lease, report) == self._expected_verdict(lease)

    def _expected_verdict(self, lease: Lease) -> str:
        trial = self.model.trials[lease.trial_id]
        if self.model.holds(lease.trial_id, lease.attempt) and trial.lease != "given":
            trial.lease = "held"
            return "continue"
        is_cancelled = self.model.state == "cancelled" and trial.attempt == lease.attempt
        return "stop" if is_cancelled else "lost"

    @rule(
        target=accepted, lease=leases, state=st.sampled_from(("complete", "pruned", "infeasible", "failed"))
    )
    def completes(self, lease: Lease, state: Any) -> Any:
        outcome = Outcome(
            report_id=uuid.uuid4().hex, state=state, reason="said", metrics={"accuracy": lease.attempt / 10}
        )
        if not self.model.holds(lease.trial_id, lease.attempt):
            self._is_refused(lease, outcome)
            return multiple()
        self.ledger.complete(lease, outcome)
        self.model.trials[lease.trial_id].end(state, outcome.report_id)
        self.model.end_if_done()
        return (lease, outcome)

    @rule(done=accepted)
    def completes_again(self, done: tuple[Lease, Outcome]) -> None:
        self.ledger.complete(*done)

    @rule(done=accepted)
    def completes_otherwise(self, done: tuple[Lease, Outcome]) -> None:
        lease, outcome = done
        self._is_refused(lease, outcome.model_copy(update={"report_id": uuid.uuid4().hex, "state": "failed"}))

    def _is_refused(self, lease: Lease, outcome: Outcome) -> None:
        try:
            self.ledger.complete(lease, outcome)
        except LeaseLost:
            return
        raise AssertionError(f"{lease} was ended by {outcome.report_id}, which nobody may")

    @rule(lease=leases)
    def releases(self, lease: Lease) -> None:
        self.ledger.release(lease)
        trial = self.model.trials[lease.trial_id]
        # Said again, it counts once.
        if self.model.holds(lease.trial_id, lease.attempt) and trial.lease != "given":
            trial.lease = "given"
            trial.released += 1

    # What happens to them

    @rule(lease=leases)
    def is_not_heard_of(self, lease: Lease) -> None:
        trial = self.model.trials[lease.trial_id]
        if trial.lease == "held":
            expire(self.service, lease.trial_id)
            trial.lease = "out"

    # What people do

    @rule(seed=SEEDS)
    def somebody_enqueues(self, seed: int) -> None:
        one = proposal(seed)
        may = self.model.state in ("running", "paused") and one.architecture_hash not in self.hashes
        try:
            trial = self.service.enqueue(self.study, one.architecture)
        except Conflict:
            assert not may or self.model.room <= 0
            return
        assert may
        assert self.model.room > 0
        self.hashes[trial.architecture_hash] = trial.id
        self.model.trials[trial.id] = ModelTrial("waiting")

    @rule(request=st.sampled_from(("pause", "resume", "drain", "pause", "resume")))
    def somebody_asks(self, request: str) -> None:
        self._moves(
            request, {"pause": ("running",), "resume": ("paused",), "drain": ("running", "paused")}[request]
        )

    @rule(luck=st.integers(0, 9))
    def somebody_cancels(self, luck: int) -> None:
        # Seldom: little happens afterwards.
        if luck == 0:
            self._moves("cancel", ("running", "paused", "draining"))

    def _moves(self, request: str, sources: tuple[str, ...]) -> None:
        may = self.model.state in sources
        try:
            getattr(self.service, request)(self.study)
        except Conflict:
            assert not may, f"{request} was refused in state {self.model.state}"
            return
        assert may, f"{request} was allowed in state {self.model.state}"
        if request == "cancel":
            self.model.cancel()
        else:
            self.model.state = {"pause": "paused", "resume": "running", "drain": "draining"}[request]
            self.model.end_if_done()

    # What must always hold

    @invariant()
    def counters_and_states_are_those_of_the_model(self) -> None:
        if not hasattr(self, "study"):
            return
        view = self.service.study(self.study)
        states = ("waiting", "running", *sorted(TERMINAL_STATES))
        counted = {state: self.model.count(state) for state in states}
        assert {state: getattr(view.trials, state) for state in states} == counted
        assert view.state == self.model.state
        assert self.model.count("waiting", "running", *TRAINED_STATES) <= self.model.budget

    @invariant()
    def raw_rows_hold_what_must_hold(self) -> None:
        if not hasattr(self, "study"):
            return
        rows = read_rows(f"sqlite:///{self._home / 'nas.db'}")
        assert check(rows) == []
        for row in rows.trials:
            trial = self.model.trials[row["id"]]
            found = (row["state"], row["attempt"], row["released"], row["report_id"])
            assert found == (trial.state, trial.attempt, trial.released, trial.report)

    def _register(self, place: int) -> int:
        return self.ledger.register(WorkerInfo(name=f"worker-{place}", host="here", pid=1)).worker_id
