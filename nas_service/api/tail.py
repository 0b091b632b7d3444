"""The live end of the event list: one query at a time, however many streams listen."""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from fastapi.concurrency import run_in_threadpool

from nas_service.views import EventView

log = logging.getLogger(__name__)

POLL_S = 0.25
HEARTBEAT_S = 15.0
MAX_STREAMS = 500
# A stream this far behind reads from the database instead of from memory.
RECENT = 2000
BATCH = 500
# PostgreSQL hands out sequence numbers before transactions end: a missing one may still come for this long.
SETTLE = timedelta(seconds=2)

Read = Callable[[int, int | None, int], list[EventView]]


class Tail:
    """Hands new events to all streams of this process.

    Nothing is queued for a stream: each keeps its own position and reads from the shared recent events, so a
    slow one costs no memory. While nobody listens nothing is asked.

    Args:
        read: Events after a sequence, of one study or of all, at most so many; oldest first.
        latest: The newest sequence so far.
    """

    def __init__(self, read: Read, latest: Callable[[], int]) -> None:
        self._read = read
        self._latest = latest
        self._recent: list[EventView] = []
        # `_recent` holds every event after this sequence.
        self._complete_after = 0
        self._streams = 0
        self._is_closed = False
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._reading = asyncio.Lock()

    @property
    def has_room(self) -> bool:
        """Whether one more stream is taken."""
        return self._streams < MAX_STREAMS

    @property
    def streams(self) -> int:
        """How many streams follow at present."""
        return self._streams

    @property
    def has_listeners(self) -> bool:
        """Whether anybody follows at present."""
        return self._streams > 0

    def close(self) -> None:
        """End all streams, and `run`."""
        self._is_closed = True
        self._wanted.set()
        self._announce()

    async def run(self) -> None:
        """Ask for new events while anyone listens, until `close`."""
        while not self._is_closed:
            await self._wanted.wait()
            try:
                is_behind = await self._poll()
            except Exception as error:
                is_behind = False
                log.warning("the event list cannot be read at present: %s", type(error).__name__)
            await asyncio.sleep(0 if is_behind else POLL_S)

    async def follow(self, after: int, study_id: int | None) -> AsyncGenerator[list[EventView], None]:
        """Yield the events after a sequence as they come, several at once; an empty list is a heartbeat."""
        self._streams += 1
        try:
            self._wanted.set()
            if self._streams == 1:
                await self._restart()
            position = after
            while not self._is_closed:
                news = self._news
                reached, events = await self._after(position, study_id)
                if events:
                    yield events
                if reached > position:
                    position = reached
                elif not await _is_set_within(news, HEARTBEAT_S):
                    yield []
        finally:
            self._leave()

    async def newest(self) -> int:
        """Return the sequence up to which no event will turn up any more: where a new stream starts."""
        if self._streams == 0:
            await self._restart()
        return self._newest

    @property
    def _newest(self) -> int:
        return self._recent[-1].sequence if self._recent else self._complete_after

    def _leave(self) -> None:
        self._streams -= 1
        if self._streams == 0 and not self._is_closed:
            self._wanted.clear()

    async def _restart(self) -> None:
        async with self._reading:
            newest = await run_in_threadpool(self._latest)
            self._recent = []
            self._complete_after = max(0, newest - BATCH)
        await self._poll()

    async def _poll(self) -> bool:
        async with self._reading:
            found = await run_in_threadpool(self._read, self._newest, None, BATCH)
            events = _settled(self._newest, found, datetime.now(UTC) - SETTLE)
            self._recent.extend(events)
            if len(self._recent) > 2 * RECENT:
                self._complete_after = self._recent[-RECENT - 1].sequence
                self._recent = self._recent[-RECENT:]
        if events:
            self._announce()
        return len(events) == BATCH

    def _announce(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _after(self, position: int, study_id: int | None) -> tuple[int, list[EventView]]:
        """Return the events after `position`, and the sequence up to which all is known."""
        complete_after = self._complete_after
        if position < complete_after:
            found = await run_in_threadpool(self._read, position, study_id, BATCH)
            events = [event for event in found if event.sequence <= complete_after]
            return events[-1].sequence if len(events) == BATCH else complete_after, events
        recent = self._recent[bisect_right(self._recent, position, key=attrgetter("sequence")) :]
        reached = recent[-1].sequence if recent else position
        return reached, [event for event in recent if study_id is None or event.study_id == study_id]


def _settled(newest: int, events: list[EventView], settled_at: datetime) -> list[EventView]:
    """Return the events up to the first gap that may still be filled."""
    for index, event in enumerate(events):
        if event.sequence != newest + 1 and event.at > settled_at:
            return events[:index]
        newest = event.sequence
    return events


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
