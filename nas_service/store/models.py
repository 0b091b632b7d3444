"""The tables. Everything that is remembered is a row here or a file named by its sha256."""

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite numbers rows by itself only in a column of exactly INTEGER.
BIG = BigInteger().with_variant(Integer, "sqlite")
# SQLite would give a deleted row's number to the next one: a late worker would then hold another trial's
# lease, and a reader of events would wait for numbers that are already behind it.
NEVER_REUSED = {"sqlite_autoincrement": True}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which knows no zones, gives it back as UTC too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Declares the types that columns of plain annotations get."""

    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads a plain class attribute)
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        float: Float,
        str: Text,
    }


def table(row: type[Base]) -> Table:
    """Return the table behind a row class, for statements without a session."""
    return cast(Table, row.__table__)


class StudyRow(Base):
    """A study with the counters that its budget and its page need, changed only under the row's lock."""

    __tablename__ = "studies"
    __table_args__ = NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(default="")
    dataset_sha256: Mapped[str] = mapped_column(String(64))
    input_shape: Mapped[list[Any]]
    classes: Mapped[int]
    # Rises with each change of the study or its trials; taken under this row's lock, so that none is missed.
    revision: Mapped[int] = mapped_column(default=0)
    next_number: Mapped[int] = mapped_column(default=0)
    next_ordinal: Mapped[int] = mapped_column(default=0)
    # Infeasible, forbidden or repeated proposals since one was last trained, and how many end the study.
    fruitless_in_a_row: Mapped[int] = mapped_column(default=0)
    max_fruitless: Mapped[int]
    waiting: Mapped[int] = mapped_column(default=0)
    running: Mapped[int] = mapped_column(default=0)
    complete: Mapped[int] = mapped_column(default=0)
    pruned: Mapped[int] = mapped_column(default=0)
    infeasible: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    repeats: Mapped[int] = mapped_column(default=0)
    forbidden: Mapped[int] = mapped_column(default=0)
    # The number of the newest row in `spaces`; the spec holds the same space.
    space_version: Mapped[int] = mapped_column(default=1)
    # Where latency is measured; NULL where no figure needs it.
    latency_device: Mapped[str | None] = mapped_column(String(63))
    budget_trials: Mapped[int | None]
    budget_epochs: Mapped[int | None]
    # Of ended trials; an unfinished one keeps `epochs_a_trial` for itself.
    epochs_spent: Mapped[int] = mapped_column(BIG, default=0)
    epochs_a_trial: Mapped[int] = mapped_column(default=0)
    # How often a trial has come to a rung.
    arrivals: Mapped[int] = mapped_column(BIG, default=0)
    deadline: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class SpaceRow(Base):
    """One version of a study's space; none is ever changed."""

    __tablename__ = "spaces"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    space: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime]


