"""Several servers over one PostgreSQL are one service, which a restart of PostgreSQL only interrupts."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from ledger_contract import join, outcome
from postgres import Postgres
from sqlalchemy import text

from nas_service.errors import Unavailable
from nas_service.event_stream import Frame, parse
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import LedgerRefused, LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import make_engine, writing
from nas_service.trials import Lease, Proposal

pytestmark = pytest.mark.postgres
STUDIES = "/api/v1/studies"
SPEC = {"dataset": "digits", "budget": {"trials": 5}}
MakeProposal = Callable[..., Proposal]


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    name = postgres.create(migrated=True)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> list[Settings]:
    """Return the settings of two servers on machines of their own that share rows and files."""
    shared = {"database_url": database_url, "artifacts_url": str(tmp_path / "shared"), "port": 0}
    return [Settings(home=tmp_path / name, **shared) for name in ("first", "second")]  # type: ignore[arg-type]


@pytest.fixture
def servers(machines: list[Settings]) -> Iterator[list[httpx.Client]]:
    with (
        serving(machines[0]) as first,
        serving(machines[1]) as second,
        httpx.Client(base_url=first, trust_env=False, timeout=60) as here,
        httpx.Client(base_url=second, trust_env=False, timeout=60) as there,
    ):
        # Routes are made on the first request, which two servers in one process must not do at once.
        for server in (here, there):
            assert server.get("/api/v1/nothing").status_code == 404
        yield [here, there]


def token_of(settings: Settings) -> str:
    return (settings.data_home / "token").read_text().strip()


@pytest.fixture
def ledgers(
    servers: list[httpx.Client], machines: list[Settings], tmp_path: Path
) -> Iterator[list[HttpLedger]]:
    """Return one worker's connections to both servers, with the token that the first one made."""
    opened = [
        HttpLedger(str(server.base_url), token_of(machines[0]), tmp_path / "cache") for server in servers
    ]
    yield opened
    for ledger in opened:
        ledger.close()


@contextmanager
def streaming(http: httpx.Client, path: str, last: int | None = None) -> Iterator[Iterator[Frame]]:
    headers = {"Last-Event-ID": str(last)} if last is not None else {}
    with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        yield parse(answer.iter_lines())


def test_what_is_launched_on_one_is_seen_and_changed_on_the_other(servers: list[httpx.Client]) -> None:
    here, there = servers
    study = here.post(STUDIES, json=SPEC).json()["study"]
    assert there.get(f"{STUDIES}/{study}").json()["state"] == "running"
    assert there.post(f"{STUDIES}/{study}:pause").json()["state"] == "paused"
    assert here.get(f"{STUDIES}/{study}").json()["state"] == "paused"
    assert here.post(f"{STUDIES}/{study}:pause").status_code == 409


def test_events_of_one_are_streamed_by_the_other_in_order(servers: list[httpx.Client]) -> None:
    here, there = servers
    study = here.post(STUDIES, json=SPEC).json()["study"]
    with streaming(there, f"{STUDIES}/{study}/events/stream") as frames:
        assert next(frames).kind == "snapshot"
        for number, verb in enumerate(("pause", "resume", "pause")):
            assert servers[number % 2].post(f"{STUDIES}/{study}:{verb}").status_code == 200
        seen = [next(frames) for _ in range(3)]
    assert [frame.data["data"]["state"] for frame in seen] == ["paused", "running", "paused"]
    sequences = [frame.sequence for frame in seen]
    assert sequences == sorted(set(sequences), key=int)  # type: ignore[arg-type]


def test_a_key_used_on_one_is_answered_alike_by_the_other(servers: list[httpx.Client]) -> None:
    here, there = servers
    key = {"Idempotency-Key": "once"}
    first = here.post(STUDIES, json=SPEC, headers=key)
    again = there.post(STUDIES, json=SPEC, headers=key)
    assert (again.status_code, again.text) == (first.status_code, first.text)
    assert there.post(STUDIES, json={**SPEC, "name": "other"}, headers=key).status_code == 422
    assert len(there.get(STUDIES).json()["items"]) == 1


def test_a_lease_of_one_is_kept_and_ended_on_the_other(
    servers: list[httpx.Client], ledgers: list[HttpLedger], make_proposal: MakeProposal
) -> None:
    here, there = ledgers
    study = servers[0].post(STUDIES, json=SPEC).json()["study"]
    worker = join(here)
    lease = there.reserve(study, worker, [make_proposal(1)]).leases[0]
    assert here.heartbeat(lease) == "continue"
    sha256 = here.put_artifact(b"weights")
    there.complete(lease, outcome(1, artifacts={"weights": sha256}))
    # The answer was lost, and the other server is asked.
    here.complete(lease, outcome(1, artifacts={"weights": sha256}))
    assert servers[0].get(f"{STUDIES}/{study}").json()["trials"]["complete"] == 1
    for server in servers:
        answer = server.get(f"/api/v1/trials/{lease.trial_id}/files/weights")
        assert answer.content == b"weights"
    dataset = servers[1].get("/api/v1/datasets/digits").json()["sha256"]
    assert here.fetch_dataset(dataset) == there.fetch_dataset(dataset)


