"""Optuna's view of one study, in memory, fed from the ledger's rows.

Optuna knows a trial or repeat by its ordinal, as number and as id alike: ordinals come from the database
and are the same for every worker, which NSGA-II needs, since it remembers parents by trial id.
"""

import copy
from collections import Counter
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas_service.metrics import METRICS
from nas_service.trials import Arm, Changes, Forbidden, Repeat, Study, Trial
from workers.auto.observations import told
from workers.carrying import Carrier, Row
from workers.control_arm import counts

STUDY_ID = 0
# Stands in for an unknown figure of an infeasible candidate; samplers read only its violations then.
FAR_AWAY = 1e12
# How far a candidate that a rule forbids is from being allowed: as far as one of twice a limit's size.
FORBIDDEN = {"forbidden": 1.0}


class ReplicaStorage(BaseStorage):
    """A storage of one study whose trials can be replaced by what the ledger says of them.

    `ask` appends a provisional trial; `drop_provisional` takes it away again once the ledger has a row for
    it.
    """

    def __init__(self, directions: Sequence[StudyDirection]) -> None:
        self._directions = list(directions)
        self._trials: list[FrozenTrial] = []
        self._attributes: dict[str, Any] = {}
        self._own_attributes: dict[str, Any] = {}
        self._settled = 0

    def __len__(self) -> int:
        return self._settled

    def settle(self, ordinal: int, trial: FrozenTrial) -> None:
        """Take over what the ledger says of an ordinal."""
        trial.number, trial._trial_id = ordinal, ordinal
        if ordinal < len(self._trials):
            self._trials[ordinal] = trial
        else:
            # Revisions become visible in order, so ordinals arrive without holes.
            assert ordinal == len(self._trials), f"ordinal {ordinal} after {len(self._trials)} trials"
            self._trials.append(trial)
        self._settled = max(self._settled, ordinal + 1)

    def drop_provisional(self) -> None:
        """Forget trials that no row stands behind."""
        del self._trials[self._settled :]

    def settle_attributes(self, attributes: dict[str, Any]) -> None:
        """Take over what the ledger keeps on the study; it knows who wrote first."""
        self._attributes.update(attributes)

    def take_own_attributes(self) -> dict[str, Any]:
        """Return what the sampler has set on the study since the last call."""
        own, self._own_attributes = self._own_attributes, {}
        return own

    # Optuna's side

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return STUDY_ID

    def delete_study(self, study_id: int) -> None:
        raise NotImplementedError("a replica goes with its process")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.set_study_system_attr(study_id, f"user:{key}", value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._attributes[key] = value
        self._own_attributes[key] = value

    def get_study_id_from_name(self, study_name: str) -> int:
        return STUDY_ID

    def get_study_name_from_id(self, study_id: int) -> str:
        return "replica"

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._attributes

    def get_all_studies(self) -> list[FrozenStudy]:
        return [FrozenStudy("replica", None, {}, self._attributes, STUDY_ID, directions=self._directions)]

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        ordinal = len(self._trials)
        trial = template_trial or FrozenTrial(
            number=ordinal,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=ordinal,
        )
        self._trials.append(trial)
        return ordinal

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        trial = self._changed(trial_id)
        trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        trial = self._changed(trial_id)
        trial.state = state
        if values is not None:
            trial.values = list(values)
        return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._changed(trial_id).intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._changed(trial_id)
        trial.user_attrs = {**trial.user_attrs, key: value}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._changed(trial_id)
        trial.system_attrs = {**trial.system_attrs, key: value}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        try:
            return self._trials[trial_id]
        except IndexError:
            raise KeyError(f"no trial {trial_id}") from None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        chosen = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def _changed(self, trial_id: int) -> FrozenTrial:
        """Put a fresh copy in a trial's place: lists given out earlier must not change."""
        trial = copy.copy(self.get_trial(trial_id))
        self._trials[trial_id] = trial
        return trial


class Replica:
    """Keeps a `ReplicaStorage` in step with the ledger's changes."""

    def __init__(self, study: Study, *, teaches_infeasible: bool) -> None:
        """Start empty.

        Args:
            study: Whose objectives to read, and the newest version of whose space.
            teaches_infeasible: Show infeasible candidates to the sampler as constraint violations; a sampler
                that would take their stand-in values for real ones must not see them.
        """
        self._spec = study.spec
        self._carrier = Carrier(study)
        self._teaches_infeasible = teaches_infeasible
        self._repeats: dict[int, list[Repeat]] = {}
        self._originals: dict[int, Trial] = {}
        directions = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
        self.storage = ReplicaStorage([directions[o.direction] for o in study.spec.objectives])
        # Trials that train or were trained, by who drew them.
        self.drawn: Counter[Arm] = Counter()
        self._rungs: dict[int, dict[int, float]] = {}
        self.revision = 0

    def apply(self, changes: Changes) -> None:
        """Take over changed rows, in the order of their ordinals, and whatever repeats a changed trial."""
        self.storage.drop_provisional()
        self._carrier.learn(changes.spaces)
        changed = {trial.id: trial for trial in changes.trials}
        self._count(changed)
        self._originals.update(changed)
        self._rungs.update(changes.rungs)
        again = [repeat for trial_id in changed for repeat in self._repeats.get(trial_id, ())]
        for repeat in changes.repeats:
            self._repeats.setdefault(repeat.trial_id, []).append(repeat)
        rows: list[Row] = [*changes.trials, *changes.repeats, *changes.forbidden, *again]
        for row in sorted(rows, key=lambda row: row.ordinal):
            self.storage.settle(row.ordinal, self._frozen(row))
        self.storage.settle_attributes(changes.attributes)
        self.revision = changes.revision

    def _count(self, changed: dict[int, Trial]) -> None:
        before = [self._originals[trial_id] for trial_id in changed if trial_id in self._originals]
        self.drawn.subtract(trial.arm for trial in before if counts(trial))
        self.drawn.update(trial.arm for trial in changed.values() if counts(trial))

    def _frozen(self, row: Row) -> FrozenTrial:
        """Return Optuna's form of a row; a repeat has its original's outcome.

        Of what the control arm trained the search learns that it is known, and nothing else.
        """
        drawn = self._carrier.drawn(row)
        if isinstance(row, Repeat) and self._originals[row.trial_id].arm == "random":
            original = self._originals[row.trial_id]
            known = told(original.architecture, original.architecture_hash, {}, None, {})
            return create_trial(state=TrialState.FAIL, user_attrs=known)
        if drawn is None or (isinstance(row, Trial) and (row.excluded or row.arm == "random")):
            return create_trial(state=TrialState.FAIL)
        params, distributions = drawn
        state, values, violations = self._told(row)
        trial = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=distributions,
            user_attrs=self._carried_along(row),
            system_attrs=dict(row.attributes),
        )
        if state is not TrialState.RUNNING:
            for name, excess in violations.items():
                trial.set_constraint(name, excess)
            trial.values = values
            trial.state = state
            trial.datetime_complete = trial.datetime_start
        return trial

    def _carried_along(self, row: Row) -> dict[str, Any]:
        """Return what the sampler `auto` reads of a row beside its parameters and values."""
        if isinstance(row, Forbidden):
            return {}
        trial = self._originals[row.trial_id] if isinstance(row, Repeat) else row
        reached = trial.timings.get("trained_epochs") if trial.state == "pruned" else None
        rungs = self._rungs.get(trial.id, {})
        return told(trial.architecture, trial.architecture_hash, trial.metrics, reached, rungs)

    def _told(self, row: Row) -> tuple[TrialState, list[float] | None, dict[str, float]]:
        """Return what the sampler should learn from a row: state, objective values, violations."""
        if not isinstance(row, Forbidden):
            outcome = self._originals[row.trial_id] if isinstance(row, Repeat) else row
            return *self._outcome(outcome), outcome.violations
        if not self._teaches_infeasible:
            return TrialState.FAIL, None, {}
        worst = [_worst(objective.metric) for objective in self._spec.objectives]
        return TrialState.COMPLETE, worst, FORBIDDEN

    def _outcome(self, trial: Trial) -> tuple[TrialState, list[float] | None]:
        """Return state and objective values as the sampler should see them.

        A trial that was stopped early counts with its last figures: Optuna ranks PRUNED trials by reports,
        which it refuses for several objectives.
        """
        if trial.state in ("waiting", "running"):
            return TrialState.RUNNING, None
        names = [objective.metric for objective in self._spec.objectives]
        if trial.state in ("complete", "pruned") and all(name in trial.metrics for name in names):
            return TrialState.COMPLETE, [trial.metrics[name] for name in names]
        if trial.state == "infeasible" and self._teaches_infeasible:
            return TrialState.COMPLETE, [trial.metrics.get(name, _worst(name)) for name in names]
        return TrialState.FAIL, None


def _worst(metric: str) -> float:
    return max(-FAR_AWAY, min(FAR_AWAY, METRICS[metric].worst))
