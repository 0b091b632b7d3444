"""Which devices a study or a worker may name, and who measures on them."""

import pytest
from pydantic import ValidationError

from nas_service.devices import is_local
from nas_service.studies import Constraint, Objective, StudySpec
from nas_service.trials import WorkerInfo

ACCURACY = (Objective(metric="accuracy"),)


@pytest.mark.parametrize("name", ["cpu", "cpu-torch", "cuda", "pi4", "jetson.nano-2_a", "4" * 63])
def test_a_study_may_name_any_device(name: str) -> None:
    assert StudySpec(dataset="digits", device=name).device == name


@pytest.mark.parametrize("name", ["", "Pi4", "pi 4", "-pi", "pi/4", "pi4\n", "4" * 64])
def test_a_wrong_device_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ValidationError, match=r"is no device; allowed: cpu, cpu-torch, cuda, or a name"):
        StudySpec(dataset="digits", device=name)


def test_a_worker_that_measures_only_needs_a_name_of_its_own() -> None:
    assert WorkerInfo(name="board", host="there", pid=1, device="pi4", measures_only=True).device == "pi4"
    with pytest.raises(ValidationError, match="give this machine another name"):
        WorkerInfo(name="board", host="there", pid=1, device="cpu", measures_only=True)


def test_only_the_devices_of_every_worker_are_local() -> None:
    assert [is_local(name) for name in ("cpu", "cpu-torch", "cuda", "pi4")] == [True, True, True, False]


def test_a_study_needs_latency_where_an_objective_or_a_limit_reads_it() -> None:
    limits = {"latency_ms": Constraint(max=2.0)}
    assert StudySpec(dataset="digits", device="pi4").latency_device == "pi4"
    assert StudySpec(dataset="digits", objectives=ACCURACY, constraints=limits).latency_device == "cpu"
    assert StudySpec(dataset="digits", device="pi4", objectives=ACCURACY).latency_device is None
