"""What must hold after any fault, read from the raw rows and from what clients were told.

Nothing of the service computes anything here: rows come by SQL text over the database's own driver, files
are hashed again, and fronts are found by comparing all pairs. I1 to I12 are those of docs/reliability.md.
"""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
TERMINAL = ("complete", "pruned", "infeasible", "failed")
TRAINED = ("complete", "pruned", "failed")
MAX_LOST = 3


@dataclass
class Rows:
    """All raw rows that the invariants speak of."""

    studies: list[Row]
    trials: list[Row]
    repeats: list[Row]
    forbidden: list[Row]
    epochs: list[Row]
    artifacts: list[Row]
    events: list[Row]
    schema: str
    # What the database itself says of its health.
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._trials: dict[int, list[Row]] = defaultdict(list)
        for row in sorted(self.trials, key=lambda row: row["number"]):
            self._trials[row["study_id"]].append(row)

    def trials_of(self, study: int) -> list[Row]:
        return self._trials[study]


def read_rows(url: str) -> Rows:
    """Read everything from an SQLAlchemy URL of SQLite or PostgreSQL."""
    if url.startswith("sqlite"):
        return _read_sqlite(url.removeprefix("sqlite:///"))
    with psycopg.connect(url.replace("+psycopg", ""), row_factory=dict_row) as connection:
        return _read(lambda query: connection.execute(query).fetchall(), [])  # type: ignore[arg-type]


def _read_sqlite(path: str) -> Rows:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        complaints = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        complaints += [f"orphan in {row[0]}" for row in connection.execute("PRAGMA foreign_key_check")]
        return _read(lambda query: [dict(row) for row in connection.execute(query)], complaints)
    finally:
        connection.close()


def _read(query: Callable[[str], list[Row]], complaints: list[str]) -> Rows:
    names = ("studies", "trials", "repeats", "forbidden", "epochs", "artifacts", "events")
    rows = {name: query(f"SELECT * FROM {name}") for name in names}
    schema = query("SELECT version_num FROM alembic_version")
    for row in rows["trials"]:
        for name in ("metrics", "violations", "artifacts", "versions", "timings"):
            row[name] = _decoded(row[name])
    for row in [*rows["events"], *rows["studies"]]:
        for name in ("data", "spec"):
            if name in row:
                row[name] = _decoded(row[name])
    return Rows(**rows, schema=schema[0]["version_num"], complaints=complaints)


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def check(rows: Rows, told: Iterable[Mapping[str, Any]] = (), artifacts: Path | None = None) -> list[str]:
    """Return what does not hold, a line each; an empty list is what a test wants to see.

    Args:
        rows: From `read_rows`.
        told: Entries of client logs.
        artifacts: The folder of artifacts; files are not looked at without it.
    """
    found = [f"I11 {complaint}" for complaint in rows.complaints]
    for study in rows.studies:
        found += [f"study {study['id']}: {line}" for line in _study(study, rows)]
    found += _events_of_trials(rows)
    found += _told(rows, list(told))
    if artifacts is not None:
        found += _files(rows, artifacts)
    return found


def _study(study: Row, rows: Rows) -> list[str]:
    trials = rows.trials_of(study["id"])
    own = [row for table in (rows.repeats, rows.forbidden) for row in table if row["study_id"] == study["id"]]
    found = []
    numbers = [row["number"] for row in trials]
    if numbers != list(range(study["next_number"])):
        found.append(f"I1 numbers have holes: {numbers} of {study['next_number']}")
    ordinals = sorted(row["ordinal"] for row in [*trials, *own])
    if ordinals != list(range(study["next_ordinal"])):
        found.append(f"I1 ordinals have holes: {ordinals} of {study['next_ordinal']}")
    if any(row["revision"] > study["revision"] for row in [*trials, *own]):
        found.append("I7 a row is newer than its study")
    found += _counters(study, trials, rows)
    found += _budget(study, trials)
    for row in trials:
        found += [f"trial {row['number']}: {line}" for line in _trial(row, study)]
    return found


def _counters(study: Row, trials: list[Row], rows: Rows) -> list[str]:
    states = Counter(row["state"] for row in trials)
    counted: dict[str, int] = {
        **{state: states[state] for state in ("waiting", "running", *TERMINAL)},
        "repeats": sum(row["study_id"] == study["id"] for row in rows.repeats),
        "forbidden": sum(row["study_id"] == study["id"] for row in rows.forbidden),
    }
    return [
        f"I7 {name} is {study[name]} and there are {count}"
        for name, count in counted.items()
        if study[name] != count
    ]


