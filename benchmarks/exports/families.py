"""One trained network of every family on data of one, two and three axes, exported in all formats."""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from benchmarks.exports.alone import ALONE, LOADER, has_equal_bits
from benchmarks.exports.data import DATA, arrays_of, opened, registered, work
from benchmarks.report import conditions, print_table, write
from nas_service.errors import NotFound
from nas_service.exports import FORMATS, ExportRequest
from nas_service.service import Service
from nas_service.studies import Budget, Objective, Recipe, StudySpec, Training
from search_spaces import Architecture, RandomTrial, SearchSpaceError, analyse, families
from workers.export.exporting import Exported, export
from workers.export.trained import Trained, read_trained
from workers.export.verification import MOST_DIFFERENCE
from workers.export.writing import NOTABLE_DROP

PACKAGES = ("torch", "onnx", "onnxruntime", "numpy")
DRAWS = 24
TUNED_FOR = 3


@dataclass(frozen=True)
class Row:
    """One network: which formats were written and are true, and what 8 bits cost on the test part."""

    data: str
    family: str
    params: int
    examples: int
    # Formats whose files are there and hold what was checked of them.
    formats: list[str]
    # Of the ONNX file in fp32 against the network as it was trained.
    disagreements: int
    largest_difference: float
    largest_logit: float
    accuracy: float
    int8_accuracy: float
    # Whether the export says that 8 bits cost more than a point; false where they do not.
    is_drop_said: bool
    # Test accuracy of the file tuned for 8 bits; None where no more than a point was lost.
    tuned_accuracy: float | None
    # Whether it was the better one on the validation part.
    is_tuned_kept: bool | None

    @property
    def lost_points(self) -> float:
        """Return what 8 bits cost of the test accuracy."""
        return 100 * (self.accuracy - self.int8_accuracy)


def run(options: argparse.Namespace) -> None:
    """Export what is not yet exported, or write the result file."""
    if options.save:
        _save(options.folder, options)
        return
    service = opened(options.folder)
    for name in options.only or DATA:
        path = options.folder / f"{name}.jsonl"
        known = {row.family for row in _rows(path)}
        for family, trained in _trained_families(service, name, options, known):
            row = _row(name, family, trained)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
            print(row, flush=True)  # noqa: T201
    service.close()


