"""Reads of a study of 100,000 trials while 200 clients follow its events and workers finish trials.

The server runs in a process of its own with the settings of `nas up`; the load comes from this one, from bare
sockets. Three passes: what the first reads after a start cost; every read route at random times over a few
connections, while the clients follow, hang up and come back with Last-Event-ID and a third process finishes
trials; the study page in a headless Chromium. Afterwards each client's sequence numbers are compared with the
event list in the database: none may be missing, none twice.

    python -m benchmarks.server [--quick] [--trials N] [--database sqlite|postgresql] [--no-page]
"""

import argparse
import asyncio
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.databases import KINDS, database
from benchmarks.filling import fill
from benchmarks.http_load import Connection, Reader, Timings, load
from benchmarks.page import measure_page
from benchmarks.report import conditions, print_table, write
from benchmarks.served import Served, served
from nas_service.constraints import violations
from nas_service.ledger.rungs import goes_on
from nas_service.ledger.sql import SqlLedger
from nas_service.paging import encode_token
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.studies import Budget, Constraint, Objective, Search, StudySpec, Training
from nas_service.trials import EpochReport, Outcome, Proposal, WorkerInfo
from search_spaces import RandomTrial, analyse, resolve_space

SPEC = StudySpec(
    name="a large study",
    dataset="digits",
    objectives=(Objective(metric="accuracy"), Objective(metric="latency_ms"), Objective(metric="params")),
    constraints={"params": Constraint(max=500_000), "latency_ms": Constraint(max=20.0)},
    search=Search(sampler="random"),
    training=Training(epochs=9, early_stopping="none"),
    budget=Budget(trials=1_000_000),
)
# Reads that show all members of a front over many; the others are held to half of that.
FRONTS = ("front", "front, two metrics", "result")
AIM_MS, FRONT_AIM_MS = 100.0, 200.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    trials: int
    clients: int
    requests_a_route: int
    requests_per_second: float
    connections: int
    trials_per_second: float
    loads: int
    updates: int


FULL = Sizes(100_000, 200, 100, 25.0, 8, 5.0, 7, 10)
QUICK = Sizes(5_000, 50, 20, 25.0, 8, 5.0, 2, 3)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="5,000 trials and 50 clients; writes no result")
    parser.add_argument("--trials", type=int, help="another number of trials; writes no result")
    parser.add_argument("--database", choices=KINDS, help="only this one")
    parser.add_argument("--no-page", action="store_true", help="without the browser")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    if options.trials:
        sizes = Sizes(options.trials, *(getattr(sizes, name) for name in Sizes.__slots__[1:]))
    for kind in [options.database] if options.database else KINDS:
        with tempfile.TemporaryDirectory() as folder:
            result = _measure(kind, Path(folder), sizes, with_page=not options.no_page)
        _report(kind, sizes, result, is_kept=sizes == FULL and not options.no_page)


def _measure(kind: str, folder: Path, sizes: Sizes, *, with_page: bool) -> dict[str, Any]:
    with database(kind, folder) as url:
        settings = Settings(home=folder / "home", database_url=url)
        study, fill_s = prepare(settings, sizes.trials)
        say(f"{kind}: {sizes.trials:,} trials written in {fill_s:.0f} s")
        with served(settings.data_home, url) as server:
            result: dict[str, Any] = {"start_s": round(server.start_s, 2)}
            result["cold_ms"] = asyncio.run(_cold(server, study))
            say(f"first reads after a start of {server.start_s:.1f} s, ms: {result['cold_ms']}")
            with finishing(settings, study) as worker:
                result |= _loaded(server, worker, settings, study, sizes)
                if with_page:
                    result["page"] = measure_page(
                        server.address,
                        server.token,
                        study,
                        worker.finish_one,
                        loads=sizes.loads,
                        updates=sizes.updates,
                    )
                    say(f"page: {result['page']}")
            result["server_peak_mib"] = round(server.peak_mib)
        result["rung_decision_ms"] = _rung_decision(settings, study)
        say(f"a decision at the first rung: {result['rung_decision_ms']} ms")
    return result


