"""`nas benchmark`: the latency of every form in an exported folder, on this machine."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

# Read by OpenMP when torch is first imported: latency is that of one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from nas_service.cli.output import Format, print_table, say, show
from nas_service.devices import LOCAL_DEVICES
from nas_service.errors import FieldError, InvalidInput, NotFound, ServiceError
from nas_service.preprocessing import Preprocessing
from search_spaces import SearchSpaceError
from search_spaces.deployment import DeployedNetwork
from search_spaces.folding import fold_graph
from workers.latency import DeviceUnavailable, self_test
from workers.latency.measurement import measure_network, time_run

COLUMNS = ("form", "device", "size_bytes", "median_ms", "low_ms", "high_ms", "is_noisy")
TORCH_FILES = ("weights.safetensors", "architecture.json")


@dataclass(frozen=True, slots=True)
class FormTime:
    """How long one form takes for one example."""

    form: str
    device: str
    size_bytes: int
    median_ms: float
    # Ends of the 95 % interval of that median.
    low_ms: float
    high_ms: float
    # The interval stayed wider than wanted: something else kept the machine busy.
    is_noisy: bool


def measured_forms(folder: Path, devices: tuple[str, ...]) -> Iterator[FormTime]:
    """Measure each form of a folder where it can run: ONNX files on cpu, the torch module on the others.

    Args:
        folder: What `nas trial export` wrote.
        devices: Of `LOCAL_DEVICES`.

    Raises:
        NotFound: Nothing in the folder runs on these devices.
        InvalidInput: A file cannot be read.
        DeviceUnavailable: This machine has no such device.
    """
    files, on_torch = what_runs(folder, devices)
    try:
        for device in on_torch:
            yield from _torch_forms(folder, device)
        for path in files:
            yield _onnx_form(path, folder)
    except (OSError, ValueError, KeyError, SearchSpaceError) as error:
        raise InvalidInput(FieldError("", f"{folder} holds no readable network: {error}")) from error


def what_runs(folder: Path, devices: tuple[str, ...]) -> tuple[list[Path], list[str]]:
    """Return the ONNX files, and the devices of the torch module; raises `NotFound` where there are none."""
    files = sorted(folder.glob("*.onnx")) if "cpu" in devices else []
    has_torch = all((folder / name).is_file() for name in TORCH_FILES)
    on_torch = [device for device in devices if device != "cpu"] if has_torch else []
    if not (files or on_torch):
        wanted = " and ".join(devices)
        raise NotFound(f"{folder} holds nothing that runs on {wanted}; write it with: nas trial export")
    return files, on_torch


def _torch_forms(folder: Path, device: str) -> Iterator[FormTime]:
    from workers.checkpoint import read_network

    weights = folder / "weights.safetensors"
    network = read_network((folder / "architecture.json").read_bytes(), weights.read_bytes())
    state = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    forms = {
        "torch, as trained": DeployedNetwork(network.graph, state),
        "torch, folded": DeployedNetwork(*fold_graph(network.graph, state)),
    }
    for name, form in forms.items():
        found = measure_network(form, device)
        size = sum(value.nbytes for value in form.state.values())
        yield FormTime(name, device, size, found.median_ms, found.low_ms, found.high_ms, found.is_noisy)


def _onnx_form(path: Path, folder: Path) -> FormTime:
    from workers.export.onnx_files import session

    content = path.read_bytes()
    try:
        running = session(content)
    # ONNX Runtime's errors have no base of their own.
    except Exception as error:
        raise InvalidInput(FieldError("", f"{path.name} cannot be read: {error}")) from error
    shape = running.get_inputs()[0].shape[1:]
    preprocessing = folder / "preprocessing.json"
    if preprocessing.is_file():
        shape = Preprocessing.from_dict(json.loads(preprocessing.read_text())).input_shape
    example = {"input": np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)}
    found = time_run(lambda: running.run(["logits"], example))
    times = (1e3 * found.median_s, 1e3 * found.low_s, 1e3 * found.high_s)
    return FormTime(path.name, "cpu", len(content), *times, found.is_noisy)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print; leaves with the exit codes of `nas`."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="nas benchmark")
    parser.add_argument("--device", choices=LOCAL_DEVICES, action="append")
    parser.add_argument("--output", type=Format, default=Format.table)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    devices = tuple(options.device or ("cpu-torch", "cpu"))
    try:
        what_runs(options.folder, devices)
        noise = self_test().reason
        if noise:
            say(f"this machine is too noisy to measure latency, take the figures with care: {noise}")
        found = measured_forms(options.folder, devices)
        rows = [asdict(form) for form in found]
    except (ServiceError, DeviceUnavailable) as error:
        say(f"nas benchmark: {error}")
        codes = ((InvalidInput, 2), (NotFound, 3))
        return next((code for kind, code in codes if isinstance(error, kind)), 1)
    if options.output is Format.table:
        print_table(rows, COLUMNS)
    else:
        show(rows, form=options.output, columns=COLUMNS)
    return 0


if __name__ == "__main__":
    main()
