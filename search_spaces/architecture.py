"""The concrete description of one network: frozen, validated, canonical.

Construction checks every rule and brings the description to its canonical form (branches sorted, fields
without effect neutral), so that equal networks are equal values with equal JSON and equal hashes.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from search_spaces.branch import MAX_OPERATIONS, Branch
from search_spaces.head import HEAD_POOLS, Head, canonical_head, check_head, head_from, head_to_data
from search_spaces.layers.normalisation import NORMS
from search_spaces.operations.operation import MAX_CHANNELS
from search_spaces.stage import (
    ATTENTION_RATIOS,
    CONNECTIONS,
    DOWNSAMPLES,
    FUSIONS,
    MAX_BRANCHES,
    POOL_POSITIONS,
    SELF_ATTENTION_RATIOS,
    Stage,
    fit_stage,
    size_after,
    stage_from,
    stage_to_data,
)
from search_spaces.validation import as_items, as_mapping, is_count, need, refuse

__all__ = [
    "ATTENTION_RATIOS",
    "CONNECTIONS",
    "DOWNSAMPLES",
    "FUSIONS",
    "HEAD_POOLS",
    "MAX_BRANCHES",
    "MAX_OPERATIONS",
    "MAX_STAGES",
    "NORMS",
    "POOL_POSITIONS",
    "SELF_ATTENTION_RATIOS",
    "Architecture",
    "Branch",
    "Head",
    "Stage",
    "size_after",
]

MAX_STAGES = 6
MAX_CLASSES = 100_000
MAX_SIDE = 16_384
MAX_ELEMENTS = 2**24


@dataclass(frozen=True)
class Architecture:
    """A network from input to logits.

    Args:
        input_shape: (channels, *spatial) of one example, with one, two or three spatial axes.
        classes: Number of logits, at least 2.
        stages: One to six.
        head: What stands behind the last stage.

    Raises:
        ArchitectureError: A rule is broken; the message names stage, branch, field, value and what is
        allowed.
    """

    input_shape: tuple[int, ...]
    classes: int
    stages: tuple[Stage, ...]
    head: Head = field(default_factory=Head)

    def __post_init__(self) -> None:
        _check_input(self.input_shape)
        if not is_count(self.classes, MAX_CLASSES) or self.classes < 2:
            refuse("output", "classes", self.classes, f"2 to {MAX_CLASSES}", "/classes")
        if not 1 <= len(self.stages) <= MAX_STAGES:
            refuse("architecture", "stages", len(self.stages), f"1 to {MAX_STAGES} stages", "/stages")
        check_head(self.head)
        stages, channels, size = [], self.input_shape[0], self.input_shape[1:]
        for number, stage in enumerate(self.stages, start=1):
            fitted = fit_stage(stage, number, channels, size)
            stages.append(fitted)
            channels, size = fitted.channels, size_after(fitted, size)
        object.__setattr__(self, "stages", tuple(stages))
        object.__setattr__(self, "head", canonical_head(self.head, size))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, readable as YAML; fields at their default are left out."""
        return {
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "stages": [stage_to_data(stage) for stage in self.stages],
            "head": head_to_data(self.head),
        }

    @classmethod
    def from_dict(cls, data: Any) -> "Architecture":
        """Read plain data; raises `ArchitectureError` for anything that is no architecture."""
        known = as_mapping(data, ("input_shape", "classes", "stages", "head"), "architecture", "")
        need(known, ("input_shape", "classes", "stages"), "architecture", "")
        stages = as_items(known["stages"], 1, MAX_STAGES, "stages", "/stages")
        return cls(
            input_shape=tuple(as_items(known["input_shape"], 2, 4, "input_shape", "/input_shape")),
            classes=known["classes"],
            stages=tuple(stage_from(stage, number) for number, stage in enumerate(stages, start=1)),
            head=head_from(known.get("head", {})),
        )

    def canonical_json(self) -> str:
        """Return the JSON text that all equal networks share."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """sha256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def _check_input(shape: tuple[int, ...]) -> None:
    allowed = "[channels, length], [channels, height, width] or [channels, depth, height, width]"
    if not isinstance(shape, tuple) or not 2 <= len(shape) <= 4:
        refuse("input", "input_shape", shape, allowed, "/input_shape")
    if not is_count(shape[0], MAX_CHANNELS) or not all(is_count(side, MAX_SIDE) for side in shape[1:]):
        limits = f"{allowed}, channels to {MAX_CHANNELS}, sides to {MAX_SIDE}"
        refuse("input", "input_shape", shape, limits, "/input_shape")
    if prod(shape) > MAX_ELEMENTS:
        refuse("input", "input_shape", shape, f"at most {MAX_ELEMENTS} elements", "/input_shape")
