"""What each page and fragment shows, gathered from the service."""

from collections.abc import Sequence
from typing import Any, get_args

from nas_service.dashboard.small_svg import sparkline
from nas_service.errors import NotFound
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.studies import ACTIVE_STATES, StudySpec, StudyState
from nas_service.views import FrontMember, FrontView, StudyView, TrialView, WorkerView
from search_spaces import Architecture, analyse
from search_spaces.diagram import summary, svg

Content = dict[str, Any]

STUDIES_ON_A_PAGE = 12
# Points of a front in small.
MOST_SPARKS = 40
# A front over three metrics may have thousands.
MEMBERS_ON_A_PAGE = 100


def studies(
    service: Service, page_token: str | None = None, state: str | None = None, name: str | None = None
) -> Content:
    chosen = state if state in get_args(StudyState) else None
    name = (name or "").strip()[:200]
    page = service.studies(page_size=STUDIES_ON_A_PAGE, page_token=page_token, state=chosen, name=name)
    return {
        "cards": [_card(study, service.front(study.study)) for study in page.items],
        "page_token": page_token,
        "next_page_token": page.next_page_token,
        "study_state": chosen or "",
        "study_name": name,
        "study_states": get_args(StudyState),
        "alive": alive_workers(service),
    }


def _card(study: StudyView, view: FrontView) -> Content:
    """A study with its best network within the limits, and its front in small."""
    names = [objective.metric for objective in study.spec.objectives]
    return {
        "study": study,
        "best": best_member(study, view),
        "shown": names if len(names) > 1 else [*names, "params"],
        "size": len(view.front),
        "spark": sparkline(_thinned(study.spec, view.front)),
    }


def _thinned(spec: StudySpec, front: Sequence[FrontMember]) -> list[tuple[float, float]]:
    """The front over the first two objectives, or against the size where there is one alone."""
    up = spec.objectives[0]
    across = spec.objectives[1].metric if len(spec.objectives) > 1 else "params"
    sign = 1.0 if up.direction == "max" else -1.0
    points = [
        (member.values[across], sign * member.values[up.metric])
        for member in front
        if across in member.values and up.metric in member.values
    ]
    # A front over more than two objectives is a cloud in these two.
    step = -(-len(points) // MOST_SPARKS)
    return sorted(points)[:: step or 1]


def status(service: Service, study: StudyView) -> Content:
    return {"study": study, "alive": alive_workers(service), "is_active": study.state in ACTIVE_STATES}


def trial(service: Service, view: TrialView) -> Content:
    architecture = Architecture.from_dict(view.architecture)
    study = service.study(view.study_id)
    return {
        "trial": view,
        "study": study,
        "summary": summary(architecture),
        "diagram": svg(architecture),
        "cost": analyse(architecture),
        "input_shape": architecture.input_shape,
        "metric_names": list(METRICS),
        "limits": _limits(study.spec, view),
        "previous": _neighbour(service, view, -1),
        "next": _neighbour(service, view, +1),
    }


def alive_workers(service: Service) -> int:
    return sum(trains(worker) for worker in service.workers())


def trains(worker: WorkerView) -> bool:
    """Whether a worker is there to train."""
    return worker.is_alive and not worker.measures_only


def best_member(study: StudyView, view: FrontView) -> FrontMember | None:
    """The front's member that is best by the study's first objective."""
    return max(view.front, key=lambda member: _worst_first(study.spec, member), default=None)


def by_first_objective(spec: StudySpec, members: Sequence[FrontMember]) -> list[FrontMember]:
    """The members of a front, the best by the study's first objective first."""
    return sorted(members, key=lambda member: _worst_first(spec, member), reverse=True)


def _worst_first(spec: StudySpec, member: FrontMember) -> float:
    objective = spec.objectives[0]
    value = member.values[objective.metric]
    return value if objective.direction == "max" else -value


def _limits(spec: StudySpec, view: TrialView) -> list[Content]:
    """Each limit of the study beside what this trial has: figure, bounds, share of the bound that is used."""
    return [
        {
            "metric": METRICS[name],
            "limit": limit,
            "value": view.metrics.get(name),
            "violation": view.violations.get(name),
        }
        for name, limit in spec.constraints.items()
    ]


def _neighbour(service: Service, view: TrialView, step: int) -> int | None:
    if view.number + step < 0:
        return None
    try:
        return service.trial_by_number(view.study_id, view.number + step).id
    except NotFound:
        return None