def prepare(settings: Settings, trials: int) -> tuple[int, float]:
    service = Service.open(settings)
    study = service.create_study(SPEC).study
    begun = time.perf_counter()
    fill(service.engine, study, trials)
    service.close()
    return study, time.perf_counter() - begun


def _rung_decision(settings: Settings, study: int) -> float:
    """Return how long it takes to rank a candidate among all that reached the first rung, in milliseconds."""
    engine = make_engine(settings.resolved_database_url)
    seconds = []
    with engine.connect() as connection:
        for trial in (1, 2, 3):
            begun = time.perf_counter()
            goes_on(connection, study, SPEC, trial, 1, arrival=0)
            seconds.append(time.perf_counter() - begun)
    engine.dispose()
    return round(1000 * median(seconds), 1)


async def _cold(server: Served, study: int) -> dict[str, float]:
    """Return what the first of each of some reads takes, in milliseconds, in this order."""
    connection = Connection(server.port, server.token)
    paths = {
        "front": f"/api/v1/studies/{study}/front",
        "page of trials": f"/api/v1/studies/{study}/trials?page_size=100",
        "page of trials by accuracy": f"/api/v1/studies/{study}/trials?page_size=100&order_by=accuracy",
        "study page": f"/studies/{study}",
        "plot": f"/figures/studies/{study}/pareto.json",
    }
    found = {}
    for name, path in paths.items():
        begun = time.perf_counter()
        answer = await connection.get(path)
        assert answer.status == 200, (path, answer.body[:200])
        found[name] = round(1000 * (time.perf_counter() - begun), 1)
    connection.close()
    return found


def routes(study: int, trials: int, events: int, chance: random.Random) -> dict[str, Callable[[], str]]:
    """Return a maker of paths for each read route; pages and trials are drawn from all there are."""
    api, one = "/api/v1", f"/api/v1/studies/{study}"

    def number() -> int:
        return chance.randrange(trials)

    def page(order: str, state: str = "") -> str:
        token = encode_token(f"trials-{study}-{state or None}-{order}-", number())
        chosen = f"&state={state}" if state else ""
        return f"{one}/trials?page_size=100&order_by={order}{chosen}&page_token={token}"

    return {
        "healthz": lambda: "/healthz",
        "studies": lambda: f"{api}/studies",
        "study": lambda: one,
        "spaces": lambda: f"{one}/spaces",
        "front": lambda: f"{one}/front",
        "front, two metrics": lambda: f"{one}/front?metrics=accuracy,macs",
        "result": lambda: f"{one}/result",
        "trials by number": lambda: page("number"),
        "trials, newest first": lambda: page("newest"),
        "trials by accuracy": lambda: page("accuracy"),
        "trials, complete, by latency": lambda: page("latency_ms", "complete"),
        "trial": lambda: f"{api}/trials/{1 + number()}",
        "trial by number": lambda: f"{one}/trials/{number()}",
        "curve": lambda: f"{api}/trials/{1 + number()}/curve",
        "events": lambda: f"{api}/events?after={chance.randrange(events)}&limit=100",
        "events of a study": lambda: f"{one}/events?after={chance.randrange(events)}&limit=100",
        "workers": lambda: f"{api}/workers",
        "devices": lambda: f"{api}/devices",
        "datasets": lambda: f"{api}/datasets",
        "page: studies": lambda: "/studies",
        "page: study": lambda: f"/studies/{study}",
        "page: trial": lambda: f"/trials/{1 + number()}",
        "part: status": lambda: f"/fragments/studies/{study}/status",
        "part: front": lambda: f"/fragments/studies/{study}/front",
        "part: trials": lambda: f"/fragments/studies/{study}/trials",
        "plot: front": lambda: f"/figures/studies/{study}/pareto.json",
        "plot: hypervolume": lambda: f"/figures/studies/{study}/hypervolume.json",
    }


def _loaded(server: Served, worker: "Worker", settings: Settings, study: int, sizes: Sizes) -> dict[str, Any]:
    chance = random.Random(1)
    made = routes(study, sizes.trials, sizes.trials, chance)
    due = [(name, make()) for name, make in made.items() for _ in range(sizes.requests_a_route)]
    chance.shuffle(due)
    return asyncio.run(_under_load(server, worker, settings, study, sizes, due))


