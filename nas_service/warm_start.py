"""What a study trains first: presets of its space, fronts of other studies, given architectures.

The study trains every one of them itself, under its own recipe, split and seed: no figure is taken over from
elsewhere. What the study's space could have drawn teaches its sampler; other networks stand beside.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_service.constraints import enforced, is_kept, violations
from nas_service.errors import FieldError, InvalidInput, refused
from nas_service.ledger.proposals import broken_limits
from nas_service.studies import PRESETS, StudySpec
from nas_service.trials import Trial
from nas_service.views import DatasetView
from search_spaces import Architecture, SearchSpace, SearchSpaceError, analyse
from search_spaces.presets import presets
from search_spaces.versions import Carried, carried


@dataclass(frozen=True, slots=True)
class Source:
    """Another study: its front, and the versions of its space."""

    input_shape: tuple[int, ...]
    classes: int
    front: Sequence[Trial]
    spaces: Mapping[int, SearchSpace]


@dataclass(frozen=True, slots=True)
class Start:
    """A network that is to be trained first."""

    # Where it comes from, in words.
    origin: str
    architecture: Architecture
    costs: dict[str, float]
    violations: dict[str, float]
    # What the study's space draws it by, and Optuna's forms of the choices; empty where it does not.
    params: dict[str, Any]
    distributions: dict[str, str]
    # Why it is not trained; None where it is.
    left_out: str | None


def starts(
    spec: StudySpec, space: SearchSpace, dataset: DatasetView, read_source: Callable[[int], Source]
) -> list[Start]:
    """Return what a study is to train first, in the order of its spec, each network once.

    Raises:
        InvalidInput: An architecture that was given does not fit the data, breaks a limit or is forbidden, or
            another study's data have another shape.
    """
    found: dict[str, Start] = {}
    for place, wanted in enumerate(spec.search.warm_start):
        pointer = f"/search/warm_start/{place}"
        for start in _of(wanted, pointer, spec, space, dataset, read_source):
            if isinstance(wanted, dict) and start.left_out:
                raise InvalidInput(FieldError(pointer, f"it {start.left_out}"))
            found.setdefault(start.architecture.hash, start)
    return list(found.values())


def _of(
    wanted: int | str | dict[str, Any],
    pointer: str,
    spec: StudySpec,
    space: SearchSpace,
    dataset: DatasetView,
    read_source: Callable[[int], Source],
) -> Iterator[Start]:
    if wanted == PRESETS:
        for name, preset in presets(space, dataset.input_shape, dataset.classes).items():
            yield _start(f"the {name} preset", preset.architecture, spec, space, preset)
    elif isinstance(wanted, int):
        source = read_source(wanted)
        if (source.input_shape, source.classes) != (dataset.input_shape, dataset.classes):
            shape = f"{list(source.input_shape)} and {source.classes} classes"
            own = f"{list(dataset.input_shape)} and {dataset.classes}"
            raise InvalidInput(FieldError(pointer, f"study {wanted} has data of {shape}, this one {own}"))
        for trial in source.front:
            drawn = _carried(trial, source, space)
            network = Architecture.from_dict(trial.architecture)
            yield _start(f"trial {trial.number} of study {wanted}", network, spec, space, drawn)
    elif isinstance(wanted, dict):
        given = {"input_shape": list(dataset.input_shape), "classes": dataset.classes, **wanted}
        try:
            network = Architecture.from_dict(given)
        except SearchSpaceError as error:
            raise refused(error, pointer) from error
        if (network.input_shape, network.classes) != (dataset.input_shape, dataset.classes):
            shape = f"{list(dataset.input_shape)} and {dataset.classes} classes"
            raise InvalidInput(FieldError(pointer, f"the study's data have {shape}"))
        yield _start("given at launch", network, spec, space, None)


def _carried(trial: Trial, source: Source, space: SearchSpace) -> Carried | None:
    was = source.spaces.get(trial.space_version or 0)
    if was is None:
        return None
    return carried(trial.params, was, space, source.input_shape, source.classes)


def _start(
    origin: str, network: Architecture, spec: StudySpec, space: SearchSpace, drawn: Carried | None
) -> Start:
    costs = {name: float(value) for name, value in analyse(network).metrics().items()}
    broken = violations(costs, enforced(spec.constraints))
    rule = space.forbidden(network)
    why = f"has {rule}, which the space forbids" if rule else None
    if why is None and not is_kept(broken):
        why = broken_limits(broken)
    choices = {name: options for name, options in drawn.choices.items() if len(options) > 1} if drawn else {}
    return Start(
        origin=origin,
        architecture=network,
        costs=costs,
        violations=broken,
        params={name: drawn.params[name] for name in choices} if drawn else {},
        distributions={name: _categorical(options) for name, options in choices.items()},
        left_out=why,
    )


def _categorical(choices: Sequence[Any]) -> str:
    """Return choices as Optuna writes them, which the service itself never reads."""
    return json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": list(choices)}})
