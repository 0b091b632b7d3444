"""The control arm: a share of a study's candidates, drawn at random as if there were no sampler.

Its candidates are trained like the others and may stand on the front, but the sampler is not told of them and
they are compared at rungs with each other alone: what the sampler finds can then be held against what chance
finds for the same epochs.
"""

import hashlib
from collections import Counter
from math import floor

from optuna.samplers import BaseSampler, RandomSampler

from nas_service.trials import Arm, Trial


def is_due(drawn: Counter[Arm], share: float) -> bool:
    """Say whether the next candidate belongs to the control arm.

    Among n candidates of both arms floor(n x share) are of the control arm: exactly with one worker, to
    within one candidate a worker where several draw at once.

    Args:
        drawn: How many of each arm train or were trained.
        share: What part is to be drawn at random.
    """
    count = drawn["search"] + drawn["random"] + 1
    # 0.29 x 100 is a little below 29 in binary.
    return drawn["random"] < floor(count * share + 1e-9)


def counts(trial: Trial) -> bool:
    """Whether a trial counts towards the share: it is trained, and no person asked for it."""
    return trial.state != "infeasible" and trial.arm != "enqueued"


def control_sampler(study_seed: int, seat: int, proposals: int) -> BaseSampler:
    """Return the sampler of a worker's control arm; it draws other candidates than the study's own sampler.

    Args:
        study_seed: The study's seed.
        seat: The worker's place among the study's proposers.
        proposals: How many proposals the study held when the worker joined.
    """
    digest = hashlib.sha256(f"control:{study_seed}:{seat}:{proposals}".encode()).digest()
    return RandomSampler(seed=int.from_bytes(digest[:4], "little"))
