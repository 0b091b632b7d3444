"""Search against chance: how the hypervolume of each arm grew with the epochs that it trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas_service.front import Growth
from nas_service.progress import reference_point
from nas_service.studies import StudySpec
from nas_service.trials import Arm
from nas_service.views import View


class ArmPoint(View):
    """Hypervolume of an arm's own front after so many epochs of its own."""

    epochs: int
    hypervolume: float


class ArmsView(View):
    """The control arm beside the search: what each found for what it trained.

    The search's arm holds what a person enqueued too. A network that both arms draw is trained once, and is
    of the arm that drew it first.
    """

    study: int
    reference_point: list[float]
    # One point a candidate that ended, in the order in which they did.
    search: list[ArmPoint]
    random: list[ArmPoint]
    # The epochs that both arms have trained: what is compared below.
    equal_epochs: int
    search_hypervolume: float
    random_hypervolume: float
    # Of the two; None where the control arm has found nothing yet.
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A candidate that was trained."""

    arm: Arm
    epochs: int
    # Complete, within all limits, and of the newest space: it may stand on the front.
    is_worthy: bool
    metrics: Mapping[str, float]


def compared(study_id: int, spec: StudySpec, ended: Sequence[Ended]) -> ArmsView:
    """Return what each arm found for its epochs, with one reference point for both.

    Args:
        study_id: Which study.
        spec: Its spec.
        ended: All candidates that were trained, in the order in which they ended.
    """
    names = [objective.metric for objective in spec.objectives]
    figures = [[each.metrics.get(name, np.nan) for name in names] for each in ended]
    values = np.array(figures, np.float64).reshape(len(ended), len(names))
    values[[not each.is_worthy for each in ended]] = np.nan
    reference = reference_point(spec.objectives, spec, values)
    directions = [objective.direction for objective in spec.objectives]
    curves: dict[bool, list[ArmPoint]] = {False: [], True: []}
    for is_random, curve in curves.items():
        growth, epochs = Growth(reference, directions), 0
        for each, row in zip(ended, values, strict=True):
            if (each.arm == "random") == is_random:
                growth.add(row[None])
                epochs += each.epochs
                curve.append(ArmPoint(epochs=epochs, hypervolume=growth.volume))
    equal = min(curve[-1].epochs if curve else 0 for curve in curves.values())
    search, chance = (_volume_at(curve, equal) for curve in curves.values())
    return ArmsView(
        study=study_id,
        reference_point=[float(bound) for bound in reference],
        search=curves[False],
        random=curves[True],
        equal_epochs=equal,
        search_hypervolume=search,
        random_hypervolume=chance,
        ratio=search / chance if chance else None,
    )


def _volume_at(curve: Sequence[ArmPoint], epochs: int) -> float:
    """Return what was found within so many epochs: a candidate that goes beyond them does not count."""
    return max((point.hypervolume for point in curve if point.epochs <= epochs), default=0.0)
