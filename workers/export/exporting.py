"""One export: all files written and verified in a folder aside, which then takes its place."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from nas_service.exports import FORMATS
from nas_service.whole_folder import whole_folder
from search_spaces.modules.network import Network
from search_spaces.source_code import write_source
from workers.checkpoint import architecture_file, weights_file
from workers.export.card import FormRow, card
from workers.export.contribution import contributions
from workers.export.forms import TARGETS, ExecutionForm, fastest_form
from workers.export.int8 import quantised
from workers.export.onnx_files import inference, onnx_file, session
from workers.export.preprocessing import as_code, preprocessing_of, put_before
from workers.export.trained import Trained
from workers.export.verification import Agreement, Mismatch, agreement, verified
from workers.latency.estimate import Estimate
from workers.latency.measurement import time_run

# A larger drop of accuracy is said aloud.
NOTABLE_DROP = 0.01
LOADER = '''\
"""Load the network: `from load import network` where search_spaces is installed."""

import json
from pathlib import Path

from safetensors.torch import load_file
from search_spaces import Architecture
from search_spaces.modules import build

FOLDER = Path(__file__).parent
network = build(Architecture.from_dict(json.loads((FOLDER / "architecture.json").read_text())))
network.load_state_dict(load_file(FOLDER / "weights.safetensors"))
network.eval()
'''


CHECK = """
import sys, torch, model
from safetensors.torch import load_file
torch.set_num_threads(int(sys.argv[2]))
known = load_file(sys.argv[1])
with torch.no_grad():
    assert torch.equal(model.load()(known["x"]), known["logits"]), "the logits differ"
