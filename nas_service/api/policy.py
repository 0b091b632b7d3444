"""Who may use which route: one table. A route that does not stand in it is refused.

Reading is for viewers, changing for operators, the ledger for workers, tokens and the audit log for admins;
`nas_service.access` says what each role includes. What has an action is written into the audit log.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount

from nas_service.access import Role
from nas_service.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route demands, and what it is called in the audit log."""

    # The role that is demanded; None where anybody may come.
    role: Role | None
    # What is written down of each use; nothing where it is None.
    action: str | None = None
    # An answer that goes on: it ends with what its reader was let in by.
    is_stream: bool = False

    @property
    def needs_token(self) -> bool:
        """Whether a token is wanted on loopback too."""
        return self.role in (Role.worker, Role.admin)


# All that is ever open to anybody off loopback, by kind.
PUBLIC: Mapping[str, tuple[str, ...]] = {
    "health": ("GET /healthz", "GET /readyz"),
    "login": ("GET /login", "POST /login"),
    "static": ("GET /static/{path}", "GET /favicon.ico"),
}
READS = (
    # The API
    "GET /api/v1/openapi.json",
    "GET /api/v1/studies",
    "GET /api/v1/studies:find",
    "GET /api/v1/studies/{study_id}",
    "GET /api/v1/studies/{study_id}/result",
    "GET /api/v1/studies/{study_id}/front",
    "GET /api/v1/studies/{study_id}/spaces",
    "GET /api/v1/studies/{study_id}/confirmation",
    "GET /api/v1/studies/{study_id}/arms",
    "GET /api/v1/studies/{study_id}/trials",
    "GET /api/v1/studies/{study_id}/trials/{number}",
    "GET /api/v1/studies/{study_id}/events",
    "GET /api/v1/trials/{trial_id}",
    "GET /api/v1/trials/{trial_id}/curve",
    "GET /api/v1/jobs",
    "GET /api/v1/jobs/{job_id}",
    "GET /api/v1/trials/{trial_id}/evaluation",
    "GET /api/v1/trials/{trial_id}/rungs",
    "GET /api/v1/trials/{trial_id}/latencies",
    "GET /api/v1/events",
    "GET /api/v1/families",
    "GET /api/v1/families/{name}",
    "GET /api/v1/datasets",
    "GET /api/v1/datasets/{name}",
    "GET /api/v1/workers",
    "GET /api/v1/devices",
    "GET /metrics",
    # The pages
    "GET /",
    "GET /studies",
    "GET /studies/new",
    "GET /studies/{study_id}",
    "GET /studies/{study_id}/trials",
    "GET /studies/{study_id}/curves",
    "GET /studies/{study_id}/analysis",
    "GET /studies/{study_id}/log",
    "GET /studies/{study_id}/settings",
    "GET /studies/{study_id}/trials/{number}",
    "GET /trials/{trial_id}",
    "GET /families",
    "GET /families/{name}",
    "GET /datasets",
    "GET /datasets/{name}",
    "GET /workers",
    "GET /devices",
    "GET /settings",
    "GET /docs",
    "GET /describe",
    "GET /fragments/studies",
    "GET /fragments/studies/{study_id}/status",
    "GET /fragments/studies/{study_id}/front",
    "GET /fragments/studies/{study_id}/limits",
    "GET /fragments/studies/{study_id}/advice",
    "GET /fragments/studies/{study_id}/walk",
    "GET /compare",
    "GET /figures/compare.json",
    "GET /fragments/studies/{study_id}/trials",
    "GET /fragments/studies/{study_id}/facts",
    "GET /fragments/studies/{study_id}/log",
    "GET /fragments/trials/{trial_id}/panel",
    "GET /fragments/trials/{trial_id}/results",
    "GET /fragments/trials/{trial_id}/details",
    "GET /fragments/trials/{trial_id}/standing",
    "GET /fragments/trials/{trial_id}/classes",
    "GET /fragments/trials/{trial_id}/mistakes",
    "GET /fragments/trials/{trial_id}/exports",
    "GET /fragments/workers",
    "GET /fragments/devices",
    "GET /fragments/datasets",
    "GET /figures/studies/{study_id}/pareto.json",
    "GET /figures/studies/{study_id}/hypervolume.json",
    "GET /figures/studies/{study_id}/growth.json",
    "GET /figures/studies/{study_id}/importance.json",
    "GET /figures/studies/{study_id}/slices.json",
    "GET /figures/studies/{study_id}/parallel.json",
    "GET /figures/studies/{study_id}/curves.json",
    "GET /figures/studies/{study_id}/timeline.json",
    "GET /figures/trials/{trial_id}/curve.json",
    "GET /figures/trials/{trial_id}/confusion.json",
    "GET /plotly-{_version}.min.js",
)
# These take a body and answer, but store nothing.
CALCULATES = ("POST /api/v1/architectures:describe", "POST /describe", "POST /studies/new/read")
STREAMS = (
    "GET /api/v1/events/stream",
    "GET /api/v1/events:stream",
    "GET /api/v1/studies/{study_id}/events/stream",
    "GET /api/v1/studies/{study_id}/events:stream",
)
# Files that leave the service.
EXPORTS = {
    "GET /api/v1/trials/{trial_id}/files/{kind}": "trial.download",
    "GET /api/v1/artifacts/{sha256}": "artifact.download",
    "GET /api/v1/studies/{study_id}/files/{name}": "study.download",
    "GET /api/v1/jobs/{job_id}/files/{name}": "job.download",
    "GET /api/v1/jobs/{job_id}/archive": "job.download",
}
CHANGES = {
    "POST /api/v1/studies": "study.launch",
    "PATCH /api/v1/studies/{study_id}": "study.change",
    "DELETE /api/v1/studies/{study_id}": "study.delete",
    "POST /api/v1/studies/{study_id}:clone": "study.launch",
    "POST /api/v1/studies/{study_id}:pause": "study.pause",
    "POST /api/v1/studies/{study_id}:resume": "study.resume",
    "POST /api/v1/studies/{study_id}:drain": "study.drain",
    "POST /api/v1/studies/{study_id}:cancel": "study.cancel",
    "POST /api/v1/studies/{study_id}:stop": "study.cancel",
    "POST /api/v1/studies/{study_id}:confirm": "study.confirm",
    "POST /api/v1/trials/{trial_id}:retrain": "trial.retrain",
    "POST /api/v1/studies/{study_id}/trials": "trial.enqueue",
    "POST /api/v1/trials/{trial_id}:export": "trial.export",
    "POST /api/v1/jobs/{job_id}:cancel": "job.cancel",
    "POST /api/v1/datasets": "dataset.upload",
    "DELETE /api/v1/datasets/{name}": "dataset.delete",
}
# Not written down: the trials' rows and the event list tell who did what.
LEDGER = (
    "POST /api/v1/workers:register",
    "POST /api/v1/workers/{worker_id}:leave",
    "POST /api/v1/workers/{worker_id}:draining",
    "POST /api/v1/leases:acquire",
    "POST /api/v1/leases/{trial_id}:heartbeat",
    "POST /api/v1/leases/{trial_id}:report",
    "POST /api/v1/leases/{trial_id}:complete",
    "POST /api/v1/leases/{trial_id}:release",
    "POST /api/v1/leases/{trial_id}:checkpoint",
    "POST /api/v1/studies/{study_id}:join",
    "GET /api/v1/studies/{study_id}/changes",
    "POST /api/v1/studies/{study_id}/proposals",
    "POST /api/v1/studies/{study_id}:give_up",
    "GET /api/v1/datasets/{sha256}/content",
    "PUT /api/v1/artifacts/{sha256}",
    "GET /api/v1/artifacts/{sha256}/content",
    "POST /api/v1/jobs/{job_id}:report",
    "POST /api/v1/jobs/{job_id}:complete",
    "POST /api/v1/jobs/{job_id}:release",
    "GET /api/v1/measurements:known",
    "GET /api/v1/measurements",
    "POST /api/v1/measurements",
    "POST /api/v1/measurements:request",
    "POST /api/v1/measurements:acquire",
    "POST /api/v1/measurements/requests/{request_id}:answer",
)
ADMINISTERS: Mapping[str, str | None] = {
    "GET /api/v1/tokens": None,
    "POST /api/v1/tokens": "token.create",
    "POST /api/v1/tokens/{token_id}:revoke": "token.revoke",
    "GET /api/v1/audit": None,
    "GET /fragments/tokens": None,
}

