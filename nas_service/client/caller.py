"""Who performs calls and plans: a connection, and what its errors mean to a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from nas_service.connection import (
    ADDRESSES,
    AsyncConnection,
    Connection,
    Damaged,
    NoRoom,
    is_address,
    is_loopback,
)
from nas_service.errors import FieldError, InvalidInput, ServerUnreachable, Unavailable
from nas_service.exchange import Plan, Refused, Unreachable
from nas_service.problems import service_error
from nas_service.redaction import redacted
from nas_service.settings import Settings

Outcome = TypeVar("Outcome")
DEFAULT_SERVER = "http://127.0.0.1:8000"


class Caller:
    """A server, asked from a program that waits for each answer.

    Close it when done, or use it as a context manager.

    Args:
        server: The server's address; NAS_SERVER, or else port 8000 of this machine.
        token: NAS_TOKEN, or else, for a server on this machine, what NAS_HOME/token holds.

    Raises:
        InvalidInput: `server` is no address.
    """

    def __init__(self, server: str | None = None, token: str | None = None) -> None:
        self.settings = Settings()
        address = address_of(server)
        with translated(address):
            self.connection = Connection(address, token or token_for(address, self.settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def caller(self) -> Self:
        """Who performs what this object's methods do."""
        return self

    def close(self) -> None:
        """Let go of all connections."""
        self.connection.close()

    def run(self, plan: Plan[Outcome]) -> Outcome:
        """Return what a plan comes to; raises the errors of `nas_service.errors`."""
        with translated(self.connection.server):
            return self.connection.run(plan)


class AsyncCaller:
    """A server, asked from an event loop; `Caller` says what the arguments mean."""

    def __init__(self, server: str | None = None, token: str | None = None) -> None:
        self.settings = Settings()
        address = address_of(server)
        with translated(address):
            self.connection = AsyncConnection(address, token or token_for(address, self.settings))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def caller(self) -> Self:
        """Who performs what this object's methods do."""
        return self

    async def close(self) -> None:
        """Let go of all connections."""
        await self.connection.close()

    async def run(self, plan: Plan[Outcome]) -> Outcome:
        """Return what a plan comes to; raises the errors of `nas_service.errors`."""
        with translated(self.connection.server):
            return await self.connection.run(plan)


@contextmanager
def translated(server: str) -> Iterator[None]:
    """Raise a connection's errors as those of the service."""
    try:
        yield
    except Unreachable as error:
        raise ServerUnreachable(
            f"{redacted(server)} does not answer ({error}); start a server with: nas up, "
            "or name another one by --server or NAS_SERVER"
        ) from error
    except (Damaged, NoRoom) as error:
        raise Unavailable(str(error)) from error
    except Refused as error:
        raise service_error(error.problem) from error


def address_of(server: str | None) -> str:
    """Return the server to ask; raises `InvalidInput` for what is no address."""
    address = server or os.environ.get("NAS_SERVER") or DEFAULT_SERVER
    if not is_address(address):
        field = "/server" if server else "/NAS_SERVER"
        shown = repr(redacted(address)[:80])
        raise InvalidInput(FieldError(field, f"{shown} is no address", ADDRESSES))
    return address


def token_for(server: str, settings: Settings) -> str | None:
    """Return the token to send; that of this machine's data folder never leaves the machine."""
    if token := os.environ.get("NAS_TOKEN"):
        return token
    path = settings.data_home / "token"
    return path.read_text(encoding="utf-8").strip() if is_loopback(server) and path.is_file() else None
