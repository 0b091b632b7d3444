"""A process dies at every named point; whoever comes next finds everything as it must be (F2, G7)."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from databases import Database, running
from drill import MODULES, Drill, drilling, spec
from machines import eventually
from nursery import Nursery
from races import expire
from sqlalchemy import text
from stub_worker import drawn

from nas_service import crash_points
from nas_service.store.engine import writing
from nas_service.trials import WorkerInfo

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
ROOT = Path(crash_points.__file__).resolve().parents[1]
CRASHED = crash_points.EXIT_CODE
# Reached by a stub worker on the database, and by a server that a stub worker speaks to.
IN_WORKER = (
    "content.written", "content.synced", "content.renamed", "store.before_commit:3", "store.after_commit:3",
    "ledger.register.before_commit", "ledger.join_study.before_commit", "ledger.claim.before_commit",
    "ledger.reserve.counted", "ledger.reserve.before_commit", "ledger.heartbeat.before_commit",
    "ledger.report.before_commit:2", "ledger.report.arrived", "ledger.put_artifact.recorded",
    "ledger.complete.event_written", "ledger.complete.row_written", "ledger.complete.before_commit:2",
    "ledger.complete.after_commit", "ledger.end_study.written", "spool.written",
    "spool.synced", "spool.renamed", "spool.before_remove",
)  # fmt: skip
IN_SERVER = (
    "api.acquire.before_reply", "api.reserve.before_reply", "api.report.before_reply:2",
    "api.artifact.before_reply", "api.complete.before_call", "api.complete.before_reply",
)  # fmt: skip
AT_THE_END = ("ledger.release.before_commit", "ledger.leave.before_commit")
# The loop of the real worker, with torch.
IN_REAL_WORKER = (
    "worker.joined", "worker.trial_held", "worker.epoch_reported", "worker.evaluated",
    "worker.artifacts_stored", "worker.delivered",
)  # fmt: skip
# The same loop with a job.
IN_JOB = ("worker.job_held", "ledger.job.before_commit")
BY_ERRAND = (
    "store.migrate.before_commit", "store.study.created", "store.trial.enqueued",
    "ledger.give_up.before_commit", "ledger.fail_lost.before_commit",
)  # fmt: skip
BY_REQUEST = ("api.idempotency.claimed", "api.idempotency.acted")
# Where transactions end, the database matters.
ON_POSTGRES = (
    "store.before_commit:3", "store.after_commit:3", "ledger.claim.before_commit",
    "ledger.reserve.single_written", "ledger.report.stored_at_once:2", "ledger.report.arrived",
    "ledger.complete.event_written",
    "ledger.complete.row_written", "ledger.complete.after_commit", "ledger.end_study.written",
)  # fmt: skip
ALL = IN_WORKER + IN_SERVER + AT_THE_END + IN_REAL_WORKER + IN_JOB + BY_ERRAND + BY_REQUEST + ON_POSTGRES


def named_points() -> list[str]:
    """Return the argument of every call of `crash_point` in the packages."""
    names = []
    for path in (*ROOT.glob("nas_service/**/*.py"), *ROOT.glob("workers/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "crash_point":
                assert isinstance(node.args[0], ast.Constant), f"a computed name in {path}"
                names.append(str(node.args[0].value))
    return names


def test_every_named_point_is_drilled() -> None:
    names = named_points()
    assert len(names) >= 25
    assert sorted(names) == sorted({name.partition(":")[0] for name in ALL})


def test_a_point_ends_the_process_at_the_passing_that_was_asked_for(drill: Drill) -> None:
    assert drill.run("errands:pass_by", "here", "5", crash="here:6").wait() == 0
    assert drill.run("errands:pass_by", "here", "5", crash="here:5").wait() == CRASHED
    assert drill.run("errands:pass_by", "here", "5", crash="elsewhere").wait() == 0


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


def study_with_a_waiting_trial(drill: Drill) -> int:
    study = drill.launch()
    drill.service.enqueue(study, drawn(spec(), (1, 8, 8), 10, 77).architecture)
    return study


def crash_in_worker(drill: Drill, point: str, name: str) -> None:
    study = study_with_a_waiting_trial(drill)
    # Epochs long enough for a heartbeat in between.
    assert drill.worker(name, study, "--epoch-ms", "120", crash=point).wait() == CRASHED
    assert drill.worker(name, study).wait() == 0
    assert drill.is_finished(study)
    assert drill.violations(study) == []


@pytest.mark.parametrize("point", IN_WORKER)
def test_a_worker_dies_and_comes_again(drill: Drill, point: str) -> None:
    crash_in_worker(drill, point, "worker")


@pytest.mark.postgres
@pytest.mark.parametrize("point", ON_POSTGRES)
def test_a_worker_on_postgresql_dies_and_comes_again(on_postgres: Drill, point: str) -> None:
    crash_in_worker(on_postgres, point, f"worker-{point.replace(':', '-')}")


@pytest.mark.parametrize("point", IN_SERVER)
def test_a_server_dies_before_it_answers_and_the_worker_asks_again(drill: Drill, point: str) -> None:
    server = drill.server(crash=point)
    study = study_with_a_waiting_trial(drill)
    worker = drill.worker("remote", study, "--server", drill.address, NAS_TOKEN=drill.token)
    assert server.wait() == CRASHED
    drill.server()
    assert worker.wait() == 0
    assert drill.is_finished(study)
    assert drill.violations(study) == []


@pytest.mark.parametrize("point", AT_THE_END)
def test_a_worker_dies_while_it_says_goodbye(drill: Drill, point: str) -> None:
    study = study_with_a_waiting_trial(drill)
    worker = drill.worker("worker", study, "--epoch-ms", "5000", crash=point)
    eventually(lambda: drill.service.study(study).trials.running)
    worker.send(15)
    assert worker.wait() == CRASHED
    assert drill.worker("heir", study).wait() == 0
    assert drill.is_finished(study)
    assert drill.violations(study) == []


@pytest.mark.parametrize("point", BY_ERRAND)
def test_a_single_call_dies_and_is_made_again(drill: Drill, point: str) -> None:
    errand, arguments, is_done = ERRANDS[point](drill)
    assert drill.run(errand, *arguments, crash=point).wait() == CRASHED
    assert not is_done()
    assert drill.run(errand, *arguments).wait() == 0
    assert is_done()


Errand = tuple[str, list[object], Callable[[], bool]]


def _migrate(drill: Drill) -> Errand:
    path = drill.home / "nas.db"
    drill.service.close()
    for file in drill.home.glob("nas.db*"):
        file.unlink()

    def is_migrated() -> bool:
        import sqlite3

        with sqlite3.connect(path) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        connection.close()
        return "trials" in names

    return "errands:open_database", ["-"], is_migrated


def _create(drill: Drill) -> Errand:
    return "errands:create_study", [spec().model_dump_json()], lambda: bool(drill.service.studies().items)


def _enqueue(drill: Drill) -> Errand:
    study = drill.launch()
    return "errands:enqueue", [study, 5], lambda: drill.service.study(study).trials.waiting == 1


def _give_up(drill: Drill) -> Errand:
    study = drill.launch()
    return "errands:give_up", [study], lambda: drill.service.study(study).state == "failed"


def _fail_lost(drill: Drill) -> Errand:
    study = drill.launch(trials=1)
    worker = drill.ledger.register(WorkerInfo(name="unlucky", host="here", pid=1)).worker_id
    lease = drill.ledger.reserve(study, worker, [drawn(spec(), (1, 8, 8), 10, 1)]).leases[0]
    for _ in range(2):
        expire(drill.service, lease.trial_id)
        assert drill.ledger.next_work(worker, study_id=study).lease is not None
    expire(drill.service, lease.trial_id)
    return "errands:ask_for_work", [worker, study], lambda: drill.service.study(study).trials.failed == 1


ERRANDS: dict[str, Callable[[Drill], Errand]] = {
    "store.migrate.before_commit": _migrate,
    "store.study.created": _create,
    "store.trial.enqueued": _enqueue,
    "ledger.give_up.before_commit": _give_up,
    "ledger.fail_lost.before_commit": _fail_lost,
}


@pytest.mark.parametrize("point", BY_REQUEST)
def test_a_server_dies_under_an_idempotency_key_and_the_key_works_again(drill: Drill, point: str) -> None:
    server = drill.server(crash=point)
    body = spec().model_dump(mode="json")
    headers = {"Idempotency-Key": "once", "Authorization": f"Bearer {drill.token}"}

    def post() -> httpx.Response:
        address = f"{drill.address}/api/v1/studies"
        return httpx.post(address, json=body, headers=headers, trust_env=False, timeout=60)

    with pytest.raises(httpx.TransportError):
        post()
    assert server.wait() == CRASHED
    drill.server()
    # For a minute the first request might still be under way.
    assert post().status_code == 409
    with writing(drill.service.engine) as connection:
        connection.execute(text("UPDATE requests SET created_at = '2020-01-01 00:00:00.000000'"))
    answers = [post(), post()]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["study"] == answers[1].json()["study"]
