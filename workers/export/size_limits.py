"""A study's limits on size, and what an exported file makes of them.

The metrics count weights by their number type, of the network as it was trained. A file also holds the names
and wiring of layers, and a merged kernel may hold more weights than the ones it stands for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nas_service.constraints import enforced, violation
from nas_service.studies import Constraint
from search_spaces.graph import Graph
from search_spaces.layers.layer import figures, summed

SIZES = ("params", "model_bytes", "model_bytes_int8")
# The metric that a file's length is held against.
METRIC_OF = {
    "weights.safetensors": "model_bytes",
    "model.onnx": "model_bytes",
    "model-int8.onnx": "model_bytes_int8",
}


@dataclass(frozen=True, slots=True)
class Excess:
    """A file that is larger than the study allows."""

    file: str
    metric: str
    limit: float
    # The whole file in bytes; of params their number.
    size: int
    # What the metric counts of it.
    weights: int

    @property
    def words(self) -> str:
        """Say by how much, and whether the weights alone are at fault."""
        unit = "parameters" if self.metric == "params" else "bytes"
        limit = limit_words({self.metric: self.limit})
        more = f"{self.size - self.limit:,.0f} more than the study's limit {limit}"
        said = f"{self.file} has {self.size:,} {unit}, {more}"
        return said if self.weights > self.limit else f"{said}; its weights alone ({self.weights:,}) keep it"


def size_limits(constraints: Mapping[str, Constraint]) -> dict[str, float]:
    """Return the largest allowed figure of each size that a study limits, soft limits left out."""
    hard = enforced(constraints)
    bounds = {name: hard[name].max for name in SIZES if name in hard}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def limit_words(limits: Mapping[str, float]) -> str:
    """Return limits as people write them.

    Example:
        >>> limit_words({"params": 20_000.0, "model_bytes": 70_000.0})
        'params <= 20,000 and model_bytes <= 70,000'
    """
    return " and ".join(f"{name} <= {limit:,.0f}" for name, limit in limits.items())


def graph_sizes(graph: Graph) -> dict[str, int]:
    """Return the sizes of a graph, folded or not, by metric."""
    counts = summed([figures(node.layer, node.input_shapes).counts for node in graph.nodes])
    return {name: getattr(counts, name) for name in SIZES}


def excess_share(sizes: Mapping[str, int], limits: Mapping[str, float]) -> float:
    """Return by which part of its limit the worst size is off; 0 where all are kept."""
    off = [violation(size, Constraint(max=limits[name])) for name, size in sizes.items() if name in limits]
    return max(0.0, *off) if off else 0.0


def excesses(file: str, size: int, weights: Mapping[str, int], limits: Mapping[str, float]) -> list[Excess]:
    """Return what a file breaks.

    Args:
        file: A key of `METRIC_OF`.
        size: Of the file, in bytes.
        weights: Sizes of what is in it, by metric.
        limits: As `size_limits` gives them.
    """
    metric = METRIC_OF[file]
    held = {"params": weights["params"], metric: size}
    return [
        Excess(file, name, limits[name], value, weights[name])
        for name, value in held.items()
        if name in limits and value > limits[name]
    ]
