"""The log of a study in words, and the timeline of its workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nas_service.dashboard.contents import Content
from nas_service.dashboard.figures import DOMINATED, FRONT, INFEASIBLE, PRUNED, SECOND, Figure
from nas_service.dashboard.wording import as_utc, duration_text, label, limit_text, value_text
from nas_service.service import Service
from nas_service.views import EventView, StudyView, TrialSpan

EVENTS_ON_A_PAGE = 30
# Bars of a timeline: SVG draws these well.
MOST_SPANS = 500
MOST_WORKERS = 60
# What can be asked for, as a person says it.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "main": (
        "all but epochs",
        (
            "study.created",
            "study.state",
            "study.space",
            "study.changed",
            "trial.enqueued",
            "trial.started",
            "trial.finished",
            "job.created",
            "job.changed",
        ),
    ),
    "study": ("the study", ("study.created", "study.state", "study.space", "study.changed")),
    "ended": ("trials that ended", ("trial.finished",)),
    "started": ("trials that began", ("trial.started", "trial.enqueued")),
    "epochs": ("epochs", ("trial.epoch",)),
    "jobs": ("jobs", ("job.created", "job.changed")),
}
_ENDINGS = {
    "complete": "was trained to the end",
    "pruned": "was stopped early",
    "infeasible": "breaks a limit",
    "failed": "failed",
    "waiting": "waits to be trained",
}
_COLORS = {
    "complete": SECOND,
    "pruned": PRUNED,
    "infeasible": INFEASIBLE,
    "failed": "#E69F00",
    "running": FRONT,
    "waiting": DOMINATED,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    at: datetime
    # The state whose mark stands before it; "" for none.
    mark: str
    words: str
    # The trial that it is about.
    trial: int | None


def contents(service: Service, study: StudyView, group: str | None, page_token: str | None) -> Content:
    """What the list of events shows."""
    chosen = group if group in GROUPS else "main"
    kinds = GROUPS[chosen][1]
    page = service.study_log(study.study, kinds, page_size=EVENTS_ON_A_PAGE, page_token=page_token)
    return {
        "study": study,
        "entries": [entry(event) for event in page.items],
        "group": chosen,
        "groups": {name: words for name, (words, _) in GROUPS.items()},
        "next_page_token": page.next_page_token,
        "page_token": page_token or "",
        "is_first_page": not page_token,
    }


def entry(event: EventView) -> Entry:
    """An event in words."""
    data = event.data
    mark = str(data.get("state", "waiting" if event.kind == "job.created" else ""))
    trial = data.get("trial")
    return Entry(event.at, mark, _words(event.kind, data), trial if isinstance(trial, int) else None)


def _words(kind: str, data: dict[str, Any]) -> str:
    """A kind that is not known here keeps its name and figures: newer servers may write others."""
    name = f"Trial #{data['number']}" if "number" in data else f"Trial {data.get('trial')}"
    state = str(data.get("state", ""))
    reason = f": {data['reason']}" if data.get("reason") else ""
    match kind:
        case "study.created":
            return "The study was launched"
        case "study.state":
            return f"The study is {state}{reason}"
        case "study.space":
            excluded = data.get("excluded", 0)
            count = (
                f"; {excluded:,} earlier trials count no longer" if excluded else "; all earlier trials count"
            )
            return f"The space has a version {data.get('version')}{count}"
        case "study.changed":
            return _changed(data)
        case "trial.enqueued":
            return f"{name} was enqueued by hand"
        case "trial.started":
            again = f", for the {_ordinal(data['attempt'])} time" if data.get("attempt", 1) > 1 else ""
            return f"{name} began to train{again}"
        case "trial.finished":
            return f"{name} {_ENDINGS.get(state, f'ended as {state}')}"
        case "trial.epoch":
            accuracy = value_text("accuracy", data.get("accuracy"))
            return f"{name} reached epoch {data.get('epoch')} with {accuracy}"
        case "job.created" | "job.changed":
            about = f" of {name.lower()}" if data.get("trial") else ""
            work = f"Job {data.get('job')}, {data.get('kind', 'work')}{about}"
            return f"{work}, is {state or 'waiting'}{reason}"
    facts = ", ".join(f"{key} {value}" for key, value in data.items())
    return f"{kind.replace('.', ' ').capitalize()} {facts}".strip()


def _changed(data: dict[str, Any]) -> str:
    """What of a study is otherwise: its limits, or name and budget."""
    if "constraints" in data:
        limits = ", ".join(
            f"{label(name)} {words} {limit_text(name, limit[bound], limit.get('at', 'median'))}"
            f"{' (soft)' if limit.get('soft') else ''}"
            for name, limit in data["constraints"].items()
            for bound, words in (("max", "at most"), ("min", "at least"))
            if limit.get(bound) is not None
        )
        broken = data.get("broken", 0)
        judged = f"; {broken:,} trained networks break them" if broken else ""
        return f"Limits are now: {limits or 'none'}{judged}"
    budget = ", ".join(
        f"{value:g} {name}" for name, value in data.get("budget", {}).items() if _is_bound(value)
    )
    return f"The study is called “{data.get('name', '')}”; its budget is {budget}"


def _is_bound(value: Any) -> bool:
    return isinstance(value, int | float)


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def timeline_document(service: Service, study: StudyView) -> dict[str, Any]:
    """Bars by worker: which trial it trained when."""
    spans = service.spans(study.study, limit=MOST_SPANS)
    workers = sorted({span.worker for span in spans})
    shown = frozenset(workers[:MOST_WORKERS])
    drawn = [span for span in spans if span.worker in shown]
    return {
        "figure": timeline(drawn, datetime.now(UTC)),
        "message": None if drawn else "Appears when a worker takes the first trial.",
        "caption": _timeline_caption(drawn, study, len(workers)) if drawn else "",
        "rows": len(shown),
    }


def timeline(spans: Sequence[TrialSpan], now: datetime) -> Figure:
    """One bar a trial in the row of its worker, coloured by how it ended."""
    states = [state for state in _COLORS if any(span.state == state for span in spans)]
    return {
        "data": [_bars(state, [span for span in spans if span.state == state], now) for state in states],
        "layout": {
            "barmode": "overlay",
            "bargap": 0.25,
            "xaxis": {"type": "date"},
            "yaxis": {"type": "category", "autorange": "reversed", "categoryorder": "category ascending"},
            "hovermode": "closest",
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "uirevision": "timeline",
        },
    }


def _bars(state: str, spans: Sequence[TrialSpan], now: datetime) -> Figure:
    begun = [as_utc(span.started_at) for span in spans]
    ended = [as_utc(span.finished_at) if span.finished_at else now for span in spans]
    lasted = [max(0.0, (end - begin).total_seconds()) for begin, end in zip(begun, ended, strict=True)]
    return {
        "type": "bar",
        "orientation": "h",
        "name": state,
        "y": [span.worker for span in spans],
        "base": [begin.isoformat(timespec="milliseconds") for begin in begun],
        # Milliseconds, as a date axis counts.
        "x": [round(1000 * seconds, 1) for seconds in lasted],
        "customdata": [[span.id, span.number] for span in spans],
        "text": [
            f"#{span.number} · {state} · {duration_text(s)}" for span, s in zip(spans, lasted, strict=True)
        ],
        "textposition": "none",
        "marker": {"color": _COLORS[state], "line": {"width": 0.5, "color": "#ffffff"}},
        "hovertemplate": "%{text}<br>%{y}<extra></extra>",
    }


def _timeline_caption(spans: Sequence[TrialSpan], study: StudyView, workers: int) -> str:
    trials = study.trials.trained + study.trials.running
    text = f"The last {len(spans):,} trials." if len(spans) < trials else "All trials that were trained."
    return f"{text} {MOST_WORKERS} of {workers} workers are shown." if workers > MOST_WORKERS else text
