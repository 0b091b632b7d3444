"""How trials and studies end: state, counters, event and the study's own state in one transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, func, select, update

from nas_service.constraints import enforced
from nas_service.crash_points import crash_point
from nas_service.ledger import budget, stalling, takeover
from nas_service.ledger.protocol import LeaseLost
from nas_service.metrics import figure_text
from nas_service.store import confirmations, events
from nas_service.store.limits import OUTDATED, judged, keeps_all
from nas_service.store.models import EpochRow, ForbiddenRow, StudyRow, TrialRow, table
from nas_service.studies import StudySpec
from nas_service.trials import MAX_ATTEMPTS, Lease, Outcome

STUDY, TRIAL, FORBIDDEN = table(StudyRow), table(TrialRow), table(ForbiddenRow)
EPOCH = table(EpochRow)
# A recipe has no more.
MOST_EPOCHS = 10_000
# A candidate that latency rejects was measured first: it weighs as much as this many analytic rejects.
MEASURED_REJECT_WEIGHT = 20


def end_trial(connection: Connection, lease: Lease, outcome: Outcome) -> None:
    """End a running trial; raises `LeaseLost` unless the lease is its newest attempt."""
    query = select(
        TRIAL.c.study_id,
        TRIAL.c.metrics,
        TRIAL.c.violations,
        TRIAL.c.timings,
        TRIAL.c.number,
        TRIAL.c.report_id,
        TRIAL.c.reason,
        TRIAL.c.space_version,
        reported_epochs(),
    )
    before = connection.execute(query.where(TRIAL.c.id == lease.trial_id)).one_or_none()
    if before is None:
        raise LeaseLost(f"trial {lease.trial_id} is gone")
    if before.report_id == outcome.report_id:
        return
    data = {"trial": lease.trial_id, "number": before.number, "state": outcome.state}
    # Before the study's lock is taken, to keep that short; a lost lease undoes it with the rest.
    events.append(connection, before.study_id, ("trial.finished", data))
    crash_point("ledger.complete.event_written")
    values = {
        **outcome.model_dump(include={"state", "latency", "versions", "error", "artifacts", "report_id"}),
        "reason": takeover.ended(before.reason, outcome.reason),
        "metrics": {**before.metrics, **outcome.metrics},
        "violations": {**before.violations, **outcome.violations},
        "timings": {**before.timings, **outcome.timings},
        "finished_at": datetime.now(UTC),
        "lease_expires_at": None,
        "checkpoints": None,
    }
    is_held = (TRIAL.c.worker_id == lease.worker_id) & (TRIAL.c.state == "running")
    guard = (TRIAL.c.id == lease.trial_id) & (TRIAL.c.attempt == lease.attempt) & is_held
    counted = _counting(before.study_id, outcome.state, _epochs_of(before, outcome))
    study = _end_row(connection, counted, guard, values)
    if study is None:
        raise LeaseLost(
            f"trial {lease.trial_id} belongs to a later attempt than {lease.attempt}, or has ended"
        )
    crash_point("ledger.complete.row_written")
    if study["space_version"] != before.space_version:
        _judge_by_newest_limits(connection, study, lease.trial_id, values)
    end_if_done(connection, study)
    crash_point("ledger.complete.before_commit")


def reported_epochs() -> ColumnElement[int]:
    """Return the last epoch that a trial's worker, or one before, reported: what it has cost so far."""
    last = select(func.coalesce(func.max(EPOCH.c.epoch), 0)).where(EPOCH.c.trial_id == TRIAL.c.id)
    return last.correlate(TRIAL).scalar_subquery().label("epochs")


def _epochs_of(before: Any, outcome: Outcome) -> int:
    """Return what a trial trained; epochs of a time when the ledger was away were never reported."""
    told = outcome.timings.get("trained_epochs", 0.0)
    reported: int = before.epochs
    return max(reported, int(told) if 0 <= told <= MOST_EPOCHS else 0)


