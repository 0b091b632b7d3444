"""The front of a study of MNIST: exported in full, and timed."""

import argparse
import json
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from benchmarks.exports.data import cut, opened, registered, work
from benchmarks.report import conditions, print_table, write
from nas_service.exports import ExportRequest
from nas_service.studies import Budget, Constraint, Objective, Search, StudySpec, Training
from workers.export.exporting import export
from workers.export.timing import measured_forms
from workers.export.trained import read_trained

PACKAGES = ("torch", "onnx", "onnxruntime", "numpy")


def search(options: argparse.Namespace) -> None:
    """Search MNIST within a folder."""
    mnist = np.load(options.data / "mnist.npz")
    service = opened(options.folder)
    registered(service, "mnist", cut(mnist, lambda x: x[:, None], options.examples))
    spec = StudySpec(
        name="mnist",
        dataset="mnist",
        space="multi_scale",
        objectives=(Objective(metric="accuracy"), Objective(metric="latency_ms")),
        constraints={"params": Constraint(max=50_000)},
        training=Training(epochs=options.epochs),
        budget=Budget(trials=options.trials),
        search=Search(seed=1),
    )
    study = service.create_study(spec).study
    work(service, study)
    for member in service.front(study).front:
        print(member.number, member.values["accuracy"], member.values["latency_ms"], member.summary)  # noqa: T201
    service.close()


def export_front(options: argparse.Namespace) -> None:
    """Export all members of the front."""
    service = opened(options.folder)
    (study,) = service.studies().items
    rows: dict[str, dict[str, Any]] = {}
    for member in service.front(study.study).front:
        trained = read_trained(service, str(study.study), member.number)
        exported = export(
            trained, options.folder / "front" / str(member.number), ExportRequest(), replaces=True
        )
        rows[str(member.number)] = {
            "summary": member.summary,
            "is_multi_branch": any(len(stage.branches) > 1 for stage in trained.architecture.stages),
            "params": member.values["params"],
            "validation_accuracy": member.values["accuracy"],
            "forms": {form.name: asdict(form) for form in exported.forms},
            "remarks": exported.remarks,
        }
        print(member.number, exported.remarks, flush=True)  # noqa: T201
    service.close()
    facts = {"spec": study.spec.model_dump(mode="json"), "state": study.state, "members": rows}
    (options.folder / "front.json").write_text(json.dumps(facts))


def latency(options: argparse.Namespace) -> None:
    """Time what was exported, and write the result file."""
    facts = json.loads((options.folder / "front.json").read_text())
    rows = []
    for number, member in facts["members"].items():
        times = {
            time.form: asdict(time)
            for time in measured_forms(options.folder / "front" / number, ("cpu-torch", "cpu"))
        }
        rows.append(_member_row(int(number), member, times))
    gains = [row["gain"] for row in rows if row["is_multi_branch"]]
    summary = {
        "members": len(rows),
        "multi_branch": len(gains),
        "median_gain": median(gains) if gains else None,
        "largest_int8_drop_points": max(row["int8_drop_points"] for row in rows),
    }
    table = [
        [str(row["trial"]), f"{row['params']:,.0f}", "yes" if row["is_multi_branch"] else "no"]
        + [f"{100 * row['test_accuracy']:.2f}", f"{row['int8_drop_points']:.2f}"]
        + [f"{row['size_bytes'][form] / 1024:.0f}" for form in ("model.onnx", "model-int8.onnx")]
        + [f"{row['median_ms'][form]:.4f}" for form in row["median_ms"]]
        + [f"{row['gain']:.1f}x"]
        for row in rows
    ]
    headers = ["trial", "params", "multi-branch", "test %", "int8 drop", "fp32 KiB", "int8 KiB"]
    print_table([*headers, *(f"{form} ms" for form in rows[0]["median_ms"]), "gain"], table)
    spec = facts["spec"]
    results = {"conditions": conditions(*PACKAGES), "spec": spec, "summary": summary, "rows": rows}
    print(summary, write("exports_front", results))  # noqa: T201


def _member_row(number: int, member: dict[str, Any], times: dict[str, dict[str, Any]]) -> dict[str, Any]:
    exact, rounded = member["forms"]["ONNX fp32"], member["forms"]["ONNX int8"]
    return {
        "trial": number,
        "summary": member["summary"],
        "is_multi_branch": member["is_multi_branch"],
        "params": member["params"],
        "test_accuracy": exact["accuracy"],
        "disagreements": exact["disagreements"],
        "largest_difference": exact["largest_difference"],
        "int8_drop_points": 100 * (exact["accuracy"] - rounded["accuracy"]),
        "size_bytes": {name: time["size_bytes"] for name, time in times.items()},
        "median_ms": {name: time["median_ms"] for name, time in times.items()},
        "noisy": [name for name, time in times.items() if time["is_noisy"]],
        # Of the exported form over the module as it was trained.
        "gain": times["torch, as trained"]["median_ms"] / times["model.onnx"]["median_ms"],
        "remarks": member["remarks"],
    }
