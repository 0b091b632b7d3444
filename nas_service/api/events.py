"""The event list, and the same as server-sent events."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import After, Id, TheService, TheTail
from nas_service.api.tail import Tail
from nas_service.errors import Unavailable
from nas_service.row_ids import MAX_ID
from nas_service.service import Service
from nas_service.views import EventView

router = APIRouter(route_class=JsonRoute, tags=["events"])

Limit = Annotated[int, Query(ge=1, le=500)]
Study = Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only events of this study.")]
LastEventId = Annotated[str | None, Header(description="Go on after this sequence.")]
# One event of the stream, as its lines stand.
FRAME: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The sequence to come back with as Last-Event-ID."},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "JSON."},
        "retry": {"type": "integer", "description": "Milliseconds to wait before coming back."},
    },
}
STREAM_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A snapshot, then every new event; a comment every 15 seconds.",
        "content": {"text/event-stream": {"schema": FRAME}},
    }
}


@router.get("/events")
def list_events(
    service: TheService, after: After = 0, study: Study = None, limit: Limit = 500
) -> list[EventView]:
    """List events, oldest first."""
    return service.events(after, study, limit)


@router.get("/studies/{study_id:row}/events")
def list_study_events(
    service: TheService, study_id: Id, after: After = 0, limit: Limit = 500
) -> list[EventView]:
    """List the events of a study, oldest first."""
    service.study(study_id)
    return service.events(after, study_id, limit)


@router.get("/events/stream", responses=STREAM_ANSWER, response_class=StreamingResponse)
@router.get("/events:stream", include_in_schema=False)
async def stream_events(
    service: TheService, tail: TheTail, study: Study = None, last_event_id: LastEventId = None
) -> Response:
    """Follow all events, or those of one study."""
    return await _stream(service, tail, study, last_event_id)


@router.get(
    "/studies/{study_id:row}/events/stream", responses=STREAM_ANSWER, response_class=StreamingResponse
)
@router.get("/studies/{study_id:row}/events:stream", include_in_schema=False)
async def stream_study_events(
    service: TheService, tail: TheTail, study_id: Id, last_event_id: LastEventId = None
) -> Response:
    """Follow the events of one study."""
    return await _stream(service, tail, study_id, last_event_id)


async def _stream(service: Service, tail: Tail, study_id: int | None, last_event_id: str | None) -> Response:
    if not tail.has_room:
        raise HTTPException(429, "this server follows as many streams as it can")
    after = _sequence(last_event_id)
    sequence = await tail.newest()
    snapshot = await run_in_threadpool(_snapshot, service, sequence, study_id)
    frames = _frames(tail, study_id, sequence, snapshot, after)
    return StreamingResponse(
        frames,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _frames(
    tail: Tail, study_id: int | None, sequence: int, snapshot: dict[str, Any], after: int | None
) -> AsyncIterator[str]:
    # One who comes back keeps the own position: the snapshot must not move it past what was missed.
    identity = "" if after is not None else f"id: {sequence}\n"
    yield f"retry: 2000\n{identity}event: snapshot\ndata: {json.dumps(snapshot)}\n\n"
    try:
        async with aclosing(tail.follow(sequence if after is None else after, study_id)) as news:
            async for events in news:
                yield "".join(map(_frame, events)) or ": still here\n\n"
    except (OperationalError, Unavailable):
        # The client comes back by itself, with the last sequence it saw.
        return


def _frame(event: EventView) -> str:
    return f"id: {event.sequence}\ndata: {event.model_dump_json()}\n\n"


def _snapshot(service: Service, sequence: int, study_id: int | None) -> dict[str, Any]:
    if study_id is not None:
        return {"sequence": sequence, "study": service.study(study_id).model_dump(mode="json")}
    studies = [study.model_dump(mode="json") for study in service.studies().items]
    return {"sequence": sequence, "studies": studies}


def _sequence(last_event_id: str | None) -> int | None:
    is_sequence = last_event_id and last_event_id.isascii() and last_event_id.isdigit()
    return min(int(last_event_id[:20]), MAX_ID) if last_event_id and is_sequence else None