async def _under_load(
    server: Served,
    worker: "Worker",
    settings: Settings,
    study: int,
    sizes: Sizes,
    due: list[tuple[str, str]],
) -> dict[str, Any]:
    ends, joined = asyncio.Event(), asyncio.Semaphore(0)
    path = f"/api/v1/studies/{study}/events/stream"
    # Half of the clients hang up every ten seconds or so.
    readers = [
        Reader(server.port, server.token, path, 10.0 if seed % 2 else None, seed)
        for seed in range(sizes.clients)
    ]
    following = [asyncio.create_task(reader.follow(ends, joined)) for reader in readers]
    for _ in readers:
        await asyncio.wait_for(joined.acquire(), 60)
    worker.begin(sizes.trials_per_second)
    begun, busy = time.perf_counter(), time.process_time()
    timings = await load(
        server.port,
        server.token,
        due,
        per_second=sizes.requests_per_second,
        connections=sizes.connections,
    )
    seconds, share = time.perf_counter() - begun, time.process_time() - busy
    finished = worker.stop()
    last = _last_event(settings, study)
    await _until_all_there(readers, last)
    ends.set()
    await asyncio.gather(*following)
    say(f"{len(due)} requests in {seconds:.0f} s; the generator was busy for {share / seconds:.0%} of it")
    return {
        "routes": {name: _row(timing) for name, timing in timings.items()},
        "load": {
            "seconds": round(seconds, 1),
            "requests_per_second": round(len(due) / seconds, 1),
            "generator_busy_share": round(share / seconds, 3),
            "trials_finished_per_second": round(finished / seconds, 2),
        },
        "events": _checked(readers, settings, study),
    }


def _row(timing: Timings) -> dict[str, Any]:
    quantiles = {f"p{int(100 * share)}_ms": round(timing.quantile(share), 1) for share in (0.5, 0.95, 0.99)}
    return {"n": len(timing.seconds), **quantiles, "errors": timing.errors, "bytes": timing.bytes}


async def _until_all_there(readers: list[Reader], last: int) -> None:
    until = time.perf_counter() + 30
    while time.perf_counter() < until and any((reader.position or 0) < last for reader in readers):
        await asyncio.sleep(0.1)


def _last_event(settings: Settings, study: int) -> int:
    return _events(settings, study, 0)[-1]


def _events(settings: Settings, study: int, after: int) -> list[int]:
    """Return all sequence numbers of a study's events behind one, from the database."""
    from sqlalchemy import select

    from nas_service.store.models import EventRow, table

    event = table(EventRow)
    engine = make_engine(settings.resolved_database_url)
    with engine.connect() as connection:
        wanted = select(event.c.sequence).where(event.c.study_id == study, event.c.sequence > after)
        found = list(connection.execute(wanted.order_by(event.c.sequence)).scalars())
    engine.dispose()
    return found


def _checked(readers: list[Reader], settings: Settings, study: int) -> dict[str, Any]:
    """Compare what every client saw with the list."""
    listed = _events(settings, study, 0)
    missed = repeated = 0
    for reader in readers:
        first = reader.sequences[0] if reader.sequences else listed[-1]
        expected = [sequence for sequence in listed if sequence >= first]
        missed += len(set(expected) - set(reader.sequences))
        repeated += len(reader.sequences) - len(set(reader.sequences))
        repeated += reader.sequences != sorted(reader.sequences)
    delays = Timings([delay for reader in readers for delay in reader.delays])
    return {
        "clients": len(readers),
        "received": sum(len(reader.sequences) for reader in readers),
        "reconnects": sum(reader.reconnects for reader in readers),
        "missed": missed,
        "repeated_or_out_of_order": repeated,
        "delay_p50_ms": round(delays.quantile(0.5), 1),
        "delay_p99_ms": round(delays.quantile(0.99), 1),
    }


