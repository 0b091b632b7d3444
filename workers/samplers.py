"""The samplers by the names that specs use: Optuna's, and our own."""

import hashlib
import warnings
from collections.abc import Callable

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from nas_service.studies import SamplerName
from workers.auto import AutoSampler, Task

MAKERS: dict[SamplerName, Callable[[int, Task], BaseSampler]] = {
    "auto": AutoSampler,
    "random": lambda seed, _: RandomSampler(seed=seed),
    "tpe": lambda seed, _: TPESampler(seed=seed),
    "nsga2": lambda seed, _: NSGAIISampler(seed=seed),
    "nsga3": lambda seed, _: NSGAIIISampler(seed=seed),
    "gp": lambda seed, _: GPSampler(seed=seed, deterministic_objective=False),
}
# A Gaussian process would take the stand-in values of infeasible candidates for measurements.
BLIND_TO_INFEASIBLE: frozenset[SamplerName] = frozenset({"gp"})
# What the others have found changes nothing in these: they need not be told.
INDIFFERENT: frozenset[SamplerName] = frozenset({"random"})


def make_sampler(name: SamplerName, seed: int, task: Task) -> BaseSampler:
    """Return a new sampler of a task; Optuna's own know nothing of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return MAKERS[name](seed, task)


def sampler_seed(study_seed: int, seat: int, proposals: int) -> int:
    """Return the seed of a worker's sampler.

    The first worker of an empty study uses the study's own seed, so that its proposals are those of plain
    Optuna; everybody else, and whoever comes back later, gets one of their own.

    Args:
        study_seed: The study's seed.
        seat: The worker's place among the study's proposers.
        proposals: How many proposals the study held when the worker joined.
    """
    if seat == 0 and proposals == 0:
        return study_seed
    digest = hashlib.sha256(f"{study_seed}:{seat}:{proposals}".encode()).digest()
    return int.from_bytes(digest[:4], "little")