def _budget(study: Row, trials: list[Row]) -> list[str]:
    budget = study["budget_trials"]
    trained = sum(row["state"] in TRAINED for row in trials)
    unfinished = sum(row["state"] not in TERMINAL for row in trials)
    has_ended = study["state"] in ("finished", "cancelled", "failed")
    found = []
    if budget is not None and trained + unfinished > budget:
        found.append(f"I5 {trained} trained and {unfinished} unfinished, above the budget of {budget}")
    if "budget" in study["reason"] and has_ended and trained != budget:
        found.append(f"I5 ended for its budget of {budget} with {trained} trained")
    if budget is not None and study["state"] == "running" and trained == budget and not unfinished:
        found.append("I5 the budget is used up and the study goes on")
    if has_ended and unfinished:
        found.append(f"I1 it has ended and {unfinished} trials have not")
    return found


def _trial(row: Row, study: Row) -> list[str]:
    found = []
    lost = row["attempt"] - row["released"]
    if row["state"] not in ("waiting", "running", *TERMINAL):
        found.append(f"I1 unknown state {row['state']}")
    if row["state"] in TERMINAL and row["lease_expires_at"] is not None:
        found.append("I4 it has ended and is leased")
    if row["state"] in TERMINAL and row["finished_at"] is None:
        found.append("I1 it has ended at no time")
    if not 0 <= row["released"] <= row["attempt"] or lost > MAX_LOST:
        found.append(f"I4 {row['attempt']} attempts, {row['released']} given back")
    if _is_lost(row) and lost != MAX_LOST:
        found.append(f"I4 failed after losing {lost} workers")
    by_service = _is_lost(row) or row["reason"] == "the study was cancelled"
    by_limits = row["state"] == "infeasible" and row["attempt"] == 0
    if row["state"] in TERMINAL and not by_service and not by_limits and row["report_id"] is None:
        found.append("I3 it has ended without a report")
    if (by_service or by_limits) and row["report_id"] is not None:
        found.append("I3 it has a report that did not end it")
    if row["state"] == "running" and study["state"] in ("finished", "cancelled", "failed"):
        found.append("I1 it runs in a study that has ended")
    return found


def _is_lost(row: Row) -> bool:
    return (row["reason"] or "").startswith(f"lost {MAX_LOST} workers")


def _events_of_trials(rows: Rows) -> list[str]:
    """Compare the list of events with the trials: each began once an attempt and ended once."""
    started: dict[int, list[int]] = defaultdict(list)
    finished: dict[int, list[str]] = defaultdict(list)
    for event in sorted(rows.events, key=lambda row: row["sequence"]):
        if event["kind"] == "trial.started":
            started[event["data"]["trial"]].append(event["data"].get("attempt", 1))
        elif event["kind"] == "trial.finished":
            finished[event["data"]["trial"]].append(event["data"]["state"])
    found = []
    for row in rows.trials:
        if started[row["id"]] != list(range(1, row["attempt"] + 1)):
            found.append(f"I4 trial {row['id']} has {row['attempt']} attempts, begun as {started[row['id']]}")
        ended = [] if row["reason"] == "the study was cancelled" else [row["state"]]
        if finished[row["id"]] != (ended if row["state"] in TERMINAL else []):
            found.append(f"I3 trial {row['id']} is {row['state']} and ended as {finished[row['id']]}")
    return found


def _told(rows: Rows, told: list[Mapping[str, Any]]) -> list[str]:
    """Compare the rows with what clients were told."""
    trials = {row["id"]: row for row in rows.trials}
    epochs = {(row["trial_id"], row["epoch"]): row for row in rows.epochs}
    stored = {row["sha256"] for row in rows.artifacts}
    reports: dict[int, set[str]] = defaultdict(set)
    found = []
    for entry in told:
        where = f"{entry['client']}, trial {entry.get('trial')}"
        row = trials.get(entry.get("trial", 0))
        if entry["call"] == "artifact":
            found += [f"I2 artifact {entry['sha256']} is gone"] if entry["sha256"] not in stored else []
        elif row is None:
            found.append(f"I2 {where} is gone")
        elif entry["call"] == "reserve":
            if (row["number"], row["architecture_hash"]) != (entry["number"], entry["hash"]):
                found.append(f"I2 {where} is another than was acknowledged")
        elif entry["call"] == "epoch":
            found += _epoch(where, entry, epochs.get((entry["trial"], entry["epoch"])))
        elif entry["call"] == "complete":
            reports[entry["trial"]].add(entry["outcome"]["report_id"])
            found += [f"I2 {where}: {line}" for line in _outcome(entry, row)]
        elif entry["call"] == "refused":
            found += [f"I2 {where}: {line}" for line in _refused(entry, row)]
        elif entry["call"] == "again":
            found += [f"I3 {where}: {line}" for line in _again(entry, row)]
    found += [
        f"I3 trial {trial}: {len(ids)} reports were acknowledged"
        for trial, ids in reports.items()
        if len(ids) > 1
    ]
    return found


