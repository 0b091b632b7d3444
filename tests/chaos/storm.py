"""A storm: a server, workers over SQL and over HTTP, a reader of events, and faults at random from a seed.

After it the faults stop, everything is allowed to finish, and the checker looks at what is there. Used for
seconds by the test suite and for as long as one likes by `soak.py`.
"""

import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from checker import Rows, check, front_of, left_in_spool, missed, read_rows
from client_log import read as read_log
from databases import Database
from nursery import Child, Nursery
from proxy import Proxy
from races import race
from sqlalchemy.exc import DBAPIError
from stub_worker import drawn

from nas_service.connection import Connection
from nas_service.errors import Unavailable
from nas_service.event_stream import frames
from nas_service.exchange import Refused, Unreachable
from nas_service.ledger.protocol import LedgerError
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import ACTIVE_STATES, Budget, Constraint, Objective, StudySpec, Training
from nas_service.trials import WorkerInfo

MODULES = ("nas_service.server", "stub_worker", "psycopg")
LEASE_S = 0.6
# How often which fault. The database is restarted where that can be done, and seldom: recovery takes a while.
FAULTS = {
    "kill worker": 8.0,
    "freeze worker": 8.0,
    "kill server": 1.5,
    "cut network": 2.0,
    "restart database": 0.5,
    "zombie race": 6.0,
}
# Points in worker and server at which a restarted process may be told to die.
CRASHES = (
    "content.written", "content.synced", "content.renamed", "store.before_commit:7", "store.after_commit:7",
    "ledger.complete.event_written", "ledger.complete.row_written", "ledger.complete.before_commit:2",
    "ledger.complete.after_commit:2", "ledger.reserve.counted:2", "ledger.reserve.before_commit",
    "ledger.report.before_commit:3", "ledger.claim.before_commit", "spool.written", "spool.synced",
    "spool.renamed:2", "spool.before_remove:2", "api.complete.before_reply:2", "api.reserve.before_reply:3",
    "api.report.before_reply:5", "api.artifact.before_reply:2", "api.acquire.before_reply:4",
)  # fmt: skip


@dataclass
class Result:
    """What a storm did, and what it found."""

    seed: int
    seconds: float
    faults: Counter[str]
    trials: int
    studies: int
    attempts: int
    stale_refused: int
    events_seen: int
    violations: list[str]
    history: list[str]


@dataclass
class Place:
    """A worker's name, and how it reaches the service."""

    name: str
    arguments: list[str]
    child: Child | None = None
    is_frozen: bool = False


