"""The convolutions of a network as training meets them."""

from collections.abc import Iterator

from torch import nn

from search_spaces.layers.convolution import Convolution
from search_spaces.modules import Network
from workers.training.convolutions.case import Case


def cases(network: nn.Module, batch: int) -> Iterator[tuple[nn.Module, Case]]:
    """Yield each convolution's module and case; none of a network that no architecture describes."""
    if not isinstance(network, Network):
        return
    for node in network.graph.nodes:
        layer = node.layer
        if isinstance(layer, Convolution):
            channels, *size = node.input_shapes[0]
            case = Case(
                in_channels=channels,
                out_channels=layer.channels,
                kernel=layer.kernel,
                stride=layer.stride,
                dilation=layer.dilations,
                groups=layer.groups,
                size=tuple(size),
                batch=batch,
            )
            yield network.get_submodule(node.name), case
