"""One stage of a network: branches side by side, brought together, connected, normalised, activated."""

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from math import prod
from operator import attrgetter, is_
from typing import Any

from search_spaces.branch import Branch, branch_from, branch_to_data, channels_out, fit_branch, known_to_fit
from search_spaces.layers.attention import squeezed_channels
from search_spaces.layers.normalisation import NORMS
from search_spaces.layers.pointwise import ACTIVATIONS
from search_spaces.operations.operation import MAX_CHANNELS
from search_spaces.validation import as_items, as_mapping, is_count, is_rate, need, one_of, plain_rate, refuse

FUSIONS = ("concat", "concat_project", "add", "weighted", "weighted_free", "weighted_sigmoid", "selective")
CONNECTIONS = ("none", "residual", "weighted", "dense", "dual_path", "across")
# Those that put the stage's input beside its map.
GROWING = ("dense", "dual_path")
DOWNSAMPLES = ("none", "max", "avg", "stride")
POOLS = ("max", "avg")
POOL_POSITIONS = ("before_norm", "after_activation")
ATTENTION_RATIOS = (2, 4, 8, 16)
SELF_ATTENTION_RATIOS = (1, 2, 4, 8)
# Self-attention compares all positions with all: 4,096 of them make 64 MiB of scores.
MAX_POSITIONS = 4096
MAX_BRANCHES = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """Branches side by side, brought together, then pooled, normalised, connected and activated.

    `channels` is what comes out; for `concat` the sum over the branches. A `dense` or `dual_path` stage also
    puts out its input, and `channels` counts it.
    """

    branches: tuple[Branch, ...]
    channels: int
    fusion: str = "concat"
    # residual adds the input, weighted adds it by learnt factors, across adds the input of the stage before;
    # dense puts input and all maps side by side, dual_path adds to one half of the map besides.
    connection: str = "none"
    # Reduction ratio of squeeze-and-excitation, or None.
    attention: int | None = None
    # Reduction ratio of query and key of spatial self-attention behind the stage, or None.
    self_attention: int | None = None
    norm: str = "batch"
    activation: str = "relu"
    # Normalise and activate behind each operation inside the branches, instead of once behind the fusion.
    branch_activation: bool = False
    downsample: str = "none"
    # Pooling before the norm costs less; behind the activation is the older order.
    pool_position: str = "before_norm"
    # Share of the elements of the stage's map that training drops.
    dropout: float = 0.0

    @property
    def is_dense(self) -> bool:
        """Whether operations read all maps before them, and all of them come out."""
        return self.connection in GROWING

    @property
    def pools_first(self) -> bool:
        """Whether the map is pooled before norm and connection."""
        return self.downsample in POOLS and self.pool_position == "before_norm"

    @property
    def pools_last(self) -> bool:
        """Whether the map is pooled behind the activation."""
        return self.downsample in POOLS and self.pool_position == "after_activation"

    @property
    def normalises_behind(self) -> bool:
        """Whether norm and activation stand behind the fusion."""
        return not self.branch_activation or self.fusion == "concat_project"

    @property
    def is_linear(self) -> bool:
        """Whether no branch holds an activation: the fused map is then linear in the stage's input."""
        if self.branch_activation or self.fusion == "selective":
            return False
        return all(map(_is_linear, self.branches))


_ALLOWED: dict[str, tuple[Any, ...]] = {
    "fusion": FUSIONS,
    "connection": CONNECTIONS,
    "norm": NORMS,
    "activation": ACTIVATIONS,
    "downsample": DOWNSAMPLES,
    "pool_position": POOL_POSITIONS,
    "attention": (None, *ATTENTION_RATIOS),
    "self_attention": (None, *SELF_ATTENTION_RATIOS),
    "branch_activation": (True, False),
}
_options_of = attrgetter(*_ALLOWED)
_text, _is_linear = attrgetter("text"), attrgetter("is_linear")


