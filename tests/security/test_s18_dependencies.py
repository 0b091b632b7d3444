"""S18: no dependency is older than the version that mended what is known of it."""

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
# docs/security-dependencies.md says what each floor keeps out.
FLOORS = {
    "torch": "2.10",
    "onnx": "1.21",
    "pillow": "12.3",
    "numpy": "2.1",
    "pyyaml": "6.0.2",
    "jinja2": "3.1.6",
    "python-multipart": "0.0.20",
    "safetensors": "0.6",
    "starlette": "0.49.1",
    "optuna": "5.0",
}
PINNED = {
    Requirement(line).name.lower().replace("_", "-"): line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if re.match(r"[A-Za-z0-9]", line)
}


@pytest.mark.parametrize("name", FLOORS)
def test_what_is_installed_is_above_its_floor(name: str) -> None:
    assert Version(version(name)) >= Version(FLOORS[name])


# Which build of torch a machine gets is decided when it is installed.
TORCH = re.search(r'torch="(.*)"', (ROOT / ".ci" / "install-torch").read_text())
PINNED["torch"] = TORCH[1] if TORCH else ""


@pytest.mark.parametrize("name", FLOORS)
def test_what_is_pinned_is_above_its_floor(name: str) -> None:
    pin = next(iter(Requirement(PINNED[name]).specifier))
    assert pin.operator == "=="
    assert Version(pin.version) >= Version(FLOORS[name])


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(line).name.lower() for line in project["dependencies"]}
    assert wanted - PINNED.keys() == set()


def test_the_floors_are_explained() -> None:
    told = (ROOT / "docs" / "security-dependencies.md").read_text()
    assert not [name for name, floor in FLOORS.items() if f"| {name} | {floor} |" not in told]


def test_python_is_recent_enough() -> None:
    assert sys.version_info >= (3, 11)
