"""Fine-tuning: start from another network's weights and keep the lowest stages as they are."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of each entry, by its name in the state dict."""

    # Of both networks, in one shape: taken over.
    loaded: tuple[str, ...]
    # Of both, in two shapes: left as it was.
    mismatched: tuple[str, ...]
    # Only of the network that is to be trained: left as it was.
    missing: tuple[str, ...]
    # Only of the other network.
    unused: tuple[str, ...]


@torch.no_grad()
def transfer(network: nn.Module, state: bytes | Mapping[str, Tensor]) -> Transfer:
    """Take over every entry of another network's state whose name and shape agree.

    Args:
        network: Changed in place.
        state: A safetensors file's content, or a state dict.
    """
    source = load(state) if isinstance(state, bytes) else state
    own = network.state_dict()
    shared = [name for name in own if name in source]
    loaded = [name for name in shared if own[name].shape == source[name].shape]
    for name in loaded:
        own[name].copy_(source[name])
    return Transfer(
        loaded=tuple(loaded),
        mismatched=tuple(name for name in shared if name not in loaded),
        missing=tuple(name for name in own if name not in source),
        unused=tuple(name for name in source if name not in own),
    )


def freeze(network: nn.Module, stages: int) -> tuple[str, ...]:
    """Keep the lowest stages as they are and return their parameters' names.

    The parameters take no gradients, and the batch norms use and keep their running statistics even while
    the network trains (Yosinski et al. 2014, arXiv:1411.1792).

    Raises:
        ValueError: The network has fewer stages.
    """
    present = [name for name, _ in network.named_children() if name.startswith("stage")]
    if not 0 <= stages <= len(present):
        raise ValueError(f"stages to freeze ({stages}) must be 0 to {len(present)}")
    names = []
    for stage in range(1, stages + 1):
        part = network.get_submodule(f"stage{stage}")
        for name, parameter in part.named_parameters():
            parameter.requires_grad_(False)
            names.append(f"stage{stage}.{name}")
        for module in part.modules():
            if isinstance(module, _BatchNorm):
                # The network's train() switches all its modules: this switches back before each use.
                module.register_forward_pre_hook(_evaluate)
    return tuple(names)


def _evaluate(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    norm.eval()
