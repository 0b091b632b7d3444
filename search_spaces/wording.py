"""An architecture in words: one line, a table, and the labels that the picture uses."""

from ast import literal_eval
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import zip_longest
from math import prod
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from search_spaces.architecture import Architecture, Branch, Stage
from search_spaces.cost import Cost, analyse
from search_spaces.head import head_to_data
from search_spaces.operations import Operation, read

ACTIVATIONS = {
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "silu": "SiLU",
    "hard_swish": "hard-swish",
    "gelu": "GELU",
}
POOLS = {"max": "max pool ÷2", "avg": "average pool ÷2"}
HEAD_POOLS = {"avg": "global average", "max": "global maximum", "flatten": "flatten"}
NORMS = {"batch": "batch norm", "layer": "layer norm", "group": "group norm"}
FUSIONS = {
    "concat": "",
    "concat_project": " project {}",
    "add": " add",
    "weighted": " weighted",
    "weighted_free": " weighted free",
    "weighted_sigmoid": " weighted sigmoid",
    "selective": " selective",
}
# Fusions that are linear in each branch.
SUMS = ("add", "weighted", "weighted_free", "weighted_sigmoid")
CONNECTIONS = {
    "none": "",
    "residual": " residual",
    "weighted": " weighted residual",
    "across": " residual across",
    "dense": " dense",
    "dual_path": " dual path",
}
NAMES = {
    "depthwise_separable": "separable conv",
    "deformable": "deformable conv",
    "igc": "interleaved groups",
    "pyramid": "pyramidal conv",
    "shuffle_unit": "ShuffleNet unit",
    "stacked": "stacked 3×3 convs",
}
SHORT_NAMES = {
    "conv": "",
    "depthwise_separable": "dw",
    "deformable": "deform",
    "bottleneck": "narrow",
    "shuffle_unit": "unit",
}
SHORT_OPTIONS = {"groups": "g", "dilation": "d", "multiplier": "m", "ratio": "÷", "level_groups": "g"}


def summary(architecture: Architecture) -> str:
    """Return one line for lists: channels·kernel of every branch, fusion, down-sampling (↓), head, classes.

    Example:
        >>> from search_spaces import RandomTrial, resolve_space
        >>> space = resolve_space({"stage": {"branches": 2, "fusion": "add", "downsample": "max"}})
        >>> summary(space.sample(RandomTrial(0), (1, 28, 28), 10))
        '2 stages: 32·3x3|32·3x3 add ↓ → 32·3x3|32·3x3 add ↓, avg, 10'
    """
    stages = [short_stage(stage) for stage in architecture.stages]
    return _line(stages, head_to_data(architecture.head), architecture.classes)


def stored_summary(data: Mapping[str, Any]) -> str:
    """Return the summary of what `Architecture.to_dict` gave, without judging it again: for long lists.

    Example:
        >>> from search_spaces import RandomTrial, resolve_space
        >>> architecture = resolve_space("multi_scale").sample(RandomTrial(0), (1, 28, 28), 10)
        >>> stored_summary(architecture.to_dict()) == summary(architecture)
        True
    """
    axes = len(data["input_shape"]) - 1
    return _line([_stored_stage(stage, axes) for stage in data["stages"]], data["head"], data["classes"])


def text(architecture: Architecture) -> str:
    """Return a table for terminals: a line a stage with its branches, output shape and cost."""
    cost = analyse(architecture)
    rows = [("input", "", times(architecture.input_shape), "", "")]
    for number, stage in enumerate(architecture.stages, start=1):
        part = f"stage{number}"
        described = f"{short_stage(stage)} · {' · '.join(before_add(stage) + after_add(stage))}"
        params, macs = part_cost(cost, part)
        shape = times(output_shape(cost, part))
        rows.append((f"stage {number}", described, shape, f"{params:,}", f"{macs:,}"))
    params, macs = part_cost(cost, "head")
    head = " · ".join(head_steps(architecture))
    rows.append(("head", head, str(architecture.classes), f"{params:,}", f"{macs:,}"))
    rows.append(("total", "", "", f"{cost.params:,}", f"{cost.macs:,}"))
    return "\n".join(_aligned([("", "", "output", "params", "MACs"), *rows]))


def kernel(operation: Operation, sign: str = "×") -> str:
    """Return a kernel such as 3×3 or 7; empty for an operation without one."""
    levels = getattr(operation, "kernels", ())
    return "/".join(map(str, levels)) or sign.join(map(str, getattr(operation, "kernel", ())))


