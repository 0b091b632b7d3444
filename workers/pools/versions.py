"""What must be equal on all nodes of a cluster."""

import platform
from dataclasses import dataclass, fields

import nas_service
from nas_service.errors import ServiceError
from workers.pools.node import ray_version


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of one node, each compared to the last digit."""

    python: str
    ray: str
    nas_service: str


def own_versions() -> Versions:
    """Return the versions of this process; raises `ServiceError` without Ray."""
    return Versions(platform.python_version(), ray_version(), nas_service.__version__)


def refuse_other(head: Versions, here: Versions) -> None:
    """Raise `ServiceError`, one line with both versions of all that differs, unless they are equal."""
    differing = [
        f"{name.replace('_', '-')} is {getattr(here, name)} here and {getattr(head, name)} there"
        for name in (field.name for field in fields(Versions))
        if getattr(here, name) != getattr(head, name)
    ]
    if differing:
        raise ServiceError(f"cannot join the head, all nodes need equal versions: {'; '.join(differing)}")
