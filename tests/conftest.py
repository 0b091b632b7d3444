"""Fixtures that several packages' tests share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from nas_service.constraints import violations
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, Objective, StudySpec, Training
from nas_service.trials import EpochReport, Lease, Outcome, Proposal, Trial, WorkerInfo
from search_spaces import RandomTrial, analyse, resolve_space

# No test is timed: on a busy machine an example of a millisecond takes a quarter of a second now and then.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
# Files of many tests that take a minute or more.
LONG = frozenset({"test_http_ledger.py", "test_sql_ledger.py", "test_architecture_rows.py"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: the last one would keep one process busy and all others idle.

    Those with a browser stay behind what calls `asyncio.run`: its driver keeps an event loop running.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow and item.path.name not in LONG)


@pytest.fixture(autouse=True)
def any_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers that a test starts measure on a machine that is busy with other tests."""
    monkeypatch.setenv("NAS_TIMING_NOISE_LIMIT", "1000")


@pytest.fixture(autouse=True)
def no_config_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the configuration of whoever runs the tests."""
    monkeypatch.setenv("NAS_CONFIG", "/dev/null")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=None)


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite file with the newest schema and nothing else: migrating costs more than most tests."""
    settings = Settings(home=tmp_path_factory.mktemp("database"), database_url=None)
    Service.open(settings).close()
    return settings.data_home / "nas.db"


@pytest.fixture
def service(settings: Settings, new_database: Path) -> Iterator[Service]:
    settings.data_home.mkdir(parents=True, exist_ok=True)
    shutil.copy(new_database, settings.data_home / "nas.db")
    opened = Service.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def ledger(service: Service) -> SqlLedger:
    return SqlLedger(service.engine, settings=service.settings)


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Return the path of a file of real data, or skip where it is missing."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"the real data {name} is not on this machine")
        return path

    return find


@pytest.fixture
def make_proposal() -> Callable[..., Proposal]:
    """Return a factory of proposals of real, distinct architectures for digits."""
    space = resolve_space("multi_scale")

    def make(seed: int, constraints: dict[str, Constraint] | None = None) -> Proposal:
        architecture = space.sample(RandomTrial(seed), (1, 8, 8), 10)
        costs = {name: float(value) for name, value in analyse(architecture).metrics().items()}
        return Proposal(
            params={"seed": seed},
            distributions={},
            architecture=architecture.to_dict(),
            architecture_hash=architecture.hash,
            costs=costs,
            violations=violations(costs, constraints or {}),
        )

    return make


@pytest.fixture
def finished_study(service: Service, ledger: SqlLedger, make_proposal: Callable[..., Proposal]) -> int:
    """Return a study in which everything that must never be called best looks better than what may."""
    limits = {"params": Constraint(max=30_000)}
    spec = StudySpec(
        name="finished <img src=x onerror=alert(1)>",
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="latency_ms")),
        constraints={**limits, "latency_ms": Constraint(max=2.0)},
        training=Training(epochs=3),
        budget=Budget(trials=12),
    )
    study = service.create_study(spec).study
    worker = ledger.register(WorkerInfo(name="filler", host="here", pid=1)).worker_id
    seed, ended = 0, 0
    while ended < 12:
        seed += 1
        proposal = make_proposal(seed, limits)
        if not proposal.is_feasible:
            # Analytic rejects that claim to be perfect.
            proposal = proposal.model_copy(update={"costs": {**proposal.costs, "accuracy": 1.0}})
        reservation = ledger.reserve(study, worker, [proposal])
        for trial, lease in zip(reservation.trials, reservation.leases, strict=False):
            ended += _end(ledger, trial, lease, ended)
    ledger.leave(worker)
    return study


def _end(ledger: SqlLedger, trial: Trial, lease: Lease, place: int) -> int:
    """End a trial by its place: of each six, four are complete, one pruned, one failed."""
    figures = {
        "accuracy": 0.90 + 0.005 * place,
        "latency_ms": 0.1 + 0.1 * place,
        "error": 0.10 - 0.005 * place,
    }
    ledger.report(lease, EpochReport(epoch=1, train_loss=1.0, validation_loss=0.9, accuracy=0.5))
    report_id = f"report-{trial.id:08d}"
    if place % 6 == 4:
        perfect = {"accuracy": 0.999, "latency_ms": 0.01, "error": 0.001}
        ledger.complete(
            lease, Outcome(report_id=report_id, state="pruned", reason="stopped", metrics=perfect)
        )
        return 1
    if place % 6 == 5:
        perfect = {"accuracy": 0.9999, "latency_ms": 0.001, "error": 0.0001}
        ledger.complete(
            lease,
            Outcome(report_id=report_id, state="failed", reason="diverged", error="boom", metrics=perfect),
        )
        return 1
    if trial.number % 5 == 3:
        slow = {"accuracy": 1.0, "latency_ms": 9.0}
        ledger.complete(
            lease,
            Outcome(
                report_id=report_id,
                state="infeasible",
                reason="breaks the limit on latency_ms",
                metrics=slow,
                violations={"latency_ms": 3.5},
            ),
        )
        return 0
    ledger.complete(
        lease,
        Outcome(
            report_id=report_id,
            state="complete",
            metrics=figures,
            violations={"latency_ms": figures["latency_ms"] / 2 - 1},
            timings={"training_s": 1.0, "latency_s": 0.1, "trained_examples": 1000.0},
            latency={"median_ms": figures["latency_ms"], "p90_ms": figures["latency_ms"] * 1.1},
        ),
    )
    return 1
