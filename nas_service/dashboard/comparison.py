"""Two to four trials side by side: figures, curves, networks and what differs between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_service.dashboard.contents import Content
from nas_service.dashboard.curve_figures import Curve, learning_curves
from nas_service.dashboard.front_report import validation_examples
from nas_service.dashboard.front_words import points
from nas_service.dashboard.wording import value_text
from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS, Metric
from nas_service.service import Service
from nas_service.significance import noise_between
from nas_service.trials import latency_interval
from nas_service.views import FrontMember, StudyView, TrialView
from search_spaces import Architecture
from search_spaces.architecture import MAX_STAGES
from search_spaces.diagram import summary, svg
from search_spaces.difference import Change, difference, place_before
from search_spaces.difference import value_text as field_text

FEWEST, MOST = 2, 4


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of one trial, and how it compares with the first one's."""

    text: str
    # Empty for the first, and where either lacks the figure.
    delta: str
    # "better", "worse" or "same", which includes what noise alone may make.
    verdict: str


@dataclass(frozen=True, slots=True)
class Side:
    """One trial with its network, in which what differs from the others has a thick edge."""

    trial: TrialView
    study: StudyView
    summary: str
    diagram: str


@dataclass(frozen=True, slots=True)
class Differing:
    """A part of the networks that is not the same in all of them; a text a trial, empty where absent."""

    where: str
    field: str
    texts: tuple[str, ...]


def chosen(service: Service, ids: Sequence[int]) -> list[TrialView]:
    """Return the trials of some ids, each once, four at most.

    Raises:
        InvalidInput: Fewer than two were given.
        NotFound: One of them does not exist.
    """
    wanted = list(dict.fromkeys(ids))[:MOST]
    if len(wanted) < FEWEST:
        raise InvalidInput(
            FieldError(
                "/t", f"{len(wanted)} trials cannot be compared", f"{FEWEST} to {MOST} trials: ?t=1&t=2"
            )
        )
    return [service.trial(trial) for trial in wanted]


def contents(service: Service, ids: Sequence[int]) -> Content:
    """Return what the page shows of some trials."""
    trials = chosen(service, ids)
    studies = {trial.study_id: service.study(trial.study_id) for trial in trials}
    networks = [Architecture.from_dict(trial.architecture) for trial in trials]
    changes = [difference(networks[0], network) for network in networks[1:]]
    return {
        "sides": _sides(trials, studies, networks, changes),
        "studies": list(studies.values()),
        "figure_rows": _figure_rows(service, trials, studies),
        "differing": differing(networks, changes),
        "spec_rows": _spec_rows(trials, studies),
        "left_out": len(dict.fromkeys(ids)) - len(trials),
        "is_one_task": len({study.dataset_sha256 for study in studies.values()}) == 1,
        "query": "&".join(f"t={trial.id}" for trial in trials),
    }


def curves(service: Service, ids: Sequence[int]) -> dict[str, Any]:
    """Return the trials' validation accuracy by epoch as a document."""
    trials = chosen(service, ids)
    points_of = service.curves([trial.id for trial in trials])
    several = len({trial.study_id for trial in trials}) > 1
    drawn = [
        Curve(trial, points_of[trial.id], f"{trial.study_id}/#{trial.number}" if several else None)
        for trial in trials
        if points_of.get(trial.id)
    ]
    untrained = [f"#{trial.number}" for trial in trials if not points_of.get(trial.id)]
    return {
        "figure": learning_curves(drawn, (), "accuracy"),
        "message": None if drawn else "None of them was trained, so there is no curve.",
        "caption": f"Never trained: {', '.join(untrained)}." if untrained and drawn else "",
    }


def _sides(
    trials: Sequence[TrialView],
    studies: Mapping[int, StudyView],
    networks: Sequence[Architecture],
    changes: Sequence[Sequence[Change]],
) -> list[Side]:
    first = {change.before_at for each in changes for change in each if change.before_at}
    marked = [first, *({change.after_at for change in each if change.after_at} for each in changes)]
    return [
        Side(trial, studies[trial.study_id], summary(network), svg(network, marked=marks))
        for trial, network, marks in zip(trials, networks, marked, strict=True)
    ]


def _figure_rows(
    service: Service, trials: Sequence[TrialView], studies: Mapping[int, StudyView]
) -> list[tuple[Metric, list[Cell]]]:
    examples = min(validation_examples(service, study) for study in studies.values())
    return [
        (metric, [_cell(trials[0], trial, name, examples) for trial in trials])
        for name, metric in METRICS.items()
        if any(name in trial.metrics for trial in trials)
    ]


