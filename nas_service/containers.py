"""What the control groups around this process, a container's say, let it use of the machine."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def memory_limit() -> int | None:
    """Return the most memory that this process's groups may use together, in bytes; None without a limit."""
    limits = (_number(limit) for limit, _ in memory_groups())
    return min((limit for limit in limits if limit is not None), default=None)


def memory_left() -> int | None:
    """Return what the groups leave to this process now, in bytes; None without a limit."""
    known = ((_number(limit), _number(used)) for limit, used in memory_groups())
    left = (max(0, limit - used) for limit, used in known if limit is not None and used is not None)
    return min(left, default=None)


def memory_groups() -> Iterator[tuple[Path, Path]]:
    """Yield the files with limit and use of each group around this process, of version 1 and 2."""
    yield ROOT / "memory" / "memory.limit_in_bytes", ROOT / "memory" / "memory.usage_in_bytes"
    folder = ROOT / _own_group().lstrip("/")
    for group in (folder, *folder.parents):
        if group.is_relative_to(ROOT):
            yield group / "memory.max", group / "memory.current"


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        # No such group, or "max": no limit.
        return None


def _own_group() -> str:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
