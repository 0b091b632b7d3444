"""One fault at a time, in a fixed order: what each must and must not do (F3, F5, F7, F8, F10, F11, F13)."""

import contextlib
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databases import Database, Postgres, running
from drill import MODULES, Drill, drilling, spec
from machines import eventually
from nursery import Nursery
from races import expire, race
from sqlalchemy.exc import DBAPIError
from stub_worker import drawn

from nas_service.connection import Connection
from nas_service.errors import ServiceError, Unavailable
from nas_service.event_stream import frames
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import LeaseLost, LedgerError, LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.store.engine import make_engine, writing
from nas_service.trials import EpochReport, Lease, Outcome, WorkerInfo

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
RACES = 30


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(*MODULES) as nursery:
        yield nursery


@pytest.fixture
def drill(nursery: Nursery, tmp_path: Path, new_database: Path) -> Iterator[Drill]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "nas.db").write_bytes(new_database.read_bytes())
    with drilling(nursery, tmp_path / "home", Database()) as drill:
        yield drill


@pytest.fixture(scope="module")
def on_postgres(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp("postgres")
    with running("postgresql") as database, drilling(nursery, folder / "home", database) as drill:
        yield drill


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest) -> Drill:
    """Each database in turn."""
    found: Drill = request.getfixturevalue("drill" if request.param == "sqlite" else "on_postgres")
    return found


def begin(drill: Drill, study: int, seed: int, name: str = "one") -> Lease:
    """Return the lease of the first network from a seed on that keeps the limits and is new."""
    worker = drill.ledger.register(WorkerInfo(name=name, host="here", pid=1)).worker_id
    while not (leases := drill.ledger.reserve(study, worker, [drawn(spec(), (1, 8, 8), 10, seed)]).leases):
        seed += 1
    return leases[0]


def outcome(name: str) -> Outcome:
    return Outcome(report_id=f"report-{name}", state="complete", metrics={"accuracy": 0.5})


# F8: zombies


def test_of_two_workers_that_hold_one_trial_one_result_counts(either: Drill) -> None:
    study = either.launch(trials=RACES)
    engines = [make_engine(either.settings.resolved_database_url) for _ in range(2)]
    sleeper, heir = (SqlLedger(engine, settings=either.settings) for engine in engines)
    rng, winners = random.Random(1), []
    for seed in itertools.count():
        if len(winners) == RACES:
            break
        ended = race(either.service, sleeper, heir, study, drawn(spec(), (1, 8, 8), 10, seed), rng)
        winners += [ended.winner] if ended else []
    for engine in engines:
        engine.dispose()
    assert set(winners) == {"sleeper", "heir"}
    assert either.is_finished(study)
    assert either.violations(study) == []


def test_a_worker_that_is_stopped_beyond_its_lease_wakes_up_to_nothing(either: Drill) -> None:
    study = either.launch(trials=1)
    sleeper = either.worker("sleeper", study, "--epoch-ms", "300")
    trial = eventually(lambda: either.service.trials(study, state="running").items)
    sleeper.send(signal.SIGSTOP)
    heir = either.worker("heir", study)
    # It may have been stopped with the database's lock in its hand: then the heir waits for that.
    eventually(lambda: either.service.trial(trial[0].id).attempt == 2)  # type: ignore[index]
    sleeper.send(signal.SIGCONT)
    assert (sleeper.wait(), heir.wait()) == (0, 0)
    assert either.service.trial(trial[0].id).worker == "heir"  # type: ignore[index]
    assert either.violations(study) == []


