"""The concrete description of one network: frozen, validated, canonical.

Construction checks every rule and brings the description to its canonical form (branches sorted, fields
without effect neutral), so that equal networks are equal values with equal JSON and equal hashes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from math import prod
from typing import Any

from search_spaces import operations
from search_spaces.errors import ArchitectureError
from search_spaces.layers.pointwise import ACTIVATIONS
from search_spaces.operations import Operation
from search_spaces.operations.operation import MAX_CHANNELS, is_count, nearest

FUSIONS = ("concat", "concat_project", "add", "weighted")
CONNECTIONS = ("none", "residual")
NORMS = ("batch", "none")
DOWNSAMPLES = ("none", "max", "avg", "stride")
POOL_POSITIONS = ("before_norm", "after_activation")
ATTENTION_RATIOS = (2, 4, 8, 16)
HEAD_POOLS = ("avg", "max", "flatten")
MAX_STAGES = 6
MAX_BRANCHES = 4
MAX_OPERATIONS = 3
MAX_DENSE_LAYERS = 2
MAX_CLASSES = 100_000
MAX_SIDE = 16_384
MAX_ELEMENTS = 2**24


@dataclass(frozen=True, slots=True)
class Branch:
    """One to three operations in series."""

    operations: tuple[Operation, ...]

    @property
    def channels(self) -> int:
        """Channels that come out."""
        return self.operations[-1].channels


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


@dataclass(frozen=True, slots=True)
class Head:
    """From the last map to one logit a class."""

    pool: str = "avg"
    dense: tuple[int, ...] = ()
    dropout: float = 0.0


@dataclass(frozen=True)
class Architecture:
    """A network from input to logits.

    Args:
        input_shape: (channels, *spatial) of one example, with one or two spatial axes.
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
        _check_ends(self)
        stages, channels, size = [], self.input_shape[0], self.input_shape[1:]
        for number, stage in enumerate(self.stages, start=1):
            fitted = _fit_stage(stage, f"stage {number}", f"/stages/{number - 1}", channels, size)
            stages.append(fitted)
            channels, size = fitted.channels, size_after(fitted, size)
        object.__setattr__(self, "stages", tuple(stages))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, readable as YAML; fields at their default are left out."""
        return {
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "stages": [_stage_to_dict(stage) for stage in self.stages],
            "head": {"pool": self.head.pool, "dense": list(self.head.dense), "dropout": self.head.dropout},
        }

    @classmethod
    def from_dict(cls, data: Any) -> "Architecture":
        """Read plain data; raises `ArchitectureError` for anything that is no architecture."""
        known = _known(data, {"input_shape", "classes", "stages", "head"}, "architecture", "")
        for name in ("input_shape", "classes", "stages"):
            if name not in known:
                raise ArchitectureError(f"architecture needs the field {name}", f"/{name}")
        stages = _items(known["stages"], 1, MAX_STAGES, "stages", "/stages")
        return cls(
            input_shape=tuple(_items(known["input_shape"], 2, 3, "input_shape", "/input_shape")),
            classes=known["classes"],
            stages=tuple(_stage_from(stage, number) for number, stage in enumerate(stages, start=1)),
            head=_head_from(known.get("head", {})),
        )

    def canonical_json(self) -> str:
        """Return the JSON text that all equal networks share."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """sha256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def size_after(stage: Stage, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the spatial size behind a stage."""
    if stage.downsample == "none":
        return size
    return tuple((side + 1) // 2 if stage.downsample == "stride" else side // 2 for side in size)


def _check_ends(architecture: Architecture) -> None:
    shape, head = architecture.input_shape, architecture.head
    if not isinstance(shape, tuple) or not 2 <= len(shape) <= 3:
        _refuse(
            "input", "input_shape", shape, "[channels, length] or [channels, height, width]", "/input_shape"
        )
    if not is_count(shape[0], MAX_CHANNELS) or not all(is_count(side, MAX_SIDE) for side in shape[1:]):
        _refuse(
            "input",
            "input_shape",
            list(shape),
            f"channels to {MAX_CHANNELS}, sides to {MAX_SIDE}",
            "/input_shape",
        )
    if prod(shape) > MAX_ELEMENTS:
        _refuse("input", "input_shape", list(shape), f"at most {MAX_ELEMENTS} elements", "/input_shape")
    if not is_count(architecture.classes, MAX_CLASSES) or architecture.classes < 2:
        _refuse("output", "classes", architecture.classes, f"2 to {MAX_CLASSES}", "/classes")
    if not 1 <= len(architecture.stages) <= MAX_STAGES:
        _refuse("architecture", "stages", len(architecture.stages), f"1 to {MAX_STAGES} stages", "/stages")
    _one_of("head", "pool", head.pool, HEAD_POOLS, "/head/pool")
    if len(head.dense) > MAX_DENSE_LAYERS or not all(is_count(width, MAX_CHANNELS) for width in head.dense):
        allowed = f"at most {MAX_DENSE_LAYERS} widths from 1 to {MAX_CHANNELS}"
        _refuse("head", "dense", list(head.dense), allowed, "/head/dense")
    is_rate = isinstance(head.dropout, int | float) and not isinstance(head.dropout, bool)
    if not is_rate or not 0 <= head.dropout < 1:
        _refuse("head", "dropout", head.dropout, "0 up to, not including, 1", "/head/dropout")


def _fit_stage(stage: Stage, where: str, at: str, channels: int, size: tuple[int, ...]) -> Stage:
    for name, allowed in (
        ("fusion", FUSIONS),
        ("connection", CONNECTIONS),
        ("norm", NORMS),
        ("activation", ACTIVATIONS),
        ("downsample", DOWNSAMPLES),
        ("pool_position", POOL_POSITIONS),
        ("attention", (None, *ATTENTION_RATIOS)),
    ):
        _one_of(where, name, getattr(stage, name), allowed, f"{at}/{name}")
    if not isinstance(stage.branch_activation, bool):
        _refuse(where, "branch_activation", stage.branch_activation, "true, false", f"{at}/branch_activation")
    if not 1 <= len(stage.branches) <= MAX_BRANCHES:
        _refuse(where, "branches", len(stage.branches), f"1 to {MAX_BRANCHES} branches", f"{at}/branches")
    if stage.downsample in ("max", "avg") and min(size) < 2:
        _refuse(
            where,
            "downsample",
            stage.downsample,
            f"none, stride: the map is only {_x(size)}",
            f"{at}/downsample",
        )
    branches = tuple(
        _fit_branch(branch, f"{where}, branch {number}", f"{at}/branches/{number - 1}", channels, size)
        for number, branch in enumerate(stage.branches, start=1)
    )
    return _canonical_stage(replace(stage, branches=branches), where, at)


def _fit_branch(branch: Branch, where: str, at: str, channels: int, size: tuple[int, ...]) -> Branch:
    if not 1 <= len(branch.operations) <= MAX_OPERATIONS:
        _refuse(where, "operations", len(branch.operations), f"1 to {MAX_OPERATIONS} operations", at)
    fitted = []
    for number, operation in enumerate(branch.operations, start=1):
        if not is_count(operation.channels, MAX_CHANNELS):
            _refuse(
                where, "channels", operation.channels, f"1 to {MAX_CHANNELS}", f"{at}/{number - 1}/channels"
            )
        operation = operation.fitted(len(size))
        problem = operation.problem(channels, size)
        if problem:
            name, value, allowed = problem
            _refuse(f"{where}, {operation.kind} {number}", name, value, allowed, f"{at}/{number - 1}/{name}")
        fitted.append(operation)
        channels = operation.channels
    return Branch(tuple(fitted))


def _canonical_stage(stage: Stage, where: str, at: str) -> Stage:
    several = len(stage.branches) > 1
    fusion = stage.fusion if several else "concat"
    total = sum(branch.channels for branch in stage.branches)
    if not is_count(stage.channels, MAX_CHANNELS):
        _refuse(where, "channels", stage.channels, f"1 to {MAX_CHANNELS}", f"{at}/channels")
    if fusion == "concat" and stage.channels != total:
        _refuse(where, "channels", stage.channels, f"{total}, the sum over the branches", f"{at}/channels")
    is_single_step = not several and len(stage.branches[0].operations) == 1
    pooled = stage.downsample in ("max", "avg")
    return replace(
        stage,
        branches=tuple(sorted(stage.branches, key=_order)),
        fusion=fusion,
        branch_activation=stage.branch_activation and not is_single_step,
        pool_position=stage.pool_position if pooled else "before_norm",
    )


def _order(branch: Branch) -> str:
    return json.dumps([_operation_to_dict(operation) for operation in branch.operations], sort_keys=True)


def _stage_to_dict(stage: Stage) -> dict[str, Any]:
    data: dict[str, Any] = {
        "branches": [[_operation_to_dict(step) for step in branch.operations] for branch in stage.branches],
        "channels": stage.channels,
    }
    for item in fields(Stage)[2:]:
        value = getattr(stage, item.name)
        if value != item.default:
            data[item.name] = value
    return data


def _operation_to_dict(operation: Operation) -> dict[str, Any]:
    data: dict[str, Any] = {"op": operation.kind}
    defaults = {item.name: item.default for item in fields(operation)}
    for name, value in asdict(operation).items():
        if name == "kernel" and isinstance(value, tuple):
            data[name] = value[0] if len(set(value)) == 1 else list(value)
        elif value != defaults[name]:
            data[name] = value
    return data


def _stage_from(data: Any, number: int) -> Stage:
    where, at = f"stage {number}", f"/stages/{number - 1}"
    known = dict(_known(data, {item.name for item in fields(Stage)}, where, at))
    for name in ("branches", "channels"):
        if name not in known:
            raise ArchitectureError(f"{where} needs the field {name}", f"{at}/{name}")
    branches = _items(known.pop("branches"), 1, MAX_BRANCHES, f"{where}, branches", f"{at}/branches")
    built = tuple(
        _branch_from(branch, f"{where}, branch {index}", f"{at}/branches/{index - 1}")
        for index, branch in enumerate(branches, start=1)
    )
    return Stage(branches=built, **known)


def _branch_from(data: Any, where: str, at: str) -> Branch:
    steps = _items(data, 1, MAX_OPERATIONS, where, at)
    return Branch(tuple(_operation_from(step, where, f"{at}/{index}") for index, step in enumerate(steps)))


def _operation_from(data: Any, where: str, at: str) -> Operation:
    if not isinstance(data, Mapping) or "op" not in data:
        raise ArchitectureError(
            f"{where}: an operation is a mapping with op and channels, not {_shown(data)}", at
        )
    values = {str(name): value for name, value in data.items() if name != "op"}
    try:
        return operations.create(data["op"], **values)
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error}", at) from error


def _head_from(data: Any) -> Head:
    known = dict(_known(data, {"pool", "dense", "dropout"}, "head", "/head"))
    known["dense"] = tuple(_items(known.get("dense", ()), 0, MAX_DENSE_LAYERS, "head, dense", "/head/dense"))
    return Head(**known)


def _known(data: Any, allowed: set[str], where: str, at: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ArchitectureError(f"{where} must be a mapping, not {_shown(data)}", at)
    for name in data:
        if name not in allowed:
            text = str(name)[:60]
            raise ArchitectureError(f"{where} has no field {text!r}{nearest(text, allowed)}", f"{at}/{text}")
    return data


def _items(data: Any, least: int, most: int, where: str, at: str) -> list[Any]:
    if not isinstance(data, list | tuple) or not least <= len(data) <= most:
        raise ArchitectureError(f"{where} must be a list of {least} to {most}, not {_shown(data)}", at)
    return list(data)


def _one_of(where: str, name: str, value: Any, allowed: tuple[Any, ...], at: str) -> None:
    # A bool equals 0 or 1 in Python, and an unhashable value fails in a set: compare type and value.
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        _refuse(
            where, name, value, ", ".join("null" if choice is None else str(choice) for choice in allowed), at
        )


def _refuse(where: str, name: str, value: Any, allowed: str, at: str) -> None:
    raise ArchitectureError(f"{where}: {name} is {_shown(value)}; allowed: {allowed}", at)


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    text = (
        repr(value)
        if not isinstance(value, list | tuple | Mapping)
        else f"{type(value).__name__} of {len(value)}"
    )
    if (
        isinstance(value, list | tuple)
        and len(value) <= 4
        and all(isinstance(item, int | float) for item in value)
    ):
        text = str(list(value)) if all(abs(item) < 1e12 for item in value) else text
    return text if len(text) <= 80 else text[:77] + "..."


def _x(size: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in size)