class TrialRow(Base):
    """One candidate's evaluation."""

    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        Index("ix_trials_study_revision", "study_id", "revision"),
        Index("ix_trials_study_state", "study_id", "state", "number"),
        # No architecture is trained twice within a study.
        UniqueConstraint("study_id", "architecture_hash"),
        Index("ix_trials_state_lease", "state", "lease_expires_at"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    number: Mapped[int]
    ordinal: Mapped[int]
    revision: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None]
    space_version: Mapped[int | None]
    arm: Mapped[str] = mapped_column(String(16), default="search")
    excluded: Mapped[str | None]
    params: Mapped[dict[str, Any]]
    distributions: Mapped[dict[str, Any]]
    attributes: Mapped[dict[str, Any]]
    architecture: Mapped[dict[str, Any]]
    architecture_hash: Mapped[str] = mapped_column(String(64))
    metrics: Mapped[dict[str, Any]]
    violations: Mapped[dict[str, Any]]
    timings: Mapped[dict[str, Any]]
    latency: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    seed: Mapped[int] = mapped_column(BIG)
    attempt: Mapped[int] = mapped_column(default=0)
    # Attempts that are none of those that a trial fails after: a worker gave them back in order, or a later
    # one got farther.
    released: Mapped[int] = mapped_column(default=0)
    # The worker that holds, or held, the trial.
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id", ondelete="SET NULL"))
    worker: Mapped[str | None]
    # Seconds since 1970 by the database's clock.
    lease_expires_at: Mapped[float | None]
    report_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    versions: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    artifacts: Mapped[dict[str, Any]]
    # Epoch and sha256 of the last states that training can go on from, the newest first; NULL once it ended.
    checkpoints: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    # The last epoch that any attempt stored a checkpoint of.
    furthest_checkpoint: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class RepeatRow(Base):
    """A proposal that was answered from a trial the study already had."""

    __tablename__ = "repeats"
    __table_args__ = (
        UniqueConstraint("study_id", "ordinal"),
        Index("ix_repeats_revision", "study_id", "revision"),
        # A trial that is deleted takes its repeats along.
        Index("ix_repeats_trial", "trial_id"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    trial_id: Mapped[int] = mapped_column(BIG, ForeignKey("trials.id", ondelete="CASCADE"))
    space_version: Mapped[int] = mapped_column(default=1)
    ordinal: Mapped[int]
    revision: Mapped[int]
    params: Mapped[dict[str, Any]]
    distributions: Mapped[dict[str, Any]]
    attributes: Mapped[dict[str, Any]]


class ForbiddenRow(Base):
    """A proposal that a rule of the space forbids: no trial, but samplers learn from it."""

    __tablename__ = "forbidden"
    __table_args__ = (
        UniqueConstraint("study_id", "ordinal"),
        Index("ix_forbidden_revision", "study_id", "revision"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    space_version: Mapped[int] = mapped_column(default=1)
    ordinal: Mapped[int]
    revision: Mapped[int]
    params: Mapped[dict[str, Any]]
    distributions: Mapped[dict[str, Any]]
    attributes: Mapped[dict[str, Any]]
    rule: Mapped[str]


class EpochRow(Base):
    """One epoch of a learning curve; a later attempt writes over an earlier one."""

    __tablename__ = "epochs"

    trial_id: Mapped[int] = mapped_column(BIG, ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    train_loss: Mapped[float | None]
    validation_loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    seconds: Mapped[float]
    # At a rung, the number of this arrival in the study: the trial is compared with those before it.
    # A later attempt keeps it. 0 at all epochs from before they were counted; NULL elsewhere, and until then.
    arrival: Mapped[int | None] = mapped_column(BIG)


class SeatRow(Base):
    """A worker's place among those that propose for a study; it seeds the worker's sampler."""

    __tablename__ = "seats"
    __table_args__ = (UniqueConstraint("study_id", "seat"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    worker_id: Mapped[int] = mapped_column(ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True)
    seat: Mapped[int]


class StudyAttributeRow(Base):
    """What a sampler keeps on a study; the first writer of a key wins."""

    __tablename__ = "study_attributes"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class EventRow(Base):
    """The append-only list of what happened."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_study", "study_id", "sequence"), NEVER_REUSED)

    sequence: Mapped[int] = mapped_column(BIG, primary_key=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class DatasetRow(Base):
    """A registered data set; its examples are a file named by `sha256`."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    input_shape: Mapped[list[Any]]
    classes: Mapped[int]
    class_names: Mapped[list[Any]]
    train_examples: Mapped[int]
    test_examples: Mapped[int]
    created_at: Mapped[datetime]


class WorkerRow(Base):
    """A worker process, known by its name."""

    __tablename__ = "workers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    versions: Mapped[dict[str, Any]]
    # Seconds since 1970 by the database's clock.
    heartbeat_at: Mapped[float]
    started_at: Mapped[datetime]
    has_left: Mapped[bool] = mapped_column(default=False)
    # It was told to end, and finishes or gives back what it holds.
    is_draining: Mapped[bool] = mapped_column(default=False)
    measures_only: Mapped[bool] = mapped_column(default=False)
    # Why its machine is too noisy to measure latency; NULL where it is quiet.
    noise: Mapped[str | None]
    # The token it registered with; NULL for a worker on the database itself.
    token_id: Mapped[int | None] = mapped_column(ForeignKey("tokens.id"))


class MeasurementRow(Base):
    """A measured latency; a prediction is never stored."""

    __tablename__ = "measurements"
    __table_args__ = (
        UniqueConstraint("network_hash", "device", "runtime", "runtime_version", "machine"),
        Index("ix_measurements_device", "device", "id"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    network_hash: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(63))
    runtime: Mapped[str]
    runtime_version: Mapped[str]
    machine: Mapped[str]
    architecture: Mapped[dict[str, Any]]
    # All figures, those of the columns above among them.
    measurement: Mapped[dict[str, Any]]
    worker: Mapped[str | None]
    created_at: Mapped[datetime]


class MeasurementRequestRow(Base):
    """A network that a named device is asked to measure; whoever asks for the same one shares it."""

    __tablename__ = "measurement_requests"
    __table_args__ = (
        UniqueConstraint("device", "network_hash"),
        Index("ix_measurement_requests_state", "device", "state", "id"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    device: Mapped[str] = mapped_column(String(63))
    network_hash: Mapped[str] = mapped_column(String(64))
    architecture: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None]
    measurement: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    attempt: Mapped[int] = mapped_column(default=0)
    # The worker that measures, or measured.
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id", ondelete="SET NULL"))
    # Seconds since 1970 by the database's clock.
    lease_expires_at: Mapped[float | None]
    # When it was answered, by the same clock.
    answered_at: Mapped[float | None]
    created_at: Mapped[datetime]


class JobRow(Base):
    """Work on a study's networks that is no trial."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state", "state", "id"),
        Index("ix_jobs_study", "study_id", "id"),
        Index("ix_jobs_trial", "trial_id", "id"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    trial_id: Mapped[int | None] = mapped_column(BIG, ForeignKey("trials.id", ondelete="CASCADE"))
    payload: Mapped[dict[str, Any]]
    device: Mapped[str | None] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None]
    progress: Mapped[float] = mapped_column(default=0.0)
    attempt: Mapped[int] = mapped_column(default=0)
    # Attempts that a worker gave back in order: a job fails after others alone.
    released: Mapped[int] = mapped_column(default=0)
    # The worker that holds, or held, the job.
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id", ondelete="SET NULL"))
    worker: Mapped[str | None]
    # Seconds since 1970 by the database's clock.
    lease_expires_at: Mapped[float | None]
    report_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    result: Mapped[dict[str, Any]]
    artifacts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class TokenRow(Base):
    """A token, stored as its sha256 alone; none is ever deleted, since workers and the audit log name it."""

    __tablename__ = "tokens"
    __table_args__ = (
        # Among those that were not revoked a name means one token.
        Index(
            "ix_tokens_living_name",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # To some minutes.
    last_used_at: Mapped[datetime | None]


class SessionRow(Base):
    """A browser that logged in with a token; it ends with the token, at its time, or by logging out."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    # Of the cookie's random value.
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class AuditRow(Base):
    """Who did what; rows are only ever added."""

    __tablename__ = "audit"
    __table_args__ = NEVER_REUSED

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    at: Mapped[datetime]
    # The token's name, or who works on the data folder itself; "" where nobody was let in.
    actor: Mapped[str]
    token_id: Mapped[int | None] = mapped_column(ForeignKey("tokens.id"))
    role: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(40))
    target: Mapped[str]
    # Of the HTTP answer; NULL where there was none.
    status: Mapped[int | None]
    request_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None]


class ArtifactRow(Base):
    """A stored file: its bytes lie in the artifacts folder under `sha256`."""

    __tablename__ = "artifacts"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BIG)
    created_at: Mapped[datetime]


class RequestRow(Base):
    """The answer to a request that carried an Idempotency-Key."""

    __tablename__ = "requests"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