def sides(operation: Operation) -> tuple[int, ...]:
    """Return the sides of an operation's largest kernel; a single 1 where it has none."""
    levels: tuple[int, ...] = getattr(operation, "kernels", ())
    kernel_sides: tuple[int, ...] = getattr(operation, "kernel", (1,))
    return (max(levels),) if levels else kernel_sides


def options(operation: Operation, names: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return the fields, beside channels and kernel, that are not at their default: groups 4, bias.

    Args:
        operation: Any operation.
        names: Other names for some fields; the value follows such a name without a space.
    """
    words = []
    for item in fields(operation):
        value = getattr(operation, item.name)
        if item.name in ("channels", "kernel", "kernels") or value == item.default:
            continue
        if isinstance(value, tuple):
            # Equal entries say nothing that one does not.
            value = "/".join(map(str, value)) if len(set(value)) > 1 else value[0]
        name = names.get(item.name, f"{item.name.replace('_', ' ')} ")
        words.append(name.strip() if value is True else f"{name}{value}")
    return words


def displayed(branches: tuple[Branch, ...]) -> list[Branch]:
    """Return the branches with growing kernels, the order in which people read them."""
    return [branches[place] for place in display_order(branches)]


def display_order(branches: tuple[Branch, ...]) -> list[int]:
    """Return the places of the branches in the order of `displayed`."""
    keys = [_order(branch) for branch in branches]
    return sorted(range(len(branches)), key=keys.__getitem__)


def _order(branch: Branch) -> tuple[int, int]:
    """Return what branches are displayed in the order of."""
    return _extent(branch), len(branch.operations)


def is_foldable(stage: Stage) -> bool:
    """Whether branches and fusion fold into one kernel, at the borders too (`folding`, merge "always").

    That is a sum, or a single branch, of linear operations of which, along each axis, at most one sees
    neighbours, and no bias comes before it. Linear branches that are concatenated fold into a kernel each.
    """
    is_summed = len(stage.branches) == 1 or stage.fusion in SUMS
    if not (is_summed and stage.is_linear and all(map(_is_one_kernel, stage.branches))):
        return False
    if stage.is_dense and any(len(branch.operations) > 1 for branch in stage.branches):
        return False
    # Identities alone are no kernel, unless they are projected to other channels.
    operations = [operation for branch in stage.branches for operation in branch.operations]
    width = stage.channels - (operations[0].channels if stage.is_dense else 0)
    return any(operation.kind != "identity" or operation.channels != width for operation in operations)


def before_add(stage: Stage) -> list[str]:
    """Return what follows the fusion, up to where a residual line comes in."""
    steps = [POOLS[stage.downsample]] if stage.pools_first else []
    if stage.norm != "none" and stage.normalises_behind:
        steps.append(NORMS[stage.norm])
    if stage.attention:
        steps.append(f"squeeze-excitation ÷{stage.attention}")
    return steps


def after_add(stage: Stage) -> list[str]:
    """Return what follows where a residual line comes in, or the map of a dense stage before it."""
    ends = stage.normalises_behind or stage.connection not in ("none", "dense")
    steps = [ACTIVATIONS[stage.activation]] if ends else []
    if stage.pools_last:
        steps.append(POOLS[stage.downsample])
    if stage.self_attention:
        steps.append(f"self-attention ÷{stage.self_attention}")
    if stage.dropout:
        steps.append(f"dropout {stage.dropout:g}")
    return steps


def merge_words(stage: Stage) -> str:
    """Return in words what follows the branches of a stage: fusion, norm, connection, activation, pooling.

    Example:
        >>> from search_spaces import RandomTrial, resolve_space
        >>> space = resolve_space({"stage": {"branches": 2, "fusion": "add", "connection": "residual"}})
        >>> merge_words(space.sample(RandomTrial(0), (1, 28, 28), 10).stages[0])
        'add, batch norm, residual, ReLU'
    """
    fusion = [FUSIONS[stage.fusion].format(stage.channels).strip() or "concatenate"]
    words = fusion if len(stage.branches) > 1 else []
    connection = [CONNECTIONS[stage.connection].strip()] if stage.connection != "none" else []
    after = after_add(stage)
    # The map of a dense stage is activated before its input is put beside it.
    first = after[:1] if stage.is_dense else []
    return ", ".join([*words, *before_add(stage), *first, *connection, *after[len(first) :]])


def head_steps(architecture: Architecture) -> list[str]:
    """Return what follows the last stage."""
    head = architecture.head
    bins = "×".join([str(head.bins)] * (len(architecture.input_shape) - 1))
    pool = f"{'average' if head.pool == 'avg' else 'maximum'} in {bins} bins" if head.bins > 1 else None
    steps = [pool or HEAD_POOLS[head.pool], *(f"dense {width}" for width in head.dense)]
    return [
        *steps,
        *([f"dropout {head.dropout:g}"] if head.dropout else []),
        f"{architecture.classes} classes",
    ]


def output_shape(cost: Cost, part: str) -> tuple[int, ...]:
    """Return the shape (channels, *spatial) that comes out of a stage or the head."""
    return [layer.output_shape for layer in cost.layers if layer.name.startswith(f"{part}.")][-1]


def part_cost(cost: Cost, part: str) -> tuple[int, int]:
    """Return params and MACs of a stage or the head."""
    layers = [layer for layer in cost.layers if layer.name.startswith(f"{part}.")]
    return sum(layer.params for layer in layers), sum(layer.macs for layer in layers)


def times(shape: tuple[int, ...]) -> str:
    """Return a shape such as 16 × 14 × 14."""
    return " × ".join(map(str, shape))


def _line(stages: Sequence[str], head: Mapping[str, Any], classes: int) -> str:
    count = f"{len(stages)} stage{'s' if len(stages) > 1 else ''}"
    body = " → ".join(stages)
    return ", ".join([f"{count}: {body}", head["pool"], *map(str, head["dense"]), str(classes)])


def _stored_stage(data: Mapping[str, Any], axes: int) -> str:
    stored = [_stored_branch(repr(branch), axes) for branch in data["branches"]]
    words = [text for _, text in sorted(stored, key=itemgetter(0))]
    return _stage_words(Stage(**{**data, "branches": ()}), words)


@lru_cache(maxsize=16_384)
def _stored_branch(data: str, axes: int) -> tuple[tuple[int, int], str]:
    """Return a branch in words, and what it is ordered by; few differ among many networks."""
    branch = Branch(tuple(_stored_operation(operation, axes) for operation in literal_eval(data)))
    return _order(branch), short_branch(branch)


def _stored_operation(values: dict[str, Any], axes: int) -> Operation:
    operation = read(values.pop("op"), values)
    # It is canonical already: this but spells its kernel out.
    return operation.fitted(operation.channels, (1,) * axes)


def short_stage(stage: Stage) -> str:
    """Return a stage as `summary` has it."""
    return _stage_words(stage, list(map(short_branch, displayed(stage.branches))))


def _stage_words(stage: Stage, words: Sequence[str]) -> str:
    branches = "|".join(words)
    fusion = FUSIONS[stage.fusion].format(stage.channels) if len(words) > 1 else ""
    attention = f" se{stage.attention}" if stage.attention else ""
    gathers = f" self{stage.self_attention}" if stage.self_attention else ""
    connection = CONNECTIONS[stage.connection]
    return f"{branches}{fusion}{attention}{connection}{gathers}{' ↓' if stage.downsample != 'none' else ''}"


def short_branch(branch: Branch) -> str:
    """Return a branch as `summary` has it."""
    return "+".join(map(short_operation, branch.operations))


@lru_cache(maxsize=16_384, typed=True)
def short_operation(operation: Operation) -> str:
    """Return an operation as `summary` has it: channels, kernel, what is not at its default."""
    name = SHORT_NAMES.get(operation.kind, operation.kind)
    return " ".join(
        [f"{operation.channels}·{name}{kernel(operation, 'x')}", *options(operation, SHORT_OPTIONS)]
    )


@lru_cache(maxsize=16_384)
def _span(operation: Operation) -> tuple[int, ...]:
    """The number of steps from an operation's first input pixel to its last, an axis each."""
    dilation: int = getattr(operation, "dilation", 1)
    return tuple((side - 1) * dilation for side in sides(operation))


def _extent(branch: Branch) -> int:
    """The number of input pixels, along all axes, that the branch's operations span together."""
    spans = map(_span, branch.operations)
    return prod(sum(axis) + 1 for axis in zip(*spans, strict=False))


def _is_one_kernel(branch: Branch) -> bool:
    """Whether linear operations in series are one convolution, at the borders too."""
    kernels = [_sides(operation) for operation in branch.operations]
    if any(sum(side > 1 for side in sides) > 1 for sides in zip_longest(*kernels, fillvalue=1)):
        return False
    biased = [index for index, operation in enumerate(branch.operations) if getattr(operation, "bias", False)]
    levels = max(len(getattr(operation, "kernels", (1,))) for operation in branch.operations)
    return levels == 1 and not any(max(sides) > 1 for sides in kernels[min(biased, default=99) + 1 :])


def _sides(operation: Operation) -> tuple[int, ...]:
    """Return the kernel; that of a pyramid's one level stands for all axes there may be."""
    if hasattr(operation, "kernels"):
        return (max(operation.kernels),) * 3
    sides: tuple[int, ...] = getattr(operation, "kernel", (1,))
    return sides


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