@dataclass
class Storm:
    """One storm on one database; `run` once."""

    database: Database
    folder: Path
    seed: int
    trials_a_study: int = 40
    faults_a_second: float = 5.0
    say: Callable[[str], None] = lambda line: None
    faults: Counter[str] = field(default_factory=Counter)
    history: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._home = self.folder / "home"
        self._settings = Settings(home=self._home, database_url=self.database.url, lease_s=LEASE_S)
        self._server: Child | None = None
        self._port = _free_port()
        self._open_study = 0
        self._races = random.Random(self.seed + 1)
        self._race_seed = 1_000_000
        # What the reader of events saw, and behind which sequence it began.
        self._seen: list[int] = []
        self._seen_after: int | None = None
        self._is_over = False
        self._refused = 0

    def run(self, seconds: float, nursery: Nursery) -> Result:
        """Storm for so long, let everything finish, and check; the nursery knows `MODULES`."""
        self._began = time.monotonic()
        self._nursery = nursery
        with ExitStack() as stack:
            self._service = Service.open(self._settings)
            stack.callback(self._service.close)
            # Reading the data set for the first time takes longer than everything else.
            self._service.datasets()
            self._proxy = stack.enter_context(Proxy(self._port))
            self._places = self._make_places()
            stack.callback(self._kill_all)
            self._start_server()
            self._wait_for(self._is_ready)
            reader = threading.Thread(target=self._follow, daemon=True)
            reader.start()
            self._storm(seconds)
            self._finish()
            violations = self._violations()
            self._end(reader)
        return self._result(violations)

    # What goes on

    def _storm(self, seconds: float) -> None:
        kinds = [kind for kind in FAULTS if kind != "restart database" or self.database.kind == "postgresql"]
        weights = [FAULTS[kind] for kind in kinds]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.stop.is_set():
            self._keep_going(armed=True)
            self._commit_fault(self._rng.choices(kinds, weights)[0])
            self.stop.wait(self._rng.expovariate(self.faults_a_second))

    def _keep_going(self, *, armed: bool) -> None:
        """Start again who died, and launch a study where too few are left."""
        for place in self._places:
            if place.child is None or place.child.code is not None:
                self._start_worker(place, armed=armed and self._rng.random() < 0.3)
        if self._server is None or self._server.code is not None:
            self._start_server(armed=armed and self._rng.random() < 0.3)
        if armed:
            self._keep_studies()

    def _keep_studies(self) -> None:
        with suppress(Unavailable):
            active = [
                study for study in self._service.studies(page_size=10).items if study.state in ACTIVE_STATES
            ]
            if len(active) < 3:
                self._open_study = self._service.create_study(_spec(self.trials_a_study)).study

    def _commit_fault(self, kind: str) -> None:
        living = [place for place in self._places if place.child and not place.is_frozen]
        if kind == "kill worker" and living:
            place = self._rng.choice(living)
            assert place.child is not None
            place.child.send(signal.SIGKILL)
            self._count(kind, place.name)
        elif kind == "freeze worker" and len(living) > 1:
            self._freeze(self._rng.choice(living))
        elif kind == "kill server" and self._server is not None:
            self._server.kill()
            self._count(kind)
        elif kind == "cut network":
            self._cut(self._rng.uniform(0.2, 1.5))
        elif kind == "restart database":
            self.database.restart()
            self._count(kind)
        elif kind == "zombie race":
            self._race()

    def _freeze(self, place: Place) -> None:
        child, seconds = place.child, LEASE_S * self._rng.uniform(1.2, 2.5)
        assert child is not None
        child.send(signal.SIGSTOP)
        place.is_frozen = True

        def thaw() -> None:
            child.send(signal.SIGCONT)
            place.is_frozen = False

        # Not by the storm's own thread: the frozen one may hold a lock that this one waits for.
        threading.Timer(seconds, thaw).start()
        self._count("freeze worker", f"{place.name} for {seconds:.2f} s")

    def _cut(self, seconds: float) -> None:
        if self._proxy.is_cut:
            return
        threading.Thread(target=self._proxy.cut_for, args=(seconds,), daemon=True).start()
        self._count("cut network", f"for {seconds:.2f} s")

    def _race(self) -> None:
        self._race_seed += 1
        ledgers = [SqlLedger(self._service.engine, settings=self._settings) for _ in range(2)]
        proposal = drawn(_spec(1), (1, 8, 8), 10, self._race_seed)
        try:
            ended = race(self._service, *ledgers, self._open_study, proposal, self._races)
        except (LedgerError, Unavailable, DBAPIError) as error:
            # The database went away in the middle: the trial is finished by whoever comes.
            self._note(f"a race was cut short: {error}")
            return
        if ended is not None:
            self._refused += ended.refused
            self._count("zombie race", f"won by {ended.winner}")

    # Who takes part

    def _kill_all(self) -> None:
        for child in (self._server, *(place.child for place in self._places)):
            if child is not None:
                child.kill()

    def _make_places(self) -> list[Place]:
        direct, cut = (f"http://127.0.0.1:{port}" for port in (self._port, self._proxy.port))
        routes = {"sql-0": [], "sql-1": [], "http-0": ["--server", direct], "http-1": ["--server", cut]}
        return [Place(name, arguments) for name, arguments in routes.items()]

    def _start_worker(self, place: Place, *, armed: bool) -> None:
        if place.child is not None and place.child.code == 137:
            self._count("crash point", place.name)
        environment = {"NAS_CRASH_AT": self._rng.choice(CRASHES) if armed else ""}
        arguments = ["--name", place.name, *place.arguments, "--mischief", "0.1", "--seeds", "2000"]
        place.child = self._nursery.fork(
            "stub_worker:main",
            arguments,
            self.folder / f"{place.name}.log",
            **self._environment(),
            **environment,
        )
        if armed:
            self._note(f"{place.name} will die at {environment['NAS_CRASH_AT']}")

    def _start_server(self, *, armed: bool = False) -> None:
        if self._server is not None and self._server.code == 137:
            self._count("crash point", "server")
        at = [name for name in CRASHES if name.startswith(("api", "ledger"))]
        crash = self._rng.choice(at) if armed else ""
        if armed:
            self._note(f"the server will die at {crash}")
        self._server = self._nursery.fork(
            "nas_service.server:main",
            [],
            self.folder / "server.log",
            **self._environment(),
            NAS_CRASH_AT=crash,
        )

    def _environment(self) -> dict[str, str]:
        own = {"NAS_HOME": str(self._home), "NAS_LEASE_S": str(LEASE_S), "NAS_PORT": str(self._port)}
        own |= {"NAS_TOKEN": self._token} if self._token else {}
        return own | ({"NAS_DATABASE_URL": self.database.url} if self.database.url else {})

    @property
    def _token(self) -> str:
        """The server's token; none before its first start."""
        path = self._home / "token"
        return path.read_text().strip() if path.exists() else ""

    def _follow(self) -> None:
        """Read the stream of events through every restart, as a page or `nas study watch` does."""
        connection = Connection(f"http://127.0.0.1:{self._port}", self._token)
        while not self._is_over:
            try:
                self._read_on(connection)
            except (Refused, Unreachable) as error:
                # Its patience of a minute may end while a busy machine's server is killed again and again.
                self._note(f"the reader of events begins again: {error}")
                time.sleep(0.5)
        connection.close()

    def _read_on(self, connection: Connection) -> None:
        for frame in frames(connection, "/events/stream", self._seen[-1] if self._seen else None):
            if self._is_over:
                return
            if frame.kind == "snapshot":
                if self._seen_after is None:
                    self._seen_after = frame.sequence
            elif frame.sequence is not None:
                self._seen.append(frame.sequence)

    # The end

    def _finish(self) -> None:
        """Kill everybody a last time, start all again unharmed, and wait until nothing is left to do."""
        self._note("the storm is over")
        self._kill_all()
        for study in self._service.studies(page_size=20).items:
            if study.state == "running":
                # What runs is finished, and no more begun: the rest of the budget would only take time.
                self._service.drain(study.study)
        self._wait_for(self._has_finished)
        for place in self._places:
            assert place.child is not None
            place.child.send(signal.SIGTERM)
            code = place.child.wait()
            assert code == 0, f"{place.name} ended with {code} when told to end"

    def _has_finished(self) -> bool:
        self._keep_going(armed=False)
        with suppress(Unavailable):
            is_active = any(
                self._service.studies(page_size=1, state=state).items for state in ("running", "draining")
            )
            return not is_active and not left_in_spool(self._home) and self._is_ready()
        return False

    def _violations(self) -> list[str]:
        rows = read_rows(self._settings.resolved_database_url)
        told = list(read_log(self._home))
        found = check(rows, told, self._settings.artifacts_folder)
        found += left_in_spool(self._home)
        found += self._wrong_fronts(rows)
        last = max(row["sequence"] for row in rows.events)
        with suppress(AssertionError):
            self._wait_for(lambda: bool(self._seen) and self._seen[-1] >= last, 20)
        assert self._seen_after is not None, "the reader of events never began"
        found += missed(rows, [number for number in self._seen if number <= last], self._seen_after)
        self._rows, self._told = rows, told
        return found

    def _wrong_fronts(self, rows: Rows) -> list[str]:
        found = []
        address, bearer = f"http://127.0.0.1:{self._port}/api/v1", {"Authorization": f"Bearer {self._token}"}
        with httpx.Client(base_url=address, headers=bearer, trust_env=False, timeout=60) as http:
            for study in rows.studies:
                answer = http.get(f"/studies/{study['id']}/front").raise_for_status().json()
                served = {member["number"] for member in answer["front"]}
                if served != front_of(rows, study["id"]):
                    found.append(f"I6 study {study['id']}: {sorted(served)} is served as the front")
        return found

    def _end(self, reader: threading.Thread) -> None:
        # The reader waits for an event: give it one.
        self._is_over = True
        SqlLedger(self._service.engine, settings=self._settings).register(
            WorkerInfo(name="the last", host="here", pid=1)
        )
        reader.join(10)

    def _result(self, violations: list[str]) -> Result:
        calls = Counter(entry["call"] for entry in self._told)
        self.faults["duplicate and late reports"] = calls["again"]
        return Result(
            seed=self.seed,
            seconds=round(time.monotonic() - self._began, 1),
            faults=self.faults,
            trials=len(self._rows.trials),
            studies=len(self._rows.studies),
            attempts=sum(row["attempt"] for row in self._rows.trials),
            stale_refused=calls["refused"] + calls["lost"] + self._refused,
            events_seen=len(self._seen),
            violations=violations,
            history=self.history,
        )

    # What all of it needs

    def _is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            address = f"http://127.0.0.1:{self._port}/readyz"
            return httpx.get(address, timeout=2.0, trust_env=False, verify=False).is_success
        return False

    def _wait_for(self, condition: Callable[[], bool], seconds: float = 180.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            threading.Event().wait(0.1)

    def _count(self, kind: str, detail: str = "") -> None:
        self.faults[kind] += 1
        self._note(f"{kind} {detail}".rstrip())

    def _note(self, line: str) -> None:
        entry = f"{time.monotonic() - self._began:8.2f} s  {line}"
        self.history.append(entry)
        self.say(entry)


def _spec(trials: int) -> StudySpec:
    return StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=40_000)},
        training=Training(epochs=3),
        budget=Budget(trials=trials),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
