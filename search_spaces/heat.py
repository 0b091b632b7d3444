"""Where a network's parameters or MACs lie, as shares that its picture can be coloured by."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from search_spaces.architecture import Architecture
from search_spaces.cost import Cost, LayerCost
from search_spaces.parts import Part, parts

HeatFigure = Literal["macs", "params"]
# The strongest tint on which text in either theme is still legible.
STRONGEST = 0.45
FIGURE_NAMES: dict[HeatFigure, str] = {"macs": "MACs", "params": "params"}


@dataclass(frozen=True, slots=True)
class Heat:
    """One figure of a network, layer by layer."""

    figure: HeatFigure
    layers: tuple[LayerCost, ...]
    parts: dict[str, Part]

    @classmethod
    def of(cls, architecture: Architecture, cost: Cost, figure: HeatFigure) -> "Heat":
        """Return the heat of a network whose cost is known."""
        return cls(figure, cost.layers, {part.name: part for part in parts(architecture)})

    def share(self, prefix: str) -> float:
        """Return the part of the whole that lies in the layers whose names start so.

        Example:
            >>> from search_spaces import RandomTrial, analyse, resolve_space
            >>> network = resolve_space("two_conv").sample(RandomTrial(1), (1, 28, 28), 10)
            >>> Heat.of(network, analyse(network), "macs").share("")
            1.0
        """
        whole = sum(self._count(layer) for layer in self.layers)
        some = sum(self._count(layer) for layer in self.layers if layer.name.startswith(prefix))
        return some / whole if whole else 0.0

    def tint(self, prefix: str) -> float:
        """Return the opacity that stands for a share; the square root, or small shares could not be seen."""
        return 0.03 + (STRONGEST - 0.03) * sqrt(self.share(prefix))

    def words(self, branch: str, operation: str, *, is_last: bool) -> list[str]:
        """Return what is written into the box of a branch's operation."""
        percent = 100 * self.share(f"{branch}.{operation}")
        share = "under 1" if 0 < percent < 0.5 else f"{percent:.0f}"
        lines = [f"{share} % of {FIGURE_NAMES[self.figure]}"]
        field = self.parts[branch].receptive_field
        if is_last and field:
            lines.append(f"sees {'×'.join(map(str, field.largest))}")
        return lines

    def _count(self, layer: LayerCost) -> int:
        return layer.macs if self.figure == "macs" else layer.params
