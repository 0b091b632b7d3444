"""Events: the list, and the stream with its snapshot, positions and heartbeats."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from nas_service.api import tail as tails
from nas_service.api.tail import Tail
from nas_service.event_stream import Frame, parse
from nas_service.server import Server
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.views import EventView

STREAM = "/api/v1/events/stream"


@contextmanager
def streaming(http: httpx.Client, path: str = STREAM, last: int | None = None) -> Iterator[Iterator[Frame]]:
    headers = {"Last-Event-ID": str(last)} if last is not None else {}
    with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parse(answer.iter_lines())


def test_events_are_listed_behind_a_sequence(http: httpx.Client, create: Callable[..., int]) -> None:
    first, second = create(), create()
    events = http.get("/api/v1/events").json()
    assert [event["study_id"] for event in events] == [first, second]
    assert http.get("/api/v1/events", params={"after": events[0]["sequence"]}).json() == events[1:]
    assert http.get("/api/v1/events", params={"study": second}).json() == events[1:]
    assert http.get(f"/api/v1/studies/{second}/events").json() == events[1:]
    assert http.get("/api/v1/events", params={"limit": 1}).json() == events[:1]


def test_a_stream_begins_with_a_snapshot_and_goes_on_with_what_happens(
    http: httpx.Client, create: Callable[..., int]
) -> None:
    study = create()
    with streaming(http) as frames:
        snapshot = next(frames)
        assert snapshot.kind == "snapshot"
        assert [known["study"] for known in snapshot.data["studies"]] == [study]
        http.post(f"/api/v1/studies/{study}:pause")
        event = next(frames)
    assert event.kind == "message"
    assert event.data["kind"] == "study.state"
    assert event.data["data"] == {"state": "paused"}
    assert event.sequence == event.data["sequence"]


def test_a_reader_who_comes_back_sees_each_event_once(http: httpx.Client, create: Callable[..., int]) -> None:
    study = create()
    with streaming(http) as frames:
        last = next(frames).sequence
    for verb in ("pause", "resume", "pause"):
        http.post(f"/api/v1/studies/{study}:{verb}")
    expected = [event["sequence"] for event in http.get("/api/v1/events", params={"after": last}).json()]
    seen: list[int] = []
    while len(seen) < 3:
        with streaming(http, last=last) as frames:
            snapshot = next(frames)
            # Its own position would skip what was missed.
            assert (snapshot.kind, snapshot.sequence) == ("snapshot", None)
            event = next(frames)
        assert event.sequence is not None
        last = event.sequence
        seen.append(last)
    assert seen == expected


@pytest.mark.parametrize("path", ["events/stream", "events:stream"])
def test_a_study_s_stream_is_of_that_study_alone(
    http: httpx.Client, create: Callable[..., int], path: str
) -> None:
    study, other = create(), create()
    with streaming(http, f"/api/v1/studies/{study}/{path}") as frames:
        assert next(frames).data["study"]["study"] == study
        http.post(f"/api/v1/studies/{other}:pause")
        http.post(f"/api/v1/studies/{study}:pause")
        assert next(frames).data["study_id"] == study


def test_a_stream_survives_the_deletion_of_the_newest_study(
    http: httpx.Client, create: Callable[..., int]
) -> None:
    study = create()
    http.post(f"/api/v1/studies/{study}:cancel")
    with streaming(http) as frames:
        next(frames)
        http.delete(f"/api/v1/studies/{study}")
        assert next(frames).data["kind"] == "study.deleted"


@pytest.mark.parametrize("last", ["nonsense", "-3", "9" * 5000, "²"])
def test_a_position_that_is_none_is_ignored(http: httpx.Client, last: str) -> None:
    with http.stream("GET", STREAM, headers=[(b"Last-Event-ID", last.encode())]) as answer:
        assert next(parse(answer.iter_lines())).kind == "snapshot"


def test_a_silent_stream_says_that_it_lives(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "HEARTBEAT_S", 0.05)
    # A look at the list that finds nothing is no sign of life.
    monkeypatch.setattr(tails, "POLL_S", 0.001)
    with http.stream("GET", STREAM) as answer:
        comments = (line for line in answer.iter_lines() if line.startswith(":"))
        assert next(comments)
        assert next(comments)


def test_streams_are_bounded(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "MAX_STREAMS", 1)
    with streaming(http) as frames:
        next(frames)
        answer = _refused(http)
    assert answer.status_code == 429
    assert answer.headers["retry-after"]


def _refused(http: httpx.Client) -> httpx.Response:
    for _ in range(200):
        with http.stream("GET", STREAM) as answer:
            if answer.status_code == 429:
                answer.read()
                return answer
    raise AssertionError("the second stream was never refused")


def test_the_server_stops_while_streams_are_open(service: Service, settings: Settings) -> None:
    server = Server(settings.model_copy(update={"port": 0}))
    ended: list[bool] = []
    with server.in_thread() as address:
        first = threading.Event()

        def listen() -> None:
            with httpx.stream("GET", address + STREAM, trust_env=False, timeout=30) as answer:
                for _ in answer.iter_lines():
                    first.set()
            # A stream that was cut would have raised.
            ended.append(True)

        reader = threading.Thread(target=listen)
        reader.start()
        assert first.wait(20)
    reader.join(20)
    assert ended == [True]


def event(sequence: int, *, study_id: int = 1) -> EventView:
    return EventView(sequence=sequence, study_id=study_id, kind="x", at=datetime.now(UTC), data={})


class Events:
    """An event list in memory."""

    def __init__(self, *sequences: int) -> None:
        self.rows = [event(sequence) for sequence in sequences]

    def read(self, after: int, study_id: int | None, limit: int) -> list[EventView]:
        rows = [row for row in self.rows if row.sequence > after and study_id in (None, row.study_id)]
        return rows[:limit]

    def latest(self) -> int:
        return self.rows[-1].sequence if self.rows else 0


async def collect(tail: Tail, after: int, count: int) -> list[int]:
    seen: list[int] = []
    async for events in tail.follow(after, None):
        seen += [row.sequence for row in events]
        if len(seen) >= count:
            break
    return seen


def test_an_event_whose_number_comes_late_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "POLL_S", 0.001)
    events = Events(1, 3)

    async def scenario() -> list[int]:
        tail = Tail(events.read, events.latest)
        events.rows = [event(1)]
        running = asyncio.create_task(tail.run())
        collecting = asyncio.create_task(collect(tail, 1, 2))
        while not tail.has_listeners:
            await asyncio.sleep(0)
        # Number 3 is committed first, as PostgreSQL may have it; 2 follows.
        events.rows = [event(1), event(3)]
        for _ in range(20):
            await asyncio.sleep(0.001)
        events.rows = [event(1), event(2), event(3)]
        seen = await asyncio.wait_for(collecting, 10)
        tail.close()
        await running
        return seen

    assert asyncio.run(scenario()) == [2, 3]


def test_one_far_behind_catches_up_from_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "POLL_S", 0.001)
    monkeypatch.setattr(tails, "BATCH", 7)
    monkeypatch.setattr(tails, "RECENT", 10)
    events = Events(*range(1, 101))

    async def scenario() -> tuple[list[int], list[int]]:
        tail = Tail(events.read, events.latest)
        running = asyncio.create_task(tail.run())
        readers = [asyncio.create_task(collect(tail, after, 150 - after)) for after in (0, 60)]
        while not tail.has_listeners:
            await asyncio.sleep(0)
        for sequence in range(101, 151):
            events.rows.append(event(sequence))
            await asyncio.sleep(0)
        seen = await asyncio.wait_for(asyncio.gather(*readers), 20)
        tail.close()
        await running
        return seen[0], seen[1]

    first, second = asyncio.run(scenario())
    assert first == list(range(1, 151))
    assert second == list(range(61, 151))
