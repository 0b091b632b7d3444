"""An export keeps the study's limits on size where it can, and says so where it cannot."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from filler import Filler

from nas_service.exports import ExportRequest
from nas_service.studies import Constraint
from search_spaces import analyse
from search_spaces.deployment import DeployedNetwork
from workers.export.exporting import export
from workers.export.forms import ExecutionForm, chosen_form, measured_forms, reason
from workers.export.size_limits import excess_share, excesses, graph_sizes, size_limits
from workers.export.trained import Trained, read_trained

LONE = ExportRequest(formats=("onnx", "card"))


def limited(trained: Trained, **limits: Constraint) -> Trained:
    spec = trained.study.spec.model_copy(update={"constraints": limits})
    return replace(trained, study=trained.study.model_copy(update={"spec": spec}))


@pytest.fixture
def merged_is_fastest(trained: Trained) -> list[ExecutionForm]:
    """The forms of a network, timed so that the one of most weights is the fastest."""
    forms = measured_forms(trained, "cpu-onnx")
    assert len({weights(form) for form in forms}) > 1
    return [timed(form, 1 / weights(form)) for form in forms]


def timed(form: ExecutionForm, median_ms: float) -> ExecutionForm:
    return replace(form, measurement=form.measurement.model_copy(update={"median_ms": median_ms}))


def weights(form: ExecutionForm) -> int:
    return graph_sizes(form.network.graph)["model_bytes"]


def no_overhead(network: DeployedNetwork) -> int:
    return graph_sizes(network.graph)["model_bytes"]


def test_a_graph_as_trained_has_the_sizes_of_its_architecture(trained: Trained) -> None:
    known = analyse(trained.architecture).metrics()
    sizes = graph_sizes(trained.network.graph)
    assert sizes == {name: known[name] for name in sizes}


def test_soft_limits_and_other_metrics_limit_no_file() -> None:
    constraints = {
        "params": Constraint(max=10, soft=True),
        "model_bytes": Constraint(max=20),
        "model_bytes_int8": Constraint(min=5),
        "macs": Constraint(max=30),
    }
    assert size_limits(constraints) == {"model_bytes": 20}
    assert excess_share({"model_bytes": 30, "params": 9}, {"model_bytes": 20.0}) == 0.5
    assert excess_share({"model_bytes": 10}, {"model_bytes": 20.0}) == 0
    assert excess_share({"model_bytes": 10}, {}) == 0


def test_a_form_beyond_the_limit_is_not_chosen_however_fast(merged_is_fastest: list[ExecutionForm]) -> None:
    forms = merged_is_fastest
    smallest, largest = min(map(weights, forms)), max(map(weights, forms))
    assert weights(chosen_form(forms, {}, no_overhead)) == largest
    limits = {"model_bytes": float(smallest)}
    chosen = chosen_form(forms, limits, no_overhead)
    assert weights(chosen) == smallest
    assert f"within model_bytes <= {smallest:,}: " in reason(chosen, "cpu-onnx", limits)
    # The file around the weights decides where the weights leave a choice.
    roomy = {"model_bytes": float(largest)}

    def wrapped(network: DeployedNetwork) -> int:
        return no_overhead(network) + largest - smallest

    assert weights(chosen_form(forms, roomy, wrapped)) == smallest


def test_where_no_form_fits_the_smallest_is_chosen(merged_is_fastest: list[ExecutionForm]) -> None:
    limits = {"model_bytes": 100.0}
    chosen = chosen_form(merged_is_fastest, limits, no_overhead)
    assert weights(chosen) == min(map(weights, merged_is_fastest))
    said = reason(chosen, "cpu-onnx", limits)
    assert said.startswith("smallest form for cpu-onnx, for none is within model_bytes <= 100: ")


def test_the_reason_names_the_limit(trained: Trained, destination: Path) -> None:
    exported = export(limited(trained, model_bytes=Constraint(max=10**7)), destination, LONE)
    assert exported.remarks[0].startswith("fastest form for cpu-onnx within model_bytes <= 10,000,000: ")
    assert not any(remark.startswith("warning") for remark in exported.remarks)
    assert json.loads((destination / "export.json").read_text())["over_limits"] == []
    assert "Larger than" not in (destination / "CARD.md").read_text()


def test_a_file_beyond_the_limit_is_said_in_every_place(trained: Trained, destination: Path) -> None:
    exported = export(limited(trained, model_bytes=Constraint(max=100)), destination, LONE)
    size = (destination / "model.onnx").stat().st_size
    said = f"model.onnx has {size:,} bytes, {size - 100:,} more than the study's limit model_bytes <= 100"
    assert f"warning: {said}" in exported.remarks
    (over,) = json.loads((destination / "export.json").read_text())["over_limits"]
    assert (over["file"], over["metric"], over["limit"], over["size"]) == (
        "model.onnx",
        "model_bytes",
        100,
        size,
    )
    assert f"**Larger than the study allows:** {said}." in (destination / "CARD.md").read_text()
    assert "Larger than the study allows" in (destination / "card.html").read_text()


def test_each_file_is_held_against_its_own_metric(trained: Trained, destination: Path) -> None:
    own = limited(trained, model_bytes=Constraint(max=10**7), model_bytes_int8=Constraint(max=200))
    exported = export(own, destination, ExportRequest(formats=("torch", "code", "onnx", "onnx-int8")))
    warnings = [remark for remark in exported.remarks if remark.startswith("warning")]
    assert [words.split()[1] for words in warnings] == ["model-int8.onnx"]
    assert warnings[0].endswith("the study's limit model_bytes_int8 <= 200")


def test_an_excess_says_whether_weights_or_file_are_at_fault() -> None:
    sizes = {"params": 30, "model_bytes": 120, "model_bytes_int8": 60}

    def words(**limits: float) -> list[str]:
        return [excess.words for excess in excesses("model.onnx", 500, sizes, limits)]

    assert words(params=10) == ["model.onnx has 30 parameters, 20 more than the study's limit params <= 10"]
    large = "model.onnx has 500 bytes, 490 more than the study's limit model_bytes <= 10"
    assert words(model_bytes=10) == [large]
    assert words(model_bytes=300)[0].endswith("model_bytes <= 300; its weights alone (120) keep it")
    assert words(model_bytes=500, params=30, model_bytes_int8=1) == []


def test_a_limit_is_kept_by_what_is_written(filler: Filler, destination: Path) -> None:
    trained = read_trained(filler.service, str(filler.study), filler.add("two_conv_residual"))
    forms = measured_forms(trained, "cpu-onnx")
    bound = min(map(weights, forms)) * 1.0
    export(limited(trained, model_bytes=Constraint(max=bound)), destination, LONE)
    report = json.loads((destination / "export.json").read_text())
    assert report["remarks"][0].startswith("fastest form for cpu-onnx within")
    # Names and wiring come on top of the weights, which keep the limit.
    (over,) = report["over_limits"]
    assert over["weights"] <= bound < over["size"]
