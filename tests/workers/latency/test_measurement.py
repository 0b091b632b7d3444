"""Measurements of real networks on this machine; no test asks how fast it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas_service.measurements import Measurement
from search_spaces import Architecture
from search_spaces.deployment import deployed
from workers.latency import DeviceUnavailable, measure
from workers.latency.device import runtime_of
from workers.latency.rounds import MIN_RUNS
from workers.latency.runtime import example_of

LIGHT = """
import json, sys
from workers.latency import measure
from search_spaces import Architecture
measurement = measure(Architecture.from_dict(json.loads(sys.argv[1])), "pi-4", time_cap_s=0.05)
print(measurement.model_dump_json())
print(" ".join(sys.modules))
"""


@pytest.mark.parametrize(("device", "runtime"), [("cpu", "onnxruntime"), ("cpu-torch", "torch")])
def test_a_measurement_is_filled_and_its_figures_are_in_order(
    device: str, runtime: str, multi_scale: Architecture
) -> None:
    found = measure(multi_scale, device)
    assert (found.device, found.runtime, found.threads, found.batch) == (device, runtime, 1, 1)
    assert found.runtime_version
    assert f"{os.cpu_count()} cores" in found.machine
    assert found.network_hash == deployed(multi_scale).hash
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms
    assert found.min_ms <= found.p90_ms <= found.p99_ms
    assert found.reference_ms is not None
    assert found.reference_ms > 0
    assert found.runs >= MIN_RUNS * found.rounds > 0
    assert not found.is_predicted


def test_a_small_device_needs_neither_torch_nor_optuna_nor_scikit_learn(multi_scale: Architecture) -> None:
    output = subprocess.run(
        [sys.executable, "-c", LIGHT, json.dumps(multi_scale.to_dict())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    measured, loaded = output.splitlines()
    assert Measurement.model_validate_json(measured).device == "pi-4"
    assert not set(loaded.split()) & {"torch", "optuna", "sklearn", "sqlalchemy", "fastapi"}


def test_the_folded_network_gives_equal_answers_in_both_runtimes(multi_scale: Architecture) -> None:
    network = deployed(multi_scale)
    example = example_of(network, seed=3)
    answers = [runtime_of(device).prepare(network, example)() for device in ("cpu", "cpu-torch")]
    onnx_logits, torch_logits = answers[0][0], answers[1]  # type: ignore[index]  # what each runtime returns
    assert torch.allclose(torch.from_numpy(onnx_logits), torch_logits, rtol=1e-4, atol=1e-5)


def test_measuring_in_torch_leaves_its_threads_and_its_generator_alone(multi_scale: Architecture) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    measure(multi_scale, "cpu-torch", time_cap_s=0.01)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.rand(1), expected)


def test_measuring_in_torch_runs_on_one_thread() -> None:
    torch.set_num_threads(2)
    with runtime_of("cpu-torch").alone():
        assert torch.get_num_threads() == 1


def test_when_the_time_is_up_at_once_one_round_is_reported_as_noisy(multi_scale: Architecture) -> None:
    found = measure(multi_scale, time_cap_s=1e-9)
    assert (found.rounds, found.is_noisy) == (1, True)


@pytest.mark.parametrize("time_cap_s", [0.0, -1.0, float("nan")])
def test_a_time_cap_must_be_positive(time_cap_s: float, multi_scale: Architecture) -> None:
    with pytest.raises(ValueError, match=r"time_cap_s .* must be positive"):
        measure(multi_scale, time_cap_s=time_cap_s)


def test_a_device_without_a_name_is_refused(multi_scale: Architecture) -> None:
    with pytest.raises(DeviceUnavailable, match='device is empty; allowed: "cpu", "cpu-torch", "cuda"'):
        measure(multi_scale, " ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_cuda_is_refused_with_the_reason(multi_scale: Architecture) -> None:
    with pytest.raises(DeviceUnavailable, match=r'device "cuda" cannot be measured here: .*no CUDA device'):
        measure(multi_scale, "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_named_as_the_machine(multi_scale: Architecture) -> None:
    found = measure(multi_scale, "cuda")
    assert found.machine == torch.cuda.get_device_name()
    assert found.min_ms > 0


def test_the_first_measurement_calibrates_this_machine(calibrations: Path, multi_scale: Architecture) -> None:
    subprocess.run(
        [sys.executable, "-c", LIGHT, json.dumps(multi_scale.to_dict())],
        capture_output=True,
        check=True,
        text=True,
    )
    assert len(list(calibrations.iterdir())) == 1
