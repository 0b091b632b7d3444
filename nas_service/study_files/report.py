"""A study as one HTML file: no script, no request to anywhere, readable for as long as there are browsers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from nas_service import __version__
from nas_service.columns import Columns
from nas_service.dashboard.axes import Axis, axis_layout, limit_labels, limit_shapes, view_range
from nas_service.dashboard.cloud import spread
from nas_service.dashboard.figures import DOMINATED, FRONT, INFEASIBLE, default_axes, hypervolume
from nas_service.dashboard.still import still
from nas_service.dashboard.wording import (
    duration_text,
    label,
    limit_text,
    moment_text,
    short_label,
    value_text,
)
from nas_service.metrics import METRICS
from nas_service.studies import StudySpec
from nas_service.views import FrontMember, FrontView, StudyView
from nas_service.yaml_text import yaml_text
from search_spaces import Architecture
from search_spaces.diagram import svg as diagram

# Points of a plot that are not on the front, and diagrams: a file of about a megabyte at most.
MOST_POINTS = 1500
# Of a front, for each point to have its number beside it.
MOST_NAMED = 15
MOST_MEMBERS = 40
MOST_DIAGRAMS = 8

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 980px; margin: 32px auto; padding: 0 20px; font: 15px/1.55 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; color: light-dark(#1a2027, #e7ebef);
  background: light-dark(#fff, #12171c); }
h1 { margin-bottom: 0; } h2 { margin-top: 40px; border-bottom: 1px solid #8c96a055; padding-bottom: 4px; }
table { width: 100%; border-collapse: collapse; } .scroll { overflow-x: auto; }
th, td { padding: 5px 12px 5px 0; text-align: left; border-bottom: 1px solid #8c96a044; vertical-align: top; }
.number { text-align: right; white-space: nowrap; } .muted { opacity: 0.75; }
pre { padding: 12px; overflow-x: auto; background: light-dark(#f1f3f6, #1c2229); font-size: 13px; }
svg { max-width: 100%; height: auto; } figure { margin: 16px 0; }
figcaption { opacity: 0.75; font-size: 13px; }
.diagrams { display: grid; gap: 24px; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; }
dt { opacity: 0.75; } dd { margin: 0; }
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report is made of."""

    study: StudyView
    front: FrontView
    columns: Columns
    # Of the members of the front: packages by name, as their workers told.
    versions: Mapping[str, Sequence[str]]
    made_at: datetime

    def html(self) -> bytes:
        """Return the file."""
        study, name = self.study, escape(self.study.name)
        parts = [
            f"<h1>{name}</h1>",
            f'<p class="muted">{escape(_standing(study))}</p>',
            self._facts(),
            "<h2>Pareto front</h2>",
            _figure(
                self._pareto(),
                "Steps: the front, feasible and fully trained networks that no other one beats. Dots: other "
                "trained networks; crosses: such as break a limit.",
            ),
            self._table(),
            "<h2>Networks</h2>",
            self._diagrams(),
            "<h2>Progress</h2>",
            _figure(
                still(hypervolume(self.front), "Hypervolume by trials"),
                "How the hypervolume of the front grew.",
            ),
            "<h2>How the figures came about</h2>",
            self._method(),
            "<h2>How to reproduce</h2>",
            self._reproduction(),
        ]
        head = f'<meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
        viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
        body = "\n".join(parts)
        page = f'<html lang="en"><head>{head}{viewport}</head><body>{body}</body></html>'
        return f"<!doctype html>\n{page}".encode()

    @property
    def _members(self) -> list[FrontMember]:
        objective = self.study.spec.objectives[0]
        sign = -1 if objective.direction == "max" else 1
        return sorted(self.front.front, key=lambda member: sign * member.values[objective.metric])

    def _facts(self) -> str:
        study, counts = self.study, self.study.trials
        facts = {
            "Data set": f"{study.spec.dataset} (sha256 {study.dataset_sha256[:16]}…)",
            "Objectives": ", ".join(f"{label(o.metric)} ({o.direction})" for o in study.spec.objectives),
            "Limits": _limits(study.spec) or "none",
            "Trained": f"{counts.trained:,}: {counts.complete:,} to the end, "
            f"{counts.pruned:,} stopped early, {counts.failed:,} failed",
            "Not trained": f"{counts.infeasible:,} beyond a limit, {counts.repeats:,} known already",
            "Time": duration_text(study.elapsed_s),
            "Report made": moment_text(self.made_at),
        }
        return _list(facts)

    def _pareto(self) -> str:
        spec = self.study.spec
        x, y = default_axes(spec)
        drawn = [m for m in self.front.front if x in m.values and y in m.values]
        drawn.sort(key=lambda member: member.values[x])
        columns, worthy = self.columns, self.columns.are("complete") & ~self.columns.excluded
        trained = self._points(x, y, worthy & columns.feasible)
        beyond = self._points(x, y, worthy & ~columns.feasible)
        front = [(m.values[x], m.values[y]) for m in drawn]
        line = {"color": FRONT, "width": 2, "shape": "hv" if METRICS[x].goal == "min" else "vh"}
        traces = [
            _trace(trained, DOMINATED, "circle", 4),
            _trace(beyond, INFEASIBLE, "x", 5),
            {**_trace(front, FRONT, "circle", 9), "mode": "lines+markers", "line": line},
        ]
        across, upward = (
            Axis(
                name,
                view_range(name, [point[place] for point in trained or front], spec.constraints.get(name)),
            )
            for place, name in enumerate((x, y))
        )
        names = [
            {"x": place[0], "y": place[1], "text": f"#{m.number}", "showarrow": False, "xanchor": "left"}
            for m, place in zip(drawn, front, strict=True)
            if len(drawn) <= MOST_NAMED
        ]
        layout = {
            "xaxis": axis_layout(across),
            "yaxis": axis_layout(upward),
            "shapes": limit_shapes(spec, across, upward),
            "annotations": [*limit_labels(spec, across, upward), *names],
        }
        return still({"data": traces, "layout": layout}, f"{label(y)} against {label(x)}")

    def _hypervolume(self) -> str:
        return still(hypervolume(self.front), "Hypervolume by trials")

    def _points(self, x: str, y: str, mask: Any) -> list[tuple[float, float]]:
        across, upward = self.columns.values(x), self.columns.values(y)
        numbers = (mask & (across == across) & (upward == upward)).nonzero()[0]
        chosen = numbers[spread(numbers, MOST_POINTS)]
        return list(zip(across[chosen].tolist(), upward[chosen].tolist(), strict=True))

    def _table(self) -> str:
        members = self._members
        if not members:
            return "<p>Nothing feasible was trained to the end.</p>"
        names = [objective.metric for objective in self.study.spec.objectives]
        names = list(dict.fromkeys([*names, *self.study.spec.constraints, "params", "macs"]))
        confirmed = any(member.confirmed for member in members)
        heads = "".join(f'<th class="number">{escape(short_label(name))}</th>' for name in names)
        more = "<th>On the test part</th>" if confirmed else ""
        rows = "".join(_row(member, names, confirmed) for member in members[:MOST_MEMBERS])
        rest = len(members) - MOST_MEMBERS
        note = f'<p class="muted">{rest} more are in the data of the study.</p>' if rest > 0 else ""
        head = f"<tr><th>Trial</th>{heads}{more}<th>Network</th></tr>"
        return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>{note}'

    def _diagrams(self) -> str:
        members = self._members
        # Evenly along the front, its ends among them.
        count = min(len(members), MOST_DIAGRAMS)
        places = sorted({round(n * (len(members) - 1) / max(1, count - 1)) for n in range(count)})
        drawn = "".join(
            f"<figure>{diagram(Architecture.from_dict(members[place].architecture))}"
            f"<figcaption>#{members[place].number}: {escape(members[place].summary)}</figcaption></figure>"
            for place in places
        )
        return f'<div class="diagrams">{drawn}</div>' if drawn else "<p>None yet.</p>"

    def _method(self) -> str:
        spec = self.study.spec
        latency = (
            f"Latency is the median of what was measured on “{escape(spec.device)}”."
            if spec.needs_latency
            else "No latency was measured."
        )
        return (
            f"<p>Every figure of quality is of the validation part ({spec.training.validation_share:.0%} of "
            f"the training data), which the search has chosen by: such figures flatter a little. Figures “on "
            f"the test part” are of networks trained anew with several seeds. Parameters, MACs and sizes are "
            f"exact. {latency}</p>"
        )

    def _reproduction(self) -> str:
        versions = {name: ", ".join(found) for name, found in self.versions.items()}
        spec = self.study.spec.model_dump(mode="json")
        return (
            "<p>Save this as <code>spec.yaml</code> and run <code>nas search spec.yaml</code>. Proposals "
            "depend on the seed and on the results before them; the replay bundle "
            "(<code>nas study bundle</code>) holds those of this study in their order.</p>"
            f"<pre>{escape(yaml_text(spec))}</pre>{_list({'Service': __version__, **versions})}"
        )


