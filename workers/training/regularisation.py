"""Dropout: what the recipe adds to an architecture, and where the draws come from."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def classifier_dropout(network: nn.Module, rate: float, generator: torch.Generator) -> Iterator[None]:
    """Drop inputs of the last dense layer while the network trains (Srivastava et al. 2014).

    The network itself is as before afterwards.

    Raises:
        ValueError: The network has no dense layer.
    """
    if rate == 0:
        yield
        return
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(f"dropout ({rate}) needs a network with a dense layer")

    def drop(layer: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        return dropped(inputs[0], rate, generator) if layer.training else inputs[0]

    handle = layers[-1].register_forward_pre_hook(drop)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def dropout_drawn_from(generator: torch.Generator, network: nn.Module) -> Iterator[None]:
    """Let the network's own dropout draw from this generator, not from the one that all threads share.

    On a CPU the draws are those that the global generator would have given after the same seed.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    for layer in layers:
        layer.forward = partial(_dropped_by, layer, generator)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def dropped(x: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Zero each element with probability `rate` and scale up what stays, so that the mean is kept."""
    if rate == 0:
        return x
    kept = torch.empty_like(x).bernoulli_(1 - rate, generator=generator)
    return x * kept.div_(1 - rate)


def _dropped_by(layer: nn.Dropout, generator: torch.Generator, x: Tensor) -> Tensor:
    return dropped(x, layer.p, generator) if layer.training else x
