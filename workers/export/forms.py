"""Which of the equal forms of a network runs fastest where it will run: found by measuring them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product

from nas_service.measurements import Measurement
from search_spaces.deployment import DeployedNetwork
from search_spaces.folding import fold_graph
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


def fastest_form(
    trained: Trained, target: str, quiet: Callable[[str], AbstractContextManager[object]] = nullcontext
) -> ExecutionForm:
    """Measure each distinct form on the target's device and return the one with the smallest median.

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
    return min(forms.values(), key=lambda form: form.measurement.median_ms)
