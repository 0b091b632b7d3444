"""The search space: pure data that says, field by field, what is fixed and what may be chosen."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces import fields
from search_spaces.architecture import MAX_STAGES, Architecture
from search_spaces.errors import SpaceError
from search_spaces.forbid import Rule, parse_rules
from search_spaces.random_trial import Suggests
from search_spaces.ranges import STAGE_KEYS, TIED_FIELDS, HeadRange, StageRange, parse_layouts
from search_spaces.sampling import Ask, Bounds, FeatureMap, after, sample_head, sample_stage

_STAGE_NAMES = tuple(f"stage{number}" for number in range(1, MAX_STAGES + 1))
_KEYS = ("depth", "smallest_map", "tied", "layouts", "stage", *_STAGE_NAMES, "head", "forbid")
_DEPTH = fields.whole(2, 1, MAX_STAGES)
_SMALLEST_MAP = fields.whole(3, 1, 1024)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What may be chosen. A field that holds a scalar is fixed; one that holds a list is a choice.

    The data has these keys, all optional but the first stage's width, which must be a count:

    - `depth`: number of stages, 1 to 6.
    - `stage`: fields of every stage; its `branch` holds the fields of every free branch.
    - `stage1` ... `stage6`: what differs in one stage; the rest comes from `stage`.
    - `layouts`: named lists of branches that a stage's `layout` may choose; a branch says all itself.
    - `tied`: stage fields that are drawn once for the network. A stage that sets one itself has its own.
    - `head`: pool, dense_layers, dense_width, dropout; a map of more than `largest_flatten` positions is
      averaged where flatten was drawn.
    - `forbid`: combinations of fields that no candidate may have; see `search_spaces.forbid.Rule`.
    - `smallest_map`: no stage makes a map's smallest side smaller than this.

    Example:
        >>> space = SearchSpace.from_dict({"depth": [1, 2], "stage": {"branch": {"kernel": [3, 5, 7]}}})
        >>> space.size()
        12
    """

    depth: tuple[int, ...]
    stages: tuple[StageRange, ...]
    tied: Mapping[str, fields.Choices]
    head: HeadRange
    smallest_map: int
    rules: tuple[Rule, ...]
    _data: Mapping[str, Any] = field(compare=False, repr=False)

    @classmethod
    def from_dict(cls, data: object) -> "SearchSpace":
        """Read plain JSON or YAML data.

        Raises:
            SpaceError: Names the field, its value and what is allowed; carries a JSON pointer.
        """
        known = fields.as_mapping(data, _KEYS, "")
        names = _parse_tied(known.get("tied", ()))
        layouts = parse_layouts(known.get("layouts", {}), "/layouts")
        every = StageRange.parse(known.get("stage", {}), "/stage", layouts)
        space = cls(
            depth=fields.parse_choices(_DEPTH, known.get("depth", 2), "/depth"),
            stages=tuple(_parse_stage(known, name, layouts, names) for name in _STAGE_NAMES),
            tied={name: getattr(every, name) for name in TIED_FIELDS if name in names},
            head=HeadRange.parse(known.get("head", {}), "/head"),
            smallest_map=fields.parse_fixed(_SMALLEST_MAP, known, "smallest_map", ""),
            rules=parse_rules(known.get("forbid", ()), "/forbid"),
            _data=copy.deepcopy(dict(known)),
        )
        _check_first_width(known, space.stages[0])
        return space

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back to an equal space."""
        return copy.deepcopy(dict(self._data))

    def with_override(self, override: object) -> "SearchSpace":
        """Return a copy with some keys replaced; mappings are merged, and null takes a key away."""
        merged = merge(self._data, fields.as_mapping(override, _KEYS, ""))
        return SearchSpace.from_dict(merged)

    def size(self) -> int:
        """Count the distinct parameter combinations.

        Exact for maps that every kernel and every down-sampling fits; an upper bound on others, where
        sampling leaves out what has no effect. Distinct parameters may still describe equal networks.
        """
        tied = math.prod(len(choices) for choices in self.tied.values())
        sizes = [stage.size() for stage in self.stages]
        return tied * self.head.size() * sum(math.prod(sizes[:depth]) for depth in self.depth)

    def sample(self, trial: Suggests, input_shape: Sequence[int], classes: int) -> Architecture:
        """Ask `trial` for every choice that has an effect and return the network it describes.

        Args:
            trial: An `optuna.Trial`, a `RandomTrial`, or anything else with `suggest_categorical`.
            input_shape: Channels, then the spatial size, of one example.
            classes: Number of classes.
        """
        ask = Ask(trial)
        depth = ask("depth", self.depth)
        tied = {name: ask(name, choices) for name, choices in self.tied.items()}
        flow, stages = FeatureMap(input_shape[0], tuple(input_shape[1:])), []
        for number, stage in enumerate(self.stages[:depth], start=1):
            bounds = Bounds(self.smallest_map, is_first=number == 1)
            stages.append(sample_stage(stage, ask.below(f"stage{number}"), flow, tied, bounds))
            flow = after(stages[-1], flow)
        head = sample_head(self.head, ask.below("head"), flow)
        return Architecture(tuple(input_shape), classes, tuple(stages), head)

    def forbidden(self, architecture: Architecture) -> str | None:
        """Return the first of the space's rules that forbids an architecture, in words; None without one."""
        return next((str(rule) for rule in self.rules if rule.forbids(architecture)), None)


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7396): mappings merge, null removes, everything else replaces."""
    merged = {key: value for key, value in base.items() if key not in patch}
    for key, value in patch.items():
        if isinstance(value, Mapping):
            below = base.get(key)
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        elif value is not None:
            merged[key] = value
    return {key: merged[key] for key in (*(key for key in base if key in merged), *merged)}


def _parse_stage(data: Mapping[str, Any], name: str, layouts: Any, tied: frozenset[str]) -> StageRange:
    own = fields.as_mapping(data.get(name, {}), STAGE_KEYS, f"/{name}")
    # A mistake in what all stages share has been found before, under its own name.
    return StageRange.parse(merge(data.get("stage", {}), own), f"/{name}", layouts, tied - own.keys())


def _parse_tied(data: object) -> frozenset[str]:
    if not isinstance(data, list | tuple):
        raise SpaceError("tied must be a list of stage fields", pointer="/tied")
    for index, name in enumerate(data):
        if name not in TIED_FIELDS:
            raise fields.unknown(name, TIED_FIELDS, f"/tied/{index}", what="stage field")
    return frozenset(data)


def _check_first_width(data: Mapping[str, Any], first: StageRange) -> None:
    for value in first.width:
        if fields.is_relative(value):
            raise SpaceError(
                f"stage1.width ({value}) must be a count: there is no stage before it",
                pointer="/stage1/width",
            )
