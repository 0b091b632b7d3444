"""The table of a study's trials: filtered, sorted and paged on the server, everything in the address."""

from dataclasses import dataclass
from urllib.parse import urlencode

from nas_service.dashboard.contents import Content
from nas_service.errors import InvalidInput
from nas_service.metrics import METRICS
from nas_service.paging import ORDERS
from nas_service.service import Service
from nas_service.studies import StudySpec
from nas_service.trial_filter import FIELDS
from nas_service.trials import TrialState
from nas_service.views import Page, StudyView, TrialSummary

TRIALS_ON_A_PAGE = 20
MOST_COLUMNS = 6
STATES: tuple[TrialState, ...] = ("complete", "running", "waiting", "pruned", "infeasible", "failed")


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the trials is shown; every value comes from an address, so any may be nonsense."""

    state: TrialState | None
    order: str
    conditions: str

    @classmethod
    def read(cls, state: str | None, order: str | None, conditions: str | None) -> "Choice":
        """Return the choice, with what is unknown left out."""
        chosen = next((name for name in STATES if name == state), None)
        return cls(chosen, order if order in ORDERS else "newest", (conditions or "").strip())

    def address(self, *, state: str | None = None, order: str | None = None, page_token: str = "") -> str:
        """Return the query of this choice with some of it changed; a state of "all" leaves it out."""
        values = {
            "state": {"all": "", None: self.state or ""}.get(state, state),
            "order": order or self.order,
            "filter": self.conditions,
            "page_token": page_token,
        }
        return "?" + urlencode({name: value for name, value in values.items() if value or name == "order"})

    def toggled(self, metric: str) -> str:
        """Return the order that pressing a column's head leads to: best first, then worst first."""
        if metric == "number":
            return "number" if self.order == "newest" else "newest"
        return f"-{metric}" if self.order == metric else metric

    def sort(self, metric: str) -> str:
        """Return a column's direction as `aria-sort` says it."""
        if metric == "number":
            return {"newest": "descending", "number": "ascending"}.get(self.order, "none")
        if self.order.removeprefix("-") != metric:
            return "none"
        is_descending = (METRICS[metric].goal == "max") is not self.order.startswith("-")
        return "descending" if is_descending else "ascending"


def contents(service: Service, study: StudyView, choice: Choice, page_token: str | None) -> Content:
    """Return what the table shows; a filter that cannot be read is told instead of the trials."""
    try:
        page, count, wrong = *_listed(service, study, choice, page_token), ""
    except InvalidInput as error:
        if error.errors[0].pointer != "/filter":
            raise
        page, count, wrong = Page[TrialSummary](items=[]), 0, str(error)
    return {
        "study": study,
        "choice": choice,
        "trial_page": page,
        "match_count": count,
        "wrong": wrong,
        "trial_states": STATES,
        "trial_columns": shown_metrics(study.spec),
        "filter_fields": FIELDS,
        "page_token": page_token or "",
        "is_first_page": not page_token,
    }


def _listed(
    service: Service, study: StudyView, choice: Choice, page_token: str | None
) -> tuple[Page[TrialSummary], int | None]:
    page = service.trials(
        study.study,
        state=choice.state,
        conditions=choice.conditions,
        order_by=choice.order,
        page_size=TRIALS_ON_A_PAGE,
        page_token=page_token,
    )
    if not choice.conditions:
        return page, None
    state = f",state={choice.state}" if choice.state else ""
    return page, service.count_trials(study.study, choice.conditions + state)


def shown_metrics(spec: StudySpec) -> list[str]:
    """The metrics a table of trials shows: objectives, limits, and what everybody asks for."""
    names = [objective.metric for objective in spec.objectives]
    return list(dict.fromkeys([*names, *spec.constraints, "accuracy", "latency_ms", "params", "macs"]))[
        :MOST_COLUMNS
    ]
