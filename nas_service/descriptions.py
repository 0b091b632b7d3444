"""An architecture described: its canonical form, what it costs layer by layer, and how it looks."""

from typing import Any

from nas_service.errors import refused
from nas_service.views import View
from search_spaces import Architecture, SearchSpaceError, Stage, analyse
from search_spaces.cost import Cost, LayerCost, ReceptiveField
from search_spaces.diagram import svg
from search_spaces.wording import is_foldable, output_shape, part_cost, summary, text


class StageView(View):
    """What one stage gives and costs."""

    # (channels, *spatial) of one example.
    output_shape: tuple[int, ...]
    params: int
    macs: int
    # Whether its branches fold into one kernel once it is trained.
    is_foldable: bool


class CostView(View):
    """What a network costs, as `search_spaces.Cost` says, with a row a layer."""

    params: int
    buffers: int
    macs: int
    elementwise: int
    model_bytes: int
    model_bytes_int8: int
    peak_activation_bytes: int
    receptive_field: ReceptiveField
    layers: tuple[LayerCost, ...]


class ArchitectureView(View):
    """An architecture in full: what `nas describe --json` prints."""

    # Canonical: equal networks have equal descriptions and hashes.
    architecture: dict[str, Any]
    architecture_hash: str
    # The network in one line.
    summary: str
    # Totals, and a row a layer.
    cost: CostView
    stages: tuple[StageView, ...]
    # A picture for pages, drawn in the colour of their text, and a table for terminals.
    svg: str
    text: str


def describe(data: object) -> ArchitectureView:
    """Return all that is known of an architecture without training it.

    Args:
        data: Plain data, as `Architecture.from_dict` reads it.

    Raises:
        InvalidInput: It is no architecture; names the field and what is allowed.
    """
    try:
        architecture = Architecture.from_dict(data)
    except SearchSpaceError as error:
        raise refused(error) from error
    return describe_architecture(architecture)


def describe_architecture(architecture: Architecture) -> ArchitectureView:
    """Return all that is known of an architecture without training it."""
    cost = analyse(architecture)
    return ArchitectureView(
        architecture=architecture.to_dict(),
        architecture_hash=architecture.hash,
        summary=summary(architecture),
        cost=CostView(**{name: getattr(cost, name) for name in CostView.model_fields}),
        stages=tuple(
            _stage(stage, cost, f"stage{number}") for number, stage in enumerate(architecture.stages, start=1)
        ),
        svg=svg(architecture),
        text=text(architecture),
    )


def _stage(stage: Stage, cost: Cost, part: str) -> StageView:
    params, macs = part_cost(cost, part)
    shape = output_shape(cost, part)
    return StageView(output_shape=shape, params=params, macs=macs, is_foldable=is_foldable(stage))
