"""An architecture as a row of numbers, for models of what only training or measuring can tell."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces import Architecture, Cost, Stage
from search_spaces.stage import size_behind

Matrix = NDArray[np.float64]
# Features that hardly vary over the space say nothing; they are left out.
LEAST_DEVIATION = 1e-9


class FeatureMap:
    """Turns architectures of one space into rows of equal scale.

    Args:
        samples: Drawn at random from the space, with their costs. They decide which features there are, and
            their means and deviations; a feature that none of them has is not seen.
    """

    def __init__(self, samples: Sequence[tuple[Architecture, Cost]]) -> None:
        described = [describe(*sample) for sample in samples]
        names = sorted({name for row in described for name in row})
        table = np.array([[row.get(name, 0.0) for name in names] for row in described])
        mean, deviation = table.mean(axis=0), table.std(axis=0)
        varies = np.flatnonzero(deviation > LEAST_DEVIATION)
        self.names = [names[column] for column in varies]
        self._mean, self._deviation = mean[varies], deviation[varies]

    def __call__(self, architecture: Architecture, cost: Cost) -> Matrix:
        """Return the row (features,) of an architecture."""
        found = describe(architecture, cost)
        row = np.array([found.get(name, 0.0) for name in self.names])
        return np.asarray((row - self._mean) / self._deviation, dtype=np.float64)


def describe(architecture: Architecture, cost: Cost) -> dict[str, float]:
    """Return what may tell how well a network learns, or how long it takes, by name.

    Sizes are logarithms to base two; what a stage or an operation is counts as its share among all of them.
    """
    stages = architecture.stages
    return {
        **_sizes(architecture, cost),
        **_shares("stage", (trait for stage in stages for trait in _stage_traits(stage)), len(stages)),
        **_operation_features(architecture),
        **_head_features(architecture),
    }


def _sizes(architecture: Architecture, cost: Cost) -> dict[str, float]:
    widths = [stage.channels for stage in architecture.stages]
    side = max(architecture.input_shape[1:])
    return {
        "params": math.log2(cost.params),
        "macs": math.log2(cost.macs),
        "elementwise": math.log2(cost.elementwise + 1),
        "peak": math.log2(cost.peak_activation_bytes),
        "depth": float(len(widths)),
        "first_width": math.log2(widths[0]),
        "last_width": math.log2(widths[-1]),
        "mean_width": sum(map(math.log2, widths)) / len(widths),
        "receptive_field": math.log2(max(cost.receptive_field.largest) / side),
        "smallest_receptive_field": math.log2(max(cost.receptive_field.smallest) / side),
    }


def _stage_traits(stage: Stage) -> Iterator[str]:
    yield f"fusion={stage.fusion}" if len(stage.branches) > 1 else "single"
    yield f"connection={stage.connection}"
    yield f"activation={stage.activation}"
    yield f"norm={stage.norm}"
    yield f"downsample={stage.downsample}"
    yield f"pool_position={stage.pool_position}"
    yield f"attention={stage.attention}"
    yield f"self_attention={stage.self_attention}"
    yield f"branch_activation={stage.branch_activation}"
    yield f"dropout={stage.dropout}"


def _operation_features(architecture: Architecture) -> dict[str, float]:
    operations = [
        operation
        for stage in architecture.stages
        for branch in stage.branches
        for operation in branch.operations
    ]
    count = len(operations)
    kernels = [max(getattr(operation, "kernel", (1,))) for operation in operations]
    groups = [getattr(operation, "groups", 1) or 1 for operation in operations]
    dilations = [getattr(operation, "dilation", 1) or 1 for operation in operations]
    first = architecture.stages[0]
    first_kernels = [max(getattr(o, "kernel", (1,))) for branch in first.branches for o in branch.operations]
    return {
        **_shares("operation", (operation.kind for operation in operations), count),
        "operations": count / len(architecture.stages),
        "branches": sum(len(stage.branches) for stage in architecture.stages) / len(architecture.stages),
        "kernel": sum(kernels) / count,
        "largest_kernel": float(max(kernels)),
        "first_kernel": float(max(first_kernels)),
        "pointwise": kernels.count(1) / count,
        "groups": sum(map(math.log2, groups)) / count,
        "dilation": sum(map(_largest, dilations)) / count,
    }


def _largest(value: int | tuple[int, ...]) -> float:
    return float(max(value) if isinstance(value, tuple) else value)


def _head_features(architecture: Architecture) -> dict[str, float]:
    head, size = architecture.head, tuple(architecture.input_shape[1:])
    for stage in architecture.stages:
        size = size_behind(stage.downsample, size)
    positions = math.prod(size)
    bins = positions if head.pool == "flatten" else head.bins ** len(size)
    return {
        "positions": math.log2(positions),
        "pooled": math.log2(bins * architecture.stages[-1].channels),
        f"pool={head.pool}": 1.0,
        "dense_layers": float(len(head.dense)),
        "dense_width": math.log2(head.dense[0]) if head.dense else 0.0,
        "head_dropout": head.dropout,
    }


def _shares(prefix: str, traits: Iterator[str], count: int) -> dict[str, float]:
    return {f"{prefix}.{trait}": number / count for trait, number in Counter(traits).items()}
