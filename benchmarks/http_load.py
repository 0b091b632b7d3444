"""A load generator on bare sockets: requests at given times, and readers of event streams.

An HTTP library costs about as much as the server's answer; this costs a tenth of it, so that on two cores
the server is what is measured. Latencies run from the moment at which a request was due, also where it had to
wait for a free connection.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

RECONNECT_S = 0.2


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


class Connection:
    """One kept connection; opened anew where the server has closed it."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, headers: str = "") -> Answer:
        """Return the answer to one GET."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        reader, writer = self._streams
        try:
            writer.write(request(path, self._token, headers))
            status, fields = await head(reader)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        return Answer(status, body)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def request(path: str, token: str, headers: str = "") -> bytes:
    """Return a GET as it goes over the wire."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Accept: */*\r\nAccept-Encoding: gzip\r\n{headers}\r\n"
    ).encode()


async def head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Return status and header fields of an answer."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.split(":", 1) for line in lines[1:] if ":" in line)
    return int(lines[0].split(" ")[1]), {name.lower(): value.strip() for name, value in fields}


@dataclass(slots=True)
class Timings:
    """Latencies of one route in seconds."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    bytes: int = 0

    def quantile(self, share: float) -> float:
        """Return a quantile in milliseconds, by the nearest rank."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


async def load(
    port: int,
    token: str,
    due: Sequence[tuple[str, str]],
    *,
    per_second: float,
    connections: int,
    seed: int = 0,
) -> dict[str, Timings]:
    """Send requests at random times (Poisson) over a few connections, and return timings by route.

    Args:
        port: Where the server listens.
        token: Its token.
        due: (route, path) in the order in which to send.
        per_second: Mean rate.
        connections: How many requests may be under way at once; a request that is due waits for a free one.
        seed: Of the times.
    """
    found: dict[str, Timings] = {route: Timings() for route, _ in due}
    queue: asyncio.Queue[tuple[str, str, float] | None] = asyncio.Queue()

    async def work() -> None:
        connection = Connection(port, token)
        while (item := await queue.get()) is not None:
            route, path, moment = item
            try:
                answer = await connection.get(path)
            except (OSError, asyncio.IncompleteReadError):
                found[route].errors += 1
                continue
            found[route].seconds.append(time.perf_counter() - moment)
            found[route].errors += answer.status != 200
            found[route].bytes = len(answer.body)
        connection.close()

    workers = [asyncio.create_task(work()) for _ in range(connections)]
    chance, moment = random.Random(seed), time.perf_counter()
    for route, path in due:
        moment += chance.expovariate(per_second)
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        queue.put_nowait((route, path, moment))
    for _ in workers:
        queue.put_nowait(None)
    await asyncio.gather(*workers)
    return found


@dataclass(slots=True)
class Reader:
    """One client of an event stream, which remembers all that it was sent."""

    port: int
    token: str
    path: str
    # Mean seconds after which it hangs up and comes back; None for never.
    patience_s: float | None
    seed: int
    sequences: list[int] = field(default_factory=list)
    # Seconds from an event's entry in the list to its arrival, of those that came live.
    delays: list[float] = field(default_factory=list)
    position: int | None = None
    reconnects: int = 0

    async def follow(self, ends: asyncio.Event, joined: asyncio.Semaphore) -> None:
        """Read until told to end; `joined` is released once the first frame is there."""
        chance = random.Random(self.seed)
        while not ends.is_set():
            stays = chance.expovariate(1 / self.patience_s) if self.patience_s else 3600.0
            reading = asyncio.create_task(self._read(joined))
            ending = asyncio.create_task(ends.wait())
            await asyncio.wait((reading, ending), timeout=stays, return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, ending):
                task.cancel()
            await asyncio.gather(reading, ending, return_exceptions=True)
            if not ends.is_set():
                self.reconnects += 1
                await asyncio.sleep(RECONNECT_S * chance.random())

    async def _read(self, joined: asyncio.Semaphore) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        try:
            known = f"Last-Event-ID: {self.position}\r\n" if self.position is not None else ""
            writer.write(request(self.path, self.token, known))
            status, _ = await head(reader)
            if status != 200:
                return
            came_back = time.time()
            while True:
                frame = (await reader.readuntil(b"\n\n")).decode()
                self._note(frame, came_back)
                if "event: snapshot" in frame:
                    joined.release()
        finally:
            writer.close()

    def _note(self, frame: str, came_back: float) -> None:
        # Chunks begin with their length on a line of its own, which no field is.
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line and line[0] != ":")
        if "id" not in fields:
            return
        self.position = int(fields["id"])
        if fields.get("event") != "snapshot":
            self.sequences.append(self.position)
            _, _, moment = fields["data"].partition('"at":"')
            written = _seconds(moment[: moment.index('"')])
            if written > came_back:
                self.delays.append(time.time() - written)


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()
