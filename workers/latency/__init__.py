"""Latency of one inference on this machine undisturbed, measured in the runtime that will be used.

Needs numpy, onnx, onnxruntime and pydantic; torch only for the devices that run in it.
"""

from workers.latency.device import DeviceUnavailable
from workers.latency.measurement import measure
from workers.latency.noise import SelfTest, self_test

__all__ = ["DeviceUnavailable", "SelfTest", "measure", "self_test"]
