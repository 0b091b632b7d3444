"""Pictures of figures that need no script."""

import math
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from nas_service.dashboard.still import still
from nas_service.dashboard.still_axis import StillAxis, shown_part

SVG = "{http://www.w3.org/2000/svg}"


def make_figure(count: int = 3, **layout: Any) -> dict[str, Any]:
    cloud = {
        "type": "scatter",
        "mode": "markers",
        "x": [float(number) for number in range(count)],
        "y": [0.5 + number / 10 / count for number in range(count)],
        "marker": {"color": "#8c96a0", "symbol": "circle", "size": 5, "opacity": 0.8},
    }
    front = {
        **cloud,
        "mode": "lines+markers",
        "x": [0.0, 2.0],
        "y": [0.5, 0.6],
        "line": {"color": "#0072B2", "width": 2, "shape": "hv"},
        "marker": {"color": "#0072B2", "symbol": ["circle", "diamond"], "size": [10, 7]},
    }
    axes = {"xaxis": {"title": {"text": "Latency <ms>"}, "range": [0, 2]}, "yaxis": {"range": [0.5, 0.6]}}
    return {"data": [cloud, front], "layout": {**axes, **layout}}


def paths(picture: str) -> list[dict[str, str]]:
    return [dict(path.attrib) for path in ElementTree.fromstring(picture).iter(f"{SVG}path")]


def test_a_step_line_goes_across_before_it_goes_up() -> None:
    drawn = still(make_figure(), "The front", width=278, height=156)
    line = next(path for path in paths(drawn) if path.get("stroke") == "#0072B2")
    # The plot is 200 pixels wide and 100 high, 66 from the left and 12 from the top.
    assert line["d"] == "M66.0 112.0H266.0V12.0"


def test_a_cloud_is_thinned_and_a_line_is_not() -> None:
    drawn = paths(still(make_figure(1000, xaxis={"range": [0, 1000]}), "The front", most_points=100))
    marks = {path["fill"]: path["d"].count("z") for path in drawn if path.get("opacity") == "0.8"}
    assert 1 < marks["#8c96a0"] <= 100
    assert sum(path["d"].count("z") for path in drawn if path.get("fill") == "#0072B2") == 2


def test_axes_have_round_numbers_and_their_own() -> None:
    layout = {
        "yaxis": {"range": [0.5, 0.6], "tickformat": ".1%"},
        "xaxis": {"range": [0, 2000], "tickvals": [1000], "ticktext": ["thousand"]},
    }
    texts = [
        text.text for text in ElementTree.fromstring(still(make_figure(**layout), "F")).iter(f"{SVG}text")
    ]
    assert "thousand" in texts
    assert "54%" in texts


def test_a_limit_outside_of_the_view_is_not_drawn() -> None:
    line = {"type": "line", "xref": "x", "yref": "y domain", "y0": 0, "y1": 1, "line": {"color": "#009E73"}}
    for place, count in ((1.0, 1), (5.0, 0)):
        drawn = still(make_figure(shapes=[{**line, "x0": place, "x1": place}]), "F")
        assert len(re.findall("#009E73", drawn)) == count


def test_words_are_escaped() -> None:
    assert "Latency &lt;ms&gt;" in still(make_figure(), "<script>")
    assert "<script>" not in still(make_figure(), "<script>")


def test_another_type_is_refused() -> None:
    figure = make_figure()
    figure["data"][0]["type"] = "heatmap"
    with pytest.raises(ValueError, match="heatmap"):
        still(figure, "F")


@pytest.mark.parametrize(
    ("low", "high", "form", "texts"),
    [
        (0.1, 0.3, "", ["0.10", "0.15", "0.20", "0.25", "0.30"]),
        (0.0, 0.2, ".1%", ["0%", "5%", "10%", "15%", "20%"]),
        (0, 1e6, "~s", ["0", "200k", "400k", "600k", "800k", "1M"]),
        (0, 1e6, ",d", ["0", "200,000", "400,000", "600,000", "800,000", "1,000,000"]),
    ],
)
def test_ticks_are_round(low: float, high: float, form: str, texts: list[str]) -> None:
    axis = StillAxis(low, high, 0.0, 100.0, {"tickformat": form})
    assert [text for _, text in axis.ticks()] == texts


def test_a_logarithmic_axis_has_1_2_and_5_of_each_decade() -> None:
    axis = StillAxis(0.008, 0.3, 0.0, 100.0, {"type": "log"})
    assert [text for _, text in axis.ticks()] == ["0.01", "0.02", "0.05", "0.1", "0.2"]
    assert axis.place(0.008 * math.sqrt(0.3 / 0.008)) == pytest.approx(50.0)
    assert shown_part({"type": "log", "range": [-2, 1]}, []) == pytest.approx((0.01, 10.0))


def test_words_on_a_logarithmic_axis_lie_at_their_exponent() -> None:
    note = {"text": "here", "x": 2.0, "y": 0.55, "showarrow": False}
    drawn = still(
        make_figure(xaxis={"type": "log", "range": [1, 3]}, annotations=[note]), "F", width=278, height=156
    )
    (words,) = [text for text in ElementTree.fromstring(drawn).iter(f"{SVG}text") if text.text == "here"]
    assert words.get("x") == "166.0"


def test_an_axis_of_one_value_has_room_around_it() -> None:
    low, high = shown_part({}, [5.0, 5.0])
    assert low < 5.0 < high
    assert shown_part({}, []) == (0.0, 1.05)
