"""Tokens: one is made at the first start; the database knows its hash alone."""

import hashlib
import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.errors import AccessDenied
from nas_service.store.engine import reading, writing
from nas_service.store.models import TokenRow, table

TOKEN = table(TokenRow)
TOKEN_PREFIX = "nw_"
COOKIE = "nas_session"
# A revoked token is refused after this long at the latest.
TRUST_S = 2.0


def hash_token(token: str) -> str:
    """Return what the database keeps of a token: 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_path(home: Path) -> Path:
    """The file that holds this data folder's token."""
    return home / "token"


def ensure_token(home: Path) -> str:
    """Return the data folder's token; made, for its owner alone, where there is none yet."""
    path = token_path(home)
    home.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".token-{secrets.token_hex(6)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(TOKEN_PREFIX + secrets.token_urlsafe(32) + "\n")
    try:
        # A link never replaces: of two servers that start at once, one makes the token and both read it.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()


class Access:
    """Answers whether a token is good, and remembers for a moment that it was.

    Args:
        is_known: Whether the database holds a token of this hash.
    """

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._trusted: dict[str, float] = {}

    async def admits(self, token: str | None) -> bool:
        """Whether `token` is one of ours."""
        if not token or not token.startswith(TOKEN_PREFIX):
            return False
        hashed = hash_token(token)
        if time.monotonic() - self._trusted.get(hashed, float("-inf")) < TRUST_S:
            return True
        if not await run_in_threadpool(self._is_known, hashed):
            self._trusted.pop(hashed, None)
            return False
        self._trusted[hashed] = time.monotonic()
        return True


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def presented_token(request: Request) -> str | None:
    """Return the token of the Authorization header, or else of the login cookie."""
    return bearer_token(request) or request.cookies.get(COOKIE)


async def require_bearer(request: Request) -> None:
    """Raise `AccessDenied` unless the Authorization header holds a good token; a cookie is not enough."""
    if not await request.app.state.access.admits(bearer_token(request)):
        raise AccessDenied("workers need a token: 'Authorization: Bearer ...' (NAS_HOME/token has one)")


def register_token(engine: Engine, token: str) -> None:
    """Make the database know a token; one that was revoked stays revoked."""
    with writing(engine) as connection:
        values = {"sha256": hash_token(token), "role": "all", "created_at": datetime.now(UTC)}
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(TokenRow).values(values).on_conflict_do_nothing())


def is_registered(engine: Engine, hashed: str) -> bool:
    """Whether the database holds a token of this hash that was not revoked."""
    with reading(engine) as connection:
        good = select(TOKEN.c.id).where(TOKEN.c.sha256 == hashed, TOKEN.c.revoked_at.is_(None))
        return connection.execute(good).scalar() is not None
