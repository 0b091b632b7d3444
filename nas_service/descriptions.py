"""An architecture described: its canonical form, what it costs layer by layer, and how it looks."""

from typing import Any

from nas_service.errors import refused
from nas_service.views import View
from search_spaces import Architecture, SearchSpaceError, analyse
from search_spaces.cost import Cost
from search_spaces.diagram import svg
from search_spaces.wording import output_shape, part_cost, summary, text


class StageView(View):
    """What one stage gives and costs."""

    # (channels, *spatial) of one example.
    output_shape: tuple[int, ...]
    params: int
    macs: int


class ArchitectureView(View):
    """An architecture in full: what `nas describe --json` prints."""

    # Canonical: equal networks have equal descriptions and hashes.
    architecture: dict[str, Any]
    architecture_hash: str
    # The network in one line.
    summary: str
    # Totals, and a row a layer.
    cost: Cost
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
        cost=cost,
        stages=tuple(_stage(cost, f"stage{number + 1}") for number in range(len(architecture.stages))),
        svg=svg(architecture),
        text=text(architecture),
    )


def _stage(cost: Cost, part: str) -> StageView:
    params, macs = part_cost(cost, part)
    return StageView(output_shape=output_shape(cost, part), params=params, macs=macs)
