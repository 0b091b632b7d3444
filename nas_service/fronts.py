"""The front of a study, from its standing to what is shown."""

from collections.abc import Mapping, Sequence

from nas_service.progress import Standing
from nas_service.studies import Objective
from nas_service.views import FrontMember, FrontView, HypervolumePoint


def front_view(
    study_id: int, objectives: Sequence[Objective], standing: Standing, members: Mapping[int, FrontMember]
) -> FrontView:
    """Return a front as it is shown.

    Args:
        study_id: Whose front.
        objectives: What it is over.
        standing: Its members by number, and how it grew.
        members: Each member's details, by number.
    """
    return FrontView(
        study=study_id,
        objectives=[{"metric": objective.metric, "goal": objective.direction} for objective in objectives],
        reference_point=list(standing.reference_point),
        hypervolume=standing.steps[-1][1] if standing.steps else 0.0,
        front=[members[number] for number in standing.members],
        hypervolume_history=[
            HypervolumePoint(trials=count, hypervolume=volume) for count, volume in standing.steps
        ],
    )


def bare_front(study_id: int, members: Sequence[FrontMember]) -> FrontView:
    """Return a front of which nothing but the members is known, for plots."""
    return FrontView(
        study=study_id,
        objectives=[],
        reference_point=[],
        hypervolume=0.0,
        front=list(members),
        hypervolume_history=[],
    )
