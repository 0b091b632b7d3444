"""How long a proposal takes when a study holds thousands of trials: `python -m benchmarks.proposals`.

The trials are random ones of the default space on MNIST's shape under 50,000 parameters, three quarters of
them stopped at a rung; what they reached is a stand-in, for nothing is trained. One thread.
"""

import argparse
import math
import warnings
from time import perf_counter

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning

from benchmarks.report import conditions, print_table, write
from nas_service.constraints import violations
from nas_service.studies import Constraint, Objective, SamplerName, StudySpec, Training
from search_spaces import Architecture, RandomTrial, analyse
from search_spaces.random_trial import Scalar
from workers.auto import Task
from workers.auto.observations import told
from workers.samplers import make_sampler

LIMITS = {"params": Constraint(max=50_000.0)}
OBJECTIVES = (Objective(metric="accuracy"), Objective(metric="params"))
TASK = Task.from_spec(
    StudySpec(dataset="mnist", objectives=OBJECTIVES, constraints=LIMITS, training=Training(epochs=9)),
    (1, 28, 28),
    10,
)
# What a trial is stopped after, and in what share of all: two thirds at each rung.
ENDINGS, SHARES = (1, 3, 9), (0.67, 0.22, 0.11)


class _Remembering(RandomTrial):
    """A random trial that knows between what it chose."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.distributions: dict[str, CategoricalDistribution] = {}

    def suggest_categorical(self, name: str, choices: tuple[Scalar, ...]) -> Scalar:  # type: ignore[override]
        self.distributions[name] = CategoricalDistribution(choices)
        return super().suggest_categorical(name, choices)


def main() -> None:
    arguments = _arguments()
    rows, results = [], {}
    trials = [_ended(seed) for seed in range(arguments.trials)]
    for name in arguments.samplers:
        seconds = _measured(name, trials, arguments.proposals)
        figures = {
            "median_ms": 1000 * float(np.median(seconds)),
            "p90_ms": 1000 * float(np.quantile(seconds, 0.9)),
            "first_ms": 1000 * seconds[0],
        }
        results[name] = figures
        rows.append([name, *(f"{value:.0f}" for value in figures.values())])
    print_table(["sampler", "median ms", "p90 ms", "first ms"], rows)
    content = {"trials": arguments.trials, "proposals": arguments.proposals, "samplers": results}
    write("proposals", {**conditions("optuna", "numpy"), **content})


def _measured(name: SamplerName, trials: list[optuna.trial.FrozenTrial], count: int) -> list[float]:
    """Return the seconds of each proposal, the first one apart from the others in what it has to read."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seconds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler(name, 0, TASK))
        study.add_trials(trials)
        for _ in range(count):
            started = perf_counter()
            trial = study.ask()
            architecture = TASK.space.sample(trial, TASK.input_shape, TASK.classes)
            seconds.append(perf_counter() - started)
            values, extra = _outcome(architecture, 9)
            for key, value in extra.items():
                trial.set_user_attr(key, value)
            study.tell(trial, values)
    return seconds


def _ended(seed: int) -> optuna.trial.FrozenTrial:
    asked = _Remembering(seed)
    architecture = TASK.draw(asked)
    epochs = int(np.random.default_rng(seed).choice(ENDINGS, p=SHARES))
    values, extra = _outcome(architecture, epochs)
    trial = optuna.create_trial(
        params=dict(asked.params), distributions=dict(asked.distributions), values=values, user_attrs=extra
    )
    for name, excess in violations({"params": values[1]}, LIMITS).items():
        trial.set_constraint(name, excess)
    return trial


def _outcome(architecture: Architecture, epochs: int) -> tuple[list[float], dict[str, object]]:
    params = float(analyse(architecture).params)
    accuracy = {
        epoch: 1.0 / (1.0 + math.exp(3.0 - 0.3 * math.log2(params) - 0.2 * epoch)) for epoch in ENDINGS
    }
    earlier = {epoch: value for epoch, value in accuracy.items() if epoch < epochs}
    figures = {"accuracy": accuracy[epochs], "params": params}
    return [accuracy[epochs], params], told(
        architecture.to_dict(), architecture.hash, figures, epochs, earlier
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument("--samplers", nargs="+", default=["auto", "random", "nsga2"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
