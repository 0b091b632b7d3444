"""What of a front is looked at: axes, kinds of points, limits; all of it lives in the page's address."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard.figures import default_axes
from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS
from nas_service.studies import StudySpec
from nas_service.trade_offs import own_limits
from nas_service.views import StudyView

# Kinds of points beside the front.
SHOWN = ("dominated", "infeasible", "pruned", "running", "random")
DEFAULT_SHOW = "dominated,infeasible,random"
PRICES = tuple(name for name, metric in METRICS.items() if metric.kind != "quality")


@dataclass(frozen=True, slots=True)
class FrontChoice:
    """What a reader of a study page asked for; what was not asked for is the study's own."""

    study: StudyView
    x: str
    y: str
    # The third axis; None for a flat plot.
    z: str | None
    show: frozenset[str]
    # The limits that were asked for, which may be the study's own; None for none where the study has one.
    asked: dict[str, float | None]

    @property
    def axes(self) -> tuple[str, ...]:
        return (self.x, self.y, self.z) if self.z else (self.x, self.y)

    @property
    def limits(self) -> dict[str, float]:
        """The highest value allowed, by metric: the study's own limits, or those asked for instead."""
        wanted = {**own_limits(self.study.spec), **self.asked}
        return {name: bound for name, bound in wanted.items() if bound is not None}

    @property
    def has_other_limits(self) -> bool:
        """Whether the limits differ from the study's."""
        return self.limits != own_limits(self.study.spec)

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(objective.metric for objective in self.study.spec.objectives)

    @property
    def quality(self) -> str:
        """What is to be as good as possible: an axis, else an objective, else the accuracy."""
        names = (self.y, self.x, *self.objectives, "accuracy")
        return next(name for name in names if METRICS[name].kind == "quality")

    @property
    def price(self) -> str | None:
        """What is paid for it; None where no axis of the flat plot is a price."""
        return next((name for name in (self.x, self.y) if METRICS[name].kind != "quality"), None)

    def address(self) -> str:
        """Return the query that asks for this."""
        flat: list[tuple[str, str]] = [("x", self.x), ("y", self.y)]
        deep = [("z", self.z)] if self.z else []
        return urlencode([*flat, *deep, ("show", ",".join(sorted(self.show))), *self._asked_query()])

    def limit_address(self) -> str:
        """Return the query that asks for these limits alone; empty where none was asked for."""
        return f"?{urlencode(self._asked_query())}" if self.asked else ""

    def _asked_query(self) -> list[tuple[str, str]]:
        return [
            ("limit", f"{name}:" if bound is None else f"{name}:{bound:.12g}")
            for name, bound in self.asked.items()
        ]


def limitable(choice: FrontChoice) -> list[str]:
    """Return the prices whose limits a reader may move: those of objectives, limits and axes."""
    names = [*own_limits(choice.study.spec), *choice.objectives, *choice.axes, *choice.asked]
    return [name for name in dict.fromkeys(names) if METRICS[name].kind != "quality"]


def read_limits(texts: Sequence[str]) -> dict[str, float | None]:
    """Return limits by metric from texts such as `params:50000`; an empty bound is none at all.

    Raises:
        InvalidInput: A metric is no price, or a bound no number above 0.
    """
    limits: dict[str, float | None] = {}
    for text in texts:
        name, _, bound = text.partition(":")
        if name not in PRICES:
            raise InvalidInput(FieldError("/limit", f"{text[:60]!r} limits no price", ", ".join(PRICES)))
        limits[name] = _bound(name, bound) if bound.strip() else None
    return limits


def _bound(name: str, text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if not 0 < bound < math.inf:
        problem = f"{name} cannot be limited to {text[:40]!r}"
        raise InvalidInput(FieldError("/limit", problem, "a number above 0, such as params:50000"))
    return bound


def chosen(
    service: TheService,
    study_id: Id,
    x: str | None = None,
    y: str | None = None,
    z: str | None = None,
    show: str = DEFAULT_SHOW,
    limit: Annotated[list[str] | None, Query()] = None,
) -> FrontChoice:
    """Read a choice from an address; unknown axes and kinds of points are left out."""
    study = service.study(study_id)
    x, y = _axes(study.spec, x, y)
    return FrontChoice(
        study=study,
        x=x,
        y=y,
        z=z if z in METRICS and z not in (x, y) else None,
        show=frozenset(show.split(",")) & set(SHOWN),
        asked=read_limits(limit or ()),
    )


def _axes(spec: StudySpec, x: str | None, y: str | None) -> tuple[str, str]:
    """The asked-for metrics where they exist and differ, else the study's own."""
    default_x, default_y = default_axes(spec)
    x = x if x in METRICS else default_x
    y = y if y in METRICS else default_y
    return (x, y) if x != y else (default_x, default_y)


TheChoice = Annotated[FrontChoice, Depends(chosen)]
