"""Tokens and sessions: which are good, whose they are, and the token that is made at the first start."""

import asyncio
import logging
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from nas_service.access import TOKEN_PREFIX, hash_secret, new_secret
from nas_service.api.actor import Actor, Credential
from nas_service.store import tokens
from nas_service.store.engine import reading, writing

log = logging.getLogger(__name__)

COOKIE = "nas_session"
# A revoked token is refused after this long at the latest.
TRUST_S = 2.0
# Good tokens and sessions that are remembered.
MAX_REMEMBERED = 10_000


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
        file.write(new_secret(TOKEN_PREFIX) + "\n")
    try:
        # A link never replaces: of two servers that start at once, one makes the token and both read it.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()


def register_token(engine: Engine, token: str) -> None:
    """Make the database know a data folder's token; one that was revoked stays revoked."""
    with writing(engine) as connection:
        tokens.register_first(connection, token)


@dataclass(frozen=True, slots=True)
class _Remembered:
    actor: Actor
    checked_at: float


class Access:
    """Answers whose a token or session is, and remembers for a moment that it was good."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._remembered: dict[Credential, _Remembered] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def admit(self, kind: Literal["token", "session"], secret: str) -> Actor | None:
        """Return who shows this token or session; None where it is none of ours, revoked, or expired."""
        if kind == "token" and not secret.startswith(TOKEN_PREFIX):
            return None
        credential = Credential(kind, hash_secret(secret))
        return await self._actor(credential, csrf=csrf_of(secret) if kind == "session" else "")

    async def is_still_good(self, actor: Actor) -> bool:
        """Whether what the actor showed would be let in again; true while the database is away."""
        if actor.credential is None:
            return True
        try:
            return await self._actor(actor.credential, csrf=actor.csrf) is not None
        except SQLAlchemyError:
            # Nothing can be revoked meanwhile.
            return True

    def has_admitted(self, secret: str) -> bool:
        """Whether this token was good a while ago: worth a look, whoever else guesses from its address."""
        return Credential("token", hash_secret(secret)) in self._remembered

    def forget(self, actor: Actor) -> None:
        """Ask the database again at once: the actor logged out."""
        if actor.credential is not None:
            self._remembered.pop(actor.credential, None)

    async def close(self) -> None:
        """Wait for what is still being written down."""
        await asyncio.gather(*self._notes)

    async def _actor(self, credential: Credential, csrf: str) -> Actor | None:
        known = self._remembered.get(credential)
        if known is not None and time.monotonic() - known.checked_at < TRUST_S:
            return known.actor
        found = await run_in_threadpool(self._find, credential)
        self._remembered.pop(credential, None)
        if found is None:
            return None
        actor = Actor(found.name, found.role, found.token_id, credential, csrf)
        self._remember(credential, actor)
        if found.is_use_due:
            self._note_use(found.token_id)
        return actor

    def _find(self, credential: Credential) -> tokens.Known | None:
        find = tokens.find_token if credential.kind == "token" else tokens.find_session
        with reading(self._engine) as connection:
            return find(connection, credential.hashed)

    def _remember(self, credential: Credential, actor: Actor) -> None:
        self._remembered[credential] = _Remembered(actor, time.monotonic())
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))

    def _note_use(self, token_id: int) -> None:
        """Write the use down beside the request: a reader never waits for a writer."""
        task = asyncio.create_task(run_in_threadpool(self._write_use, token_id))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def _write_use(self, token_id: int) -> None:
        try:
            with writing(self._engine) as connection:
                tokens.note_use(connection, token_id)
        except SQLAlchemyError as error:
            log.warning("the use of token %d was not written down: %s", token_id, type(error).__name__)


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def cookie_name(request: Request) -> str:
    """Return the name of the login cookie: over https no other host and no plain page can set it."""
    return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE


def csrf_of(session: str) -> str:
    """Return what a session's pages send along with every change; it opens nothing by itself."""
    return hash_secret(f"csrf {session}")