def _row(data: str, family: str, trained: Trained) -> Row:
    """Export a network and check each format; raises where one is not true."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "network"
        exported = export(trained, folder, ExportRequest())
        forms = {form.name: form for form in exported.forms}
        exact, rounded = forms["ONNX fp32"], forms["ONNX int8"]
        formats = [each for each in FORMATS if _CHECKS[each](trained, folder, exported)]
        tuned, is_kept = None, None
        if any("8 bits cost" in remark for remark in exported.remarks):
            tuned, is_kept = _tuned(trained, Path(name) / "tuned")
    return Row(
        data=data,
        family=family,
        params=analyse(trained.architecture).params,
        examples=len(trained.test),
        formats=formats,
        disagreements=exact.disagreements,
        largest_difference=exact.largest_difference,
        largest_logit=float(trained.test_logits.abs().max()),
        accuracy=exact.accuracy,
        int8_accuracy=rounded.accuracy,
        is_drop_said=any("8 bits cost" in remark for remark in exported.remarks),
        tuned_accuracy=tuned,
        is_tuned_kept=is_kept,
    )


def _tuned(trained: Trained, folder: Path) -> tuple[float, bool]:
    """Return the test accuracy of the file tuned for 8 bits, and whether it was kept."""
    found = export(trained, folder, ExportRequest(formats=("onnx-int8",), qat_epochs=TUNED_FOR))
    (tuned,) = (form for form in found.forms if "tuned" in form.name)
    return tuned.accuracy, any("is the tuned form" in remark for remark in found.remarks)


# What is checked of each format: beyond what the export itself checks, from the files as they lie there.


def _is_loaded(trained: Trained, folder: Path, exported: Exported) -> bool:
    return has_equal_bits(trained, folder, LOADER)


def _runs_alone(trained: Trained, folder: Path, exported: Exported) -> bool:
    return has_equal_bits(trained, folder, ALONE)


def _is_checked(trained: Trained, folder: Path, exported: Exported) -> bool:
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    onnx.checker.check_model(model, full_check=True)
    (form,) = (form for form in exported.forms if form.name == "ONNX fp32")
    return form.disagreements == 0 and form.size_bytes == (folder / "model.onnx").stat().st_size


def _is_rounded(trained: Trained, folder: Path, exported: Exported) -> bool:
    model = onnx.load_from_string((folder / "model-int8.onnx").read_bytes())
    onnx.checker.check_model(model, full_check=True)
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def _tells_all(trained: Trained, folder: Path, exported: Exported) -> bool:
    pages = [(folder / name).read_text(encoding="utf-8") for name in ("CARD.md", "card.html")]
    wanted = [form.name for form in exported.forms]
    wanted += [trained.study.dataset_sha256, trained.trial.architecture_hash]
    wanted += [f"{100 * exported.forms[0].accuracy:.2f} %"]
    return all(words in page for words in wanted for page in pages)


_CHECKS: dict[str, Callable[[Trained, Path, Exported], bool]] = {
    "torch": _is_loaded,
    "code": _runs_alone,
    "onnx": _is_checked,
    "onnx-int8": _is_rounded,
    "card": _tells_all,
}


# Training


def _trained_families(
    service: Service, name: str, options: argparse.Namespace, known: set[str]
) -> Iterator[tuple[str, Trained]]:
    """Train a small network of each family in one study, unless that was done; yield those not yet known."""
    try:
        study = service.find_study(name).study
    except NotFound:
        study = _launched(service, name, options)
    work(service, study)
    numbers: dict[str, int] = json.loads((options.folder / f"{name}.json").read_text())
    for family, number in numbers.items():
        if family in known or family not in (options.family or [family]):
            continue
        if service.trial_by_number(study, number).state == "complete":
            yield family, read_trained(service, str(study), number)
        else:
            yield family, _trained_slowly(service, study, number)


def _trained_slowly(service: Service, study: int, number: int) -> Trained:
    """Return a network that diverged, trained with a quarter of the rate."""
    failed, spec = service.trial_by_number(study, number), service.study(study).spec
    rate = spec.training.recipe.learning_rate / 4
    slower = spec.training.model_copy(
        update={"recipe": spec.training.recipe.model_copy(update={"learning_rate": rate})}
    )
    again = service.create_study(
        spec.model_copy(
            update={"name": f"{spec.name}, slower", "training": slower, "budget": Budget(trials=1)}
        )
    ).study
    repeated = service.enqueue(again, failed.architecture).number
    work(service, again)
    return read_trained(service, str(again), repeated)


def _launched(service: Service, name: str, options: argparse.Namespace) -> int:
    dataset = registered(service, name, arrays_of(name, options.data, options.examples))
    drawn = {family: _small(family, dataset.input_shape, dataset.classes) for family in families.names()}
    wanted = {family: network for family, network in drawn.items() if network is not None}
    spec = StudySpec(
        name=name,
        dataset=name,
        objectives=(Objective(metric="accuracy"),),
        # Batches of the default size would be few in so small a training part.
        training=Training(epochs=options.epochs, early_stopping="none", recipe=Recipe(batch_size=32)),
        budget=Budget(trials=len(wanted)),
    )
    study = service.create_study(spec).study
    numbers = {family: service.enqueue(study, network.to_dict()).number for family, network in wanted.items()}
    (options.folder / f"{name}.json").write_text(json.dumps(numbers))
    return study


def _small(family: str, shape: tuple[int, ...], classes: int) -> Architecture | None:
    """Return the cheapest of some draws, with several branches if any has; None where no draw fits."""
    found = []
    for seed in range(DRAWS):
        try:
            found.append(families.get(family).space.sample(RandomTrial(seed), shape, classes))
        except SearchSpaceError:
            continue
    several = [network for network in found if any(len(stage.branches) > 1 for stage in network.stages)]
    return min(several or found, key=lambda network: analyse(network).macs, default=None)


# The result file


def _rows(path: Path) -> list[Row]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Row(**json.loads(line)) for line in lines]


def _save(folder: Path, options: argparse.Namespace) -> None:
    rows = [row for name in DATA for row in _rows(folder / f"{name}.jsonl")]
    headers = [
        "data",
        "family",
        "params",
        "formats",
        "other top-1",
        "difference",
        "fp32 %",
        "int8 %",
        "tuned %",
    ]
    table = [
        [
            row.data,
            row.family,
            f"{row.params:,}",
            f"{len(row.formats)}/{len(FORMATS)}",
            f"{row.disagreements} of {row.examples}",
            f"{row.largest_difference:.1e}",
            f"{100 * row.accuracy:.2f}",
            f"{100 * row.int8_accuracy:.2f}",
            "" if row.tuned_accuracy is None else f"{100 * row.tuned_accuracy:.2f}",
        ]
        for row in rows
    ]
    print_table(headers, table)
    training = {"examples": options.examples, "epochs": options.epochs}
    results = {"conditions": conditions(*PACKAGES), "training": training, "summary": _summary(rows)}
    print(write("exports_families", {**results, "rows": [asdict(row) for row in rows]}))  # noqa: T201


def _summary(rows: list[Row]) -> dict[str, Any]:
    # A difference of just a point may come out a rounding above it.
    dropped = [row for row in rows if row.lost_points > 100 * NOTABLE_DROP + 1e-6]
    return {
        "networks": len(rows),
        "by_data": {name: sum(row.data == name for row in rows) for name in DATA},
        "by_format": {name: sum(name in row.formats for row in rows) for name in FORMATS},
        "disagreements": sum(row.disagreements for row in rows),
        "largest_difference": max(row.largest_difference for row in rows),
        "allowed_difference": MOST_DIFFERENCE,
        "with_more_than_a_point_lost_in_8_bits": len(dropped),
        "of_these_said": sum(row.is_drop_said for row in dropped),
        "of_these_with_the_tuned_form_kept": sum(bool(row.is_tuned_kept) for row in dropped),
    }
