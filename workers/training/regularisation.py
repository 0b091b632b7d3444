"""Dropout that the recipe adds to an architecture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


@contextmanager
def classifier_dropout(network: nn.Module, rate: float) -> Iterator[None]:
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
        return F.dropout(inputs[0], rate, layer.training)

    handle = layers[-1].register_forward_pre_hook(drop)
    try:
        yield
    finally:
        handle.remove()
