"""Proposing candidates: Optuna asks on a replica, the ledger decides what becomes of the answer."""

import warnings
from time import perf_counter

import optuna
from optuna.distributions import distribution_to_json
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY

from nas_service.constraints import enforced, violations
from nas_service.ledger.protocol import Ledger
from nas_service.trials import Arm, Lease, Proposal, Study, Trial
from search_spaces import Architecture, analyse, resolve_space
from workers.auto import Task
from workers.control_arm import control_sampler, is_due
from workers.replica import Replica
from workers.samplers import BLIND_TO_INFEASIBLE, INDIFFERENT, make_sampler, sampler_seed

optuna.logging.set_verbosity(optuna.logging.ERROR)
# So many fruitless proposals, and the worker looks up: the study may have been paused, or a trial orphaned.
PROPOSALS_A_CALL = 200


class Proposer:
    """Proposes candidates of one study for one worker.

    It proposes from one version of the study's space. With a single worker the sequence of proposals is that
    of a plain `optuna.Study` with the same sampler and seed that is told the same results.
    """

    def __init__(self, study: Study, ledger: Ledger, worker_id: int) -> None:
        self._study = study
        self._ledger = ledger
        self._worker_id = worker_id
        spec = study.spec
        self._space = resolve_space(spec.space)
        self.space_version = study.space_version
        self._replica = Replica(study, teaches_infeasible=spec.search.sampler not in BLIND_TO_INFEASIBLE)
        seat = ledger.join_study(study.id, worker_id)
        self._needs_news = spec.search.sampler not in INDIFFERENT or spec.search.random_share > 0
        self._catch_up()
        seed = sampler_seed(spec.search.seed, seat, len(self._replica.storage))
        samplers: dict[Arm, BaseSampler] = {
            "search": make_sampler(spec.search.sampler, seed, Task.of(study)),
            "random": control_sampler(spec.search.seed, seat, len(self._replica.storage)),
        }
        directions = self._replica.storage.get_study_directions(0)
        self._arms = {
            arm: optuna.create_study(storage=self._replica.storage, sampler=sampler, directions=directions)
            for arm, sampler in samplers.items()
        }

    def propose(self) -> tuple[Trial, Lease] | None:
        """Return a new feasible candidate and the right to train it; None if none is wanted now."""
        for _ in range(PROPOSALS_A_CALL):
            if self._needs_news:
                self._catch_up()
            proposal = self._ask()
            reservation = self._ledger.reserve(
                self._study.id,
                self._worker_id,
                [proposal],
                attributes=self._replica.storage.take_own_attributes(),
            )
            self._replica.storage.drop_provisional()
            if reservation.leases:
                return reservation.trials[0], reservation.leases[0]
            limit = self._study.spec.search.max_infeasible_in_a_row
            if reservation.refused or reservation.fruitless_in_a_row >= limit:
                return None
        return None

    def _catch_up(self) -> None:
        changes = self._ledger.changes(self._study.id, self._replica.revision)
        if changes.revision != self._replica.revision:
            self._replica.apply(changes)

    def _ask(self) -> Proposal:
        started = perf_counter()
        arm: Arm = "random" if is_due(self._replica.drawn, self._study.spec.search.random_share) else "search"
        with warnings.catch_warnings():
            # Optuna marks some samplers' features as experimental at each use.
            warnings.simplefilter("ignore", ExperimentalWarning)
            trial = self._arms[arm].ask()
            architecture = self._space.sample(trial, self._study.input_shape, self._study.classes)
        frozen = self._replica.storage.get_trial(trial._trial_id)
        return self._proposal(frozen, architecture, arm, perf_counter() - started)

    def _proposal(
        self, asked: optuna.trial.FrozenTrial, architecture: Architecture, arm: Arm, seconds: float
    ) -> Proposal:
        costs = {name: float(value) for name, value in analyse(architecture).metrics().items()}
        return Proposal(
            params=asked.params,
            distributions={name: distribution_to_json(d) for name, d in asked.distributions.items()},
            attributes={
                key: value
                for key, value in asked.system_attrs.items()
                if not key.startswith(_CONSTRAINTS_KEY)
            },
            architecture=architecture.to_dict(),
            architecture_hash=architecture.hash,
            costs=costs,
            violations=violations(costs, enforced(self._study.spec.constraints)),
            forbidden=self._space.forbidden(architecture),
            space_version=self.space_version,
            arm=arm,
            seed=self._study.spec.search.seed,
            proposal_s=seconds,
        )
