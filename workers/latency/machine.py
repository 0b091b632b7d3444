"""What this machine is, in words."""

import os
import platform
from functools import cache
from pathlib import Path

# What names the processor: the first on x86, the second on the boards that have no better.
_KEYS = ("model name", "Model")


@cache
def processor() -> str:
    """Return processor, number of cores, system and instruction set of this machine."""
    return f"{_name()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _parts(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        text = information.read_text(encoding="utf-8", errors="replace")
        fields = {key.strip(): value.strip() for key, _, value in map(_parts, text.splitlines())}
        for key in _KEYS:
            if fields.get(key):
                return fields[key]
    return platform.processor() or platform.machine()
