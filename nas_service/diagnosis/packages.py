"""Installed versions against what the package asks for."""

import platform
import re
from importlib import metadata

from nas_service.diagnosis.check import Check, fail, ok, warn

DISTRIBUTION = "nas-service"
# What workers alone need: a lean server does without.
WORKERS_ONLY = frozenset({"llvmlite", "onnx", "onnxruntime", "optuna", "torch"})
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?P<bounds>[^;]*)")
FLOOR = re.compile(r">=\s*([0-9.]+)")


def check_packages() -> list[Check]:
    """Return whether each package is there and no older than the project's floor."""
    try:
        needed = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [warn("packages", f"{DISTRIBUTION} is not installed, only found", "install it with pip")]
    floors = dict(floor_of(line) for line in needed if "extra ==" not in line)
    installed = {name: installed_version(name) for name in floors}
    missing = [name for name in floors if installed[name] is None and name not in WORKERS_ONLY]
    old = [
        f"{name} {version} is older than {floors[name]}"
        for name, version in installed.items()
        if version is not None and numbers(version) < numbers(floors[name])
    ]
    if missing or old:
        wrong = ", ".join([*old, *(f"{name} is missing" for name in missing)])
        return [fail("packages", wrong, "install with: pip install --constraint constraints.txt .")]
    here = sum(version is not None for version in installed.values())
    found = f"Python {platform.python_version()}, {DISTRIBUTION} {metadata.version(DISTRIBUTION)}"
    return [ok("packages", f"{found}, {here} of {len(floors)} packages, none below its floor")]


def floor_of(requirement: str) -> tuple[str, str]:
    """Return a requirement's package and lowest version.

    Example:
        >>> floor_of('psycopg[binary]<4,>=3.2; python_version > "3"')
        ('psycopg', '3.2')
    """
    parsed = REQUIREMENT.match(requirement)
    assert parsed is not None, "pip has read it"
    floor = FLOOR.search(parsed["bounds"])
    return parsed["name"].lower(), floor[1] if floor else "0"


def installed_version(name: str) -> str | None:
    """Return a package's version; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers a version begins with.

    Example:
        >>> numbers("2.13.0+cpu") < numbers("2.14")
        True
    """
    digits = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in digits[0].split(".")) if digits else ()
