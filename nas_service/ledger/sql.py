"""The ledger on a database: SQLite in the data folder, or PostgreSQL.

Each call is one transaction of few statements. What changes a study's counters first takes the study row's
lock (SQLite: the one write lock), so that the budget is exact and revisions become visible in their order.
Locks are always taken study first, trial second.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from nas_service.crash_points import crash_point
from nas_service.ledger import (
    asking,
    checkpoints,
    endings,
    epochs,
    files,
    job_leases,
    measuring,
    proposals,
    reporting,
    takeover,
)
from nas_service.ledger.protocol import LeaseLost, LedgerRefused, LedgerUnavailable, NameTaken
from nas_service.ledger.rungs import accuracies, arrive, goes_on
from nas_service.ledger.sql_jobs import SqlJobs
from nas_service.ledger.sql_measurements import SqlMeasurements
from nas_service.ledger.transactions import HEARTBEATS_A_LEASE
from nas_service.store import events
from nas_service.store.engine import now_seconds
from nas_service.store.models import (
    ForbiddenRow,
    RepeatRow,
    SeatRow,
    StudyAttributeRow,
    StudyRow,
    TokenRow,
    TrialRow,
    WorkerRow,
    table,
)
from nas_service.store.rows import (
    TRIAL_COLUMNS,
    forbidden_from,
    lease_of,
    repeat_from,
    study_from,
    trial_from,
)
from nas_service.store.spaces import read_spaces
from nas_service.store.specs import read_spec
from nas_service.store.studies import abandon_unfinished
from nas_service.studies import ACTIVE_STATES, StudySpec
from nas_service.trials import (
    MAX_ATTEMPTS,
    Changes,
    Checkpoint,
    EpochReport,
    Instruction,
    Lease,
    Outcome,
    Proposal,
    Registration,
    Reservation,
    WorkerInfo,
)
from nas_service.work import Work

STUDY, TRIAL, WORKER, TOKEN = table(StudyRow), table(TrialRow), table(WorkerRow), table(TokenRow)
SEAT = table(SeatRow)
REPEAT, FORBIDDEN, ATTRIBUTE = table(RepeatRow), table(ForbiddenRow), table(StudyAttributeRow)


class SqlLedger(SqlMeasurements, SqlJobs):
    """`Ledger` on an SQLAlchemy engine; see the protocol for what each method promises."""

    def register(
        self, worker: WorkerInfo, *, token_id: int | None = None, takes_any_name: bool = True
    ) -> Registration:
        """Join as in the protocol, by a token; raises `NameTaken`.

        Args:
            worker: What it says of itself.
            token_id: Whose worker it is; None for one on this database.
            takes_any_name: Also that of a living worker of another token.
        """
        with self._writing() as connection:
            now = now_seconds(connection)
            values = {
                **worker.model_dump(),
                "token_id": token_id,
                "heartbeat_at": now,
                "started_at": datetime.now(UTC),
                "has_left": False,
                "is_draining": False,
            }
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            is_free = None if takes_any_name else _is_free(now - self._lease_s, token_id)
            statement = (
                dialect.insert(WORKER)
                .values(values)
                .on_conflict_do_update(
                    index_elements=["name"],
                    set_={name: value for name, value in values.items() if name != "name"},
                    where=is_free,
                )
                .returning(WORKER.c.id)
            )
            worker_id = connection.execute(statement).scalar()
            if worker_id is None:
                raise NameTaken(f"a living worker of another token is named {worker.name!r}; take another")
            self._expire_leases(connection, worker_id)
            events.append(connection, None, ("worker.joined", {"worker": worker.name}))
            crash_point("ledger.register.before_commit")
        return Registration(
            worker_id=worker_id, heartbeat_s=self._lease_s / HEARTBEATS_A_LEASE, lease_s=self._lease_s
        )

    def draining(self, worker_id: int) -> None:
        with self._writing() as connection:
            connection.execute(update(WORKER).where(WORKER.c.id == worker_id).values(is_draining=True))

    def leave(self, worker_id: int) -> None:
        with self._writing() as connection:
            statement = update(WORKER).where(WORKER.c.id == worker_id).values(has_left=True)
            name = connection.execute(statement.returning(WORKER.c.name)).scalar()
            self._expire_leases(connection, worker_id)
            events.append(connection, None, ("worker.left", {"worker": name}))
            crash_point("ledger.leave.before_commit")

    def next_work(self, worker_id: int, *, study_id: int | None = None) -> Work:
        with self._reading() as connection:
            asked = asking.look(connection, worker_id, study_id)
            found = (study_id, asked.devices, self._lease_s)
            wanted = None if asked.has_ended or asked.job else asking.claimable(connection, *found)
            row = None if asked.has_ended or asked.job or wanted else asking.open_study(connection, *found)
        self._keep_alive(worker_id, asked.age_s)
        if asked.job is not None:
            return self._claim_job(asked.job, worker_id) or self.next_work(worker_id, study_id=study_id)
        if asked.has_ended:
            return Work(kind="finished", reason=f"study {study_id} has ended")
        if asked.overdue is not None:
            self._drain(asked.overdue)
            return self.next_work(worker_id, study_id=study_id)
        if wanted is not None:
            return self._claim(wanted, worker_id) or self.next_work(worker_id, study_id=study_id)
        if row is not None:
            return Work(kind="propose", study=study_from(row))
        return Work(kind="idle", reason="no study wants work")

    def join_study(self, study_id: int, worker_id: int) -> int:
        with self._writing() as connection:
            _lock_study(connection, study_id)
            self._name_of(connection, worker_id)
            mine = (SEAT.c.study_id == study_id) & (SEAT.c.worker_id == worker_id)
            seat = connection.execute(select(SEAT.c.seat).where(mine)).scalar()
            if seat is None:
                taken = select(func.count()).select_from(SEAT).where(SEAT.c.study_id == study_id)
                seat = connection.execute(taken).scalar_one()
                connection.execute(insert(SEAT).values(study_id=study_id, worker_id=worker_id, seat=seat))
            crash_point("ledger.join_study.before_commit")
            return int(seat)

    def changes(self, study_id: int, since: int) -> Changes:
        with self._reading() as connection:
            # The revision is read first: rows that change meanwhile are delivered again, never missed, and
            # new ones come with the next call, so that no ordinal arrives before the one below it.
            has_attributes = select(ATTRIBUTE.c.key).where(ATTRIBUTE.c.study_id == study_id).exists()
            counts = (STUDY.c.space_version, STUDY.c.repeats, STUDY.c.forbidden)
            head = select(
                STUDY.c.revision, STUDY.c.next_ordinal, *counts, has_attributes.label("has_attributes")
            )
            study = connection.execute(head.where(STUDY.c.id == study_id)).one_or_none()
            if study is None:
                raise LedgerRefused(f"there is no study {study_id}")
            if study.revision == since:
                return Changes(revision=since, trials=[], repeats=[])
            trials, again, forbidden = (
                select(*columns)
                .where(rows.c.study_id == study_id, rows.c.revision > since)
                .where(rows.c.ordinal < study.next_ordinal)
                .order_by(rows.c.ordinal)
                for rows, columns in ((TRIAL, TRIAL_COLUMNS), (REPEAT, REPEAT.c), (FORBIDDEN, FORBIDDEN.c))
            )
            kept = select(ATTRIBUTE).where(ATTRIBUTE.c.study_id == study_id)
            return Changes.model_construct(
                revision=study.revision,
                trials=[trial_from(row) for row in connection.execute(trials).mappings()],
                repeats=[repeat_from(row) for row in connection.execute(again)] if study.repeats else [],
                forbidden=[forbidden_from(row) for row in connection.execute(forbidden)]
                if study.forbidden
                else [],
                attributes={row.key: row.value for row in connection.execute(kept)}
                if study.has_attributes
                else {},
                rungs=accuracies(connection, study_id, since),
                spaces=read_spaces(connection, study_id) if study.space_version > 1 and not since else {},
            )

    def reserve(
        self,
        study_id: int,
        worker_id: int,
        proposals_: list[Proposal],
        *,
        attributes: dict[str, Any] | None = None,
    ) -> Reservation:
        while True:
            try:
                with self._writing() as connection:
                    holder = proposals.Holder(worker_id, self._name_of(connection, worker_id), self._lease_s)
                    return proposals.write(connection, study_id, holder, proposals_, attributes or {})
            except IntegrityError:
                # Another worker wrote one of these architectures meanwhile: now it is known as a repeat.
                continue

    def heartbeat(self, lease: Lease) -> Instruction:
        self._beat(lease.worker_id)
        with self._writing() as connection:
            verdict: Instruction = (
                "continue" if self._extend(connection, lease) else _why_lost(connection, lease)
            )
            crash_point("ledger.heartbeat.before_commit")
            return verdict

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        if self._engine.dialect.name == "postgresql" and reporting.is_plain(report):
            return self._report_at_once(lease, report)
        with self._writing() as connection:
            study_id = self._extend(connection, lease)
            if study_id is None:
                return _why_lost(connection, lease)
            epochs.store(connection, lease, report)
            data = {"trial": lease.trial_id, "epoch": report.epoch, "accuracy": report.accuracy}
            events.append(connection, study_id, ("trial.epoch", data))
            crash_point("ledger.report.before_commit")
            spec = read_spec(connection, study_id)
        return self._told_at(study_id, spec, lease.trial_id, report.epoch)

    def _report_at_once(self, lease: Lease, report: EpochReport) -> Instruction:
        # Without BEGIN and COMMIT around it a statement is a transaction by itself.
        with self._reading() as connection:
            stored = reporting.store(connection, lease, report, _is_kept, self._lease_s)
            if stored is None:
                return _why_lost(connection, lease)
        crash_point("ledger.report.stored_at_once")
        return self._told_at(*stored, lease.trial_id, report.epoch)

    def _told_at(self, study_id: int, spec: StudySpec, trial_id: int, epoch: int) -> Instruction:
        """Decide at a rung, outside of the transactions that write: all who came before are read."""
        if epoch not in spec.training.rungs:
            return "continue"
        with self._writing() as connection:
            arrival = arrive(connection, study_id, trial_id, epoch)
            crash_point("ledger.report.arrived")
        with self._reading() as connection:
            stays = goes_on(connection, study_id, spec, trial_id, epoch, arrival)
            return "continue" if stays else "prune"

    def checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        with self._writing() as connection:
            checkpoints.remember(connection, lease, checkpoint)

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        try:
            with self._writing() as connection:
                endings.end_trial(connection, lease, outcome)
            crash_point("ledger.complete.after_commit")
        except LeaseLost:
            # The same report may have come in twice at once.
            with self._reading() as connection:
                known = select(TRIAL.c.report_id).where(TRIAL.c.id == lease.trial_id)
                if connection.execute(known).scalar() != outcome.report_id:
                    raise

    def release(self, lease: Lease) -> None:
        with self._writing() as connection:
            # Said again, it counts once.
            holds = _holds(lease) & (TRIAL.c.lease_expires_at > 0)
            given = {
                "lease_expires_at": 0.0,
                "released": TRIAL.c.released + 1,
                "reason": takeover.GIVEN_BACK,
            }
            connection.execute(update(TRIAL).where(holds).values(given))
            crash_point("ledger.release.before_commit")

    def give_up(self, study_id: int, reason: str) -> None:
        with self._writing() as connection:
            study = _lock_study(connection, study_id)
            if study["state"] in ("running", "draining"):
                abandon_unfinished(connection, study, f"the study was given up: {reason}")
                endings.end_study(connection, study_id, "failed", reason)
            crash_point("ledger.give_up.before_commit")

    def fetch_dataset(self, sha256: str) -> Path:
        with self._reading() as connection:
            searches = (STUDY.c.dataset_sha256 == sha256) & STUDY.c.state.in_(ACTIVE_STATES)
            is_searched = connection.execute(select(STUDY.c.id).where(searches).limit(1)).scalar() is not None
        return files.dataset_path(self._stores.datasets, sha256, is_searched=is_searched)

    def put_artifact(self, content: bytes) -> str:
        with self._writing() as connection:
            files.record(connection, hashlib.sha256(content).hexdigest(), len(content))
        crash_point("ledger.put_artifact.recorded")
        with files.told_apart("artifact", damaged=LedgerUnavailable):
            return self._stores.artifacts.put(content)

    def fetch_artifact(self, sha256: str) -> Path:
        with self._reading() as connection:
            is_wanted = checkpoints.is_wanted(connection, sha256) or job_leases.is_wanted(connection, sha256)
            if not is_wanted:
                raise LedgerRefused(
                    f"no running trial has the checkpoint {sha256[:12]!r}, and no job needs it"
                )
        return files.artifact_path(self._stores.artifacts, sha256)

    def _extend(self, connection: Connection, lease: Lease) -> int | None:
        until = now_seconds(connection) + self._lease_s
        # One that was given back is not renewed by a heartbeat that was under way meanwhile.
        statement = update(TRIAL).where(_is_kept(lease)).values(lease_expires_at=until)
        return connection.execute(statement.returning(TRIAL.c.study_id)).scalar()

    def _expire_leases(self, connection: Connection, worker_id: int) -> None:
        held = (TRIAL.c.worker_id == worker_id) & (TRIAL.c.state == "running")
        connection.execute(update(TRIAL).where(held).values(lease_expires_at=0.0))
        job_leases.expire(connection, worker_id)
        measuring.give_back(connection, worker_id)

    def _claim(self, trial_id: int, worker_id: int) -> Work | None:
        """Take a trial whose lease ran out, or an enqueued one; None if somebody else was faster."""
        with self._writing() as connection:
            study = _lock_study_of(connection, trial_id)
            row = connection.execute(
                select(
                    TRIAL.c.state, TRIAL.c.reason, (TRIAL.c.attempt - TRIAL.c.released).label("lost")
                ).where(TRIAL.c.id == trial_id, asking.is_claimable(connection))
            ).one_or_none()
            if row is None or study["state"] not in ("running", "draining", "paused"):
                return None
            if row.lost >= MAX_ATTEMPTS:
                endings.fail_lost(connection, study, trial_id)
                return None
            name = self._name_of(connection, worker_id)
            values = {
                "state": "running",
                "attempt": TRIAL.c.attempt + 1,
                "worker_id": worker_id,
                "worker": name,
                "lease_expires_at": now_seconds(connection) + self._lease_s,
                "started_at": datetime.now(UTC),
                "revision": study["revision"],
            }
            if row.state == "running":
                values["reason"] = takeover.taken_over(row.reason)
            statement = update(TRIAL).where(TRIAL.c.id == trial_id).values(values).returning(*TRIAL_COLUMNS)
            trial = trial_from(connection.execute(statement).mappings().one())
            if row.state == "waiting":
                counters = {"waiting": STUDY.c.waiting - 1, "running": STUDY.c.running + 1}
                connection.execute(update(STUDY).where(STUDY.c.id == study["id"]).values(counters))
            data = {"trial": trial.id, "number": trial.number, "attempt": trial.attempt, "worker": name}
            events.append(connection, study["id"], ("trial.started", data))
            crash_point("ledger.claim.before_commit")
            return Work(kind="run", study=study_from(study), trial=trial, lease=lease_of(trial, worker_id))

    def _drain(self, study_id: int) -> None:
        """End a study whose minutes are up: at once, or when its running trials have ended."""
        with self._writing() as connection:
            study = _lock_study(connection, study_id)
            if study["state"] == "running":
                endings.drain_study(connection, study, "the budget of minutes is used up")


def _is_free(alive_since: ColumnElement[float], token_id: int | None) -> ColumnElement[bool]:
    """Whether a worker's name may be taken by a token: its own, or that of a worker that lives no longer."""
    is_over = TOKEN.c.revoked_at.is_not(None) | (TOKEN.c.expires_at <= datetime.now(UTC))
    shut_out = WORKER.c.token_id.in_(select(TOKEN.c.id).where(is_over))
    is_dead = WORKER.c.has_left | (WORKER.c.heartbeat_at < alive_since) | shut_out
    return is_dead | (WORKER.c.token_id == token_id)