class Worker:
    """Finishes trials of a study from a process of its own, at a rate or one on request."""

    def __init__(self, settings: Settings, study: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_finish, args=(settings, study, other), daemon=True)
        self._process.start()

    def __enter__(self) -> "Worker":
        self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(("end", 0.0))
        self._process.join(20)

    def begin(self, per_second: float) -> None:
        """Go on finishing trials."""
        self._pipe.send(("begin", per_second))

    def stop(self) -> int:
        """Stop, and return how many were finished since `begin`."""
        self._pipe.send(("stop", 0.0))
        return int(self._pipe.recv())

    def finish_one(self) -> None:
        """Finish one trial; it is in the database when this returns."""
        self._pipe.send(("one", 0.0))
        self._pipe.recv()


finishing = Worker


def _finish(settings: Settings, study: int, pipe: Pipe) -> None:
    ledger = SqlLedger(make_engine(settings.resolved_database_url), settings=settings)
    worker = ledger.register(WorkerInfo(name="finisher", host="bench", pid=1)).worker_id
    space, chance, seed = resolve_space("multi_scale"), random.Random(0), 10**6
    per_second, finished, next_at = 0.0, 0, 0.0
    pipe.send(worker)

    def one() -> None:
        nonlocal seed
        while not _finish_one(ledger, study, worker, space, seed := seed + 1, chance):
            pass

    while True:
        pause = max(0.0, next_at - time.perf_counter()) if per_second else None
        if pipe.poll(pause):
            order, value = pipe.recv()
            if order == "end":
                return
            if order == "one":
                one()
                pipe.send(None)
            if order == "stop":
                pipe.send(finished)
            per_second, finished, next_at = value, 0, time.perf_counter()
        else:
            one()
            finished += 1
            next_at += 1 / per_second


def _finish_one(
    ledger: SqlLedger, study: int, worker: int, space: Any, seed: int, chance: random.Random
) -> bool:
    architecture = space.sample(RandomTrial(seed), (1, 8, 8), 10)
    costs = {name: float(value) for name, value in analyse(architecture).metrics().items()}
    proposal = Proposal(
        params={"seed": seed},
        distributions={},
        architecture=architecture.to_dict(),
        architecture_hash=architecture.hash,
        costs=costs,
        violations=violations(costs, {"params": SPEC.constraints["params"]}),
    )
    leases = ledger.reserve(study, worker, [proposal]).leases
    for lease in leases:
        accuracy, latency_ms = chance.uniform(0.8, 0.99), 0.05 + costs["macs"] / 4e6
        ledger.report(lease, EpochReport(epoch=1, train_loss=1.0, validation_loss=1.1, accuracy=accuracy))
        outcome = Outcome(
            report_id=uuid4().hex,
            state="complete",
            metrics={"accuracy": accuracy, "latency_ms": latency_ms},
            violations={"latency_ms": latency_ms / 20 - 1},
        )
        ledger.complete(lease, outcome)
    return bool(leases)


def _report(kind: str, sizes: Sizes, result: dict[str, Any], *, is_kept: bool) -> None:
    rows = []
    for name, row in result["routes"].items():
        aim = FRONT_AIM_MS if name in FRONTS else AIM_MS
        figures = [f"{row[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms")]
        verdict = "ok" if row["p99_ms"] < aim and not row["errors"] else "over"
        rows.append(
            [name, str(row["n"]), *figures, str(row["errors"]), f"{row['bytes'] / 1024:.1f}", verdict]
        )
    headers = ["route", "n", "p50 ms", "p95 ms", "p99 ms", "errors", "KiB", "aim"]
    print_table(headers, rows)
    say(f"events: {result['events']}; server at most {result['server_peak_mib']} MiB")
    if is_kept:
        packages = (
            "fastapi",
            "uvicorn",
            "pydantic",
            "sqlalchemy",
            "psycopg",
            "numpy",
            "moocore",
            "playwright",
        )
        sized = {name: getattr(sizes, name) for name in Sizes.__slots__}
        content = {"conditions": conditions(*packages), "database": kind, "sizes": sized, **result}
        say(str(write(f"server_{kind}", content)))


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