def test_the_budget_is_exact_over_both(
    servers: list[httpx.Client], ledgers: list[HttpLedger], make_proposal: MakeProposal
) -> None:
    study = servers[0].post(STUDIES, json={**SPEC, "budget": {"trials": 10}}).json()["study"]
    granted: list[Lease] = []

    def work(place: int) -> None:
        worker = join(ledgers[place % 2], f"worker-{place}")
        for seed in range(6):
            ledger = ledgers[(place + seed) % 2]
            for lease in ledger.reserve(study, worker, [make_proposal(100 * place + seed)]).leases:
                granted.append(lease)
                ledgers[(place + seed + 1) % 2].complete(lease, outcome(lease.trial_id))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({lease.trial_id for lease in granted}) == len(granted) == 10
    assert servers[1].get(f"{STUDIES}/{study}").json()["state"] == "finished"


def test_a_revoked_token_is_refused_by_both(
    servers: list[httpx.Client], ledgers: list[HttpLedger], database_url: str
) -> None:
    for ledger in ledgers:
        join(ledger)
    engine = make_engine(database_url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE tokens SET revoked_at = now()"))
    engine.dispose()

    def is_refused(ledger: HttpLedger) -> bool:
        try:
            join(ledger)
        except LedgerRefused:
            return True
        return False

    for ledger in ledgers:
        eventually(lambda ledger=ledger: is_refused(ledger))  # type: ignore[misc]


def test_a_restart_of_postgres_is_503_and_then_all_is_well(
    postgres: Postgres, machines: list[Settings], tmp_path: Path, make_proposal: MakeProposal
) -> None:
    with (
        running(postgres),
        serving(machines[0]) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=60) as http,
    ):
        study = http.post(STUDIES, json=SPEC).json()["study"]
        remote = HttpLedger(address, token_of(machines[0]), tmp_path / "cache")
        engine = make_engine(str(machines[0].database_url), pings=False)
        local = SqlLedger(engine, settings=machines[0])
        workers = {ledger: join(ledger, name) for ledger, name in ((remote, "remote"), (local, "local"))}
        leases = {
            ledger: ledger.reserve(study, worker, [make_proposal(worker)]).leases[0]
            for ledger, worker in workers.items()
        }
        events = f"{STUDIES}/{study}/events/stream"
        with streaming(http, events) as frames:
            seen = next(frames).sequence
        with storming(http, study) as statuses:
            postgres.crash()
            for method, path, body in (
                ("GET", STUDIES, None),
                ("GET", f"{STUDIES}/{study}/front", None),
                ("GET", "/readyz", None),
                ("GET", "/studies/1", None),
                ("POST", STUDIES, SPEC),
                ("POST", f"{STUDIES}/{study}:pause", None),
            ):
                answer = http.request(method, path, json=body, headers={"Idempotency-Key": "while-away"})
                assert answer.status_code == 503, (path, answer.text)
                assert answer.headers["retry-after"]
            assert http.get("/healthz").status_code == 200
            for ledger, lease in leases.items():
                with pytest.raises(LedgerUnavailable):
                    ledger.complete(lease, outcome(lease.trial_id))
            postgres.start()
            eventually(lambda: http.get("/readyz").status_code == 200)
            for ledger, lease in leases.items():
                eventually(lambda ledger=ledger, lease=lease: delivered(ledger, lease))  # type: ignore[misc]
        assert http.post(f"{STUDIES}/{study}:pause").status_code == 200
        with streaming(http, events, seen) as frames:
            assert next(frames).kind == "snapshot"
            kinds = [next(frames).data["kind"] for _ in range(3)]
        assert kinds == ["trial.finished", "trial.finished", "study.state"]
        # Nobody was told anything but "later".
        assert set(statuses) <= {200, 503}
        view = http.get(f"{STUDIES}/{study}").json()
        assert (view["trials"]["complete"], view["trials"]["running"]) == (2, 0)
        assert len(http.get(STUDIES).json()["items"]) == 1
        assert http.post(STUDIES, json=SPEC, headers={"Idempotency-Key": "while-away"}).status_code == 201
        remote.close()
        engine.dispose()


@contextmanager
def running(postgres: Postgres) -> Iterator[None]:
    """Leave PostgreSQL running for the tests behind, also when this one fails."""
    try:
        yield
    finally:
        if not postgres.is_running():
            postgres.start()


def delivered(ledger: HttpLedger | SqlLedger, lease: Lease) -> bool:
    try:
        ledger.complete(lease, outcome(lease.trial_id))
    except LedgerUnavailable:
        return False
    return True


@contextmanager
def storming(http: httpx.Client, study: int) -> Iterator[list[int]]:
    """Ask over and over from threads, and collect how that was answered."""
    statuses: list[int] = []
    enough = threading.Event()

    def ask(path: str) -> None:
        while not enough.wait(0.01):
            statuses.append(http.get(path).status_code)

    paths = (f"{STUDIES}/{study}", "/api/v1/workers", "/api/v1/events", f"/studies/{study}")
    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def test_a_server_that_starts_while_postgres_is_away_says_so(machines: list[Settings]) -> None:
    away = machines[0].model_copy(
        update={"database_url": "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"}
    )
    with pytest.raises(Unavailable, match="does not answer"):
        Service.open(away)
