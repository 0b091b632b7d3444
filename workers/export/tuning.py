"""Quantisation-aware fine-tuning: a folded network learns to answer in 8 bits as it did in 32.

Source: fake quantisation with straight-through gradients, Jacob et al. 2018, arXiv:1712.05877; the network's
own answers as targets, Hinton et al. 2015, arXiv:1503.02531.
"""

from collections.abc import Callable
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from search_spaces.deployment import DeployedNetwork
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.pointwise import Activation
from search_spaces.layers.reduction import Linear
from search_spaces.modules.network import Network
from workers.data.arrays import Part
from workers.export.trained import Trained

LEARNING_RATE = 0.01
# Folded weights have no norm behind them that would hold a large step back.
MOST_GRADIENT = 1.0
SEED = 0
CALIBRATION_EXAMPLES = 1_000
WEIGHTS, ACTIVATIONS = (-127, 127), (0, 255)


class TuningDiverged(Exception):
    """The network answers with NaN or infinity: its weights are of no use."""


def tuned(
    trained: Trained,
    network: DeployedNetwork,
    epochs: int,
    on_epoch: Callable[[int], object] = lambda _: None,
) -> DeployedNetwork:
    """Return a folded network with weights that lose less in 8 bits.

    While it is tuned, weights are rounded with a scale an output channel and maps with one scale, as the file
    will be; gradients pass the rounding as if it were not there. No label and no test example is looked at.

    Args:
        trained: Whose training part is used.
        network: Folded; its own answers are the targets.
        epochs: Over the training part, with a step size that falls to zero.
        on_epoch: Told the number of each epoch, from 1; what it raises ends the tuning.

    Raises:
        TuningDiverged: No weights came of it.
    """
    student, teacher = _module(network), _module(network)
    quantisers = _fake_quantised(student)
    generator = torch.Generator().manual_seed(SEED)
    # Not Adam: near the minimum, where it begins, that one walks at random.
    optimiser = torch.optim.SGD(student.parameters(), lr=LEARNING_RATE, momentum=0.9)
    for epoch in range(1, epochs + 1):
        on_epoch(epoch)
        _calibrate(trained, student, quantisers, generator)
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + cos(pi * (epoch - 1) / epochs))
        for inputs, _ in trained.batches(_shuffled(trained.data.train, generator)):
            with torch.no_grad():
                targets = functional.softmax(teacher(inputs), dim=1)
            loss = functional.cross_entropy(student(inputs), targets)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), MOST_GRADIENT)
            optimiser.step()
    learnt = DeployedNetwork(network.graph, _plain_state(student, network))
    _check_finite(trained, _module(learnt))
    return learnt


@torch.no_grad()
def _check_finite(trained: Trained, network: Network) -> None:
    # Not the student's answers: rounding makes numbers even of what is none.
    for inputs, _ in trained.batches(trained.data.validation):
        if not bool(torch.isfinite(network(inputs)).all()):
            raise TuningDiverged("diverged: the network answers with infinite numbers")


class _RoundedWeights(nn.Module):
    """Rounds a weight (O, ...) to 8 bits with a scale an output channel."""

    def forward(self, weight: Tensor) -> Tensor:
        largest = weight.detach().abs().flatten(1).amax(1)
        scale = (largest / WEIGHTS[1]).clamp_min(1e-8)
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, *WEIGHTS)


class _Quantiser:
    """Rounds what passes to 8 bits within the range that it saw while it watched."""

    def __init__(self) -> None:
        self.watches = True
        self._low, self._high = 0.0, 0.0

    def forget(self) -> None:
        self.watches, self._low, self._high = True, 0.0, 0.0

    def __call__(self, values: Tensor) -> Tensor:
        if self.watches:
            self._low = min(self._low, float(values.detach().min()))
            self._high = max(self._high, float(values.detach().max()))
            return values
        scale = max((self._high - self._low) / ACTIVATIONS[1], 1e-8)
        zero = round(-self._low / scale)
        return torch.fake_quantize_per_tensor_affine(values, scale, zero, *ACTIVATIONS)


def _fake_quantised(network: Network) -> list[_Quantiser]:
    """Let weights, inputs and maps be rounded; what an activation reads alone is rounded behind it."""
    first, quantisers = _Quantiser(), []
    network.register_forward_pre_hook(lambda _module, inputs: (first(inputs[0]),))
    readers: dict[int, list[Any]] = {}
    for node in network.graph.nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node.layer)
    for index, node in enumerate(network.graph.nodes):
        module = network.get_submodule(node.name)
        if isinstance(node.layer, Convolution | Linear):
            parametrize.register_parametrization(module, "weight", _RoundedWeights())
        if not all(isinstance(layer, Activation) for layer in readers.get(index, [None])):
            quantiser = _Quantiser()
            quantisers.append(quantiser)
            module.register_forward_hook(lambda _module, _inputs, output, round_=quantiser: round_(output))
    return [first, *quantisers]


@torch.no_grad()
def _calibrate(
    trained: Trained, network: Network, quantisers: list[_Quantiser], generator: torch.Generator
) -> None:
    for quantiser in quantisers:
        quantiser.forget()
    part = _shuffled(trained.data.train, generator, CALIBRATION_EXAMPLES)
    for inputs, _ in trained.batches(part):
        network(inputs)
    for quantiser in quantisers:
        quantiser.watches = False


def _shuffled(part: Part, generator: torch.Generator, limit: int | None = None) -> Part:
    order = torch.randperm(len(part), generator=generator)[:limit]
    return Part(part.examples[order], part.labels[order])


def _module(network: DeployedNetwork) -> Network:
    module = Network(network.graph)
    module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in network.state.items()})
    return module.eval()


def _plain_state(student: Network, network: DeployedNetwork) -> dict[str, Any]:
    """Return the tuned weights by the names that they have without rounding."""
    state = student.state_dict()
    names = {name: name for name in network.state}
    for name in names:
        folder, _, own = name.rpartition(".")
        original = f"{folder}.parametrizations.{own}.original"
        names[name] = original if original in state else name
    return {name: state[stored].detach().numpy() for name, stored in names.items()}
