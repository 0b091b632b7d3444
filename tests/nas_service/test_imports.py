"""The server stays lean: what importing it loads, and how soon it answers."""

import subprocess
import sys


def loaded_by(module: str) -> set[str]:
    program = f"import sys, {module}; print(' '.join(name for name in sys.modules if '.' not in name))"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    return set(output.split())


def test_the_application_loads_neither_torch_nor_optuna_nor_scikit_learn() -> None:
    assert not loaded_by("nas_service.app") & {"torch", "optuna", "sklearn", "onnx", "onnxruntime", "workers"}


def test_the_command_line_loads_neither_torch_nor_optuna_nor_a_server() -> None:
    assert not loaded_by("nas_service.cli.main") & {"torch", "optuna", "sklearn", "workers", "fastapi"}


def test_search_spaces_load_no_torch() -> None:
    assert not loaded_by("search_spaces") & {"torch", "optuna", "onnx", "nas_service"}
