"""Where latency counts: three devices that every worker has in itself, or one that a person named."""

import re

# ONNX Runtime on one thread, the torch module on one thread, the torch module on a CUDA device.
LOCAL_DEVICES = ("cpu", "cpu-torch", "cuda")
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
ALLOWED = f"{', '.join(LOCAL_DEVICES)}, or a name of up to 63 of a-z 0-9 . _ - that begins with a-z or 0-9"


def checked_device(name: str) -> str:
    """Return the name of a device; raises `ValueError` with what is allowed."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no device; allowed: {ALLOWED}")
    return name


def checked_remote(name: str) -> str:
    """Return the name of a device of its own; raises `ValueError` where every worker has such a one."""
    if checked_device(name) in LOCAL_DEVICES:
        raise ValueError(f"{name!r} is what every worker measures for itself; give this machine another name")
    return name


def is_local(device: str) -> bool:
    """Whether a worker measures on its own machine, instead of asking a named one."""
    return device in LOCAL_DEVICES
