"""Normalisation layers, and which of them a stage means by a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape, Source, call

if TYPE_CHECKING:
    from torch import nn

NORMS = ("batch", "layer", "group", "none")
EPSILON = 1e-5
MOST_GROUPS = 8


@dataclass(frozen=True, slots=True)
class BatchNorm(Layer):
    """Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167).

    Buffers are the running mean and variance and torch's one counter of batches.
    """

    kind: ClassVar[str] = "batch_norm"
    in_place: ClassVar[bool] = True

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"weight": (inputs[0][0],), "bias": (inputs[0][0],)}

    def buffers(self, inputs: Sequence[Shape]) -> int:
        return 2 * inputs[0][0] + 1

    def counters(self) -> int:
        return 1

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        return (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(inputs[0]) - 2](inputs[0][0])

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source(call(f"nn.BatchNorm{len(inputs[0]) - 1}d", inputs[0][0]))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        entries = (f"{name}.{entry}" for entry in ("weight", "bias", "running_mean", "running_var"))
        return [OnnxNode("BatchNormalization", (inputs[0], *entries), (name,), {"epsilon": EPSILON})]


@dataclass(frozen=True, slots=True)
class GroupNorm(Layer):
    """Group normalisation (Wu & He 2018, arXiv:1803.08494); one group is layer normalisation of a map."""

    kind: ClassVar[str] = "group_norm"
    in_place: ClassVar[bool] = True
    groups: int = 1

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"weight": (inputs[0][0],), "bias": (inputs[0][0],)}

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.normalisation import GroupNormalisation

        return GroupNormalisation(self.groups, inputs[0][0])

    def source(self, inputs: Sequence[Shape]) -> Source:
        if prod(inputs[0]) == self.groups:
            text = call("GroupNormalisation", self.groups, inputs[0][0])
            return Source(text, definition=("normalisation", "GroupNormalisation"))
        return Source(call("nn.GroupNorm", self.groups, inputs[0][0]))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        entries = (f"{name}.weight", f"{name}.bias")
        attributes = {"epsilon": EPSILON, "num_groups": self.groups}
        return [OnnxNode("GroupNormalization", (inputs[0], *entries), (name,), attributes)]


@lru_cache(maxsize=4096)
def norm_layer(norm: str, channels: int) -> Layer | None:
    """Return the layer that a stage's `norm` stands for; None for "none".

    Groups are the largest number up to 8 that divides the channels and leaves two in each group.
    """
    if norm == "none":
        return None
    if norm == "batch":
        return BatchNorm()
    if norm == "layer":
        return GroupNorm(1)
    most = min(MOST_GROUPS, channels // 2)
    return GroupNorm(next((groups for groups in range(most, 1, -1) if channels % groups == 0), 1))