@lru_cache(maxsize=4096)
def size_behind(downsample: str, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the spatial size behind a down-sampling."""
    if downsample == "none":
        return size
    return tuple((side + 1) // 2 if downsample == "stride" else side // 2 for side in size)


def size_after(stage: Stage, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the spatial size behind a stage."""
    return size_behind(stage.downsample, size)


def fit_stage(stage: Stage, number: int, channels: int, size: tuple[int, ...]) -> Stage:
    """Return the canonical form behind a map; raises `ArchitectureError` where a rule is broken."""
    where, at = f"stage {number}", f"/stages/{number - 1}"
    _check_options(stage, number, size, where, at)
    if not 1 <= len(stage.branches) <= MAX_BRANCHES:
        refuse(where, "branches", len(stage.branches), f"1 to {MAX_BRANCHES} branches", f"{at}/branches")
    dense = stage.connection in GROWING
    # Those of sampled stages are known to fit; the places of others are written for their messages.
    branches = known_to_fit(stage.branches, channels, size, dense=dense) or tuple(
        [
            fit_branch(
                branch, f"{where}, branch {index}", f"{at}/branches/{index - 1}", channels, size, dense=dense
            )
            for index, branch in enumerate(stage.branches, start=1)
        ]
    )
    _check_channels(stage, branches, channels, where, at)
    return _canonical(stage, branches, channels, size)


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


def _check_options(stage: Stage, number: int, size: tuple[int, ...], where: str, at: str) -> None:
    try:
        is_good = _are_options(*_options_of(stage))
    except TypeError:
        is_good = False
    if not is_good:
        for name, allowed in _ALLOWED.items():
            one_of(where, name, getattr(stage, name), allowed, f"{at}/{name}")
    if not is_count(stage.channels, 4 * MAX_CHANNELS):
        refuse(where, "channels", stage.channels, f"1 to {4 * MAX_CHANNELS}", f"{at}/channels")
    if not is_rate(stage.dropout):
        refuse(where, "dropout", stage.dropout, "0 up to, not including, 1", f"{at}/dropout")
    if stage.connection == "across" and number == 1:
        others = ", ".join(name for name in CONNECTIONS if name != "across")
        refuse(where, "connection", "across", f"{others}: there is no stage before it", f"{at}/connection")
    _check_downsample(stage, size, where, at)


@lru_cache(maxsize=4096, typed=True)
def _are_options(*values: Any) -> bool:
    """Whether all values are allowed; `typed`, for True equals 1 in Python."""
    return all(
        any(type(value) is type(choice) and value == choice for choice in allowed)
        for value, allowed in zip(values, _ALLOWED.values(), strict=True)
    )


def _check_downsample(stage: Stage, size: tuple[int, ...], where: str, at: str) -> None:
    if stage.downsample in POOLS and min(size) < 2:
        fitting = f"none, stride: the map is only {'x'.join(map(str, size))}"
        refuse(where, "downsample", stage.downsample, fitting, f"{at}/downsample")
    if stage.downsample == "stride" and stage.is_dense:
        fitting = f"none, max, avg: a stage with connection {stage.connection} cannot stride"
        refuse(where, "downsample", stage.downsample, fitting, f"{at}/downsample")
    if stage.self_attention and prod(size_behind(stage.downsample, size)) > MAX_POSITIONS:
        fitting = f"null: a map of more than {MAX_POSITIONS} positions cannot compare all with all"
        refuse(where, "self_attention", stage.self_attention, fitting, f"{at}/self_attention")


def _check_channels(stage: Stage, branches: tuple[Branch, ...], channels: int, where: str, at: str) -> None:
    beside = channels if stage.is_dense else 0
    least = beside + (2 if stage.connection == "dual_path" else 1)
    if stage.fusion == "concat" or len(branches) == 1:
        total = beside + sum([channels_out(branch, dense=stage.is_dense) for branch in branches])
        if stage.channels != total:
            inputs = " and the input" if beside else ""
            allowed = f"{total}, the sum over the branches{inputs}"
            refuse(where, "channels", stage.channels, allowed, f"{at}/channels")
    if stage.channels < least:
        allowed = f"{least} or more, for connection {stage.connection} keeps the {channels} of the input"
        refuse(where, "channels", stage.channels, allowed, f"{at}/channels")


def _canonical(stage: Stage, branches: tuple[Branch, ...], channels: int, size: tuple[int, ...]) -> Stage:
    """Sort the branches, and set what has no effect to its neutral value."""
    if len(branches) > 1:
        branches = tuple(sorted(branches, key=_text))
    if len(branches) == len(stage.branches) and all(map(is_, branches, stage.branches)):
        branches = stage.branches
    own = (
        stage.branches,
        stage.fusion,
        stage.branch_activation,
        stage.downsample,
        stage.pool_position,
        stage.attention,
        stage.self_attention,
        stage.dropout,
    )
    ratios = (stage.attention, stage.self_attention)
    squeezed = _smallest_alike(*ratios, stage.channels) if ratios != (None, None) else ratios
    canonical: tuple[Any, ...] = (
        branches,
        stage.fusion if len(branches) > 1 else "concat",
        stage.branch_activation and not _is_single_step(branches),
        "none" if _strides_in_place(stage, channels, size) else stage.downsample,
        stage.pool_position if stage.downsample in POOLS else "before_norm",
        *squeezed,
        plain_rate(stage.dropout),
    )
    if all(map(is_, own, canonical)):
        return stage
    return replace(stage, **dict(zip(_CANONICAL, canonical, strict=True)))


_CANONICAL = (
    "branches",
    "fusion",
    "branch_activation",
    "downsample",
    "pool_position",
    "attention",
    "self_attention",
    "dropout",
)


def _is_single_step(branches: tuple[Branch, ...]) -> bool:
    """Whether norm and activation have one place only: inside and behind are the same."""
    if len(branches) > 1 or len(branches[0].operations) > 1:
        return False
    return not branches[0].operations[0].has_inside


def _strides_in_place(stage: Stage, channels: int, size: tuple[int, ...]) -> bool:
    """Whether a stride has nothing to skip, nor changes the shortcut, which it gives a projection."""
    if stage.downsample != "stride" or max(size) > 1:
        return False
    return stage.connection not in ("residual", "weighted") or stage.channels != channels


@lru_cache(maxsize=4096)
def _smallest_alike(
    attention: int | None, self_attention: int | None, channels: int
) -> tuple[int | None, int | None]:
    """Return the smallest ratios that squeeze to the same width: 4, 8 and 16 all leave one of 4 channels."""
    return _smallest(attention, channels, ATTENTION_RATIOS), _smallest(
        self_attention, channels, SELF_ATTENTION_RATIOS
    )


def _smallest(ratio: int | None, channels: int, ratios: tuple[int, ...]) -> int | None:
    if ratio is None:
        return None
    width = squeezed_channels(channels, ratio)
    return next(other for other in ratios if squeezed_channels(channels, other) == width)
