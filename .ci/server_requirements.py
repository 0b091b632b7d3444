"""Print requirements-server.txt: what the server needs, pinned, without what only workers use.

Usage: python .ci/server_requirements.py > requirements-server.txt

The closure is taken from installed packages' own metadata, the versions from constraints.txt.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from nas_service.diagnosis.packages import WORKERS_ONLY  # noqa: E402

HEADER = """\
# What the server needs, pinned: no torch, no Optuna, no ONNX. Installed with --no-deps into its image.
# Written by: make requirements-server.txt
"""


def declared() -> list[Requirement]:
    """Return the project's dependencies as pyproject.toml has them."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"]]


def pinned() -> dict[str, str]:
    """Return the version of each package in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = (re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in lines)
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


def closure(roots: list[Requirement]) -> set[str]:
    """Return the names of all packages that the roots need on this platform."""
    found: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in roots]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in found:
                found.add((name, wanted))
                needs = metadata.requires(name) or []
                waiting += [(Requirement(line), wanted) for line in needs]
    return {name for name, _ in found}


def main() -> None:
    """Print the file."""
    roots = [one for one in declared() if canonicalize_name(one.name) not in WORKERS_ONLY]
    pins = pinned()
    sys.stdout.write(HEADER)
    for name in sorted(closure(roots)):
        sys.stdout.write(f"{name}=={pins[name]}\n")


if __name__ == "__main__":
    main()