def _cell(first: TrialView, trial: TrialView, name: str, examples: int) -> Cell:
    value, base = trial.metrics.get(name), first.metrics.get(name)
    text = value_text(name, value)
    if trial.id == first.id or value is None or base is None:
        return Cell(text, "", "same")
    difference_ = value - base
    if not difference_:
        return Cell(text, "the same", "same")
    if abs(difference_) <= noise_between(_member(first), _member(trial), name, examples):
        return Cell(text, f"{_delta(name, difference_, base)}, within noise", "same")
    is_better = (difference_ > 0) is (METRICS[name].goal == "max")
    return Cell(text, _delta(name, difference_, base), "better" if is_better else "worse")


def _delta(name: str, amount: float, base: float) -> str:
    sign = "+" if amount > 0 else "−"
    if METRICS[name].kind == "quality":
        return f"{sign}{points(amount)}"
    share = f" ({sign}{abs(amount / base):.0%})" if base else ""
    return f"{sign}{value_text(name, abs(amount))}{share}"


def _member(trial: TrialView) -> FrontMember:
    """Return a trial as the noise of its figures is judged by."""
    return FrontMember(
        trial=trial.id,
        number=trial.number,
        values=trial.metrics,
        architecture={},
        architecture_hash=trial.architecture_hash,
        latency_interval_ms=latency_interval(trial.latency),
    )


def differing(networks: Sequence[Architecture], changes: Sequence[Sequence[Change]]) -> list[Differing]:
    """Return a row for each thing in which a network differs from the first one, in its order.

    Where the others do not differ they are as the first one; within a part that they lack they have nothing.
    """
    rows: dict[tuple[str, str, str], list[str | None]] = {}
    for column, each in enumerate(changes, start=1):
        for change in each:
            # By their places in the first network, for branches of others are paired with its own.
            key = (change.before_at or "", place_before(change), change.field)
            texts = rows.setdefault(key, [None] * len(networks))
            texts[0] = "" if change.before_at is None else field_text(change.before)
            texts[column] = "" if change.after_at is None else field_text(change.after)
    lacking = [[], *(_lacking(each) for each in changes)]
    return [
        Differing(where, field, _filled(texts, [_is_in(at, parts) for parts in lacking]))
        for (at, where, field), texts in sorted(rows.items(), key=lambda row: _order(row[0][1]))
    ]


def _lacking(changes: Sequence[Change]) -> list[str]:
    """Return the parts of the first network that another lacks, or has something else for."""
    whole = ("stage", "branch", "operation")
    return [change.before_at for change in changes if change.before_at and change.field in whole]


def _is_in(at: str, parts: Sequence[str]) -> bool:
    return any(at.startswith(f"{part}/") or at == part for part in parts)


def _filled(texts: Sequence[str | None], lacks: Sequence[bool]) -> tuple[str, ...]:
    first = texts[0] or ""
    return tuple(
        text if text is not None else "" if is_lacking else first
        for text, is_lacking in zip(texts, lacks, strict=True)
    )


def _order(where: str) -> tuple[int, str]:
    """Return where a row stands: the input first, stages by their numbers, the head last."""
    place = where.split(", ")[0]
    number = {"input": 0, "head": MAX_STAGES + 1}.get(place)
    return (int(place.removeprefix("stage ")) if number is None else number), where


def _spec_rows(
    trials: Sequence[TrialView], studies: Mapping[int, StudyView]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the fields in which the specs of the trials' studies differ; none within one study."""
    flat = [_flat(studies[trial.study_id].spec.model_dump(mode="json")) for trial in trials]
    names = list(dict.fromkeys(name for each in flat for name in each))
    rows = [(name, tuple(each.get(name, "") for each in flat)) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _flat(data: Any, name: str = "") -> dict[str, str]:
    if isinstance(data, dict) and data:
        return {
            path: text
            for key, value in data.items()
            for path, text in _flat(value, f"{name}.{key}" if name else str(key)).items()
        }
    if isinstance(data, list) and any(isinstance(item, dict) for item in data):
        return {
            path: text
            for place, value in enumerate(data, start=1)
            for path, text in _flat(value, f"{name} {place}").items()
        }
    return {name: ", ".join(map(str, data)) if isinstance(data, list) else str(data)}
