"""The parts of a search space: what a branch, a stage and the head may be."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
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
    SELF_ATTENTION_RATIOS,
)
from search_spaces.errors import SpaceError
from search_spaces.fields import Choices, Field
from search_spaces.head import MAX_BINS
from search_spaces.layers.pointwise import ACTIVATIONS

# The layout that repeats the stage's `branch` as often as `branches` says.
FREE = "free"
_LAYOUT_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

# What every branch has; operations bring fields of their own.
_COMMON_FIELDS: dict[str, Field] = {
    "kernel": fields.kernel(3, 31),
    # Square, kx1, 1xk, or kx1 and then 1xk, which together cover the square; in volumes kx1x1 and 1xkxk.
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
    "self_attention": fields.one_of("none", *SELF_ATTENTION_RATIOS),
    "norm": fields.one_of(*NORMS),
    "activation": fields.one_of(*ACTIVATIONS),
    "downsample": fields.one_of(*DOWNSAMPLES),
    "pool_position": fields.one_of(*POOL_POSITIONS),
    "dropout": fields.number(0.0, 0.0, 1.0),
}
STAGE_KEYS = ("layout", "branch", *STAGE_FIELDS)
# Those that mean something in every stage may be drawn once for all of them.
TIED_FIELDS = (
    "connection",
    "attention",
    "self_attention",
    "norm",
    "activation",
    "downsample",
    "pool_position",
    "dropout",
)
HEAD_FIELDS: dict[str, Field] = {
    "pool": fields.one_of(*HEAD_POOLS),
    "bins": fields.whole(1, 1, MAX_BINS),
    "dense_layers": fields.whole(0, 0, 2),
    "dense_width": fields.whole(64, 1, 1024),
    "dropout": fields.number(0.0, 0.0, 1.0),
}


def branch_fields() -> dict[str, Field]:
    """Return the fields of a branch: the common ones and those that operations bring."""
    others = (name for name in operations.names() if name != "conv")
    known = {"operation": fields.one_of("conv", *others), **_COMMON_FIELDS}
    for name in operations.names():
        known.update(operations.get(name).searched)
    return known


@dataclass(frozen=True, slots=True)
class BranchRange:
    """What one branch may be: the possible values by field."""

    values: Mapping[str, Choices]
    # Whether nothing is left to choose.
    is_fixed: bool

    @classmethod
    def parse(cls, data: object, pointer: str) -> "BranchRange":
        known = branch_fields()
        values = fields.parse_fields(known, fields.as_mapping(data, known, pointer), pointer)
        return cls(values, all(len(choices) == 1 for choices in values.values()))

    def size(self, *, only_single: bool = False) -> int:
        """Count the distinct parameter combinations where maps and channel counts suit all of them.

        Args:
            only_single: Count those of one plain operation alone, which has one place for an activation.
        """
        repeat, bottleneck = self.values["repeat"], self.values["bottleneck"]
        if only_single and not (1 in repeat and 1 in bottleneck):
            return 0
        repeats = 1 if only_single else len(repeat) * len(bottleneck)
        names = [name for name in self.values["operation"] if not only_single or _is_plain(name)]
        return len(self.values["share"]) * repeats * sum(self._kinds(name, only_single) for name in names)

    def _kinds(self, name: str, only_single: bool) -> int:
        """Count the combinations of one operation's own fields."""
        operation, known = operations.get(name), operations.options(name)
        shapes = 1
        if operation.can_be_asymmetric:
            shapes = sum(not (only_single and shape == "column_row") for shape in self.values["shape"])
        dilations = len(self.values["dilation"]) if "dilation" in known else 1
        wide = sum(max(fields.kernel_sides(kernel, 3)) > 1 for kernel in self.values["kernel"])
        windows = wide * shapes * dilations + len(self.values["kernel"]) - wide if "kernel" in known else 1
        return windows * self._own(name)

    def _own(self, name: str) -> int:
        operation = operations.get(name)
        asked = ("groups", *operation.searched) if has_levels(name) else tuple(operation.searched)
        distinct = set()
        for drawn in product(*(self.values[field] for field in asked)):
            values = {"groups": 1, **dict(zip(asked, drawn, strict=True))}
            distinct.add(
                tuple(value if operation.is_asked(field, values) else None for field, value in values.items())
            )
        return len(distinct)


def has_levels(operation: str) -> bool:
    """Whether an operation has a number of groups, for which a level is drawn."""
    return "groups" in operations.options(operation)


def _is_plain(operation: str) -> bool:
    kind = operations.get(operation)
    return not kind.has_inside and not kind.keeps_channels


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
    self_attention: tuple[int | str, ...]
    norm: tuple[str, ...]
    activation: tuple[str, ...]
    downsample: tuple[str, ...]
    pool_position: tuple[str, ...]
    dropout: tuple[float, ...]
    # Of the fields that any stage has: all names, those with a choice, and the values of the others.
    own_fields: tuple[str, ...]
    open_fields: tuple[str, ...]
    fixed: Mapping[str, Any]

    @classmethod
    def parse(
        cls,
        data: object,
        pointer: str,
        layouts: Mapping[str, tuple[BranchRange, ...]],
        tied: frozenset[str] = frozenset(),
    ) -> "StageRange":
        known = fields.as_mapping(data, STAGE_KEYS, pointer)
        choices = fields.parse_fields(STAGE_FIELDS, known, pointer)
        own = tuple(name for name in ("width", *TIED_FIELDS) if name not in tied)
        return cls(
            own_fields=own,
            open_fields=tuple(name for name in own if len(choices[name]) > 1),
            fixed={name: choices[name][0] for name in own if len(choices[name]) == 1},
            layout=fields.parse_choices(
                fields.one_of(FREE, *layouts), known.get("layout", FREE), f"{pointer}/layout"
            ),
            layouts=layouts,
            branch=BranchRange.parse(known.get("branch", {}), f"{pointer}/branch"),
            tied=tied,
            **choices,
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
    bins: tuple[int, ...]
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
        pools = sum(1 if pool == "flatten" else len(self.bins) for pool in self.pool)
        return pools * len(self.dropout) * dense


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
