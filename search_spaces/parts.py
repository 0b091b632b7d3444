"""What each part of a network costs and sees: branches, what brings them together, and the head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from search_spaces.architecture import Architecture, Stage
from search_spaces.branch_lowering import branch_piece
from search_spaces.cost import LayerCost, ReceptiveField, analyse
from search_spaces.layers.layer import Shape
from search_spaces.lowering import counting_style
from search_spaces.wording import head_steps, merge_words, short_branch

PartKind = Literal["branch", "merge", "head"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a network on one example; the parts' parameters and MACs add up to the network's."""

    # "stage1.branch2", counted as in the architecture; "stage1.merge" is all that follows its branches.
    name: str
    kind: PartKind
    # From 1; 0 for the head.
    stage: int
    # In words: the operations of a branch, the fusion and what comes behind it.
    label: str
    output_shape: Shape
    params: int
    macs: int
    # What one of its positions sees of the network's input; None behind layers that see the whole map.
    receptive_field: ReceptiveField | None
    # Of a branch: what one of its positions sees of the stage's own input.
    window: ReceptiveField | None = None


def parts(architecture: Architecture) -> tuple[Part, ...]:
    """Return the parts of a network in the order in which they are run; branches stand in theirs.

    Example:
        >>> from search_spaces import RandomTrial, resolve_space
        >>> network = resolve_space("two_conv_block").sample(RandomTrial(3), (1, 28, 28), 10)
        >>> [(part.name, part.receptive_field.largest) for part in parts(network) if part.kind == "branch"]
        [('stage1.branch1', (3, 3)), ('stage1.branch2', (5, 5))]
    """
    layers = analyse(architecture).layers
    one = (1,) * (len(architecture.input_shape) - 1)
    shape, seen = architecture.input_shape, ReceptiveField(one, one)
    found: list[Part] = []
    for number, stage in enumerate(architecture.stages, start=1):
        inside = _below(layers, f"stage{number}")
        found += _branches(stage, number, inside, shape, seen)
        merging = [layer for layer in inside if not layer.name.startswith(f"stage{number}.branch")]
        if merging:
            found.append(_part(f"stage{number}.merge", "merge", number, merge_words(stage), merging))
        shape, seen = inside[-1].output_shape, inside[-1].receptive_field or seen
    head = _below(layers, "head")
    return (*found, _part("head", "head", 0, ", ".join(head_steps(architecture)), head))


def _branches(
    stage: Stage, number: int, layers: Sequence[LayerCost], shape: Shape, seen: ReceptiveField
) -> list[Part]:
    style, found = counting_style(stage), []
    for index, branch in enumerate(stage.branches, start=1):
        name = f"stage{number}.branch{index}"
        window = branch_piece(branch, style, shape).window or ((1, 1, 1),) * (len(shape) - 1)
        smallest, largest, _ = zip(*window, strict=True)
        # An identity has no layer: what comes out is what goes in.
        none = LayerCost(name, "identity", shape, 0, 0, 0, 0, seen)
        part = _part(name, "branch", number, short_branch(branch), _below(layers, name) or [none])
        found.append(replace(part, window=ReceptiveField(smallest, largest)))
    return found


def _below(layers: Sequence[LayerCost], name: str) -> list[LayerCost]:
    return [layer for layer in layers if layer.name.startswith(f"{name}.")]


def _part(name: str, kind: PartKind, stage: int, label: str, layers: Sequence[LayerCost]) -> Part:
    return Part(
        name=name,
        kind=kind,
        stage=stage,
        label=label,
        output_shape=layers[-1].output_shape,
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        receptive_field=layers[-1].receptive_field,
    )
