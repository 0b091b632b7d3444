"""What each page and fragment shows, gathered from the service."""

from collections.abc import Sequence
from typing import Any

from nas_service.errors import NotFound
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.studies import ACTIVE_STATES, StudySpec
from nas_service.views import FrontMember, FrontView, StudyView, TrialView, WorkerView
from search_spaces import Architecture, analyse
from search_spaces.diagram import summary, svg

Content = dict[str, Any]

STUDIES_ON_A_PAGE = 20
# A front over three metrics may have thousands.
MEMBERS_ON_A_PAGE = 100


def studies(service: Service, page_token: str | None = None) -> Content:
    page = service.studies(page_size=STUDIES_ON_A_PAGE, page_token=page_token)
    fronts = [service.front(study.study) for study in page.items]
    return {
        "rows": [
            (study, best_member(study, view), len(view.front))
            for study, view in zip(page.items, fronts, strict=True)
        ],
        "page_token": page_token,
        "next_page_token": page.next_page_token,
        "alive": alive_workers(service),
    }


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


def workers(service: Service) -> Content:
    order = {"running": 0, "draining": 0, "idle": 1, "lost": 2, "stopped": 3}
    known = sorted(service.workers(), key=lambda worker: (order[worker.state], worker.name))
    return {"workers": known, "alive": sum(_trains(worker) for worker in known)}


def alive_workers(service: Service) -> int:
    return sum(_trains(worker) for worker in service.workers())


def _trains(worker: WorkerView) -> bool:
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
