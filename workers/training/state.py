"""What training is after a full epoch: copied out, and put back.

Rates, batch sizes and the rest follow from the recipe and the epoch; only what steps change is kept.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

log = logging.getLogger("nas.worker")
NETWORK, OPTIMIZER, GENERATOR = "network.", "optimizer.", "generator."
# Sets the epochs' seeds apart where a generator's own state cannot be put back.
EPOCH_STRIDE = 1_000_003


class Unfit(ValueError):
    """A stored state is not one of this training."""


class Overdue(Exception):
    """The present epoch would take longer than there is time."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The state behind a full epoch; behind none it holds no tensors."""

    epoch: int = 0
    # Of the validation part after that epoch.
    accuracy: float = 0.0
    # Over all attempts.
    trained_examples: int = 0
    seconds: float = 0.0
    # By name: network.ENTRY, optimizer.PARAMETER.ENTRY, generator.NAME.DEVICE.
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class Continuity(Protocol):
    """How training goes on from an earlier attempt, and lets a later one go on from it."""

    def earlier(self) -> Iterable[TrainingState]:
        """Yield states to go on from, the best first; the first that fits is taken."""

    def offer(self, state: TrainingState, *, is_last: bool = False) -> None:
        """Be told of the state behind an epoch; the last one is that of training told to stop."""

    def is_overdue(self) -> bool:
        """Whether the present epoch must be abandoned; asked before each step."""


class Uninterrupted:
    """Training that begins at the beginning and leaves nothing behind."""

    def earlier(self) -> Iterable[TrainingState]:
        return ()

    def offer(self, state: TrainingState, *, is_last: bool = False) -> None:
        pass

    def is_overdue(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Parts:
    """All that a step changes.

    Args:
        network: Its parameters and buffers.
        optimizer: Of the network's parameters.
        generators: By name; they draw batches, augmentation and dropout.
        seed: For generators whose state cannot be put back: those of another kind of device.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    generators: Mapping[str, torch.Generator]
    seed: int

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of everything, on the device where it lies, without waiting for it."""
        entries = {NETWORK + name: value for name, value in self.network.state_dict().items()}
        for name, value in self._optimizer_entries():
            entries[OPTIMIZER + name] = value
        for name, generator in self.generators.items():
            entries[_generator_name(name, generator)] = generator.get_state()
        return {name: value.detach().clone() for name, value in entries.items()}

    def restore_first(self, states: Iterable[TrainingState]) -> TrainingState:
        """Put the first state back that fits and return it; one behind no epoch if none does."""
        for state in states:
            try:
                self.restore(state)
            except Unfit as error:
                log.warning("the checkpoint of epoch %d is not used: %s", state.epoch, error)
                continue
            return state
        return TrainingState()

    def restore(self, state: TrainingState) -> None:
        """Put a state back; nothing is changed if it raises `Unfit`."""
        network = _below(NETWORK, state.tensors)
        _check_alike(self.network.state_dict(), network)
        entries = self._restored_entries(_below(OPTIMIZER, state.tensors))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                value.copy_(network[name])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": entries, "param_groups": groups})
        for name, generator in self.generators.items():
            kept = state.tensors.get(_generator_name(name, generator))
            if kept is None:
                generator.manual_seed(self.seed + EPOCH_STRIDE * state.epoch)
            else:
                generator.set_state(kept.cpu())

    def _optimizer_entries(self) -> Iterator[tuple[str, Tensor]]:
        for index, entries in self.optimizer.state_dict()["state"].items():
            for name, value in entries.items():
                # Without momentum SGD remembers None.
                if value is not None:
                    yield f"{index}.{name}", value

    def _restored_entries(self, kept: Mapping[str, Tensor]) -> dict[int, dict[str, Any]]:
        """Return an optimiser's entries by parameter, each in its parameter's memory order.

        Fused optimisers walk over parameter and entry in the order of memory, without looking at strides.
        """
        parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
        entries: dict[int, dict[str, Any]] = {index: {} for index in range(len(parameters))}
        for name, value in kept.items():
            index, _, entry = name.partition(".")
            if not index.isdecimal() or int(index) not in entries:
                raise Unfit(f"the optimiser has no parameter {index}")
            parameter = parameters[int(index)]
            if value.shape not in (parameter.shape, torch.Size()):
                raise Unfit(f"the optimiser's {name} has the shape {tuple(value.shape)}")
            is_map = value.shape == parameter.shape
            entries[int(index)][entry] = torch.empty_like(parameter).copy_(value) if is_map else value
        _check_complete(parameters, entries)
        return {index: named for index, named in entries.items() if named}


def _generator_name(name: str, generator: torch.Generator) -> str:
    return f"{GENERATOR}{name}.{generator.device.type}"


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _check_complete(parameters: Sequence[Tensor], entries: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Every parameter that is trained has the same entries: an epoch has given each its gradients."""
    trained = {index: entries[index].keys() for index, one in enumerate(parameters) if one.requires_grad}
    names = set().union(*trained.values())
    for index, own in trained.items():
        if lacking := names - own:
            raise Unfit(f"the optimiser's parameter {index} has no {min(lacking)}")


def _check_alike(own: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    odd = own.keys() ^ kept.keys()
    if odd:
        raise Unfit(f"the network's entries differ: {min(odd)}")
    for name, value in own.items():
        if (value.shape, value.dtype) != (kept[name].shape, kept[name].dtype):
            raise Unfit(f"{name} has the shape {tuple(kept[name].shape)}")
