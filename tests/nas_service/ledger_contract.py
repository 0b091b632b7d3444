"""What every ledger must keep, whatever lies behind it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from nas_service.early_stopping import RungEntry, decide
from nas_service.ledger.protocol import LeaseLost, Ledger, LedgerRefused, LedgerUnavailable
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, SamplerName, Search, StudySpec, Training
from nas_service.trials import Checkpoint, EpochReport, Lease, Outcome, Proposal, WorkerInfo
from search_spaces import RandomTrial, analyse, resolve_space
from search_spaces.versions import carried

MakeProposal = Callable[..., Proposal]


def make_spec(**changes: Any) -> StudySpec:
    values: dict[str, Any] = {
        "dataset": "digits",
        "objectives": (Objective(metric="accuracy"), Objective(metric="params")),
        "budget": Budget(trials=4),
        "training": Training(epochs=9),
    }
    return StudySpec(**{**values, **changes})


def outcome(number: int, **changes: Any) -> Outcome:
    values: dict[str, Any] = {"state": "complete", "metrics": {"accuracy": 0.5}}
    return Outcome(report_id=f"report-{number:06d}", **{**values, **changes})


def join(ledger: Ledger, name: str = "worker") -> int:
    return ledger.register(WorkerInfo(name=name, host="here", pid=1)).worker_id


# A space of nine networks, and one that holds them all.
NARROW: dict[str, Any] = {
    "depth": [2],
    "stage": {"width": [4, 8, 16], "branch": {"kernel": [3]}, "downsample": "max"},
}
WIDE: dict[str, Any] = {
    "depth": [2, 3],
    "stage": {"width": [4, 8, 16], "branch": {"kernel": [3, 5]}, "downsample": "max"},
}


def drawn(space: Any, seed: int, version: int = 1) -> Proposal:
    """Return a proposal that a version of a space could have made."""
    trial, resolved = RandomTrial(seed), resolve_space(space)
    network = resolved.sample(trial, (1, 8, 8), 10)
    return Proposal(
        params=trial.params,
        distributions={},
        architecture=network.to_dict(),
        architecture_hash=network.hash,
        costs={name: float(value) for name, value in analyse(network).metrics().items()},
        forbidden=resolved.forbidden(network),
        space_version=version,
    )


def replayed(service: Service, study: int) -> list[tuple[int, int, str]]:
    """Decide anew from what is stored: trial, rung and answer of each arrival, in their order."""
    training = service.study(study).spec.training
    classes = service.dataset(service.study(study).spec.dataset).classes
    rungs: dict[int, list[RungEntry]] = {rung: [] for rung in training.rungs}
    points = [point for batch in service.curve_batches(study) for point in batch if point["arrival"]]
    found = []
    for point in sorted(points, key=lambda point: point["arrival"]):
        trial, epoch = point["trial_id"], point["epoch"]
        values = (-point["accuracy"], service.trial(trial).metrics["params"])
        entry = RungEntry(trial, values, point["accuracy"])
        goes_on = decide(entry, rungs[epoch], training.reduction_factor, classes)
        rungs[epoch].append(entry)
        found.append((trial, epoch, "continue" if goes_on else "prune"))
    return found


class LedgerContract:
    """Run by subclasses that provide the fixtures `ledger`, `service` (on the same data) and `expire`."""

    @pytest.fixture
    def expire(self, service: Service) -> Callable[[Lease], None]:
        """Return what makes a lease run out now, as if its worker had vanished."""
        from sqlalchemy import update

        from nas_service.store.engine import writing
        from nas_service.store.models import TrialRow, table

        def run_out(lease: Lease) -> None:
            trials = table(TrialRow)
            with writing(service.engine) as connection:
                connection.execute(
                    update(trials).where(trials.c.id == lease.trial_id).values(lease_expires_at=1.0)
                )

        return run_out

    def test_a_worker_is_asked_to_propose_for_an_open_study(self, ledger: Ledger, service: Service) -> None:
        worker = join(ledger)
        assert ledger.next_work(worker).kind == "idle"
        study = service.create_study(make_spec()).study
        work = ledger.next_work(worker)
        assert work.kind == "propose"
        assert work.study is not None
        assert work.study.id == study
        assert work.study.input_shape == (1, 8, 8)

    def test_seats_are_handed_out_once_and_kept(self, ledger: Ledger, service: Service) -> None:
        study = service.create_study(make_spec()).study
        first, second = join(ledger, "first"), join(ledger, "second")
        assert [ledger.join_study(study, worker) for worker in (first, second, first)] == [0, 1, 0]

    def test_proposals_become_trials_infeasible_rows_and_repeats(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        good, bad = make_proposal(1), make_proposal(2).model_copy(update={"violations": {"params": 0.5}})
        reservation = ledger.reserve(study, worker, [good, bad, good])
        assert [trial.state for trial in reservation.trials] == ["running", "infeasible"]
        assert [trial.number for trial in reservation.trials] == [0, 1]
        assert len(reservation.leases) == 1
        assert [repeat.trial_id for repeat in reservation.repeats] == [reservation.trials[0].id]
        assert reservation.repeats[0].ordinal == 2
        counts = service.study(study).trials
        assert (counts.running, counts.infeasible, counts.repeats) == (1, 1, 1)

    def test_a_forbidden_proposal_is_kept_for_samplers_alone(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=1))).study
        worker = join(ledger)
        forbidden = make_proposal(2).model_copy(update={"forbidden": "depth 2"})
        reservation = ledger.reserve(study, worker, [forbidden, make_proposal(1), forbidden])
        assert [(row.ordinal, row.rule) for row in reservation.forbidden] == [(0, "depth 2"), (2, "depth 2")]
        assert [(trial.number, trial.ordinal) for trial in reservation.trials] == [(0, 1)]
        assert (reservation.refused, reservation.fruitless_in_a_row) == (0, 2)
        counts = service.study(study).trials
        assert (counts.running, counts.forbidden, counts.infeasible, counts.repeats) == (1, 2, 0, 0)
        changes = ledger.changes(study, 0)
        assert changes.forbidden == reservation.forbidden
        assert [trial.ordinal for trial in changes.trials] == [1]
        assert ledger.changes(study, changes.revision).forbidden == []

    def test_a_proposal_of_an_earlier_space_is_refused(self, ledger: Ledger, service: Service) -> None:
        study = service.create_study(make_spec(space=NARROW)).study
        worker = join(ledger)
        service.change_space(study, WIDE)
        late = ledger.reserve(study, worker, [drawn(NARROW, 1)], attributes={"parents:0": [1]})
        assert (late.refused, late.trials) == (1, [])
        mixed = ledger.reserve(study, worker, [drawn(NARROW, 1), drawn(WIDE, 1, 2)])
        assert (mixed.refused, mixed.trials) == (2, [])
        work = ledger.next_work(worker)
        assert work.study is not None
        assert (work.study.space_version, work.study.spec.space) == (2, WIDE)
        prompt = ledger.reserve(study, worker, [drawn(WIDE, 1, 2)])
        assert [trial.space_version for trial in prompt.trials] == [2]
        assert ledger.changes(study, 0).attributes == {}

    def test_changes_tell_all_versions_of_the_space_and_which_trials_count(
        self, ledger: Ledger, service: Service
    ) -> None:
        study = service.create_study(make_spec(space=WIDE, budget=Budget(trials=9))).study
        reservation = ledger.reserve(
            study, join(ledger), [drawn(WIDE, seed) for seed in range(6)], attributes={"parents:0": [1]}
        )
        before = ledger.changes(study, 0)
        assert before.spaces == {}
        service.change_space(study, NARROW)
        changed = ledger.changes(study, before.revision)
        assert changed.spaces == {}
        assert 0 < len(changed.trials) < len(reservation.trials)
        assert {trial.excluded for trial in changed.trials} == {"not in version 2 of the space"}
        # They are running, and run on.
        assert all(ledger.heartbeat(lease) == "continue" for lease in reservation.leases)
        everything = ledger.changes(study, 0)
        assert everything.spaces == {1: WIDE, 2: NARROW}
        assert everything.attributes == {}
        assert {trial.space_version for trial in everything.trials} == {1}

    def test_a_space_may_change_under_many_workers(self, ledger: Ledger, service: Service) -> None:
        study = service.create_study(make_spec(space=WIDE, budget=Budget(trials=500))).study
        spaces = (WIDE, NARROW)

        def work(place: int) -> None:
            worker = join(ledger, f"worker-{place}")
            for seed in range(100 * place, 100 * place + 25):
                version = service.study(study).space_version
                ledger.reserve(study, worker, [drawn(spaces[(version - 1) % 2], seed, version)])

        threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        changes = 0
        while any(thread.is_alive() for thread in threads):
            changes += 1
            service.change_space(study, spaces[changes % 2])
        for thread in threads:
            thread.join()
        view, known = service.study(study), ledger.changes(study, 0)
        assert view.space_version == changes + 1
        rows = [*known.trials, *known.repeats]
        assert sorted(row.ordinal for row in rows) == list(range(len(rows)))
        newest = resolve_space(view.spec.space)
        for trial in known.trials:
            own = [trial, *(repeat for repeat in known.repeats if repeat.trial_id == trial.id)]
            is_legal = any(
                carried(row.params, resolve_space(known.spaces[row.space_version]), newest, (1, 8, 8), 10)
                for row in own
            )
            assert (trial.excluded is None) == is_legal

    def test_an_excluded_trial_is_no_rival_at_a_rung(self, ledger: Ledger, service: Service) -> None:
        spec = make_spec(space=NARROW, objectives=(Objective(metric="accuracy"),))
        study = service.create_study(spec).study
        worker = join(ledger)
        leases = ledger.reserve(study, worker, [drawn(NARROW, seed) for seed in (1, 2)]).leases
        assert ledger.report(leases[0], EpochReport(epoch=1, accuracy=0.9)) == "continue"
        only = {**NARROW, "depth": 1}
        service.change_space(study, only)
        lease = ledger.reserve(study, worker, [drawn(only, 1, 2)]).leases[0]
        assert ledger.report(lease, EpochReport(epoch=1, accuracy=0.5)) == "continue"
        # The excluded one is ranked against those that count.
        assert ledger.report(leases[1], EpochReport(epoch=1, accuracy=0.4)) == "prune"

    def test_a_study_of_nothing_allowed_ends_with_the_rule(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec(search=Search(max_infeasible_in_a_row=3))).study
        worker = join(ledger)
        for seed, rule in enumerate(("depth 2", "depth 1", "depth 2")):
            proposal = make_proposal(seed).model_copy(update={"forbidden": rule})
            ledger.reserve(study, worker, [proposal])
        view = service.study(study)
        assert view.state == "failed"
        assert "the space forbids depth 2 (2 of them)" in view.reason

    def test_the_budget_is_kept_exactly_by_many_workers(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=10))).study
        granted: list[Lease] = []

        def work(place: int) -> None:
            worker = join(ledger, f"worker-{place}")
            for seed in range(6):
                reservation = ledger.reserve(study, worker, [make_proposal(100 * place + seed)])
                for lease in reservation.leases:
                    granted.append(lease)
                    ledger.complete(lease, outcome(lease.trial_id))

        threads = [threading.Thread(target=work, args=(place,)) for place in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        view = service.study(study)
        assert len(granted) == 10
        assert view.trials.complete == 10
        assert view.state == "finished"
        assert sorted(trial.number for trial in ledger.changes(study, 0).trials) == list(range(10))

    def test_an_infeasible_outcome_frees_its_place_in_the_budget(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=1))).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        assert ledger.reserve(study, worker, [make_proposal(2)]).refused == 1
        ledger.complete(
            lease, outcome(1, state="infeasible", reason="too slow", violations={"latency_ms": 1.0})
        )
        assert len(ledger.reserve(study, worker, [make_proposal(2)]).leases) == 1

    def test_the_same_report_twice_counts_once(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        ledger.complete(lease, outcome(1))
        ledger.complete(lease, outcome(1))
        assert service.study(study).trials.complete == 1
        with pytest.raises(LeaseLost):
            ledger.complete(lease, outcome(2, metrics={"accuracy": 0.9}))
        assert service.trial(lease.trial_id).metrics["accuracy"] == 0.5

    def test_an_expired_trial_is_taken_over_and_the_late_worker_changes_nothing(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec()).study
        late, prompt = join(ledger, "late"), join(ledger, "prompt")
        old = ledger.reserve(study, late, [make_proposal(1)]).leases[0]
        expire(old)
        work = ledger.next_work(prompt)
        assert work.kind == "run"
        assert work.lease is not None
        assert (work.lease.trial_id, work.lease.attempt) == (old.trial_id, 2)
        assert ledger.heartbeat(old) == "lost"
        assert ledger.report(old, EpochReport(epoch=1, accuracy=0.9)) == "lost"
        with pytest.raises(LeaseLost):
            ledger.complete(old, outcome(1, metrics={"accuracy": 0.9}))
        ledger.complete(work.lease, outcome(2, metrics={"accuracy": 0.6}))
        assert service.trial(old.trial_id).metrics["accuracy"] == 0.6
        assert service.study(study).trials.complete == 1

    def test_a_trial_that_loses_three_workers_is_failed(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=1))).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        for attempt in (2, 3):
            expire(lease)
            taken = ledger.next_work(worker).lease
            assert taken is not None
            assert taken.attempt == attempt
            lease = taken
        expire(lease)
        assert ledger.next_work(worker).kind == "idle"
        trial = service.trial(lease.trial_id)
        assert (trial.state, trial.reason) == ("failed", "lost 3 workers")
        assert service.study(study).state == "finished"

    def test_a_released_trial_is_there_for_the_next_worker_at_once(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger, "one"), [make_proposal(1)]).leases[0]
        ledger.release(lease)
        work = ledger.next_work(join(ledger, "two"))
        assert work.trial is not None
        assert work.trial.id == lease.trial_id

    def test_a_heartbeat_under_way_does_not_renew_a_lease_that_was_given_back(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger, "one"), [make_proposal(1)]).leases[0]
        ledger.release(lease)
        assert ledger.heartbeat(lease) == "lost"
        assert ledger.report(lease, EpochReport(epoch=1, accuracy=0.5)) == "lost"
        work = ledger.next_work(join(ledger, "two"))
        assert work.trial is not None
        assert work.trial.id == lease.trial_id

    def test_a_late_release_takes_nothing_from_the_next_worker(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec()).study
        old = ledger.reserve(study, join(ledger, "late"), [make_proposal(1)]).leases[0]
        expire(old)
        new = ledger.next_work(join(ledger, "prompt"), study_id=study).lease
        assert new is not None
        ledger.release(old)
        assert ledger.heartbeat(new) == "continue"
        assert ledger.next_work(join(ledger, "third"), study_id=study).kind == "propose"

    def test_a_lease_that_has_not_run_out_is_not_taken_over(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger, "one"), [make_proposal(1)]).leases[0]
        assert ledger.next_work(join(ledger, "two"), study_id=study).kind == "propose"
        assert ledger.heartbeat(lease) == "continue"

    def test_a_study_used_up_while_it_was_paused_ends_when_it_is_resumed(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=1))).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        service.pause(study)
        ledger.complete(lease, outcome(1))
        assert service.study(study).state == "paused"
        assert service.resume(study).state == "finished"

    def test_a_worker_that_rejoins_loses_the_leases_of_its_earlier_life(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger, "same"), [make_proposal(1)]).leases[0]
        work = ledger.next_work(join(ledger, "same"))
        assert work.lease is not None
        assert (work.lease.trial_id, work.lease.attempt) == (lease.trial_id, 2)

    def test_enqueued_architectures_come_before_proposals(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        enqueued = service.enqueue(study, make_proposal(5).architecture)
        work = ledger.next_work(join(ledger))
        assert work.kind == "run"
        assert work.trial is not None
        assert work.trial.id == enqueued.id
        assert service.study(study).trials.waiting == 0

    def test_a_rung_where_most_are_hardly_better_than_guessing_stops_nobody(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        spec = make_spec(objectives=(Objective(metric="accuracy"),), budget=Budget(trials=10))
        study = service.create_study(spec).study
        leases = ledger.reserve(study, join(ledger), [make_proposal(place) for place in range(7)]).leases
        accuracies = (0.9, 0.1, 0.1, 0.18, 0.3, 0.3, 0.12)
        answers = [
            ledger.report(lease, EpochReport(epoch=1, accuracy=accuracy))
            for lease, accuracy in zip(leases, accuracies, strict=True)
        ]
        # Of ten classes: half of the first five are below 0.19, of the first six only three.
        assert answers == ["continue", "prune", "continue", "continue", "continue", "prune", "continue"]
        # Each is told what was so when it was decided on.
        places = [service.rung_places(lease.trial_id)[0] for lease in leases]
        assert [place.reached for place in places] == [1, 2, 3, 4, 5, 6, 7]
        assert [place.kept for place in places] == [1, 1, 3, 4, 5, 2, 7]

    # The accuracy stands in for a quality that is known only at the end.
    @pytest.mark.parametrize("metric", ["accuracy", "error", "f1_macro"])
    def test_a_rung_stops_the_dominated(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, metric: str
    ) -> None:
        spec = make_spec(objectives=(Objective(metric=metric),), budget=Budget(trials=10))
        study = service.create_study(spec).study
        worker = join(ledger)
        answers = []
        for place, accuracy in enumerate((0.9, 0.2, 0.1, 0.95, 0.3, 0.15)):
            lease = ledger.reserve(study, worker, [make_proposal(place)]).leases[0]
            answers.append(ledger.report(lease, EpochReport(epoch=1, accuracy=accuracy)))
        assert answers == ["continue", "prune", "prune", "continue", "prune", "prune"]

    def test_what_was_recorded_decides_at_each_rung_as_it_did(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=30))).study
        random = Random(5)
        workers = [join(ledger, name) for name in ("one", "two", "three")]
        running: list[tuple[Lease, int]] = []
        decided: list[tuple[int, int, str]] = []
        for seed in range(24):
            running.append((ledger.reserve(study, workers[seed % 3], [make_proposal(seed)]).leases[0], 0))
            while len(running) == 3 or (running and seed == 23):
                lease, epoch = running.pop(random.randrange(len(running)))
                report = EpochReport(epoch=epoch + 1, accuracy=round(random.random(), 3))
                answer = ledger.report(lease, report)
                if report.epoch in (1, 3):
                    decided.append((lease.trial_id, report.epoch, answer))
                if answer == "continue" and report.epoch < 9:
                    running.append((lease, report.epoch))
                else:
                    state = "pruned" if answer == "prune" else "complete"
                    metrics = {"accuracy": report.accuracy}
                    ledger.complete(lease, outcome(lease.trial_id, state=state, metrics=metrics))
        assert replayed(service, study) == decided
        assert {answer for _, epoch, answer in decided if epoch == 3} == {"continue", "prune"}

    def test_workers_that_come_to_a_rung_at_once_are_decided_on_one_after_the_other(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=60))).study
        leases = {
            name: ledger.reserve(study, join(ledger, name), [make_proposal(10 * place + n) for n in range(6)])
            for place, name in enumerate(("one", "two", "three", "four"))
        }

        def report_of(lease: Lease) -> EpochReport:
            return EpochReport(epoch=1, accuracy=Random(lease.trial_id).random())

        def decided_by(name: str) -> list[tuple[int, int, str]]:
            own = leases[name].leases
            return [(lease.trial_id, 1, ledger.report(lease, report_of(lease))) for lease in own]

        with ThreadPoolExecutor(len(leases)) as pool:
            decided = [answer for answers in pool.map(decided_by, leases) for answer in answers]
        assert len(decided) == 24
        assert sorted(replayed(service, study)) == sorted(decided)
        # Who tells of it again, having missed the answer, gets the same one.
        assert decided_by("one") == decided[:6]
        assert sorted(replayed(service, study)) == sorted(decided)

    def test_beyond_a_soft_limit_nobody_is_a_rival_at_a_rung(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        proposals = sorted((make_proposal(seed) for seed in range(9)), key=lambda each: each.costs["macs"])
        limit = Constraint(max=proposals[2].costs["macs"], soft=True)
        spec = make_spec(
            objectives=(Objective(metric="accuracy"),), constraints={"macs": limit}, budget=Budget(trials=9)
        )
        study, worker = service.create_study(spec).study, join(ledger)

        def answer(proposal: Proposal, accuracy: float) -> str:
            lease = ledger.reserve(study, worker, [proposal]).leases[0]
            return ledger.report(lease, EpochReport(epoch=1, accuracy=accuracy))

        beyond = [answer(proposal, 0.9) for proposal in proposals[3:6]]
        assert beyond == ["continue"] * 3
        # Within, each is compared with those within; beyond, with those as well.
        assert [answer(p, a) for p, a in zip(proposals[:2], (0.5, 0.4), strict=True)] == ["continue", "prune"]
        assert answer(proposals[6], 0.3) == "prune"

    def test_epochs_between_rungs_are_kept_and_stop_nobody(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        for epoch in (1, 2, 2):
            report = EpochReport(
                epoch=epoch, train_loss=None, accuracy=0.1 * epoch, metrics={"latency_ms": 1.5}
            )
            assert ledger.report(lease, report) == "continue"
        curve = service.curve(lease.trial_id)
        assert [(point.epoch, point.accuracy) for point in curve] == [(1, 0.1), (2, 0.2)]
        assert service.trial(lease.trial_id).metrics["latency_ms"] == 1.5

    @pytest.mark.parametrize(("sampler", "told"), [("auto", {1: 0.1, 3: 0.3}), ("tpe", None)])
    def test_changes_tell_what_an_ended_trial_showed_at_its_rungs_where_the_sampler_asks(
        self,
        ledger: Ledger,
        service: Service,
        make_proposal: MakeProposal,
        sampler: SamplerName,
        told: dict[int, float] | None,
    ) -> None:
        study = service.create_study(make_spec(search=Search(sampler=sampler))).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        for epoch in (1, 2, 3):
            ledger.report(lease, EpochReport(epoch=epoch, accuracy=epoch / 10))
        assert ledger.changes(study, 0).rungs == {}
        ledger.complete(lease, outcome(1))
        assert ledger.changes(study, 0).rungs.get(lease.trial_id) == told

    def test_a_cancelled_study_tells_its_workers_to_stop(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        service.cancel(study)
        assert ledger.heartbeat(lease) == "stop"
        with pytest.raises(LeaseLost):
            ledger.complete(lease, outcome(1))
        counts = service.study(study).trials
        assert (counts.running, counts.failed) == (0, 1)

    def test_a_paused_study_takes_no_proposals_and_goes_on_when_resumed(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        service.pause(study)
        assert ledger.next_work(worker).kind == "idle"
        assert ledger.reserve(study, worker, [make_proposal(1)]).refused == 1
        service.resume(study)
        assert len(ledger.reserve(study, worker, [make_proposal(1)]).leases) == 1

    def test_a_drained_study_finishes_with_its_last_running_trial(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        assert service.drain(study).state == "draining"
        ledger.complete(lease, outcome(1))
        assert service.study(study).state == "finished"

    def test_changes_hold_each_row_once_it_changed(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)], attributes={"parents:0": [1, 2]}).leases[0]
        first = ledger.changes(study, 0)
        assert [trial.state for trial in first.trials] == ["running"]
        assert first.attributes == {"parents:0": [1, 2]}
        ledger.reserve(study, worker, [make_proposal(2)], attributes={"parents:0": [9]})
        ledger.complete(lease, outcome(1))
        second = ledger.changes(study, first.revision)
        assert [(trial.ordinal, trial.state) for trial in second.trials] == [(0, "complete"), (1, "running")]
        assert second.attributes == {"parents:0": [1, 2]}
        assert ledger.changes(study, second.revision).trials == []

    def test_changes_hold_a_trial_that_was_taken_over(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger, "late"), [make_proposal(1)]).leases[0]
        before = ledger.changes(study, 0)
        expire(lease)
        ledger.next_work(join(ledger, "prompt"), study_id=study)
        assert [trial.worker for trial in ledger.changes(study, before.revision).trials] == ["prompt"]

    def test_a_study_of_nothing_feasible_ends_with_the_binding_limit(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        # Something in the space keeps it, but none of those that are proposed.
        limits = {"params": Constraint(max=200.0)}
        study = service.create_study(
            make_spec(constraints=limits, search=Search(max_infeasible_in_a_row=25))
        ).study
        worker = join(ledger)
        for seed in range(25):
            ledger.reserve(study, worker, [make_proposal(seed, limits)])
        view = service.study(study)
        assert view.state == "failed"
        smallest = min(trial.metrics["params"] for trial in ledger.changes(study, 0).trials)
        assert "params must be at most 200" in view.reason
        assert f"{smallest:,.0f}" in view.reason

    def test_an_unknown_study_or_worker_is_refused(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        worker = join(ledger)
        with pytest.raises(LedgerRefused):
            ledger.changes(999, 0)
        with pytest.raises(LedgerRefused):
            ledger.reserve(999, worker, [make_proposal(1)])
        with pytest.raises(LedgerRefused):
            ledger.next_work(999)
        with pytest.raises(LedgerRefused):
            ledger.join_study(service.create_study(make_spec()).study, 999)

    def test_give_up_ends_a_study_with_its_reason(self, ledger: Ledger, service: Service) -> None:
        study = service.create_study(make_spec()).study
        ledger.join_study(study, join(ledger))
        ledger.give_up(study, "hopeless")
        view = service.study(study)
        assert (view.state, view.reason) == ("failed", "hopeless")

    def test_a_study_that_is_given_up_leaves_nothing_that_runs_or_waits(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study, worker = service.create_study(make_spec()).study, join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        service.enqueue(study, make_proposal(2).architecture)
        ledger.give_up(study, "hopeless")
        counts = service.study(study).trials
        assert (counts.running, counts.waiting, counts.failed) == (0, 0, 2)
        assert service.trial(lease.trial_id).reason == "the study was given up: hopeless"
        assert ledger.heartbeat(lease) == "lost"

    def test_files_are_kept_by_their_hash(self, ledger: Ledger, service: Service) -> None:
        first, second = ledger.put_artifact(b"weights"), ledger.put_artifact(b"weights")
        assert first == second
        assert service.artifact_path(first).read_bytes() == b"weights"

    def test_an_attempt_leaves_its_checkpoints_to_the_next(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        kept = [
            Checkpoint(epoch=epoch, sha256=ledger.put_artifact(b"state %d" % epoch)) for epoch in (1, 3, 9)
        ]
        for checkpoint in (*kept, kept[-1]):
            ledger.checkpoint(lease, checkpoint)
        expire(lease)
        work = ledger.next_work(worker)
        assert work.trial is not None
        assert work.lease is not None
        assert work.trial.checkpoints == (kept[2], kept[1])
        assert work.trial.checkpoint == kept[2]
        assert ledger.fetch_artifact(kept[2].sha256).read_bytes() == b"state 9"
        # The newest was of no use: what follows the one before it replaces it.
        again = Checkpoint(epoch=4, sha256=ledger.put_artifact(b"state 4"))
        ledger.checkpoint(work.lease, again)
        assert service.trial(lease.trial_id).checkpoints == (again, kept[1])

    def test_a_checkpoint_of_a_late_worker_or_of_no_file_is_not_taken(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        checkpoint = Checkpoint(epoch=3, sha256=ledger.put_artifact(b"state"))
        with pytest.raises(LedgerRefused, match="not stored"):
            ledger.checkpoint(lease, Checkpoint(epoch=3, sha256="0" * 64))
        expire(lease)
        taken = ledger.next_work(worker).lease
        assert taken is not None
        with pytest.raises(LeaseLost):
            ledger.checkpoint(lease, checkpoint)
        assert service.trial(lease.trial_id).checkpoint is None
        ledger.complete(taken, outcome(1))
        with pytest.raises(LeaseLost):
            ledger.checkpoint(taken, checkpoint)

    @pytest.mark.parametrize("ending", ["complete", "cancelled", "lost"])
    def test_a_trial_that_has_ended_keeps_no_checkpoint(
        self,
        ending: str,
        ledger: Ledger,
        service: Service,
        make_proposal: MakeProposal,
        expire: Callable[[Lease], None],
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        sha256 = ledger.put_artifact(b"state")
        ledger.checkpoint(lease, Checkpoint(epoch=3, sha256=sha256))
        if ending == "complete":
            ledger.complete(lease, outcome(1))
        elif ending == "cancelled":
            service.cancel(study)
        else:
            while lease is not None:
                expire(lease)
                lease = ledger.next_work(worker).lease  # type: ignore[assignment]
        (trial,) = ledger.changes(study, 0).trials
        assert (trial.checkpoints, trial.state) == ((), "complete" if ending == "complete" else "failed")
        assert (
            trial.reason
            == {
                "complete": None,
                "cancelled": "the study was cancelled",
                "lost": "lost 3 workers after epoch 3",
            }[ending]
        )
        # What nobody needs any more is handed out to nobody.
        with pytest.raises(LedgerRefused):
            ledger.fetch_artifact(sha256)

    def test_workers_read_no_artifact_but_the_checkpoints_of_running_trials(
        self, ledger: Ledger, service: Service
    ) -> None:
        weights = ledger.put_artifact(b"weights")
        for sha256 in (weights, "0" * 64, "../nas.db"):
            with pytest.raises(LedgerRefused):
                ledger.fetch_artifact(sha256)

    def test_a_damaged_file_is_no_checkpoint(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        sha256 = ledger.put_artifact(b"state")
        ledger.checkpoint(lease, Checkpoint(epoch=3, sha256=sha256))
        service.artifact_path(sha256).write_bytes(b"stale")
        with pytest.raises(LedgerRefused, match="damaged"):
            ledger.fetch_artifact(sha256)

    def test_workers_lost_before_an_attempt_that_got_farther_do_not_count(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec(budget=Budget(trials=1))).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]

        def lose(reached: int) -> Lease | None:
            """Train to an epoch, store it, vanish."""
            ledger.report(lease, EpochReport(epoch=reached, accuracy=0.5))
            sha256 = ledger.put_artifact(b"state %d" % reached)
            ledger.checkpoint(lease, Checkpoint(epoch=reached, sha256=sha256))
            expire(lease)
            return ledger.next_work(worker).lease

        for epoch in (2, 4, 5, 6, 7):
            taken = lose(epoch)
            assert taken is not None
            lease = taken
        assert lease.attempt == 6
        # From here on none gets farther than epoch 7: the losses of the fifth attempt and of two more.
        attempts = []
        while (taken := lose(7)) is not None:
            lease = taken
            attempts.append(lease.attempt)
        assert attempts == [7]
        assert service.trial(lease.trial_id).reason == "lost 3 workers after epoch 7"

    def test_a_trial_says_from_where_it_went_on_and_why(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal, expire: Callable[[Lease], None]
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        said = []

        def take_over() -> Lease:
            said.append(service.trial(lease.trial_id).reason)
            taken = ledger.next_work(worker).lease
            assert taken is not None
            said.append(service.trial(lease.trial_id).reason)
            return taken

        expire(lease)
        lease = take_over()
        ledger.report(lease, EpochReport(epoch=4, accuracy=0.5, resumed_from=3))
        said.append(service.trial(lease.trial_id).reason)
        ledger.release(lease)
        lease = take_over()
        ledger.report(lease, EpochReport(epoch=4, accuracy=0.5, resumed_from=3))
        ledger.complete(lease, outcome(1, state="pruned", reason="stopped early after epoch 4"))
        assert said == [
            None,
            "started again after a lost worker",
            "resumed from epoch 3 after a lost worker",
            "given back by its worker",
            "started again after its worker gave it back",
        ]
        assert service.trial(lease.trial_id).reason == (
            "stopped early after epoch 4; resumed from epoch 3 after its worker gave it back"
        )

    def test_a_latency_is_kept_with_the_first_epoch(
        self, ledger: Ledger, service: Service, make_proposal: MakeProposal
    ) -> None:
        study = service.create_study(make_spec()).study
        lease = ledger.reserve(study, join(ledger), [make_proposal(1)]).leases[0]
        latency = {"median_ms": 1.5, "is_predicted": True}
        ledger.report(lease, EpochReport(epoch=1, accuracy=0.1, latency=latency))
        trial = service.trial(lease.trial_id)
        assert (trial.latency, trial.predicted) == (latency, ["latency_ms"])

    def test_a_data_set_is_fetched_by_its_hash(self, ledger: Ledger, service: Service) -> None:
        from nas_service.datasets import load_dataset

        dataset = service.dataset("digits")
        assert load_dataset(ledger.fetch_dataset(dataset.sha256)).input_shape == (1, 8, 8)
        with pytest.raises(LedgerRefused):
            ledger.fetch_dataset("0" * 64)

    def test_a_data_set_that_is_gone_while_it_is_searched_fails_no_trial(
        self, ledger: Ledger, service: Service
    ) -> None:
        sha256 = service.dataset("digits").sha256
        service.create_study(make_spec())
        service.stores.datasets.delete(sha256)
        with pytest.raises(LedgerUnavailable):
            ledger.fetch_dataset(sha256)

    def test_a_worker_that_left_is_listed_as_stopped(self, ledger: Ledger, service: Service) -> None:
        worker = join(ledger)
        ledger.leave(worker)
        assert [view.state for view in service.workers()] == ["stopped"]

    def test_a_worker_that_was_told_to_end_is_listed_as_draining_until_it_has_left(
        self, ledger: Ledger, service: Service
    ) -> None:
        worker = join(ledger)
        states = []
        for step in (ledger.draining, ledger.leave, lambda _: join(ledger)):
            step(worker)
            states.append(service.workers()[0].state)
        assert states == ["draining", "stopped", "idle"]
