"""Where and with what a benchmark ran, and how its figures are kept."""

import json
import math
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def conditions(*packages: str) -> dict[str, Any]:
    """Return machine, versions, command and date."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "machine": f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "command": " ".join(["python -m", *_module(), *_without_folders(sys.argv[1:])]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write(name: str, content: dict[str, Any]) -> Path:
    """Write a result file and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(_with_nulls(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _with_nulls(content: Any) -> Any:
    """Return the same with null for what is no number: JSON has no NaN."""
    if isinstance(content, dict):
        return {key: _with_nulls(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_with_nulls(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def print_table(headers: list[str], rows: list[list[str]]) -> None:
    """Print aligned columns."""
    widths = [max(len(row[column]) for row in [headers, *rows]) for column in range(len(headers))]
    for row in [headers, *rows]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))  # noqa: T201


def _without_folders(arguments: list[str]) -> list[str]:
    """Leave out where things lie on the machine at hand: others keep them elsewhere."""
    return ["FOLDER" if Path(argument).is_absolute() else argument for argument in arguments]


def _module() -> list[str]:
    spec = sys.modules["__main__"].__spec__
    return [spec.name.removesuffix(".__main__")] if spec else []
