"""The versions of what produces a result."""

import platform
from functools import cache

import onnxruntime
import optuna
import torch

import nas_service


@cache
def versions() -> dict[str, str]:
    """Return the versions that are kept with each trial."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "optuna": optuna.__version__,
        "onnxruntime": onnxruntime.__version__,
        "nas_service": nas_service.__version__,
    }