def _epoch(where: str, entry: Mapping[str, Any], row: Row | None) -> list[str]:
    if row is None or row["attempt"] < entry["attempt"]:
        return [f"I2 {where}: epoch {entry['epoch']} is gone"]
    if row["accuracy"] != entry["accuracy"]:
        return [
            f"I2 {where}: epoch {entry['epoch']} is {row['accuracy']}, {entry['accuracy']} was acknowledged"
        ]
    return []


def _outcome(entry: Mapping[str, Any], row: Row) -> list[str]:
    outcome = entry["outcome"]
    found = []
    if row["attempt"] != entry["attempt"]:
        found.append(f"attempt {entry['attempt']} was acknowledged, {row['attempt']} counts")
    # Behind the reason the service says if the attempt was not the first.
    behind = (row["reason"] or "").removeprefix(outcome["reason"] or "").removeprefix("; ")
    if behind and not behind.startswith(("started again", "resumed from epoch")):
        found.append(f"reason is {row['reason']!r}, {outcome['reason']!r} was acknowledged")
    for name in ("report_id", "state", "error", "artifacts", "versions"):
        if row[name] != outcome[name]:
            found.append(f"{name} is {row[name]!r}, {outcome[name]!r} was acknowledged")
    for name in ("metrics", "violations", "timings"):
        different = {key for key, value in outcome[name].items() if row[name].get(key) != value}
        if different:
            found.append(f"{name} differ in {sorted(different)}")
    return found


def _refused(entry: Mapping[str, Any], row: Row) -> list[str]:
    """A result is refused for a later attempt's sake, or because the service has ended the trial, only."""
    by_service = row["state"] == "failed" and row["report_id"] is None
    if row["attempt"] > entry["attempt"] or by_service:
        return []
    return [f"the result of attempt {entry['attempt']} was refused and nothing came later"]


def _again(entry: Mapping[str, Any], row: Row) -> list[str]:
    """A report that is sent again is answered alike; anything else after the end is refused."""
    found = []
    same = {answer for call, answer in entry["answers"] if call == "same"} - {"LedgerUnavailable"}
    if len(same) > 1:
        found.append(f"the same report was answered as {sorted(same)}")
    for call, answer in entry["answers"]:
        if call == "other" and answer not in ("LeaseLost", "LedgerUnavailable"):
            found.append(f"another report of attempt {entry['attempt']} was answered {answer}")
        if call in ("epoch", "heartbeat") and answer not in ("lost", "stop", "LedgerUnavailable"):
            found.append(f"a late {call} of attempt {entry['attempt']} was answered {answer}")
    return found


def _files(rows: Rows, folder: Path) -> list[str]:
    """Compare the files that trials name with their hashes; a record alone comes before its file."""
    sizes = {row["sha256"]: row["size"] for row in rows.artifacts}
    found = []
    for sha256 in {sha256 for row in rows.trials for sha256 in row["artifacts"].values()}:
        path = folder / sha256
        content = path.read_bytes() if path.is_file() else b""
        if len(content) != sizes.get(sha256) or hashlib.sha256(content).hexdigest() != sha256:
            found.append(f"I8 artifact {sha256} has other bytes, or no record")
    return found


def front_of(rows: Rows, study: int) -> set[int]:
    """Return the numbers of the trials that no other one beats, by comparing all pairs (I6)."""
    row = next(row for row in rows.studies if row["id"] == study)
    objectives = [
        (objective["metric"], objective["goal"] or _NATURAL[objective["metric"]])
        for objective in row["spec"]["objectives"]
    ]
    points = {
        trial["number"]: [trial["metrics"][name] * (-1 if goal == "max" else 1) for name, goal in objectives]
        for trial in rows.trials_of(study)
        if trial["state"] == "complete"
        and trial["excluded"] is None
        and all(excess <= 0 for excess in trial["violations"].values())
        and all(trial["metrics"].get(name) is not None for name, _ in objectives)
    }
    return {
        number
        for number, point in points.items()
        if not any(_beats(other, point) for other in points.values())
    }


_NATURAL = {"accuracy": "max", "params": "min", "macs": "min", "latency_ms": "min"}


def _beats(other: Sequence[float], point: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(other, point, strict=True)) and list(other) != list(point)


def missed(rows: Rows, seen: Sequence[int], after: int) -> list[str]:
    """Return what a reader of the event stream did not see, saw twice or out of order (I12)."""
    there = sorted(row["sequence"] for row in rows.events if row["sequence"] > after)
    if list(seen) == there:
        return []
    return [
        f"I12 of {len(there)} events {len(seen)} were seen; missing {sorted(set(there) - set(seen))[:10]}, "
        f"twice {[number for number, count in Counter(seen).items() if count > 1][:10]}"
    ]


def left_in_spool(home: Path) -> list[str]:
    """Return results that were finished and neither delivered nor refused."""
    waiting = [path for path in home.glob("spool/**/*") if path.suffix in (".json", ".damaged")]
    return [f"I2 {path.name} still waits in the spool" for path in waiting]
