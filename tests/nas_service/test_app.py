"""What starting the application costs, and what it needs."""

import subprocess
import sys

WITHOUT = """
import sys, nas_service.app
loaded = {"torch", "optuna", "sklearn", "onnx", "onnxruntime"} & sys.modules.keys()
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""


def test_it_loads_neither_torch_nor_optuna_nor_scikit_learn() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
