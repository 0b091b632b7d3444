"""What an export keeps, and what it saves.

`families`: one trained network of every family on real 1-D, 2-D and 3-D data; the folded ONNX file against
the network as it was trained, on the whole test part, and the written code's bits. Recordings of spoken
digits (averaged over four samples: 2,048 values), their spectrograms, and adrenal glands (the largest of each
2x2x2: 14x14x14); small networks, trained for an epoch: exactness does not depend on accuracy.

`search`: a study of MNIST within a folder. `front`: its front exported in full, with what 8 bits cost on the
test part. `latency`: every form of each exported network, timed on an undisturbed machine.

    python -m benchmarks.exports families DATA [--examples 400] [--only volumes]
    python -m benchmarks.exports search DATA FOLDER [--trials 14] [--epochs 3] [--examples 20000]
    python -m benchmarks.exports front FOLDER
    python -m benchmarks.exports latency FOLDER
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import conditions, print_table, write
from nas_service.exports import ExportRequest
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, Objective, Search, StudySpec, Training
from nas_service.trials import WorkerInfo
from search_spaces import Architecture, RandomTrial, SearchSpaceError, analyse, families
from search_spaces.deployment import DeployedNetwork
from search_spaces.folding import fold_graph
from search_spaces.source_code import write_source
from workers.checkpoint import weights_file
from workers.export.code_check import check_code
from workers.export.exporting import export
from workers.export.int8 import quantised
from workers.export.onnx_files import inference, onnx_file
from workers.export.timing import measured_forms
from workers.export.trained import Trained, read_trained
from workers.export.verification import MOST_DIFFERENCE, agreement
from workers.worker import Worker

PACKAGES = ("torch", "onnx", "onnxruntime", "numpy")
DRAWS = 24
DATA = ("signals", "spectrograms", "volumes")
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Exactness:
    """How the exported forms of one network compare with it on the test part."""

    data: str
    family: str
    params: int
    examples: int
    disagreements: int
    largest_difference: float
    largest_logit: float
    has_equal_bits: bool
    int8_disagreements: int


def main() -> None:
    """Run one part and write its results."""
    options = _options()
    parts: dict[str, Callable[[argparse.Namespace], None]] = {
        "families": _families,
        "search": _search,
        "front": _front,
        "latency": _latency,
    }
    parts[options.part](options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    exact = parts.add_parser("families")
    exact.add_argument("data", type=Path)
    exact.add_argument("--examples", type=int, default=400)
    exact.add_argument("--only", choices=DATA, action="append", help="may be repeated")
    search = parts.add_parser("search")
    search.add_argument("data", type=Path)
    search.add_argument("folder", type=Path)
    search.add_argument("--trials", type=int, default=14)
    search.add_argument("--epochs", type=int, default=3)
    search.add_argument("--examples", type=int, default=20_000)
    for name in ("front", "latency"):
        parts.add_parser(name).add_argument("folder", type=Path)
    return parser.parse_args()


# Exactness


def _families(options: argparse.Namespace) -> None:
    rows: list[Exactness] = []
    with tempfile.TemporaryDirectory() as home:
        service = Service.open(Settings(home=Path(home), database_url=None))
        for name in options.only or DATA:
            arrays = _arrays(name, options.data, options.examples)
            for family, trained in _trained_families(service, name, arrays):
                rows.append(_exactness(name, family, trained))
                print(rows[-1], flush=True)  # noqa: T201
        service.close()
    headers = ["data", "family", "params", "examples", "other top-1", "difference", "bits", "int8 other"]
    table = [
        [
            row.data,
            row.family,
            f"{row.params:,}",
            str(row.examples),
            str(row.disagreements),
            f"{row.largest_difference:.1e}",
            "equal" if row.has_equal_bits else "OTHER",
            str(row.int8_disagreements),
        ]
        for row in rows
    ]
    print_table(headers, table)
    summary = {
        "networks": len(rows),
        "disagreements": sum(row.disagreements for row in rows),
        "largest_difference": max(row.largest_difference for row in rows),
        "allowed_difference": MOST_DIFFERENCE,
        "with_equal_bits": sum(row.has_equal_bits for row in rows),
    }
    results = {"conditions": conditions(*PACKAGES), "summary": summary, "rows": [asdict(row) for row in rows]}
    print(write("exports_families", results))  # noqa: T201


def _arrays(name: str, folder: Path, examples: int) -> Arrays:
    """Return real data of one, two or three axes, with so many training examples."""
    if name == "signals":
        return _cut(np.load(folder / "fsdd-waveform.npz"), _averaged, examples)
    if name == "spectrograms":
        return _cut(np.load(folder / "fsdd-logmel.npz"), lambda x: x, examples)
    volumes = np.load(folder / "adrenalmnist3d.npz")
    named = {
        f"{axis}_{part}": volumes[f"{part}_{kind}"]
        for part in ("train", "test")
        for axis, kind in (("x", "images"), ("y", "labels"))
    }
    return _cut(named, _halved, examples)


def _averaged(signals: NDArray[Any]) -> NDArray[Any]:
    return signals.reshape(len(signals), 1, 2048, 4).mean(3).astype(np.int16)


def _halved(volumes: NDArray[Any]) -> NDArray[Any]:
    blocks = volumes.reshape(len(volumes), 1, 14, 2, 14, 2, 14, 2)
    return np.asarray(blocks.max((3, 5, 7)))


def _cut(arrays: Any, prepare: Callable[[NDArray[Any]], NDArray[Any]], examples: int) -> Arrays:
    order = np.random.default_rng(0).permutation(len(arrays["x_train"]))[:examples]
    return {
        "x_train": prepare(arrays["x_train"][order]),
        "y_train": arrays["y_train"].reshape(-1)[order],
        "x_test": prepare(arrays["x_test"]),
        "y_test": arrays["y_test"].reshape(-1),
    }


def _trained_families(service: Service, name: str, arrays: Arrays) -> Iterator[tuple[str, Trained]]:
    """Train a small network of each family in one study, and yield them."""
    dataset = _registered(service, name, arrays)
    drawn = {family: _small(family, dataset.input_shape, dataset.classes) for family in families.names()}
    wanted = {family: network for family, network in drawn.items() if network is not None}
    spec = StudySpec(
        name=name,
        dataset=name,
        objectives=(Objective(metric="accuracy"),),
        training=Training(epochs=1),
        budget=Budget(trials=len(wanted)),
    )
    study = service.create_study(spec).study
    numbers = {family: service.enqueue(study, network.to_dict()).number for family, network in wanted.items()}
    _work(service, study)
    for family, number in numbers.items():
        yield family, read_trained(service, str(study), number)


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


def _exactness(data: str, family: str, trained: Trained) -> Exactness:
    network = trained.network
    state = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    model = onnx_file(trained, DeployedNetwork(*fold_graph(network.graph, state)))
    found = agreement(trained, inference(model))
    return Exactness(
        data=data,
        family=family,
        params=analyse(trained.architecture).params,
        examples=found.examples,
        disagreements=found.disagreements,
        largest_difference=found.largest_difference,
        largest_logit=float(trained.test_logits.abs().max()),
        has_equal_bits=_has_equal_bits(trained),
        int8_disagreements=agreement(trained, inference(quantised(trained, model))).disagreements,
    )


def _has_equal_bits(trained: Trained) -> bool:
    """Run the written code in a process of its own; raises `Mismatch` where a bit differs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.py").write_text(write_source(trained.architecture))
        weights = weights_file(trained.network, trained.architecture)
        (Path(folder) / "weights.safetensors").write_bytes(weights)
        check_code(trained, Path(folder))
    return True


# The front of MNIST


def _search(options: argparse.Namespace) -> None:
    mnist = np.load(options.data / "mnist.npz")
    service = _opened(options.folder)
    _registered(service, "mnist", _cut(mnist, lambda x: x[:, None], options.examples))
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
    _work(service, study)
    for member in service.front(study).front:
        print(member.number, member.values["accuracy"], member.values["latency_ms"], member.summary)  # noqa: T201
    service.close()


def _front(options: argparse.Namespace) -> None:
    service = _opened(options.folder)
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


def _latency(options: argparse.Namespace) -> None:
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


def _opened(folder: Path) -> Service:
    folder.mkdir(parents=True, exist_ok=True)
    return Service.open(Settings(home=folder / "home", database_url=None))


def _registered(service: Service, name: str, arrays: Arrays) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options
        return service.add_dataset(path, name)


def _work(service: Service, study: int) -> None:
    """Do a study's work in this process."""
    ledger = SqlLedger(service.engine, settings=service.settings)
    information = WorkerInfo(name="benchmark", host="here", pid=os.getpid())
    folder = service.settings.data_home / "spool"
    Worker(ledger, information, folder, study_id=study, until_finished=True).run()


if __name__ == "__main__":
    main()
