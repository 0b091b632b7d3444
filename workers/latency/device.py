"""From a device's name to the runtime that stands for it."""

from workers.latency import onnx_runtime
from workers.latency.runtime import Runtime


class DeviceUnavailable(Exception):
    """This machine cannot measure for the device that was asked for; the message says why."""


def runtime_of(device: str) -> Runtime:
    """Return the runtime of a device.

    Args:
        device: "cpu" (ONNX Runtime), "cpu-torch", "cuda", or the name of the device that this machine is.

    Raises:
        DeviceUnavailable: The name is empty, torch is not installed, or it sees no GPU.
    """
    if not device.strip():
        raise DeviceUnavailable('device is empty; allowed: "cpu", "cpu-torch", "cuda" or a name')
    if device not in ("cpu-torch", "cuda"):
        return onnx_runtime.on_processor()
    try:
        # Only here: a small device has no torch.
        from workers.latency import torch_runtime

        return torch_runtime.on_gpu() if device == "cuda" else torch_runtime.on_processor()
    except (ImportError, RuntimeError) as error:
        raise DeviceUnavailable(f'device "{device}" cannot be measured here: {error}') from error
