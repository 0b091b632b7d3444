"""One stage of a network: branches side by side, brought together, pooled, normalised, activated."""

import json
from dataclasses import dataclass, fields, replace
from typing import Any

from search_spaces.branch import Branch, branch_from, branch_to_data, fit_branch
from search_spaces.layers.merging import squeezed_channels
from search_spaces.layers.pointwise import ACTIVATIONS
from search_spaces.operations.operation import MAX_CHANNELS
from search_spaces.validation import as_items, as_mapping, is_count, need, one_of, refuse

FUSIONS = ("concat", "concat_project", "add", "weighted")
CONNECTIONS = ("none", "residual")
NORMS = ("batch", "none")
DOWNSAMPLES = ("none", "max", "avg", "stride")
POOL_POSITIONS = ("before_norm", "after_activation")
ATTENTION_RATIOS = (2, 4, 8, 16)
MAX_BRANCHES = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """Branches side by side, brought together, then pooled, normalised and activated.

    `channels` is what comes out; for `concat` the sum over the branches.
    """

    branches: tuple[Branch, ...]
    channels: int
    fusion: str = "concat"
    connection: str = "none"
    # Reduction ratio of squeeze-and-excitation, or None.
    attention: int | None = None
    norm: str = "batch"
    activation: str = "relu"
    # Normalise and activate behind each operation inside the branches, instead of once behind the fusion.
    branch_activation: bool = False
    downsample: str = "none"
    # Pooling before the norm costs less; behind the activation is the older order.
    pool_position: str = "before_norm"


_ALLOWED: dict[str, tuple[Any, ...]] = {
    "fusion": FUSIONS,
    "connection": CONNECTIONS,
    "norm": NORMS,
    "activation": ACTIVATIONS,
    "downsample": DOWNSAMPLES,
    "pool_position": POOL_POSITIONS,
    "attention": (None, *ATTENTION_RATIOS),
    "branch_activation": (True, False),
}


def size_after(stage: Stage, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the spatial size behind a stage."""
    if stage.downsample == "none":
        return size
    return tuple((side + 1) // 2 if stage.downsample == "stride" else side // 2 for side in size)


def fit_stage(stage: Stage, number: int, channels: int, size: tuple[int, ...]) -> Stage:
    """Return the canonical form behind a map; raises `ArchitectureError` where a rule is broken."""
    where, at = f"stage {number}", f"/stages/{number - 1}"
    for name, allowed in _ALLOWED.items():
        one_of(where, name, getattr(stage, name), allowed, f"{at}/{name}")
    if not 1 <= len(stage.branches) <= MAX_BRANCHES:
        refuse(where, "branches", len(stage.branches), f"1 to {MAX_BRANCHES} branches", f"{at}/branches")
    if not is_count(stage.channels, MAX_CHANNELS):
        refuse(where, "channels", stage.channels, f"1 to {MAX_CHANNELS}", f"{at}/channels")
    if stage.downsample in ("max", "avg") and min(size) < 2:
        fitting = f"none, stride: the map is only {'x'.join(map(str, size))}"
        refuse(where, "downsample", stage.downsample, fitting, f"{at}/downsample")
    branches = tuple(
        fit_branch(branch, f"{where}, branch {index}", f"{at}/branches/{index - 1}", channels, size)
        for index, branch in enumerate(stage.branches, start=1)
    )
    total = sum(branch.channels for branch in branches)
    fusion = stage.fusion if len(branches) > 1 else "concat"
    if fusion == "concat" and stage.channels != total:
        refuse(where, "channels", stage.channels, f"{total}, the sum over the branches", f"{at}/channels")
    return _canonical(replace(stage, branches=branches, fusion=fusion), channels, size)


def stage_to_data(stage: Stage) -> dict[str, Any]:
    """Return plain data; fields at their default are left out."""
    data: dict[str, Any] = {
        "branches": [branch_to_data(branch) for branch in stage.branches],
        "channels": stage.channels,
    }
    for item in fields(Stage)[2:]:
        value = getattr(stage, item.name)
        if value != item.default:
            data[item.name] = value
    return data


def stage_from(data: Any, number: int) -> Stage:
    """Read plain data; raises `ArchitectureError` for anything that is no stage."""
    where, at = f"stage {number}", f"/stages/{number - 1}"
    known = dict(as_mapping(data, (item.name for item in fields(Stage)), where, at))
    need(known, ("branches", "channels"), where, at)
    branches = as_items(known.pop("branches"), 1, MAX_BRANCHES, f"{where}, branches", f"{at}/branches")
    built = tuple(
        branch_from(branch, f"{where}, branch {index}", f"{at}/branches/{index - 1}")
        for index, branch in enumerate(branches, start=1)
    )
    return Stage(branches=built, **known)


def _canonical(stage: Stage, channels: int, size: tuple[int, ...]) -> Stage:
    """Sort the branches, and set what has no effect to its neutral value."""
    is_single_step = len(stage.branches) == 1 and len(stage.branches[0].operations) == 1
    return replace(
        stage,
        branches=tuple(sorted(stage.branches, key=_order)),
        branch_activation=stage.branch_activation and not is_single_step,
        downsample="none" if _strides_in_place(stage, channels, size) else stage.downsample,
        pool_position=stage.pool_position if stage.downsample in ("max", "avg") else "before_norm",
        attention=_smallest_alike(stage.attention, stage.channels),
    )


def _strides_in_place(stage: Stage, channels: int, size: tuple[int, ...]) -> bool:
    """Whether a stride has nothing to skip, nor changes the shortcut, which it gives a projection."""
    has_equal_shortcut = stage.connection == "residual" and stage.channels == channels
    return stage.downsample == "stride" and max(size) == 1 and not has_equal_shortcut


def _smallest_alike(ratio: int | None, channels: int) -> int | None:
    """Return the smallest ratio that squeezes to the same width: 4, 8 and 16 all leave one of 4 channels."""
    if ratio is None:
        return None
    width = squeezed_channels(channels, ratio)
    return next(other for other in ATTENTION_RATIOS if squeezed_channels(channels, other) == width)


def _order(branch: Branch) -> str:
    return json.dumps(branch_to_data(branch), sort_keys=True)