def _judge_by_newest_limits(
    connection: Connection, study: Any, trial_id: int, values: dict[str, Any]
) -> None:
    """Judge a trial, whose worker knew the limits of its beginning, by those that hold now.

    One that was rejected by limits of which none holds any more teaches nothing.
    """
    limits = StudySpec.model_validate(study["spec"]).constraints
    found = judged(values["metrics"], limits, values["latency"])
    changed: dict[str, Any] = {}
    if values["state"] != "infeasible":
        changed = {"violations": found} if found != values["violations"] else {}
    elif keeps_all(values["metrics"], limits, values["latency"]):
        changed = {"excluded": OUTDATED}
    if changed:
        connection.execute(update(TRIAL).where(TRIAL.c.id == trial_id).values(**changed))


def _end_row(
    connection: Connection, counted: Update, guard: ColumnElement[bool], values: dict[str, Any]
) -> Any:
    """Count a trial's end under the study's lock and write its row; None if the guard holds no longer.

    On PostgreSQL both are one statement, so that the lock is held for one round trip and the commit.
    """
    if connection.dialect.name != "postgresql":
        study = connection.execute(counted).mappings().one()
        written = update(TRIAL).where(guard).values(**values, revision=study["revision"])
        return study if connection.execute(written).rowcount == 1 else None
    locked = counted.cte("counted")
    written = update(TRIAL).where(guard, TRIAL.c.study_id == locked.c.id)
    statement = written.values(**values, revision=locked.c.revision).returning(*locked.c)
    return connection.execute(statement).mappings().one_or_none()


def fail_lost(connection: Connection, study: Any, trial_id: int) -> None:
    """Fail a trial whose workers kept vanishing."""
    known = select(TRIAL.c.checkpoints, reported_epochs()).where(TRIAL.c.id == trial_id)
    kept, epochs = connection.execute(known).one()
    counted = connection.execute(_counting(study["id"], "failed", epochs)).mappings().one()
    behind = f" after epoch {kept[0]['epoch']}" if kept else ""
    values = {
        "state": "failed",
        "reason": f"lost {MAX_ATTEMPTS} workers{behind}",
        "finished_at": datetime.now(UTC),
        "lease_expires_at": None,
        "checkpoints": None,
        "revision": counted["revision"],
    }
    number = connection.execute(
        update(TRIAL).where(TRIAL.c.id == trial_id).values(values).returning(TRIAL.c.number)
    ).scalar_one()
    data = {"trial": trial_id, "number": number, "state": "failed"}
    events.append(connection, study["id"], ("trial.finished", data))
    end_if_done(connection, counted)
    crash_point("ledger.fail_lost.before_commit")


def _counting(study_id: int, state: str, epochs: int) -> Update:
    """Return what locks the study, moves one trial from running to its end, and answers with the row."""
    counters: dict[str, Any] = {
        "revision": STUDY.c.revision + 1,
        "running": STUDY.c.running - 1,
        state: STUDY.c[state] + 1,
        "epochs_spent": STUDY.c.epochs_spent + epochs,
    }
    if state in ("complete", "pruned"):
        counters["fruitless_in_a_row"] = 0
    elif state == "infeasible":
        counters["fruitless_in_a_row"] = STUDY.c.fruitless_in_a_row + MEASURED_REJECT_WEIGHT
    return update(STUDY).where(STUDY.c.id == study_id).values(counters).returning(STUDY)


def end_if_done(connection: Connection, study: Any) -> None:
    """End a study that runs or drains and has nothing left to do, or finds nothing more."""
    if not end_if_used_up(connection, study) and not _drain_if_stalled(connection, study):
        end_if_fruitless(connection, study)


def _drain_if_stalled(connection: Connection, study: Any) -> bool:
    if study["state"] != "running" or not (study["spec"].get("budget") or {}).get("stall"):
        return False
    spec = StudySpec.model_validate(study["spec"])
    reason = stalling.why_stalled(connection, study["id"], spec)
    if reason is not None:
        drain_study(connection, study, reason)
    return reason is not None


def end_if_used_up(connection: Connection, study: Any) -> bool:
    """Finish a study that has nothing left to do, and say whether it had."""
    if study["running"] or study["waiting"]:
        return False
    reason = budget.why_used_up(study) if study["state"] == "running" else None
    if study["state"] == "draining":
        reason = study["reason"] or "drained on request"
    if reason is not None:
        end_study(connection, study["id"], "finished", reason)
    return reason is not None


