"""The convolutions of a network as training meets them."""

from collections.abc import Iterator

from torch import nn

from search_spaces.graph import Graph
from search_spaces.layers.convolution import Convolution
from search_spaces.modules import Network
from workers.training.convolutions.case import Case


def cases(network: nn.Module, batch: int) -> Iterator[tuple[nn.Module, Case]]:
    """Yield each convolution's module and case; none of a network that no architecture describes."""
    if isinstance(network, Network):
        for index, case in node_cases(network.graph, batch).items():
            yield network.get_submodule(network.graph.nodes[index].name), case


def node_cases(graph: Graph, batch: int) -> dict[int, Case]:
    """Return the case of each node that is a convolution."""
    found = {}
    for index, node in enumerate(graph.nodes):
        layer = node.layer
        if isinstance(layer, Convolution):
            channels, *size = node.input_shapes[0]
            found[index] = Case(
                in_channels=channels,
                out_channels=layer.channels,
                kernel=layer.kernel,
                stride=layer.stride,
                dilation=layer.dilations,
                groups=layer.groups,
                size=tuple(size),
                batch=batch,
            )
    return found
