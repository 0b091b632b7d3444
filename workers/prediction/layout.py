"""Which maps of a network lie in memory in blocks of channels, as fast convolution kernels want them.

ONNX Runtime, oneDNN and their kin keep 16 channels of one position side by side. Dense and depthwise
convolutions write such maps, with channels padded to whole blocks; what cannot read them needs a map copied
back first. Average pooling of 24 channels, one and a half blocks, takes several times as long as of 48.
"""

from dataclasses import dataclass

from search_spaces.graph import INPUT, Graph, Node
from search_spaces.layers.convolution import Convolution

# Channels in a block: what one vector register of AVX-512 holds.
BLOCK = 16
# Layers that ask for blocks where channels fill them, and those that only take them as they come.
_ASKING = {"pool", "global_pool"}
_TRANSPARENT = {"concat", "add", "activation"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known of a graph's maps."""

    # For each node, whether it writes blocks.
    is_blocked: tuple[bool, ...]
    # Nodes, or `INPUT`, whose output has to be copied from one layout to the other.
    copied: tuple[int, ...]


def layout(graph: Graph) -> Layout:
    """Return where blocks are and where maps change between blocks and plain order."""
    blocked: list[bool] = []
    copied: dict[int, None] = {}
    for node in graph.nodes:
        sources = [source != INPUT and blocked[source] for source in node.inputs]
        reads = _reads_blocks(node, sources)
        blocked.append(is_dense_or_depthwise(node) if node.layer.kind == "convolution" else reads)
        pairs = zip(node.inputs, sources, strict=True)
        copied |= {source: None for source, is_block in pairs if is_block != reads}
    return Layout(tuple(blocked), tuple(copied))


def is_dense_or_depthwise(node: Node) -> bool:
    """Return whether a convolution has a kernel that writes blocks."""
    layer = node.layer
    assert isinstance(layer, Convolution)
    inward, outward = node.input_shapes[0][0] // layer.groups, layer.channels // layer.groups
    return layer.groups == 1 or inward == outward == 1 or inward % BLOCK == outward % BLOCK == 0


def _reads_blocks(node: Node, sources: list[bool]) -> bool:
    if node.layer.kind == "convolution":
        few = node.input_shapes[0][0] < BLOCK and getattr(node.layer, "groups", 1) == 1
        return is_dense_or_depthwise(node) and not few
    is_whole = all(shape[0] % BLOCK == 0 for shape in node.input_shapes)
    if node.layer.kind in _ASKING:
        return is_whole
    is_fused = node.layer.kind == "activation" and getattr(node.layer, "function", "") == "relu"
    return node.layer.kind in _TRANSPARENT and all(sources) and (is_whole or is_fused)
