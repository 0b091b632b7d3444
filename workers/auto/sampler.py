"""The sampler `auto`, as Optuna sees it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas_service.trials import LEFT_OUT
from search_spaces.random_trial import Scalar
from workers.auto.candidates import Candidate, CandidateSource
from workers.auto.features import FeatureMap
from workers.auto.judge import Judge
from workers.auto.observations import Reader
from workers.auto.pool import Pool
from workers.auto.task import Task

Matrix = NDArray[np.float64]
# How many random architectures say which features there are and how they vary; the first candidates.
SAMPLES = 128
# Of the most promising candidates so many are parents beside the front.
PROMISING = 8


class AutoSampler(BaseSampler):
    """Draws many candidates, and proposes the one that is expected to add most to the front.

    A whole architecture is chosen before the first question is asked. Limits on exact costs, rules of the
    space and repeats cost no proposal. Trials must carry what `workers.auto.observations.told` returns.

    Args:
        seed: Equal seeds and equal trials give equal proposals.
        task: What is searched, and for what.
    """

    def __init__(self, seed: int, task: Task) -> None:
        seeds = np.random.SeedSequence(seed).generate_state(3)
        self._task = task
        self._source = CandidateSource(task.draw, task.space, task.constraints, int(seeds[0]))
        samples = [self._source.drawn() for _ in range(SAMPLES)]
        features = FeatureMap([(sample.architecture, sample.cost) for sample in samples])
        self._pool = Pool(self._source, features, samples, int(seeds[1]))
        self._judge = Judge(task, features, samples, np.random.default_rng(int(seeds[2])))
        self._reader = Reader(task)
        self._plan: Mapping[str, Scalar] = {}
        self._promising: list[Mapping[str, Scalar]] = []
        self._fallback = np.random.default_rng(int(seeds[2]) + 1)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the whole architecture."""
        self._reader.read(study._storage.get_all_trials(study._study_id, deepcopy=False))
        self._plan = self._chosen().params
        left_out = self._source.take_rejected()
        if left_out:
            study._storage.set_trial_system_attr(trial._trial_id, LEFT_OUT, left_out)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        assert isinstance(param_distribution, CategoricalDistribution), "spaces ask for nothing else"
        choices = param_distribution.choices
        planned = self._plan.get(param_name)
        if param_name in self._plan and planned in choices:
            return planned
        return choices[int(self._fallback.integers(len(choices)))]

    def _chosen(self) -> Candidate:
        # The trial that is being drawn shows nothing yet.
        known = self._reader.known
        self._pool.forget(known)
        self._judge.learn(self._reader.trials)
        self._pool.grow([*self._front_params(), *self._promising], known)
        entries = self._pool.entries
        if not entries:
            # Nothing new is feasible: let the ledger see it, which ends the study in the end.
            return self._source.nearest()
        promise = self._judge.promise(entries)
        order = np.argsort(-promise, kind="stable")
        best, *others = (entries[int(place)].candidate for place in order)
        self._promising = [candidate.params for candidate in others[:PROMISING]]
        self._pool.keep(promise)
        return best

    def _front_params(self) -> list[Mapping[str, Scalar]]:
        return [trial.params for trial in self._judge.front() if trial.params]
