"""What handlers are given, and the parameters that several of them share."""

from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from nas_service.access import Role
from nas_service.api.actor import Actor
from nas_service.api.tail import Tail
from nas_service.ledger.protocol import Ledger
from nas_service.ledger.scoped import ScopedLedger
from nas_service.row_ids import MAX_ID
from nas_service.service import Service
from nas_service.settings import Settings


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _ledger(request: Request) -> Ledger:
    actor: Actor = request.state.actor
    assert actor.token_id is not None, "the ledger's policy demands a token"
    state = request.app.state
    return ScopedLedger(
        state.ledger, state.service.engine, actor.token_id, reaches_all=actor.role is Role.admin
    )


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _tail(request: Request) -> Tail:
    tail: Tail = request.app.state.tail
    return tail


TheService = Annotated[Service, Depends(_service)]
TheLedger = Annotated[Ledger, Depends(_ledger)]
TheSettings = Annotated[Settings, Depends(_settings)]
TheTail = Annotated[Tail, Depends(_tail)]

Id = Annotated[int, Path(ge=1, le=MAX_ID)]
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
PageSize = Annotated[int, Query(ge=1, le=500)]
PageToken = Annotated[str | None, Query(max_length=500, description="From the page before.")]
After = Annotated[int, Query(ge=0, le=MAX_ID, description="Only what came after this sequence.")]

# What the OpenAPI document says of a download.
FILE_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
