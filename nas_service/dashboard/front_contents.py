"""What the parts of the front page show: table, limits, advice, walk."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nas_service.dashboard import front_words
from nas_service.dashboard.contents import MEMBERS_ON_A_PAGE, Content, by_first_objective
from nas_service.dashboard.front_choice import SHOWN, FrontChoice, limitable
from nas_service.dashboard.front_report import FrontReport, slack
from nas_service.dashboard.front_words import LimitWords
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.trade_offs import own_limits
from nas_service.views import FrontMember, TrialView
from search_spaces import Architecture
from search_spaces.diagram import svg
from search_spaces.difference import brief, difference, distance
from search_spaces.thumbnail import small_svg

# Small diagrams of the walk.
MOST_STEPS = 12
# How far beyond a limit its slider goes, and how far below the cheapest network.
_REACH = 2.0


def panel(choice: FrontChoice, trial: TrialView) -> Content:
    """Return a trial as it stands beside the plot, with what it has to spare of each limit."""
    spare = slack(choice, trial.metrics, trial.violations)
    return {
        "trial": trial,
        "diagram": _diagram(Architecture.from_dict(trial.architecture)),
        "spare": sorted(spare.items(), key=lambda item: item[1]),
    }


@lru_cache(maxsize=128)
def _diagram(network: Architecture) -> str:
    """Draw a network; pages open with the same few, at some 15 KB each."""
    return svg(network)


def flat_report(service: Service, choice: FrontChoice) -> FrontReport:
    """Return what the limits, the advice and a flat plot have in common."""
    return FrontReport(service, choice, choice.axes[:2])


def table(service: Service, choice: FrontChoice) -> Content:
    """Return the front over the study's objectives within the limits, the best first."""
    report = FrontReport(service, choice, choice.objectives)
    members = by_first_objective(choice.study.spec, report.members)
    shown = members[:MEMBERS_ON_A_PAGE]
    more = [name for name in ("params", "latency_ms") if name not in choice.objectives]
    return {
        "study": choice.study,
        "choice": choice,
        "objectives": choice.objectives,
        "members": shown,
        "member_count": len(members),
        "columns": [*choice.objectives, *more],
        "tied": report.tied,
        "spare": {member.number: _tightest(choice, member) for member in shown},
        "has_limits": bool(choice.limits),
        "shown_kinds": _shown_kinds(choice),
    }


def limits(report: FrontReport) -> Content:
    """Return each limit as an input, and what all of them leave and cost.

    Args:
        report: A `flat_report`.
    """
    service, choice = report.service, report.choice
    better = [cost.better for cost in report.within.costs if cost.better is not None]
    members = {member.number: member for member in service.members_of(choice.study.study, better)}
    words = {cost.metric: front_words.limit_words(report, cost, members) for cost in report.within.costs}
    own = own_limits(choice.study.spec)
    rows = []
    for name in limitable(choice):
        low, high = _reach(report, name, own.get(name))
        bound = choice.limits.get(name)
        rows.append(LimitWords(name, bound, own.get(name), low, high, words.get(name, "")))
    return {
        "study": choice.study,
        "choice": choice,
        "limit_rows": rows,
        "limits_summary": front_words.summary_words(report),
    }


def advice(report: FrontReport) -> Content:
    """Return who of the front is worth a look, and what more of the price would buy.

    Args:
        report: A `flat_report`.
    """
    choice = report.choice
    return {
        "study": choice.study,
        "choice": choice,
        "picks": front_words.picks(report),
        "steps": front_words.step_words(report),
        "more": front_words.more_words(report),
        "price": choice.price,
    }


@dataclass(frozen=True, slots=True)
class Stop:
    """A network of the walk along the front, compared with the most similar one before it."""

    member: FrontMember
    picture: str
    # The number of the one that it is compared with; None for the first.
    likened: int | None
    changes: list[str]


def walk(service: Service, choice: FrontChoice) -> Content:
    """Return the networks of the significant front from the cheapest on, with what changes."""
    report = flat_report(service, choice)
    places = np.linspace(0, len(report.significant) - 1, min(MOST_STEPS, len(report.significant)))
    members = [report.significant[round(place)] for place in places]
    networks = [Architecture.from_dict(member.architecture) for member in members]
    stops = [_stop(members, networks, place) for place in range(len(members))]
    return {
        "study": choice.study,
        "choice": choice,
        "stops": stops,
        "significant_count": len(report.significant),
        "walk_columns": choice.axes[:2],
    }


def _stop(members: list[FrontMember], networks: list[Architecture], place: int) -> Stop:
    network = networks[place]
    if not place:
        return Stop(members[0], small_svg(network), None, [])
    # The nearest of equally similar ones.
    nearest = min(range(place - 1, -1, -1), key=lambda other: distance(networks[other], network))
    changes = difference(networks[nearest], network)
    marked = [change.after_at for change in changes if change.after_at]
    return Stop(members[place], small_svg(network, marked), members[nearest].number, brief(changes))


def _shown_kinds(choice: FrontChoice) -> list[tuple[str, str]]:
    """Return the kinds of points beside the front, each with its mark."""
    kinds = [(name, "complete" if name == "dominated" else name) for name in SHOWN]
    has_arm = bool(choice.study.spec.search.random_share)
    return [(name, mark) for name, mark in kinds if name != "random" or has_arm]


def _tightest(choice: FrontChoice, member: FrontMember) -> tuple[str, float] | None:
    """Return the limit that leaves a member least to spare, and the share of its bound that is left."""
    spare = slack(choice, member.values, member.violations)
    return min(spare.items(), key=lambda item: item[1]) if spare else None


def _reach(report: FrontReport, metric: str, own: float | None) -> tuple[float, float]:
    """Return the ends of a limit's slider: from the cheapest trained network to well beyond the limit."""
    values = report.columns.values(metric)[report.columns.are("complete")]
    values = values[np.isfinite(values) & (values > 0)]
    highest = float(values.max()) if len(values) else 1.0
    high = own * _REACH if own else highest
    low = float(values.min()) if len(values) else high / 100
    is_whole = METRICS[metric].kind == "cost"
    return (float(np.floor(low)), float(np.ceil(high))) if is_whole else (low * 0.9, high)
