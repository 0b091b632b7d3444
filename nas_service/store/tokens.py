"""Tokens and the browser sessions they opened, each operation within the caller's transaction."""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from nas_service.access import (
    TOKEN_PREFIX,
    NewToken,
    Role,
    TokenCreate,
    TokenView,
    hash_secret,
    new_secret,
    state_of,
)
from nas_service.errors import Conflict, no_such
from nas_service.store.models import SessionRow, TokenRow, table

TOKEN, SESSION = table(TokenRow), table(SessionRow)
# `last_used_at` is written this seldom.
USE_RECORDED_EVERY = timedelta(minutes=5)
SESSION_LASTS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Known:
    """Whose a good token or session is."""

    token_id: int
    name: str
    role: Role
    last_used_at: datetime | None

    @property
    def is_use_due(self) -> bool:
        """Whether its use should be written down again."""
        return self.last_used_at is None or datetime.now(UTC) - self.last_used_at > USE_RECORDED_EVERY


def insert_token(connection: Connection, wanted: TokenCreate) -> NewToken:
    """Make a token; raises `Conflict` where a token of that name was not revoked."""
    token, now = new_secret(TOKEN_PREFIX), datetime.now(UTC)
    values = {
        "sha256": hash_secret(token),
        "name": wanted.name,
        "role": wanted.role.value,
        "created_at": now,
        "expires_at": now + timedelta(days=wanted.expires_days) if wanted.expires_days else None,
    }
    try:
        row = connection.execute(insert(TOKEN).values(values).returning(*TOKEN.c)).mappings().one()
    except IntegrityError as error:
        raise Conflict(
            f"there is a token named {wanted.name!r}; choose another name, or: nas token revoke {wanted.name}"
        ) from error
    return NewToken(token=token, **dict(_view(row)))


def register_first(connection: Connection, token: str) -> None:
    """Make the database know the token of a data folder; one that was revoked stays revoked."""
    hashed = hash_secret(token)
    values = {
        "sha256": hashed,
        "name": f"first-start-{hashed[:8]}",
        "role": Role.admin.value,
        "created_at": datetime.now(UTC),
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(TokenRow).values(values).on_conflict_do_nothing())


def read_tokens(connection: Connection) -> list[TokenView]:
    """Return all tokens ever made, the newest first."""
    rows = connection.execute(select(TOKEN).order_by(TOKEN.c.id.desc())).mappings()
    return [_view(row) for row in rows]


def revoke(connection: Connection, token_id: int) -> TokenView:
    """Make a token good for nothing, with its sessions; the same again is harmless."""
    living = (TOKEN.c.id == token_id) & TOKEN.c.revoked_at.is_(None)
    connection.execute(update(TOKEN).where(living).values(revoked_at=datetime.now(UTC)))
    connection.execute(delete(SESSION).where(SESSION.c.token_id == token_id))
    row = connection.execute(select(TOKEN).where(TOKEN.c.id == token_id)).mappings().one_or_none()
    if row is None:
        raise no_such("token", token_id)
    return _view(row)


def find_token(connection: Connection, hashed: str) -> Known | None:
    """Return whose token has this hash; None where it is none, was revoked, or has expired."""
    row = connection.execute(select(TOKEN).where(TOKEN.c.sha256 == hashed)).mappings().one_or_none()
    return _known(row, hashed)


def find_session(connection: Connection, hashed: str) -> Known | None:
    """Return who is logged in by the session of this hash; it is no better than its token."""
    query = (
        select(*(column for column in TOKEN.c if column.name != "sha256"), SESSION.c.sha256)
        .join(SESSION, SESSION.c.token_id == TOKEN.c.id)
        .where(SESSION.c.sha256 == hashed, SESSION.c.expires_at > datetime.now(UTC))
    )
    return _known(connection.execute(query).mappings().one_or_none(), hashed)


def note_use(connection: Connection, token_id: int) -> None:
    """Write down that a token was used now."""
    connection.execute(update(TOKEN).where(TOKEN.c.id == token_id).values(last_used_at=datetime.now(UTC)))


def open_session(connection: Connection, token_id: int) -> tuple[str, timedelta]:
    """Return a new session's secret and how long it lasts, at most as long as its token."""
    now, secret = datetime.now(UTC), new_secret()
    connection.execute(delete(SESSION).where(SESSION.c.expires_at <= now))
    ends = connection.execute(select(TOKEN.c.expires_at).where(TOKEN.c.id == token_id)).scalar_one()
    expires = min(ends or now + SESSION_LASTS, now + SESSION_LASTS)
    values: dict[str, Any] = {"token_id": token_id, "created_at": now, "expires_at": expires}
    connection.execute(insert(SESSION).values(sha256=hash_secret(secret), **values))
    return secret, expires - now


def close_session(connection: Connection, secret: str) -> None:
    """End a session."""
    connection.execute(delete(SESSION).where(SESSION.c.sha256 == hash_secret(secret)))


def _known(row: RowMapping | None, hashed: str) -> Known | None:
    # The index found it by the hash; compared once more in a time that tells nothing.
    if row is None or not hmac.compare_digest(row["sha256"], hashed):
        return None
    if state_of(row["expires_at"], row["revoked_at"]) != "active":
        return None
    return Known(
        token_id=row["id"], name=row["name"], role=Role(row["role"]), last_used_at=row["last_used_at"]
    )


def _view(row: RowMapping) -> TokenView:
    shown = {name: row[name] for name in TokenView.model_fields if name != "state"}
    return TokenView(state=state_of(row["expires_at"], row["revoked_at"]), **shown)
