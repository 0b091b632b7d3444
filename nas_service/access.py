"""Roles, tokens and the audit log, as the API, the client and the command line speak of them."""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

TOKEN_PREFIX = "nw_"
TOKEN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._@+-]*")
MAX_EXPIRES_DAYS = 3650
TokenState = Literal["active", "expired", "revoked"]


class Role(StrEnum):
    """What a token is for; `allows` says what each may do."""

    viewer = "viewer"
    operator = "operator"
    worker = "worker"
    admin = "admin"


GRANTS: dict[Role, frozenset[Role]] = {
    Role.viewer: frozenset({Role.viewer}),
    Role.operator: frozenset({Role.viewer, Role.operator}),
    # A worker reaches the ledger and nothing else.
    Role.worker: frozenset({Role.worker}),
    Role.admin: frozenset(Role),
}


def allows(role: Role, needed: Role) -> bool:
    """Whether who has `role` may do what `needed` is demanded for.

    Example:
        >>> allows(Role.operator, Role.viewer), allows(Role.worker, Role.viewer)
        (True, False)
    """
    return needed in GRANTS[role]


def new_secret(prefix: str = "") -> str:
    """Return 256 random bits as text."""
    return prefix + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """Return what the database keeps of a token or session: 256 random bits need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checked_name(name: str) -> str:
    # A name that is a number would be taken for an id.
    if not TOKEN_NAME.fullmatch(name):
        raise ValueError(
            f"must begin with a letter and hold only letters, digits and . _ @ + -, not {name!r}"
        )
    return name


class TokenCreate(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(max_length=100), AfterValidator(_checked_name)]
    role: Role
    # Good for ever without it.
    expires_days: Annotated[int, Field(ge=1, le=MAX_EXPIRES_DAYS)] | None = None


class TokenView(BaseModel):
    """A token as it may be shown: everything but itself."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    # To some minutes.
    last_used_at: datetime | None
    state: TokenState


class NewToken(TokenView):
    """A token just made, with the token itself, which is shown this once."""

    token: str


class AuditEntry(BaseModel):
    """Who did what."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: datetime
    # The token's name, or who worked on the data folder itself; empty where nobody was let in.
    actor: str
    token_id: int | None
    role: str
    # For instance "study.cancel"; docs/security.md lists them.
    action: str
    target: str
    # Of the HTTP answer; None for what was done on the data folder itself.
    status: int | None
    request_id: str | None
    address: str | None


def state_of(expires_at: datetime | None, revoked_at: datetime | None) -> TokenState:
    """Return how a token stands now."""
    if revoked_at is not None:
        return "revoked"
    is_over = expires_at is not None and expires_at <= datetime.now(UTC)
    return "expired" if is_over else "active"
