"""The parts of a search space: what a branch, a stage and the head may be."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import fields, operations
from search_spaces.architecture import (
    ATTENTION_RATIOS,
    CONNECTIONS,
    DOWNSAMPLES,
    FUSIONS,
    HEAD_POOLS,
    MAX_BRANCHES,
    NORMS,
    POOL_POSITIONS,
)
from search_spaces.errors import SpaceError
from search_spaces.fields import Field
from search_spaces.layers.pointwise import ACTIVATIONS

# The layout that repeats the stage's `branch` as often as `branches` says.
FREE = "free"
_LAYOUT_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

BRANCH_FIELDS: dict[str, Field] = {
    "operation": fields.one_of("conv", *(name for name in operations.names() if name != "conv")),
    "kernel": fields.odd(3, 31),
    # Square, kx1, 1xk, or kx1 and then 1xk, which together cover the square.
    "shape": fields.one_of("square", "column", "row", "column_row"),
    # A level: the sampled network has the largest group count up to it that divides both channel counts.
    "groups": fields.whole(1, 1, 512),
    "dilation": fields.whole(1, 1, 8),
    "repeat": fields.whole(1, 1, 3),
    # From 2 on, a 1x1 convolution first narrows the input to the branch's channels divided by this.
    "bottleneck": fields.whole(1, 1, 16),
    # The branch's part of the stage's channels where the branches split them.
    "share": fields.whole(1, 1, 8),
}
STAGE_FIELDS: dict[str, Field] = {
    "width": fields.width(32, 1024),
    "branches": fields.whole(1, 1, MAX_BRANCHES),
    "fusion": fields.one_of(*FUSIONS),
    # Before a projection the branches share the stage's width, or each has all of it.
    "branch_width": fields.one_of("split", "full"),
    "branch_activation": fields.one_of(False, True),
    "connection": fields.one_of(*CONNECTIONS),
    "attention": fields.one_of("none", *ATTENTION_RATIOS),
    "norm": fields.one_of(*NORMS),
    "activation": fields.one_of(*ACTIVATIONS),
    "downsample": fields.one_of(*DOWNSAMPLES),
    "pool_position": fields.one_of(*POOL_POSITIONS),
}
STAGE_KEYS = ("layout", "branch", *STAGE_FIELDS)
# Those that mean something in every stage may be drawn once for all of them.
TIED_FIELDS = ("connection", "attention", "norm", "activation", "downsample", "pool_position")
HEAD_FIELDS: dict[str, Field] = {
    "pool": fields.one_of(*HEAD_POOLS),
    "dense_layers": fields.whole(0, 0, 2),
    "dense_width": fields.whole(64, 1, 1024),
    "dropout": fields.number(0.0, 0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class BranchRange:
    """What one branch may be; each field holds its possible values."""

    operation: tuple[str, ...]
    kernel: tuple[int, ...]
    shape: tuple[str, ...]
    groups: tuple[int, ...]
    dilation: tuple[int, ...]
    repeat: tuple[int, ...]
    bottleneck: tuple[int, ...]
    share: tuple[int, ...]

    @classmethod
    def parse(cls, data: object, pointer: str) -> "BranchRange":
        known = fields.as_mapping(data, BRANCH_FIELDS, pointer)
        return cls(**fields.parse_fields(BRANCH_FIELDS, known, pointer))

    def size(self, *, only_single: bool = False) -> int:
        """Count the distinct parameter combinations where maps and channel counts suit all of them.

        Args:
            only_single: Count those of one operation alone, without a second one in series.
        """
        if only_single and not (1 in self.repeat and 1 in self.bottleneck):
            return 0
        repeats = 1 if only_single else len(self.repeat) * len(self.bottleneck)
        shapes = [shape for shape in self.shape if not (only_single and shape == "column_row")]
        kinds = ((name, kernel) for name in self.operation for kernel in self._kernels(name))
        return len(self.share) * repeats * sum(self._kinds(*kind, len(shapes)) for kind in kinds)

    def _kernels(self, operation: str) -> tuple[int, ...]:
        return self.kernel if "kernel" in operations.options(operation) else (1,)

    def _kinds(self, operation: str, kernel: int, shapes: int) -> int:
        known = operations.options(operation)
        groups = len(self.groups) if "groups" in known else 1
        if kernel == 1:
            return groups
        return groups * shapes * (len(self.dilation) if "dilation" in known else 1)


@dataclass(frozen=True, slots=True)
class StageRange:
    """What one stage may be; `tied` names the fields that are drawn once for the whole network."""

    layout: tuple[str, ...]
    layouts: Mapping[str, tuple[BranchRange, ...]]
    branch: BranchRange
    tied: frozenset[str]
    width: tuple[int | str, ...]
    branches: tuple[int, ...]
    fusion: tuple[str, ...]
    branch_width: tuple[str, ...]
    branch_activation: tuple[bool, ...]
    connection: tuple[str, ...]
    attention: tuple[int | str, ...]
    norm: tuple[str, ...]
    activation: tuple[str, ...]
    downsample: tuple[str, ...]
    pool_position: tuple[str, ...]

    @classmethod
    def parse(
        cls,
        data: object,
        pointer: str,
        layouts: Mapping[str, tuple[BranchRange, ...]],
        tied: frozenset[str] = frozenset(),
    ) -> "StageRange":
        known = fields.as_mapping(data, STAGE_KEYS, pointer)
        return cls(
            layout=fields.parse_choices(
                fields.one_of(FREE, *layouts), known.get("layout", FREE), f"{pointer}/layout"
            ),
            layouts=layouts,
            branch=BranchRange.parse(known.get("branch", {}), f"{pointer}/branch"),
            tied=tied,
            **fields.parse_fields(STAGE_FIELDS, known, pointer),
        )

    def size(self) -> int:
        """Count the distinct parameter combinations, the tied fields left out."""
        always = [
            len(self.width),
            *(len(getattr(self, name)) for name in TIED_FIELDS if name not in self.tied),
        ]
        return math.prod(always) * sum(map(self._layout_size, self.layout))

    def _layout_size(self, layout: str) -> int:
        if layout != FREE:
            return self._merged_size(self.layouts[layout])
        return sum(self._merged_size((self.branch,) * count) for count in self.branches)

    def _merged_size(self, members: tuple[BranchRange, ...]) -> int:
        every = math.prod(member.size() for member in members)
        if len(members) == 1:
            # Norm and activation behind each operation or once behind the branch: the same for one operation.
            single = members[0].size(only_single=True)
            return single + (every - single) * len(self.branch_activation)
        fusions = sum(len(self.branch_width) if name == "concat_project" else 1 for name in self.fusion)
        return every * fusions * len(self.branch_activation)


# Positions of the last map up to which it may be flattened; a larger one is averaged instead.
_LARGEST_FLATTEN = fields.whole(2**24, 1, 2**24)


@dataclass(frozen=True, slots=True)
class HeadRange:
    """What the head may be."""

    pool: tuple[str, ...]
    dense_layers: tuple[int, ...]
    dense_width: tuple[int, ...]
    dropout: tuple[float, ...]
    largest_flatten: int

    @classmethod
    def parse(cls, data: object, pointer: str) -> "HeadRange":
        known = fields.as_mapping(data, (*HEAD_FIELDS, "largest_flatten"), pointer)
        return cls(
            largest_flatten=fields.parse_fixed(_LARGEST_FLATTEN, known, "largest_flatten", pointer),
            **fields.parse_fields(HEAD_FIELDS, known, pointer),
        )

    def size(self) -> int:
        """Count the distinct parameter combinations."""
        dense: int = sum(len(self.dense_width) ** layers for layers in self.dense_layers)
        return len(self.pool) * len(self.dropout) * dense


def parse_layouts(data: object, pointer: str) -> dict[str, tuple[BranchRange, ...]]:
    """Return the named layouts: each a list of 1 to 4 branches, complete in themselves."""
    if not isinstance(data, Mapping) or len(data) > fields.MAX_CHOICES:
        raise SpaceError(
            f"{fields.dotted(pointer)} must be a mapping of at most {fields.MAX_CHOICES} names to branches",
            pointer=pointer,
        )
    return {
        name: _parse_layout(name, value, f"{pointer}/{fields.escaped(name)}") for name, value in data.items()
    }


def _parse_layout(name: Any, data: object, pointer: str) -> tuple[BranchRange, ...]:
    if not isinstance(name, str) or not _LAYOUT_NAME.fullmatch(name) or name == FREE:
        raise SpaceError(
            f"{fields.dotted(pointer)}: a layout's name is 1 to 31 of a-z, 0-9, _ and not {FREE!r}",
            pointer=pointer,
        )
    if not isinstance(data, list | tuple) or not 1 <= len(data) <= MAX_BRANCHES:
        raise SpaceError(f"{fields.dotted(pointer)} must list 1 to {MAX_BRANCHES} branches", pointer=pointer)
    return tuple(BranchRange.parse(item, f"{pointer}/{index}") for index, item in enumerate(data))
