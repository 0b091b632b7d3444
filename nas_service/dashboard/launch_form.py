"""What the launch form offers, and what is filled in beforehand."""

from typing import Any, get_args

from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.studies import SamplerName, StudySpec

OBJECTIVES = ("accuracy", "latency_ms", "params", "macs", "model_bytes", "peak_activation_bytes")
LIMITS = ("params", "latency_ms", "macs", "model_bytes", "peak_activation_bytes")
BUILT_IN_DATASET = "digits"
_DEVICES = {"cpu": "CPU, ONNX Runtime", "cpu-torch": "CPU, PyTorch", "cuda": "GPU, PyTorch"}
_SAMPLERS = {
    "auto": "chosen for the study",
    "random": "random",
    "tpe": "TPE",
    "nsga2": "NSGA-II",
    "nsga3": "NSGA-III",
    "gp": "Gaussian process",
}


def contents(service: Service, original: StudySpec | None, dataset: str, family: str) -> dict[str, Any]:
    """The form for a new study, filled from `original` where one is cloned."""
    spec = original or StudySpec(dataset=dataset or BUILT_IN_DATASET, space=family)
    families = service.families()
    return {
        "original": original.model_dump(mode="json") if original else None,
        "spec": spec,
        "families": families,
        "dataset_options": _dataset_options(service, spec.dataset),
        "family_options": _family_options([known.name for known in families], spec.space),
        "spec_space": spec.space if isinstance(spec.space, str) else "",
        "objectives": [METRICS[name] for name in OBJECTIVES],
        "chosen_objectives": {objective.metric for objective in spec.objectives},
        "limits": [METRICS[name] for name in LIMITS],
        "devices": _device_options(service, spec.device),
        "samplers": [(name, _SAMPLERS.get(name, name)) for name in get_args(SamplerName)],
    }


def _device_options(service: Service, chosen: str) -> list[tuple[str, str]]:
    """What every worker has, and the named devices that are known."""
    named = dict.fromkeys([*(device.name for device in service.devices()), chosen])
    return [*_DEVICES.items(), *((name, f"{name} (named device)") for name in named if name not in _DEVICES)]


def _dataset_options(service: Service, chosen: str) -> list[tuple[str, str]]:
    names = list(dict.fromkeys([*(dataset.name for dataset in service.datasets()), BUILT_IN_DATASET, chosen]))
    return [(name, f"{name} (built in)" if name == BUILT_IN_DATASET else name) for name in names]


def _family_options(names: list[str], space: str | dict[str, Any]) -> list[tuple[str, str]]:
    options = [(name, name) for name in names]
    if isinstance(space, dict):
        return [("", "as in the cloned study"), *options]
    return options if space in names else [(space, space), *options]
