"""The pages of one study beside its front: each under the same frame, drawn whole on the server."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import (
    contents,
    launch_form,
    study_analysis,
    study_curves,
    study_log,
    trial_table,
)
from nas_service.dashboard.curve_figures import FIELDS, MOST_CURVES
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.row_ids import MAX_ID
from nas_service.service import Service
from nas_service.studies import StudySpec
from nas_service.views import StudyView

ManyIds = Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]] | None, Query(max_length=50)]
# Of what a person types into a field of an address.
MAX_TEXT = 500

# What a study is taken away as.
FILES = {
    "report.html": "a report in one file, without scripts: front, networks, spec, versions",
    "trials.csv": "all trials as a table",
    "trials.jsonl": "all trials with everything known of them, one JSON object a line",
    "bundle.zip": "everything, to be replayed or read without this program",
}

router = APIRouter(prefix="/studies/{study_id}", route_class=PageRoute, include_in_schema=False)

# The last part of each page's address, and its name; the first is the study's own page.
TABS = (
    ("", "Front"),
    ("trials", "Trials"),
    ("curves", "Curves"),
    ("analysis", "Analysis"),
    ("log", "Log"),
    ("settings", "Settings"),
)


def frame(service: Service, study: StudyView, tab: str) -> dict[str, Any]:
    """Return what `study_base.html` shows around the page of a tab."""
    return {"page": "study", "tab": tab, "tabs": TABS, **contents.status(service, study)}


@router.get("/trials")
def trials(
    service: TheService,
    study_id: Id,
    state: str | None = None,
    order: str | None = None,
    conditions: Annotated[str | None, Query(alias="filter")] = None,
    page_token: str | None = None,
) -> Response:
    study = service.study(study_id)
    choice = trial_table.Choice.read(state, order, conditions)
    listed = trial_table.contents(service, study, choice, page_token)
    return render("study_trials.html", **frame(service, study, "trials") | listed)


@router.get("/curves")
def curves(
    service: TheService, study_id: Id, t: ManyIds = None, trials: str = "", field: str = "accuracy"
) -> Response:
    study = service.study(study_id)
    chosen, missing = study_curves.chosen(service, study, t or [], trials[:MAX_TEXT])
    return render(
        "study_curves.html",
        **frame(service, study, "curves"),
        chosen=chosen,
        missing=missing,
        asked=trials[:MAX_TEXT],
        field=field if field in FIELDS else "accuracy",
        fields=FIELDS,
        most=MOST_CURVES,
        is_default=not t and not trials.strip(),
    )


@router.get("/analysis")
def analysis(service: TheService, study_id: Id, metric: str = "") -> Response:
    study = service.study(study_id)
    names = study_analysis.metrics_of(study.spec)
    return render(
        "study_analysis.html",
        **frame(service, study, "analysis"),
        metrics=names,
        metric=metric if metric in names else names[0],
    )


@router.get("/log")
def log(
    service: TheService, study_id: Id, kind: str | None = None, page_token: str | None = None
) -> Response:
    study = service.study(study_id)
    listed = study_log.contents(service, study, kind, page_token)
    return render("study_log.html", **frame(service, study, "log") | listed)


@router.get("/settings")
def settings(service: TheService, study_id: Id) -> Response:
    study = service.study(study_id)
    return render(
        "study_settings.html",
        **frame(service, study, "settings"),
        limited=_limitable(study.spec),
        files=FILES,
        asked=launch_form.spec_of(study.spec, study.name),
    )


def _limitable(spec: StudySpec) -> list[str]:
    """The metrics whose limits a form offers: those limited, and what costs and is known of all trials."""
    usual = ["params", "macs", "peak_activation_bytes", *(["latency_ms"] if spec.needs_latency else [])]
    return list(dict.fromkeys([*spec.constraints, *usual]))
