"""All that the application answers, and addresses of it."""

from dataclasses import dataclass

from nas_service.api.policy import Policies, Policy
from nas_service.app import create_app
from nas_service.settings import Settings

VALUES = {
    "sha256": "0" * 64,
    "name": "digits",
    "kind": "weights",
    "path": "base.css",
    # Where nothing is: what is allowed changes nothing.
    "study_id": "999",
    "token_id": "999",
}


@dataclass(frozen=True)
class Route:
    """One method of one address."""

    method: str
    path: str
    policy: Policy

    @property
    def address(self) -> str:
        """The path with its parameters filled in."""
        filled = self.path
        for name in (part.split("}")[0] for part in self.path.split("{")[1:]):
            filled = filled.replace("{" + name + "}", VALUES.get(name, "1"))
        return filled

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def every_route() -> list[Route]:
    """Return all routes with their policies, mounts and streams included; fails where one has none."""
    places = Policies(create_app(Settings()).routes).places
    forgotten = [place.name for place in places if place.policy is None]
    if forgotten:
        raise AssertionError(f"these stand in no policy (nas_service/api/policy.py): {forgotten}")
    return [
        Route(place.method, place.name.partition(" ")[2], place.policy) for place in places if place.policy
    ]
