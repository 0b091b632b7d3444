"""Initial weights."""

from collections.abc import Callable

import torch
from torch import nn

from search_spaces.modules.deformable import DeformableConvolutionBlock


def _he_normal(weight: torch.Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _xavier(weight: torch.Tensor, generator: torch.Generator) -> None:
    nn.init.xavier_uniform_(weight, generator=generator)


def _orthogonal(weight: torch.Tensor, generator: torch.Generator) -> None:
    nn.init.orthogonal_(weight, generator=generator)


# He et al. 2015, arXiv:1502.01852; Glorot and Bengio 2010, equation 16; Saxe et al. 2014, arXiv:1312.6120.
INITIALISATIONS: dict[str, Callable[[torch.Tensor, torch.Generator], None]] = {
    "he_normal": _he_normal,
    "xavier": _xavier,
    "orthogonal": _orthogonal,
}

DRAWN = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, DeformableConvolutionBlock)


@torch.no_grad()
def initialise(network: nn.Module, seed: int | None, initialisation: str = "he_normal") -> None:
    """Draw the weights of convolutions and dense layers; all their biases are zero.

    Raises:
        ValueError: The initialisation is unknown; the message lists the known ones.
    """
    if initialisation not in INITIALISATIONS:
        raise ValueError(f"initialisation {initialisation!r} is none of {', '.join(INITIALISATIONS)}")
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    for module in network.modules():
        if not isinstance(module, DRAWN):
            continue
        if getattr(module, "starts_at_zero", False):
            module.weight.zero_()
        else:
            INITIALISATIONS[initialisation](module.weight, generator)
        bias = getattr(module, "bias", None)
        if isinstance(bias, torch.Tensor):
            bias.zero_()
