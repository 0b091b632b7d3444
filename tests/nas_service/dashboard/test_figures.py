"""Figures from views, without a service."""

import math
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go
import pytest

from nas_service.dashboard import figures, front_layers
from nas_service.dashboard.axes import view_range
from nas_service.dashboard.cloud import MOST_POINTS, Cloud
from nas_service.studies import Budget, Constraint, Objective, StudySpec
from nas_service.views import (
    CurvePoint,
    FrontMember,
    FrontView,
    HypervolumePoint,
    StudyView,
    TrialCounts,
    TrialSummary,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_study(**changes: Any) -> StudyView:
    spec = StudySpec(
        dataset="digits",
        constraints={"params": Constraint(max=1000), "latency_ms": Constraint(max=4.0, at="p90")},
        budget=Budget(trials=10),
    ).model_copy(update=changes)
    return StudyView(
        study=1,
        name="a study",
        state="running",
        reason="",
        trials=TrialCounts(complete=2),
        budget_trials=10,
        elapsed_s=1.0,
        sequence=1,
        created_at=NOW,
        finished_at=None,
        dataset_sha256="0" * 64,
        spec=spec,
    )


def make_trial(number: int, state: str = "complete", **metrics: float) -> TrialSummary:
    return TrialSummary.model_validate(
        {
            "id": 100 + number,
            "study_id": 1,
            "number": number,
            "state": state,
            "reason": None,
            "metrics": metrics,
            "violations": {},
            "is_on_front": False,
            "summary": f"network {number}",
            "worker": None,
            "attempt": 1,
            "finished_at": NOW,
        }
    )


def make_front(*members: tuple[int, float, float]) -> FrontView:
    return FrontView(
        study=1,
        objectives=[{"metric": "accuracy", "goal": "max"}, {"metric": "latency_ms", "goal": "min"}],
        reference_point=[0.0, 5.0],
        hypervolume=1.5,
        front=[
            FrontMember(
                trial=100 + number,
                number=number,
                values={"accuracy": accuracy, "latency_ms": latency},
                architecture={},
                architecture_hash="",
                summary="2 stages",
            )
            for number, accuracy, latency in members
        ],
        hypervolume_history=[
            HypervolumePoint(trials=1, hypervolume=1.0),
            HypervolumePoint(trials=2, hypervolume=1.5),
        ],
    )


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    return next(trace for trace in figure["data"] if trace["name"] == name)


def names(figure: dict[str, Any]) -> list[str]:
    return [trace["name"] for trace in figure["data"]]


def draw(trials: list[TrialSummary], front: FrontView, **more: Any) -> dict[str, Any]:
    return figures.pareto(make_study(), front, trials, x="latency_ms", y="accuracy", **more)


def test_the_front_is_a_step_line_from_cheap_to_dear() -> None:
    figure = draw([], make_front((3, 0.99, 2.0), (1, 0.90, 0.5)))
    front = trace(figure, "front")
    assert front["x"] == [0.5, 2.0]
    assert front["y"] == [0.90, 0.99]
    assert front["line"]["shape"] == "hv"
    assert front["customdata"] == [[101, 1], [103, 3]]


def test_the_step_goes_the_other_way_when_more_is_better_across() -> None:
    front = make_front((1, 0.9, 0.5), (2, 0.99, 2.0))
    figure = figures.pareto(make_study(), front, [], x="accuracy", y="latency_ms")
    assert trace(figure, "front")["line"]["shape"] == "vh"


def test_a_member_of_the_front_is_not_drawn_as_dominated() -> None:
    trials = [make_trial(1, accuracy=0.9, latency_ms=0.5), make_trial(2, accuracy=0.8, latency_ms=0.6)]
    figure = draw(trials, make_front((1, 0.9, 0.5)))
    assert trace(figure, "dominated")["customdata"] == [[102, 2]]


@pytest.mark.parametrize("state", ["infeasible", "pruned", "failed", "running", "waiting"])
def test_only_complete_trials_are_drawn_as_dominated(state: str) -> None:
    figure = draw([make_trial(5, state, accuracy=0.999, latency_ms=0.1)], make_front((1, 0.9, 0.5)))
    assert "dominated" not in names(figure)
    assert trace(figure, "front")["customdata"] == [[101, 1]]


def test_a_trained_network_over_a_limit_is_drawn_as_beyond_it() -> None:
    trial = make_trial(2, accuracy=0.8, latency_ms=4.6).model_copy(
        update={"violations": {"latency_ms": 0.15}}
    )
    figure = draw([trial], make_front((1, 0.9, 0.5)))
    assert trace(figure, "beyond")["customdata"] == [[102, 2]]
    assert "dominated" not in names(figure)


def test_states_differ_by_shape_as_well_as_by_colour() -> None:
    trials = [
        make_trial(2, accuracy=0.8, latency_ms=0.6),
        make_trial(3, "infeasible", accuracy=0.8, latency_ms=9.0),
        make_trial(4, "pruned", accuracy=0.5, latency_ms=0.6),
    ]
    show = frozenset({"dominated", "infeasible", "pruned"})
    figure = draw(trials, make_front((1, 0.9, 0.5)), show=show)
    marks = [
        (trace(figure, name)["marker"]["symbol"], trace(figure, name)["marker"]["color"]) for name in show
    ]
    assert len({symbol for symbol, _ in marks}) == len({color for _, color in marks}) == 3


def test_pruned_candidates_come_on_demand() -> None:
    trials = [make_trial(4, "pruned", accuracy=0.5, latency_ms=0.6)]
    assert "pruned" not in names(draw(trials, make_front((1, 0.9, 0.5))))


def test_a_candidate_rejected_before_training_lies_in_the_strip_below() -> None:
    trial = make_trial(7, "infeasible", params=5000.0)
    front = make_front((1, 0.9, 0.5))
    figure = figures.pareto(make_study(), front, [trial], x="params", y="accuracy")
    strip = trace(figure, "infeasible")
    assert strip["yaxis"] == "y2"
    assert strip["x"] == [5000.0]
    assert figure["layout"]["yaxis"]["domain"][0] > figure["layout"]["yaxis2"]["domain"][1]


def test_the_limit_is_a_dashed_line_with_words() -> None:
    layout = draw([], make_front((1, 0.9, 0.5), (2, 0.99, 3.0)))["layout"]
    dashed = [shape for shape in layout["shapes"] if shape["type"] == "line"]
    assert [(shape["x0"], shape["line"]["dash"]) for shape in dashed] == [(4.0, "dash")]
    assert [label["text"] for label in layout["annotations"]] == ["at most 4 ms (p90)"]


def test_a_far_limit_does_not_squeeze_the_points() -> None:
    layout = draw([], make_front((1, 0.9, 0.10), (2, 0.99, 0.12)))["layout"]
    assert layout["shapes"] == []
    assert layout["xaxis"]["range"][1] < 0.2


def test_prices_over_more_than_a_decade_have_a_logarithmic_axis() -> None:
    wide = draw([], make_front((1, 0.9, 0.5), (2, 0.99, 6.0)))["layout"]
    assert wide["xaxis"]["type"] == "log"
    low, high = (10**end for end in wide["xaxis"]["range"])
    assert 0.4 < low < 0.5 < 6.0 < high < 8.0
    # Plotly wants exponents of ranges and annotations, and values of shapes.
    assert wide["annotations"][0]["x"] == pytest.approx(math.log10(4.0))
    assert next(shape["x0"] for shape in wide["shapes"] if shape["type"] == "line") == 4.0
    assert wide["yaxis"].get("type") is None
    assert draw([], make_front((1, 0.9, 0.5), (2, 0.99, 4.0)))["layout"]["xaxis"].get("type") is None


def test_words_at_points_lie_beside_what_is_drawn() -> None:
    trials = [
        make_trial(10 + n, accuracy=0.80 + 0.01 * (n % 19), latency_ms=0.6 + 0.01 * n) for n in range(60)
    ]
    front = make_front((1, 0.90, 0.5), (2, 0.99, 3.0))
    figure = draw(trials, front)
    notes = front_layers.picks(figure, front.front, {1: "as good, knee", 2: "best"}, "latency_ms", "accuracy")
    assert [note["text"] for note in notes] == ["as good, knee", "best"]
    (left, right), (low, high) = (figure["layout"][name]["range"] for name in ("xaxis", "yaxis"))
    dominated = trace(figure, "dominated")
    for note in notes:
        middle = 520 * (note["x"] - left) / (right - left) + note["ax"]
        depth = 330 * (high - note["y"]) / (high - low) + note["ay"]
        width = 6 * len(note["text"])
        hidden = [
            x
            for x, y in zip(dominated["x"], dominated["y"], strict=True)
            if abs(520 * (x - left) / (right - left) - middle) < width / 2
            and abs(330 * (high - y) / (high - low) - depth) < 7
        ]
        assert hidden == []
        assert width / 2 < middle < 520 - width / 2


def test_a_single_step_of_the_hypervolume_is_marked_on_whole_numbers() -> None:
    front = make_front((1, 0.9, 0.5))
    front = front.model_copy(update={"hypervolume_history": front.hypervolume_history[:1]})
    figure = figures.hypervolume(front)
    assert "markers" in figure["data"][0]["mode"]
    assert figure["layout"]["xaxis"]["dtick"] == 1
    low, high = figure["layout"]["yaxis"]["range"]
    assert low == 0 < 1.0 < high


def test_infeasible_candidates_do_not_set_the_range_where_feasible_ones_exist() -> None:
    assert view_range("params", [100.0, 900.0], Constraint(max=1000)) == pytest.approx((46.0, 1054.0))
    huge = make_trial(3, "infeasible", params=1e9, accuracy=0.1)
    small = make_trial(4, params=500.0, accuracy=0.9)
    figure = figures.pareto(make_study(), make_front(), [huge, small], x="params", y="accuracy")
    assert figure["layout"]["xaxis"]["range"][1] < 2000


def test_hover_texts_escape_what_they_quote() -> None:
    trial = make_trial(2, accuracy=0.8, latency_ms=0.6).model_copy(
        update={"summary": "<img src=x>", "reason": "<b>"}
    )
    (text,) = trace(draw([trial], make_front()), "dominated")["text"]
    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text
    assert "&lt;b&gt;" in text


def test_a_large_cloud_is_thinned_and_the_front_stays_whole() -> None:
    trials = [make_trial(n, accuracy=0.5, latency_ms=1.0 + n * 1e-4) for n in range(12_000)]
    members = [(20_000 + n, 0.6 + n * 1e-4, 1.0 + n * 1e-3) for n in range(100)]
    figure = draw(trials, make_front(*members))
    assert len(trace(figure, "front")["x"]) == 100
    assert len(trace(figure, "dominated")["x"]) == pytest.approx(MOST_POINTS, rel=0.02)


def test_thinning_keeps_a_subset_of_what_it_kept_before() -> None:
    trials = [make_trial(n, accuracy=0.5, latency_ms=1.0) for n in range(9000)]

    def kept(count: int) -> set[int]:
        cloud = Cloud.of(trials[:count], on_front=set(), x="latency_ms", y="accuracy")
        return {trial.number for trial in cloud.dominated}

    assert kept(9000) & set(range(5000)) <= kept(5000)


@pytest.mark.parametrize(
    ("objectives", "constraints", "axes"),
    [
        (("accuracy", "latency_ms"), {}, ("latency_ms", "accuracy")),
        (("params", "accuracy"), {}, ("params", "accuracy")),
        (("accuracy",), {"macs": Constraint(max=1)}, ("macs", "accuracy")),
        (("accuracy",), {}, ("params", "accuracy")),
        (("params",), {}, ("macs", "params")),
        (("params", "macs"), {}, ("params", "macs")),
    ],
)
def test_the_first_axes_are_price_across_and_gain_upwards(
    objectives: tuple[str, ...], constraints: dict[str, Constraint], axes: tuple[str, str]
) -> None:
    spec = StudySpec(
        dataset="digits",
        objectives=tuple(Objective(metric=name) for name in objectives),
        constraints=constraints,
    )
    assert figures.default_axes(spec) == axes


def test_every_attempt_has_its_curve_and_rungs_are_lines() -> None:
    points = [
        CurvePoint(
            epoch=epoch, attempt=attempt, train_loss=1.0, validation_loss=None, accuracy=0.5, seconds=1.0
        )
        for attempt, epoch in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    ]
    figure = figures.learning_curve(points, rungs=(1, 3, 9))
    assert trace(figure, "validation accuracy")["x"] == [1, 2, 3]
    assert trace(figure, "validation accuracy, attempt 1")["line"]["dash"] == "dot"
    assert trace(figure, "validation loss")["x"] == []
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [1, 3]


def test_an_axis_of_epochs_begins_at_the_first_and_one_accuracy_lies_in_the_middle() -> None:
    point = CurvePoint(epoch=1, attempt=1, train_loss=1.0, validation_loss=1.0, accuracy=0.4, seconds=1.0)
    layout = figures.learning_curve([point])["layout"]
    assert 0.5 < layout["xaxis"]["range"][0] < 1 < layout["xaxis"]["range"][1]
    assert layout["yaxis"]["range"] == pytest.approx([0.35, 0.45])


def test_plotly_itself_accepts_every_figure() -> None:
    show = frozenset({"dominated", "infeasible", "pruned"})
    trials = [
        make_trial(2, accuracy=0.8, latency_ms=0.6, params=10.0),
        make_trial(3, "infeasible", latency_ms=9.0),
        make_trial(4, "pruned", accuracy=0.5, latency_ms=0.6),
    ]
    front = make_front((1, 0.9, 0.5), (9, 0.95, 3.5))
    points = [CurvePoint(epoch=1, attempt=1, train_loss=1.0, validation_loss=1.0, accuracy=0.5, seconds=1.0)]
    for figure in (
        draw(trials, front, show=show),
        figures.hypervolume(front),
        figures.learning_curve(points, (1,)),
    ):
        assert len(go.Figure(figure).data) == len(figure["data"])


def test_no_trace_needs_webgl() -> None:
    figure = draw([make_trial(2, accuracy=0.8, latency_ms=0.6)], make_front((1, 0.9, 0.5)))
    assert {trace["type"] for trace in figure["data"]} == {"scatter"}