@pytest.mark.postgres
def test_a_worker_that_is_stopped_inside_a_transaction_holds_the_study_up_for_a_while_only(
    on_postgres: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_service.store.engine.IDLE_IN_TRANSACTION_S", 1)
    study = on_postgres.launch(trials=1)
    stopped = make_engine(str(on_postgres.database.url))
    lease = begin(on_postgres, study, 1)
    held = stopped.connect()
    held.exec_driver_sql("UPDATE studies SET revision = revision + 1")
    # It says no more; somebody else waits for the lock, and gets it.
    on_postgres.ledger.complete(lease, outcome(f"stopped-{study}"))
    with pytest.raises(DBAPIError) as broken:
        held.exec_driver_sql("UPDATE studies SET revision = revision + 1")
    assert broken.value.connection_invalidated
    held.close()
    stopped.dispose()
    assert on_postgres.is_finished(study)
    assert on_postgres.violations(study) == []


# F7: duplicates in any order


@pytest.mark.parametrize("seed", range(3))
def test_reports_sent_again_and_shuffled_count_once(either: Drill, seed: int) -> None:
    study = either.launch(trials=1)
    lease = begin(either, study, seed)
    report = outcome(f"{study}-{seed}")
    calls: list[Callable[[], object]] = [
        *[lambda: either.ledger.complete(lease, report)] * 5,
        *[lambda: either.ledger.heartbeat(lease)] * 3,
        *[
            lambda epoch=epoch: either.ledger.report(lease, EpochReport(epoch=epoch, accuracy=0.1))
            for epoch in (2, 1, 2)
        ],
    ]
    random.Random(seed).shuffle(calls)
    with ThreadPoolExecutor(len(calls)) as pool:
        answers = list(pool.map(lambda call: call(), calls))
    assert len(answers) == len(calls)
    either.ledger.complete(lease, report)
    with pytest.raises(LeaseLost):
        either.ledger.complete(lease, outcome(f"{study}-other"))
    assert either.service.study(study).trials.complete == 1
    assert either.violations(study) == []


# F3: the database dies


@pytest.mark.postgres
def test_a_database_that_is_killed_loses_nothing_and_workers_go_on(on_postgres: Drill) -> None:
    assert isinstance(on_postgres.database, Postgres)
    on_postgres.server()
    study = on_postgres.launch(trials=30)
    token = on_postgres.token
    workers = [
        on_postgres.worker("near", study, "--epoch-ms", "20"),
        on_postgres.worker(
            "far", study, "--epoch-ms", "20", "--server", on_postgres.address, NAS_TOKEN=token
        ),
    ]

    def has_trained(count: int) -> bool:
        # Connections that were open before the restart are broken, this process's too.
        with contextlib.suppress(Unavailable):
            return on_postgres.service.study(study).trials.trained >= count
        return False

    for done in (3, 12):
        eventually(lambda done=done: has_trained(done))
        on_postgres.database.restart()
    assert [worker.wait() for worker in workers] == [0, 0]
    eventually(on_postgres.is_ready)
    assert on_postgres.is_finished(study)
    assert on_postgres.violations(study) == []


# F13: SQLite is locked


def test_a_database_that_another_process_locks_is_waited_for(drill: Drill) -> None:
    study = drill.launch(trials=2)
    lease = begin(drill, study, 1)
    other = sqlite3.connect(drill.home / "nas.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    # A reader is not held up by who writes.
    assert drill.service.study(study).trials.running == 1
    threading.Timer(1.0, lambda: other.execute("ROLLBACK")).start()
    drill.ledger.complete(lease, outcome("locked"))
    other.close()
    assert drill.service.study(study).trials.complete == 1


def test_a_database_that_stays_locked_is_told_as_away(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas_service.store.engine.BUSY_TIMEOUT_S", 0.2)
    impatient = SqlLedger(make_engine(drill.settings.resolved_database_url), settings=drill.settings)
    study = drill.launch(trials=1)
    lease = begin(drill, study, 1)
    other = sqlite3.connect(drill.home / "nas.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked"):
        impatient.complete(lease, outcome("locked"))
    other.execute("ROLLBACK")
    other.close()
    impatient.complete(lease, outcome("locked"))
    impatient._engine.dispose()
    assert drill.is_finished(study)


# F5: the disk is full


@pytest.fixture
def small_disk(drill: Drill) -> Iterator[Path]:
    """Yield the folder of artifacts, on a disk of two megabytes."""
    folder = drill.settings.artifacts_folder
    folder.mkdir(parents=True)
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(drill: Drill, small_disk: Path) -> None:
    stored: list[str] = []

    def fill() -> None:
        for number in range(100):
            stored.append(drill.ledger.put_artifact(bytes([number]) * 100_000))

    with pytest.raises((LedgerError, ServiceError)):
        fill()
    assert len(stored) > 10
    assert [path.name for path in small_disk.iterdir() if path.name.startswith(".part")] == []
    study = drill.launch(trials=1)
    drill.ledger.complete(begin(drill, study, 1), outcome("full"))
    assert drill.violations(study) == []
    # There is room again: what could not be stored is stored.
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    drill.ledger.put_artifact(b"\xff" * 100_000)
    assert drill.violations(study) == []


# F11: files that changed behind our back


def test_the_checker_sees_every_flipped_byte_of_an_artifact(drill: Drill) -> None:
    study = drill.launch(trials=1)
    lease = begin(drill, study, 1)
    artifacts = {name: drill.ledger.put_artifact(name.encode() * 64) for name in ("weights", "history")}
    drill.ledger.complete(lease, outcome("kept").model_copy(update={"artifacts": artifacts}))
    paths = [path for path in drill.settings.artifacts_folder.iterdir() if not path.name.startswith(".")]
    assert len(paths) == len(artifacts)
    assert drill.violations(study) == []
    for path in paths:
        whole = path.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 8)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert len(drill.violations(study)) == 1
        path.write_bytes(whole)


def test_a_worker_refuses_a_data_set_that_was_changed_on_the_way(drill: Drill, tmp_path: Path) -> None:
    drill.server()
    dataset = drill.service.dataset("digits")
    path = drill.settings.datasets_folder / f"{dataset.sha256}.safetensors"
    ledger = HttpLedger(drill.address, drill.token, tmp_path / "cache")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(LedgerError):
        ledger.fetch_dataset(dataset.sha256)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    path.write_bytes(whole)
    assert ledger.fetch_dataset(dataset.sha256).read_bytes() == whole
    ledger.close()


# I12: who reads the events


def test_a_reader_of_events_outlasts_a_server_that_dies(drill: Drill) -> None:
    server = drill.server()
    study = drill.launch(trials=6)
    seen: list[int] = []
    connection = Connection(drill.address, drill.token)
    stream = frames(connection, "/events/stream")
    first = next(stream)
    assert first.kind == "snapshot"
    assert first.sequence is not None
    workers = [drill.worker("worker", study, "--epoch-ms", "50")]
    eventually(lambda: drill.service.study(study).trials.trained >= 2)
    server.kill()
    assert [worker.wait() for worker in workers] == [0]
    drill.server()
    last = drill.service.latest_event()
    for frame in stream:
        seen += [frame.sequence] if frame.kind == "message" and frame.sequence is not None else []
        if seen and seen[-1] >= last:
            break
    stream.close()
    connection.close()
    there = [event.sequence for event in drill.service.events(after=first.sequence)]
    assert seen == there


# F10: candidates that misbehave


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_does_not_reach_the_front(drill: Drill, figure: float) -> None:
    study = drill.launch(trials=2)
    good, bad = begin(drill, study, 1), begin(drill, study, 2, "two")
    drill.ledger.complete(good, outcome("good"))
    with contextlib.suppress(LedgerError, ValueError):
        drill.ledger.complete(
            bad, Outcome(report_id="report-bad", state="complete", metrics={"accuracy": figure})
        )
    front = {member.trial for member in drill.service.front(study).front}
    assert front == {good.trial_id}
    assert drill.service.study(study).trials.complete >= 1


def test_a_worker_that_floods_its_output_and_hangs_loses_its_trial_to_the_next(drill: Drill) -> None:
    study = drill.launch(trials=1)
    # It beats no heart: nothing but the lease tells that it hangs.
    hanging = drill.run("errands:flood_and_hang", study, 100)
    eventually(lambda: drill.service.study(study).trials.running)
    assert drill.worker("heir", study).wait() == 0
    assert hanging.code is None
    assert drill.is_finished(study)
    assert drill.violations(study) == []


def test_an_expired_lease_is_renewed_while_nobody_wants_the_trial(either: Drill) -> None:
    study = either.launch(trials=1)
    lease = begin(either, study, 1)
    expire(either.service, lease.trial_id)
    assert either.ledger.heartbeat(lease) == "continue"
    either.ledger.complete(lease, outcome(f"renewed-{study}"))
    assert either.service.trial(lease.trial_id).attempt == 1


@pytest.mark.postgres
def test_events_of_a_slow_transaction_are_not_passed_over(on_postgres: Drill) -> None:
    from nas_service.store import events

    service = on_postgres.service
    before = service.latest_event()
    with writing(service.engine) as slow:
        events.append(slow, None, ("worker.joined", {"worker": "slow"}))
        with writing(service.engine) as fast:
            events.append(fast, None, ("worker.joined", {"worker": "fast"}))
        # The later number is there already; whoever took it now would never see the earlier one.
        assert service.events(after=before) == []
    seen = [event.data["worker"] for event in service.events(after=before)]
    assert seen == ["slow", "fast"]
