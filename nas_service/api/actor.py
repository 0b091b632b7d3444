"""Who a request comes from."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from nas_service.access import Role


@dataclass(frozen=True, slots=True)
class Credential:
    """What somebody showed, by its hash."""

    kind: Literal["token", "session"]
    hashed: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever was let in, and as what."""

    name: str
    role: Role
    # None for whoever works on this machine without a token.
    token_id: int | None = None
    credential: Credential | None = None
    # Of a session: what its pages send along with every change.
    csrf: str = ""

    @property
    def is_session(self) -> bool:
        """Whether a browser logged in."""
        return self.credential is not None and self.credential.kind == "session"


# On loopback without named hosts: reads and changes, but neither the ledger nor tokens.
LOCAL = Actor(name="this machine", role=Role.operator)
# Read by what draws pages, which is not handed the request.
current_actor: ContextVar[Actor | None] = ContextVar("current_actor", default=None)