def _row(member: FrontMember, names: Sequence[str], has_confirmed: bool) -> str:
    cells = "".join(f'<td class="number">{escape(_figure_text(member, name))}</td>' for name in names)
    more = f"<td>{escape(_confirmed_text(member))}</td>" if has_confirmed else ""
    return f"<tr><td>#{member.number}</td>{cells}{more}<td>{escape(member.summary)}</td></tr>"


def _figure_text(member: FrontMember, name: str) -> str:
    predicted = " (predicted)" if name in member.predicted else ""
    return value_text(name, member.values.get(name)) + predicted


def _confirmed_text(member: FrontMember) -> str:
    found = member.confirmed
    if found is None:
        return "–"
    name = next((metric for metric in found.mean if METRICS[metric].goal == "max"), next(iter(found.mean)))
    deviation = f" ± {value_text(name, found.deviation[name])}" if name in found.deviation else ""
    return f"{short_label(name)} {value_text(name, found.mean[name])}{deviation}, n = {found.runs}"


def _standing(study: StudyView) -> str:
    return f"study {study.study} · launched {moment_text(study.created_at)} · {study.state}: {study.reason}"


def _limits(spec: StudySpec) -> str:
    texts = []
    for name, limit in spec.constraints.items():
        for words, bound in (("at most", limit.max), ("at least", limit.min)):
            if bound is not None:
                softness = " (soft)" if limit.soft else ""
                texts.append(f"{label(name)} {words} {limit_text(name, bound, limit.at)}{softness}")
    return ", ".join(texts)


def _trace(points: Sequence[tuple[float, float]], color: str, symbol: str, size: int) -> dict[str, Any]:
    marker = {"color": color, "symbol": symbol, "size": size, "opacity": 0.7}
    x, y = ([point[place] for point in points] for place in (0, 1))
    return {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker}


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def _list(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in facts.items())}</dl>"