def end_if_fruitless(connection: Connection, study: Any) -> None:
    """End a study in which nothing new and feasible has turned up for too long."""
    bound = study["max_fruitless"]
    if study["fruitless_in_a_row"] < bound or study["state"] != "running":
        return
    if study["running"] or study["waiting"]:
        return
    if study["complete"] + study["pruned"]:
        reason = f"no new feasible candidate among the last {bound} proposals: the space is searched out"
        end_study(connection, study["id"], "finished", reason)
    else:
        end_study(connection, study["id"], "failed", _why_infeasible(connection, study, bound))


def drain_study(connection: Connection, study: Any, reason: str) -> None:
    """Propose nothing more; finished at once if nothing runs."""
    values = {"state": "draining", "reason": reason}
    connection.execute(update(STUDY).where(STUDY.c.id == study["id"]).values(values))
    events.append(connection, study["id"], ("study.state", {"state": "draining", "reason": reason}))
    end_if_used_up(connection, {**study, **values})


def end_study(connection: Connection, study_id: int, state: str, reason: str) -> None:
    """Give a study its last state."""
    values = {"state": state, "reason": reason, "finished_at": datetime.now(UTC)}
    connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(values))
    events.append(connection, study_id, ("study.state", {"state": state, "reason": reason}))
    if state == "finished":
        _confirm_if_asked(connection, study_id)
    crash_point("ledger.end_study.written")


def _confirm_if_asked(connection: Connection, study_id: int) -> None:
    """Have the front confirmed, in the transaction that ends the study: once, whoever ends it."""
    spec = StudySpec.model_validate(
        connection.execute(select(STUDY.c.spec).where(STUDY.c.id == study_id)).scalar_one()
    )
    if spec.confirm is not None:
        confirmations.begin(connection, study_id, spec, spec.confirm)


def _why_infeasible(connection: Connection, study: Any, bound: int) -> str:
    """Name what rejects most under the newest space: a rule, or a limit and the value nearest to it."""
    rejected = (TRIAL.c.study_id == study["id"]) & (TRIAL.c.state == "infeasible")
    rows = connection.execute(
        select(TRIAL.c.violations, TRIAL.c.metrics).where(rejected, TRIAL.c.excluded.is_(None))
    ).all()
    rules = _rules_by_count(connection, study)
    forbidden = sum(row.count for row in rules)
    if forbidden > len(rows):
        most = rules[0]
        return (
            f"nothing allowed among {forbidden + len(rows)} candidates: "
            f"the space forbids {most.rule} ({most.count} of them)"
        )
    return _binding_limit(StudySpec.model_validate(study["spec"]), rows, bound)


def _rules_by_count(connection: Connection, study: Any) -> Sequence[Any]:
    count = func.count().label("count")
    newest = (FORBIDDEN.c.study_id == study["id"]) & (FORBIDDEN.c.space_version == study["space_version"])
    by_rule = select(FORBIDDEN.c.rule, count).where(newest).group_by(FORBIDDEN.c.rule)
    return connection.execute(by_rule.order_by(count.desc())).all()


def _binding_limit(spec: StudySpec, rows: Sequence[Any], bound: int) -> str:
    limits = enforced(spec.constraints)
    broken = {name: sum(row.violations.get(name, 0.0) > 0 for row in rows) for name in limits}
    if not rows or not any(broken.values()):
        return f"no new feasible candidate among {bound} proposals"
    name = max(broken, key=lambda metric: broken[metric])
    nearest = min(
        (row for row in rows if name in row.metrics and name in row.violations),
        key=lambda row: row.violations[name],
    )
    limit = spec.constraints[name]
    words, asked = ("at most", limit.max) if limit.max is not None else ("at least", limit.min)
    assert asked is not None
    return (
        f"nothing feasible among {len(rows)} candidates: {name} must be {words} {figure_text(name, asked)}, "
        f"the nearest seen is {figure_text(name, nearest.metrics[name])}; "
        "with a looser limit the search goes on"
    )