POLICIES: Mapping[str, Policy] = {
    **{route: Policy(None) for routes in PUBLIC.values() for route in routes},
    **{route: Policy(Role.viewer) for route in (*READS, *CALCULATES)},
    **{route: Policy(Role.viewer, is_stream=True) for route in STREAMS},
    **{route: Policy(Role.viewer, action) for route, action in EXPORTS.items()},
    **{route: Policy(Role.operator, action) for route, action in CHANGES.items()},
    **{route: Policy(Role.worker) for route in LEDGER},
    **{route: Policy(Role.admin, action) for route, action in ADMINISTERS.items()},
    "POST /login": Policy(None, "login"),
    "POST /logout": Policy(Role.viewer, "logout"),
}
# Of an address that no route has: that much is told to whoever is let in at all.
NOWHERE = Policy(Role.viewer)


@dataclass(frozen=True, slots=True)
class Place:
    """A route of the application, as the table sees it."""

    name: str
    method: str
    path: re.Pattern[str]
    route: Any
    # None where the table forgot it.
    policy: Policy | None


class Policies:
    """The table laid over an application's routes, which are tried in their order, as the router does."""

    def __init__(self, routes: Sequence[BaseRoute], table: Mapping[str, Policy] = POLICIES) -> None:
        self.places = [place for context in iter_route_contexts(routes) for place in _places(context, table)]

    def find(self, method: str, path: str) -> Place | None:
        """Return the route that will answer; None where none will."""
        method = "GET" if method == "HEAD" else method
        return next(
            (place for place in self.places if place.method == method and place.path.match(path)), None
        )


def _places(context: Any, table: Mapping[str, Policy]) -> list[Place]:
    route = context.original_route
    if isinstance(route, Mount):
        name = f"GET {context.path}/{{path}}"
        return [Place(name, "GET", route.path_regex, route, table.get(name))]
    names = {method: f"{method} {context.path_format}" for method in sorted(set(context.methods) - {"HEAD"})}
    return [Place(name, method, context.path_regex, route, table.get(name)) for method, name in names.items()]


async def confirm(request: Request) -> None:
    """Refuse a request that the gate did not let through to this very route; a dependency of every route."""
    admitted = getattr(request.state, "route", None)
    if admitted is None or admitted is not request.scope.get("route"):
        raise Forbidden("nobody was let in to this route: it stands in no policy")
