"""Writing and verifying each form of a trained network in one folder."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nas_service.exports import ExportRequest
from search_spaces.deployment import DeployedNetwork
from search_spaces.graph import Graph
from search_spaces.modules.network import Network
from search_spaces.source_code import write_source
from workers.checkpoint import architecture_file, weights_file
from workers.export.card import FormRow, card
from workers.export.code_check import check_code
from workers.export.contribution import contributions
from workers.export.forms import ExecutionForm, chosen_form, measured_forms, reason
from workers.export.int8 import quantised
from workers.export.onnx_files import inference, onnx_file, session
from workers.export.preprocessing import as_code, preprocessing_of, put_before
from workers.export.size_limits import Excess, excesses, graph_sizes, size_limits
from workers.export.trained import Trained
from workers.export.tuning import TuningDiverged, tuned
from workers.export.verification import Agreement, accuracy_of, agreement, verified
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


class Writing:
    """Writes formats into a folder, one after another, and keeps what was measured and is to be said.

    Args:
        trained: What is exported.
        folder: Where to.
        request: What is asked for.
        on_step: Told what is being done within a format; what it raises ends the export.
        quiet: In which a device is measured, where other threads use it too.
    """

    def __init__(
        self,
        trained: Trained,
        folder: Path,
        request: ExportRequest,
        on_step: Callable[[str], object],
        quiet: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._trained, self._folder, self._request = trained, folder, request
        self._on_step, self._quiet = on_step, quiet
        self._form: ExecutionForm | None = None
        self._limits = size_limits(trained.study.spec.constraints)
        self.forms: list[FormRow] = []
        self.excesses: list[Excess] = []
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
        report = {
            "forms": [asdict(form) for form in self.forms],
            "over_limits": [asdict(excess) for excess in self.excesses],
            "remarks": self.remarks,
        }
        self._put("export.json", _json(report))

    def _put(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)

    def _put_limited(self, name: str, content: bytes, graph: Graph) -> None:
        """Write a file of a network's weights, and say so where it is larger than the study allows."""
        self._put(name, content)
        for excess in excesses(name, len(content), graph_sizes(graph), self._limits):
            if excess not in self.excesses:
                self.excesses.append(excess)
                self.remarks.append(f"warning: {excess.words}")

    def _weights(self) -> None:
        network = self._trained.network
        content = weights_file(network, self._trained.architecture)
        self._put_limited("weights.safetensors", content, network.graph)
        self._preparation()

    def _preparation(self) -> None:
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
        check_code(self._trained, self._folder)

    def _onnx(self) -> None:
        form = self._chosen_form()
        model = onnx_file(self._trained, form.network)
        found = verified(self._trained, inference(model), "the ONNX file")
        if self._request.target != "cpu-onnx":
            self._measured_folded(form)
        self._row("ONNX fp32", model, found, self._timed(model))
        self._put_onnx("model.onnx", model)

    def _int8(self) -> None:
        form = self._chosen_form()
        fp32 = onnx_file(self._trained, form.network)
        exact = agreement(self._trained, inference(fp32)).accuracy
        model = quantised(self._trained, fp32)
        drop = self._eight_bits("ONNX int8", model, exact)
        if self._request.qat_epochs:
            model = self._tuned(form.network, model, exact)
        elif _is_notable(drop):
            self.remarks.append("fine-tuning for 8 bits may win that back: --qat-epochs 3")
        self._put_onnx("model-int8.onnx", model)

    def _eight_bits(self, name: str, model: bytes, exact: float) -> float:
        """Add the row of a file in 8 bits, and return what it loses of the accuracy."""
        found = agreement(self._trained, inference(model))
        self._row(name, model, found, self._timed(model))
        drop = exact - found.accuracy
        if _is_notable(drop):
            self.remarks.append(
                f"{name}: 8 bits cost {100 * drop:.2f} points of test accuracy "
                f"({100 * found.accuracy:.2f} instead of {100 * exact:.2f} %)"
            )
        return drop

    def _tuned(self, network: DeployedNetwork, plain: bytes, exact: float) -> bytes:
        """Return the file in 8 bits that answers better on the validation part: tuned, or as it was."""
        epochs = self._request.qat_epochs

        def tell(epoch: int) -> None:
            self._on_step(f"tunes for 8 bits, epoch {epoch} of {epochs}")

        try:
            learnt = tuned(self._trained, network, epochs, tell)
        except TuningDiverged as error:
            self.remarks.append(f"model-int8.onnx is the untuned form: tuning {error}")
            return plain
        model = quantised(self._trained, onnx_file(self._trained, learnt))
        self._eight_bits(f"ONNX int8, tuned for {epochs} epochs", model, exact)
        part = self._trained.data.validation
        called = "the validation part" if self._trained.has_validation else "some training examples"
        before, after = (accuracy_of(self._trained, part, inference(each)) for each in (plain, model))
        kept = "tuned" if after >= before else "untuned"
        self.remarks.append(
            f"model-int8.onnx is the {kept} form: {100 * after:.2f} % of {called} tuned, "
            f"{100 * before:.2f} % untuned"
        )
        return model if after >= before else plain

    def _card(self) -> None:
        branches = contributions(self._trained)
        for name, text in card(self._trained, self.forms, self.excesses, branches).items():
            self._put(name, text.encode())

    def _put_onnx(self, name: str, model: bytes) -> None:
        self._put_limited(name, self._finished(model), self._chosen_form().network.graph)
        # `nas predict` and `nas serve-model` read it beside the file.
        self._preparation()

    def _finished(self, model: bytes) -> bytes:
        """Return an ONNX file as it is written."""
        if self._request.with_preprocessing:
            return put_before(preprocessing_of(self._trained), model)
        return model

    def _file_bytes(self, network: DeployedNetwork) -> int:
        return len(self._finished(onnx_file(self._trained, network)))

    def _chosen_form(self) -> ExecutionForm:
        if self._form is None:
            forms = measured_forms(self._trained, self._request.target, self._quiet)
            self._form = chosen_form(forms, self._limits, self._file_bytes)
            self.remarks.append(reason(self._form, self._request.target, self._limits))
        return self._form

    def _measured_module(self, name: str, network: Network) -> None:
        """Add the row of the network as it was trained."""
        example = torch.zeros(1, *self._trained.dataset.input_shape)

        def run() -> object:
            with torch.inference_mode():
                return network(example)

        found = Agreement(len(self._trained.test), 0, 0.0, self._accuracy())
        content = weights_file(network, self._trained.architecture)
        with self._quiet("cpu-torch"):
            timed = time_run(run, "cpu-torch")
        self._row(name, content, found, timed, where="torch, one thread")

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
        with self._quiet("cpu"):
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


def _is_notable(drop: float) -> bool:
    # Shares of examples: a difference of just a point may come out a rounding above it.
    return drop > NOTABLE_DROP + 1e-9


def _json(data: object) -> bytes:
    return json.dumps(data, indent=2).encode() + b"\n"
