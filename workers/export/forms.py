"""Which of the equal forms of a network runs fastest where it will run: found by measuring them."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product

from nas_service.measurements import Measurement
from search_spaces.deployment import DeployedNetwork
from search_spaces.folding import fold_graph
from workers.export.size_limits import excess_share, graph_sizes, limit_words
from workers.export.trained import Trained
from workers.latency.measurement import measure_network

# By what people call them: where the exported file will run, and the device that stands for it here.
TARGETS = {"cpu-onnx": "cpu", "cpu-torch": "cpu-torch", "cuda": "cuda"}
# The arguments that `fold_graph` knows, and what they do in words.
MERGES = {
    "cheaper": "convolutions merged where that adds no work",
    "always": "convolutions merged wherever they can be",
}


@dataclass(frozen=True, slots=True)
class ExecutionForm:
    """A folded network and how fast it was."""

    network: DeployedNetwork
    # The arguments of `search_spaces.folding.fold_graph`.
    choice: dict[str, str | bool]
    measurement: Measurement

    @property
    def words(self) -> str:
        """Say how it was folded."""
        parts = [MERGES[str(self.choice["merge"])]]
        parts += ["concatenated ones too"] if self.choice["concat"] else []
        parts += ["groups made dense"] if self.choice["dense"] else []
        return ", ".join(parts)


def measured_forms(
    trained: Trained, target: str, quiet: Callable[[str], AbstractContextManager[object]] = nullcontext
) -> list[ExecutionForm]:
    """Measure each distinct form on the target's device.

    Args:
        trained: What to fold.
        target: A key of `TARGETS`.
        quiet: In which a device is measured, where other threads use it too.

    Raises:
        DeviceUnavailable: This machine has no such device.
    """
    state = {name: value.detach().numpy() for name, value in trained.network.state_dict().items()}
    forms: dict[str, ExecutionForm] = {}
    for merge, concat, dense in product(MERGES, (False, True), (False, True)):
        choice: dict[str, str | bool] = {"merge": merge, "concat": concat, "dense": dense}
        folded = fold_graph(trained.network.graph, state, merge=merge, concat=concat, dense=dense)
        network = DeployedNetwork(*folded)
        if network.hash not in forms:
            with quiet(TARGETS[target]):
                measurement = measure_network(network, TARGETS[target])
            forms[network.hash] = ExecutionForm(network, choice, measurement)
    return list(forms.values())


def chosen_form(
    forms: Iterable[ExecutionForm],
    limits: Mapping[str, float],
    file_bytes: Callable[[DeployedNetwork], int],
) -> ExecutionForm:
    """Return the fastest form within limits on size, or, where none is, the one that breaks them least.

    Weights decide first, then the file around them: where every file is too large, a form whose weights keep
    the limits still goes before one whose weights do not.

    Args:
        forms: As measured.
        limits: As `size_limits` gives them.
        file_bytes: Of a network in fp32.
    """

    def rank(form: ExecutionForm) -> tuple[float, bool, float]:
        has_large_file = "model_bytes" in limits and file_bytes(form.network) > limits["model_bytes"]
        weights = excess_share(graph_sizes(form.network.graph), limits)
        return weights, has_large_file, form.measurement.median_ms

    return min(forms, key=rank)


def reason(form: ExecutionForm, target: str, limits: Mapping[str, float]) -> str:
    """Say why a form was chosen, and how it was folded."""
    if not limits:
        return f"fastest form for {target}: {form.words}"
    if excess_share(graph_sizes(form.network.graph), limits):
        return f"smallest form for {target}, for none is within {limit_words(limits)}: {form.words}"
    return f"fastest form for {target} within {limit_words(limits)}: {form.words}"
