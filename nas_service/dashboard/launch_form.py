"""What the launch form offers, and what is filled in beforehand."""

from typing import Any

from nas_service.dashboard.spec_fields import SpecField, SpecGroup, spec_field, spec_groups
from nas_service.dashboard.wording import shape_text
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.studies import Objective, StudySpec
from nas_service.views import DatasetView

OBJECTIVES = ("accuracy", "latency_ms", "params", "macs", "model_bytes", "peak_activation_bytes")
LIMITS = ("params", "latency_ms", "macs", "model_bytes", "peak_activation_bytes")
BUILT_IN_DATASET = "digits"
# What stands open in the form; all else is in its advanced part.
_FIRST = {
    "budget.trials": "Networks to train",
    "budget.minutes": "Minutes at most",
    "training.epochs": "Epochs",
    "training.early_stopping": "Early stopping",
    "search.sampler": "Sampler",
    "search.seed": "Seed",
}
_CHOICES = {
    "training.early_stopping": {"pareto": "stop the losers early", "none": "train all to the end"},
    "search.sampler": {
        "auto": "chosen for the study",
        "tpe": "TPE",
        "nsga2": "NSGA-II",
        "nsga3": "NSGA-III",
        "gp": "Gaussian process",
    },
}
_DEVICES = {"cpu": "CPU, ONNX Runtime", "cpu-torch": "CPU, PyTorch", "cuda": "GPU, PyTorch"}


def contents(service: Service, given: dict[str, Any], *, title: str, alive: int) -> dict[str, Any]:
    """The form for a new study.

    Args:
        service: Knows data sets, families and devices.
        given: The spec that the form starts with; what it leaves out has its default.
        title: What the study is about, for the head of the page.
        alive: How many workers would take it up.
    """
    datasets = service.datasets()
    space = given.get("space", StudySpec.model_fields["space"].default)
    return {
        "title": title,
        "given": given,
        "alive": alive,
        "families": service.families(),
        "datasets": [(dataset.name, _told(dataset)) for dataset in datasets],
        "dataset_options": _dataset_options([dataset.name for dataset in datasets], given["dataset"]),
        "space_name": space if isinstance(space, str) else space.get("family", ""),
        "objectives": [METRICS[name] for name in OBJECTIVES],
        "more_objectives": [metric for name, metric in METRICS.items() if name not in OBJECTIVES],
        "limits": [METRICS[name] for name in LIMITS],
        "more_limits": _more_limits(),
        "devices": _device_options(service, str(given.get("device", "cpu"))),
        "first_fields": [(spec_field(path), words) for path, words in _FIRST.items()],
        "advanced": _advanced(),
        "choice_words": _CHOICES,
    }


def empty_spec(dataset: str, family: str) -> dict[str, Any]:
    """Return what a new study starts with."""
    return {"dataset": dataset or BUILT_IN_DATASET, "space": family}


def spec_of(spec: StudySpec, name: str) -> dict[str, Any]:
    """Return an earlier spec under another name, without what is at its default anyway."""
    given = spec.model_dump(mode="json", exclude_defaults=True)
    given["objectives"] = [_objective(objective) for objective in spec.objectives]
    given["name"] = name
    return {field: _as_typed(given[field]) for field in StudySpec.model_fields if field in given}


def _as_typed(value: Any) -> Any:
    """A limit of 20000.0 as a person writes it."""
    if isinstance(value, dict):
        return {name: _as_typed(inner) for name, inner in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _objective(objective: Objective) -> dict[str, Any]:
    return objective.model_dump(mode="json", exclude_none=True)


def _advanced() -> list[SpecGroup]:
    groups = (
        SpecGroup(
            group.path,
            tuple(field for field in group.fields if field.path not in _FIRST),
            group.is_optional,
            group.hint,
        )
        for group in spec_groups()
    )
    return [group for group in groups if group.fields]


def _more_limits() -> list[tuple[SpecField, str]]:
    """The bounds that are seldom asked for: lower ones, and those of the other metrics."""
    upper = [name for name in METRICS if name not in LIMITS]
    bounds = [(name, "max", "at most") for name in upper] + [(name, "min", "at least") for name in METRICS]
    return [
        (
            SpecField(f"constraints.{name}.{bound}", "number", None, is_nullable=True),
            f"{METRICS[name].label}, {words}",
        )
        for name, bound, words in sorted(bounds, key=lambda entry: list(METRICS).index(entry[0]))
    ]


def _told(dataset: DatasetView) -> str:
    test = f", {dataset.test_examples:,} for testing" if dataset.test_examples else ""
    return (
        f"{shape_text(dataset.input_shape)}, {dataset.classes} classes, "
        f"{dataset.train_examples:,} examples{test}"
    )


def _device_options(service: Service, chosen: str) -> list[tuple[str, str]]:
    """What every worker has, and the named devices that are known."""
    named = dict.fromkeys([*(device.name for device in service.devices()), chosen])
    return [*_DEVICES.items(), *((name, f"{name} (named device)") for name in named if name not in _DEVICES)]


def _dataset_options(known: list[str], chosen: str) -> list[tuple[str, str]]:
    names = list(dict.fromkeys([*known, BUILT_IN_DATASET, chosen]))
    return [(name, f"{name} (built in)" if name == BUILT_IN_DATASET else name) for name in names]
