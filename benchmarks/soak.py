"""A storm for as long as one likes, and its figures as a file: `make soak`.

    python -m benchmarks.soak sqlite --minutes 30

It may be ended earlier by Ctrl-C or SIGTERM: the faults stop, everything finishes, the checker looks, and the
file is written.
"""

import argparse
import json
import signal
import sqlite3
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import sqlalchemy

from benchmarks.report import conditions, write
from nas_service.store.engine import make_engine, reading

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "chaos"))

from databases import running
from nursery import Nursery
from storm import LEASE_S, MODULES, Result, Storm


def main(arguments: list[str] | None = None) -> int:
    """Soak one database and return 1 if anything was violated."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database", choices=("sqlite", "postgresql"))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).strftime("%Y%m%d")))
    parser.add_argument("--faults-a-second", type=float, default=6.0)
    parser.add_argument("--name", help="of the file in benchmarks/results; soak_DATABASE otherwise")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="nas-soak-") as name,
        running(options.database) as database,
        Nursery(*MODULES) as nursery,
    ):
        storm = Storm(
            database, Path(name), options.seed, trials_a_study=200, faults_a_second=options.faults_a_second
        )
        _end_on_signals(storm.stop)
        threading.Thread(target=_tell, args=(storm,), daemon=True).start()
        result = storm.run(60 * options.minutes, nursery)
        version = _version(database.url)
    record = _record(result, options.database, version)
    write(options.name or f"soak_{options.database}", record)
    print(json.dumps(record, indent=1))  # noqa: T201
    if result.violations:
        print("\n".join(result.history[-200:]), file=sys.stderr)  # noqa: T201
    return int(bool(result.violations))


def _end_on_signals(stop: threading.Event) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _tell(storm: Storm) -> None:
    while not storm.stop.wait(30):
        print(f"{sum(storm.faults.values())} faults: {dict(storm.faults)}", file=sys.stderr, flush=True)  # noqa: T201


def _version(url: str | None) -> str:
    if url is None:
        return sqlite3.sqlite_version
    engine = make_engine(url)
    with reading(engine) as connection:
        version = str(connection.execute(sqlalchemy.text("SHOW server_version")).scalar_one())
    engine.dispose()
    return version


def _record(result: Result, database: str, version: str) -> dict[str, object]:
    return {
        **conditions("sqlalchemy", "psycopg", "fastapi", "uvicorn"),
        "database": f"{database} {version}",
        "seed": result.seed,
        "seconds": result.seconds,
        "workers": 4,
        "lease_s": LEASE_S,
        "faults": sum(result.faults.values()),
        "faults_by_kind": dict(sorted(result.faults.items())),
        "studies": result.studies,
        "trials": result.trials,
        "attempts": result.attempts,
        "stale_reports_refused": result.stale_refused,
        "events_followed": result.events_seen,
        "violations": len(result.violations),
        "violated": result.violations[:50],
    }


if __name__ == "__main__":
    sys.exit(main())