def _holds(lease: Lease) -> Any:
    is_held = (TRIAL.c.worker_id == lease.worker_id) & (TRIAL.c.state == "running")
    return (TRIAL.c.id == lease.trial_id) & (TRIAL.c.attempt == lease.attempt) & is_held


def _is_kept(lease: Any) -> Any:
    """Whether a lease may be renewed: one that was given back is not, by a call that was under way."""
    return _holds(lease) & (TRIAL.c.lease_expires_at > 0)


def _lock_study(connection: Connection, study_id: int) -> Any:
    """Take the study row's lock and a new revision; return the row."""
    bump = update(STUDY).where(STUDY.c.id == study_id).values(revision=STUDY.c.revision + 1)
    locked = bump.returning(STUDY, now_seconds(connection).label("clock"))
    row = connection.execute(locked).mappings().one_or_none()
    if row is None:
        raise LedgerRefused(f"there is no study {study_id}")
    return row


def _lock_study_of(connection: Connection, trial_id: int) -> Any:
    study_id = connection.execute(select(TRIAL.c.study_id).where(TRIAL.c.id == trial_id)).scalar()
    if study_id is None:
        raise LedgerRefused(f"there is no trial {trial_id}")
    return _lock_study(connection, study_id)


def _why_lost(connection: Connection, lease: Lease) -> Instruction:
    query = (
        select(STUDY.c.state, TRIAL.c.attempt)
        .join(TRIAL, TRIAL.c.study_id == STUDY.c.id)
        .where(TRIAL.c.id == lease.trial_id)
    )
    row = connection.execute(query).one_or_none()
    is_ours = row is not None and row.attempt == lease.attempt
    return "stop" if is_ours and row is not None and row.state == "cancelled" else "lost"


__all__ = ["LeaseLost", "SqlLedger"]