"""


def _silently(share: float, name: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for."""

    formats: tuple[str, ...] = FORMATS
    # A key of `workers.export.forms.TARGETS`.
    target: str = "cpu-onnx"
    # Whether the ONNX files take examples as in the data set.
    with_preprocessing: bool = False
    # Whether files of an earlier export may be replaced.
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote, and what it found."""

    folder: Path
    files: list[str]
    forms: list[FormRow]
    # What a person should know, a sentence each.
    remarks: list[str]


def export(
    trained: Trained, folder: Path, options: Options, on_step: Callable[[float, str], object] = _silently
) -> Exported:
    """Write the files of a trained network into a folder; all of them, or none.

    Args:
        trained: What is exported.
        folder: Where to.
        options: What is asked for.
        on_step: Told before each format how much is done, and its name; what it raises ends the export.

    Raises:
        Conflict: The folder holds something already.
        Mismatch: A form does not compute what was trained; nothing is written.
        ServiceError: The folder cannot be written, for instance since the disk is full.
    """
    with whole_folder(folder, replaces=options.replaces) as aside:
        writing = _Writing(trained, aside, options)
        for place, name in enumerate(options.formats):
            on_step(place / len(options.formats), name)
            writing.write(name)
        writing.finish()
        files = sorted(path.relative_to(aside).as_posix() for path in aside.rglob("*") if path.is_file())
    return Exported(folder, files, writing.forms, writing.remarks)


class _Writing:
    def __init__(self, trained: Trained, folder: Path, options: Options) -> None:
        self._trained, self._folder, self._options = trained, folder, options
        self._form: ExecutionForm | None = None
        self._fp32: bytes | None = None
        self.forms: list[FormRow] = []
        self.remarks: list[str] = []

    def write(self, name: str) -> None:
        """Write one of `FORMATS`."""
        steps = {
            "torch": self._torch,
            "code": self._code,
            "onnx": self._onnx,
            "onnx-int8": self._int8,
            "card": self._card,
        }
        steps[name]()

    def finish(self) -> None:
        """Write down what was measured."""
        report = {"forms": [asdict(form) for form in self.forms], "remarks": self.remarks}
        self._put("export.json", _json(report))

    def _put(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)

    def _weights(self) -> None:
        self._put("weights.safetensors", weights_file(self._trained.network, self._trained.architecture))
        self._put("preprocessing.json", _json(preprocessing_of(self._trained).to_dict()))

    def _torch(self) -> None:
        self._weights()
        self._put("architecture.json", architecture_file(self._trained.architecture))
        self._put("load.py", LOADER.encode())
        self._measured_module("torch, as trained", self._trained.network)

    def _code(self) -> None:
        self._weights()
        preamble = [as_code(preprocessing_of(self._trained))]
        text = write_source(self._trained.architecture, preamble)
        self._put("model.py", text.encode())
        _check_code(self._trained, self._folder)

    def _onnx(self) -> None:
        form = self._chosen_form()
        model = onnx_file(self._trained, form.network)
        found = verified(self._trained, inference(model), "the ONNX file")
        if self._options.target != "cpu-onnx":
            self._measured_folded(form)
        self._row("ONNX fp32", model, found, self._timed(model))
        self._put_onnx("model.onnx", model)

    def _int8(self) -> None:
        form = self._chosen_form()
        fp32 = onnx_file(self._trained, form.network)
        model = quantised(self._trained, fp32)
        found = agreement(self._trained, inference(model))
        self._row("ONNX int8", model, found, self._timed(model))
        exact = agreement(self._trained, inference(fp32)).accuracy
        drop = exact - found.accuracy
        if drop > NOTABLE_DROP:
            self.remarks.append(
                f"8 bits cost {100 * drop:.2f} points of test accuracy "
                f"({100 * found.accuracy:.2f} instead of {100 * exact:.2f} %)"
            )
        self._put_onnx("model-int8.onnx", model)

    def _card(self) -> None:
        for name, text in card(self._trained, self.forms, contributions(self._trained)).items():
            self._put(name, text.encode())

    def _put_onnx(self, name: str, model: bytes) -> None:
        if self._options.with_preprocessing:
            model = put_before(preprocessing_of(self._trained), model)
        self._put(name, model)

    def _chosen_form(self) -> ExecutionForm:
        if self._form is None:
            self._form = fastest_form(self._trained, self._options.target)
            self.remarks.append(f"fastest form for {self._options.target}: {self._form.words}")
        return self._form

    def _measured_module(self, name: str, network: Network) -> None:
        """Add the row of the network as it was trained."""
        example = torch.zeros(1, *self._trained.dataset.input_shape)

        def run() -> object:
            with torch.inference_mode():
                return network(example)

        found = Agreement(len(self._trained.test), 0, 0.0, self._accuracy())
        size = weights_file(network, self._trained.architecture)
        self._row(name, size, found, time_run(run, "cpu-torch"), where="torch, one thread")

    def _measured_folded(self, form: ExecutionForm) -> None:
        measurement = form.measurement
        network = Network(form.network.graph)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in form.network.state.items()})
        network.eval()

        def run(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.inference_mode():
                return np.asarray(network(torch.from_numpy(inputs)).numpy())

        found = verified(self._trained, run, "the folded torch module")
        self.forms.append(
            FormRow(
                name="torch, folded",
                size_bytes=sum(value.nbytes for value in form.network.state.values()),
                median_ms=measurement.median_ms,
                interval_ms=(measurement.low_ms, measurement.high_ms),
                accuracy=found.accuracy,
                disagreements=found.disagreements,
                largest_difference=found.largest_difference,
                where=f"{measurement.runtime}, {measurement.machine}",
            )
        )

    def _timed(self, model: bytes) -> Estimate:
        running = session(model)
        example = {"input": np.zeros((1, *self._trained.dataset.input_shape), dtype=np.float32)}
        return time_run(lambda: running.run(["logits"], example), "cpu")

    def _row(
        self,
        name: str,
        content: bytes,
        found: Agreement,
        time: Estimate,
        where: str = "ONNX Runtime, one thread",
    ) -> None:
        self.forms.append(
            FormRow(
                name=name,
                size_bytes=len(content),
                median_ms=1e3 * time.median_s,
                interval_ms=(1e3 * time.low_s, 1e3 * time.high_s),
                accuracy=found.accuracy,
                disagreements=found.disagreements,
                largest_difference=found.largest_difference,
                where=where,
            )
        )

    def _accuracy(self) -> float:
        chosen = self._trained.test_logits.argmax(1)
        return int((chosen == self._trained.test.labels).sum()) / len(self._trained.test)


def _check_code(trained: Trained, folder: Path) -> None:
    """Run the written module with the written weights in a process of its own: its logits must have the bits.

    Raises:
        Mismatch: They have not, or it does not run.
    """
    inputs, _ = next(trained.batches(trained.test))
    # Bits depend on the order in memory: both sides get the plain one.
    inputs = inputs.clone(memory_format=torch.contiguous_format)
    with torch.no_grad():
        expected = trained.network(inputs)
    with tempfile.TemporaryDirectory() as name:
        save_file({"x": inputs, "logits": expected.contiguous()}, Path(name) / "check")
        command = [sys.executable, "-c", CHECK, str(Path(name) / "check"), str(torch.get_num_threads())]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Mismatch(f"model.py does not compute the bits of what was trained: {last}")


def _json(data: object) -> bytes:
    return json.dumps(data, indent=2).encode() + b"\n"


def chosen_formats(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the formats that are asked for; "all" stands for each of `FORMATS`.

    Raises:
        ValueError: One is unknown; the message says which there are.
    """
    unknown = [name for name in wanted if name not in (*FORMATS, "all")]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no format; allowed: {', '.join((*FORMATS, 'all'))}")
    return FORMATS if "all" in wanted else tuple(name for name in FORMATS if name in wanted)


__all__ = ["FORMATS", "TARGETS", "Exported", "Options", "chosen_formats", "export"]
