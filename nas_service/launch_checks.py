"""What is checked of a study before it is launched or changed; all raise `InvalidInput` by field."""

from collections.abc import Mapping

from nas_service import feasibility
from nas_service.constraints import beyond_range, enforced
from nas_service.errors import FieldError, InvalidInput, refused
from nas_service.metrics import METRICS
from nas_service.studies import Constraint, StudyChange, StudySpec
from nas_service.views import DatasetView
from search_spaces import RandomTrial, SearchSpace, SearchSpaceError, resolve_space


def space_of(spec: StudySpec) -> SearchSpace:
    """Return the space that a spec names or holds."""
    try:
        return resolve_space(spec.space)
    except SearchSpaceError as error:
        raise refused(error, "/space") from error


def try_space(space: SearchSpace, dataset: DatasetView) -> None:
    """Draw one architecture, so that a space that cannot fit the data is refused at launch."""
    try:
        space.sample(RandomTrial(0), dataset.input_shape, dataset.classes)
    except SearchSpaceError as error:
        raise refused(error, "/space") from error


def check_bounds(constraints: Mapping[str, Constraint | None]) -> None:
    """Refuse limits that no candidate can break, or none can keep, whatever the space."""
    if errors := beyond_range(constraints):
        raise InvalidInput(*errors)


def check_feasible(spec: StudySpec, space: SearchSpace, dataset: DatasetView) -> None:
    """Refuse a study whose limits on size leave nothing of its space, and say what would do."""
    found = feasibility.nearest(space, enforced(spec.constraints), dataset.input_shape, dataset.classes)
    if not found.is_feasible:
        pointer, message = feasibility.explained(found, spec.constraints)
        raise InvalidInput(FieldError(pointer, message))


def check_augmentation(spec: StudySpec, dataset: DatasetView) -> None:
    """Refuse what the data set's examples cannot be augmented by, such as time masks of a signal."""
    axes = len(dataset.input_shape) - 1
    unfit = spec.training.recipe.augmentation.unfit_fields(axes)
    if unfit:
        raise InvalidInput(
            *(
                FieldError(
                    f"/training/recipe/augmentation/{name}",
                    f"does not fit examples of {axes} spatial {'axis' if axes == 1 else 'axes'}",
                    f"data sets of {' or '.join(str(count) for count in allowed)}",
                )
                for name, allowed in unfit.items()
            )
        )


def check_latency(spec: StudySpec, change: StudyChange) -> None:
    """Refuse a limit on latency where a study has never measured any."""
    for name, limit in (change.constraints or {}).items():
        if limit is not None and METRICS[name].kind == "latency" and not spec.needs_latency:
            message = "this study measures no latency; clone it with the limit instead"
            raise InvalidInput(FieldError(f"/constraints/{name}", message))
