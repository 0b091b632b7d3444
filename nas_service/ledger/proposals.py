"""Writing proposals: each becomes a trial, an infeasible row, a repeat or forbidden, or is refused."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, bindparam, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.constraints import excess_text
from nas_service.crash_points import crash_point
from nas_service.ledger import budget, endings, single
from nas_service.ledger.protocol import LedgerRefused
from nas_service.store import events
from nas_service.store.engine import now_seconds
from nas_service.store.limits import OUTDATED, keeps_all
from nas_service.store.models import ForbiddenRow, RepeatRow, StudyAttributeRow, StudyRow, TrialRow, table
from nas_service.store.rows import lease_of, trial_from
from nas_service.studies import StudySpec
from nas_service.trials import Forbidden, Proposal, Repeat, Reservation, Trial

STUDY, TRIAL = table(StudyRow), table(TrialRow)
# Proposals with their place in the batch's ordinals.
Placed = list[tuple[int, Proposal]]


@dataclass(frozen=True, slots=True)
class Holder:
    """The worker that is to hold the leases, and for how long."""

    worker_id: int
    name: str
    lease_s: float


@dataclass(slots=True)
class Sorted:
    """Proposals by what becomes of them, each with its place in the batch."""

    fresh: Placed = field(default_factory=list)
    again: Placed = field(default_factory=list)
    forbidden: Placed = field(default_factory=list)
    # What the budget has no room for.
    refused: int = 0

    def __len__(self) -> int:
        return len(self.fresh) + len(self.again) + len(self.forbidden)

    @property
    def feasible(self) -> int:
        return sum(proposal.is_feasible for _, proposal in self.fresh)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many proposals are counted in, by what becomes of them."""

    fresh: int
    again: int
    forbidden: int
    # Of the fresh ones.
    feasible: ColumnElement[int]


def write(
    connection: Connection,
    study_id: int,
    holder: Holder,
    proposals: list[Proposal],
    attributes: dict[str, Any],
) -> Reservation:
    """Write proposals of a study; see `Ledger.reserve`.

    Repeats are looked up before the lock on the study is taken, to keep it short. A proposal that somebody
    else writes in between runs into the uniqueness of hashes within a study: `IntegrityError`, and the caller
    tries again.
    """
    version = _version_of(proposals)
    hashes = {proposal.architecture_hash for proposal in proposals}
    known = _known_hashes(connection, study_id, hashes)
    found = _sorted_out(proposals, set(known), None)
    if connection.dialect.name == "postgresql" and len(found) == len(found.fresh) == 1:
        reservation = _write_single(connection, study_id, version, holder, found.fresh[0][1], attributes)
        if reservation is not None:
            crash_point("ledger.reserve.single_written")
            return reservation
    study = _count_in(connection, study_id, version, found)
    if study is None:
        # The study does not run, its space has changed, or its budget is too short for all: look closely.
        study = _locked(connection, study_id)
        if study["state"] != "running" or study["space_version"] != version:
            return Reservation(trials=[], leases=[], repeats=[], refused=len(proposals))
        found = _sorted_out(proposals, set(known), budget.free(study))
        study = _count_in(connection, study_id, version, found)
        assert study is not None, "a study that is locked, runs and has room takes them in"
    crash_point("ledger.reserve.counted")
    trials = _insert_trials(connection, study, holder, found)
    known.update({trial.architecture_hash: trial.id for trial in trials})
    repeats = _insert_repeats(connection, study, found, known)
    forbidden = _insert_forbidden(connection, study, found)
    _keep_attributes(connection, study_id, attributes)
    events.append(connection, study_id, *(_event(trial) for trial in trials))
    endings.end_if_fruitless(connection, study)
    crash_point("ledger.reserve.before_commit")
    return Reservation(
        trials=trials,
        leases=[lease_of(trial, holder.worker_id) for trial in trials if trial.state == "running"],
        repeats=repeats,
        forbidden=forbidden,
        refused=found.refused,
        fruitless_in_a_row=study["fruitless_in_a_row"],
    )


def _locked(connection: Connection, study_id: int) -> Any:
    bump = update(STUDY).where(STUDY.c.id == study_id).values(revision=STUDY.c.revision + 1).returning(STUDY)
    study = connection.execute(bump).mappings().one_or_none()
    if study is None:
        raise LedgerRefused(f"there is no study {study_id}")
    return study


def _version_of(proposals: list[Proposal]) -> int:
    """Return the version of the space that drew them all; 0, which no space has, where they differ."""
    versions = {proposal.space_version for proposal in proposals}
    return versions.pop() if len(versions) == 1 else 0


def _count_in(connection: Connection, study_id: int, version: int, found: Sorted) -> Any:
    """Take the study's lock and a new revision, and count.

    None if it does not run, has no room, or has another version of the space.
    """
    counts = Counts(len(found.fresh), len(found.again), len(found.forbidden), literal(found.feasible))
    statement = _counting(connection, literal(study_id), literal(version), counts)
    return connection.execute(statement).mappings().one_or_none()


def _counting(
    connection: Connection, study_id: ColumnElement[int], version: ColumnElement[int], counts: Counts
) -> Any:
    """Return the statement of `_count_in`."""
    feasible, total = counts.feasible, counts.fresh + counts.again + counts.forbidden
    counters = {
        "revision": STUDY.c.revision + 1,
        "next_number": STUDY.c.next_number + counts.fresh,
        "next_ordinal": STUDY.c.next_ordinal + total,
        "running": STUDY.c.running + feasible,
        "infeasible": STUDY.c.infeasible + counts.fresh - feasible,
        "repeats": STUDY.c.repeats + counts.again,
        "forbidden": STUDY.c.forbidden + counts.forbidden,
        "fruitless_in_a_row": STUDY.c.fruitless_in_a_row + total - feasible,
    }
    has_room = or_(feasible == 0, budget.has_room(feasible))
    is_open = (STUDY.c.state == "running") & (STUDY.c.space_version == version)
    statement = update(STUDY).where(STUDY.c.id == study_id, is_open, has_room)
    return statement.values(counters).returning(STUDY, now_seconds(connection).label("clock"))


def _counting_single(connection: Connection) -> Any:
    """Return the same for one new proposal, with values that come when it runs."""
    study, version, feasible = (
        bindparam(f"c_{name}", type_=Integer) for name in ("study", "version", "feasible")
    )
    return _counting(connection, study, version, Counts(1, 0, 0, feasible))


def _write_single(
    connection: Connection,
    study_id: int,
    version: int,
    holder: Holder,
    proposal: Proposal,
    attributes: dict[str, Any],
) -> Reservation | None:
    """Write one new proposal in one statement; None where it needs a closer look."""
    row = _trial_values({"id": study_id, "revision": None}, 0, 0, proposal)
    is_running = row["state"] == "running"
    if is_running:
        row |= {"worker_id": holder.worker_id, "worker": holder.name, "attempt": 1}
    given = {name: value for name, value in row.items() if name not in single.COUNTED}
    study = single.write(
        connection,
        _counting_single,
        {**given, "lease_s": holder.lease_s if is_running else None},
        c_study=study_id,
        c_version=version,
        c_feasible=int(is_running),
        e_kind="trial.started" if is_running else "trial.finished",
    )
    if study is None:
        return None
    place = {"number": study["next_number"] - 1, "ordinal": study["next_ordinal"] - 1}
    trial = trial_from({**row, **place, "id": study["trial_id"]})  # type: ignore[arg-type]
    _keep_attributes(connection, study_id, attributes)
    endings.end_if_fruitless(connection, study)
    return Reservation(
        trials=[trial],
        leases=[lease_of(trial, holder.worker_id)] if is_running else [],
        repeats=[],
        fruitless_in_a_row=study["fruitless_in_a_row"],
    )


def _sorted_out(proposals: list[Proposal], known: set[str], room: int | None) -> Sorted:
    """Tell forbidden proposals, new ones and repeats apart, and count what the budget refuses."""
    found, seen = Sorted(), set(known)
    for proposal in proposals:
        if proposal.forbidden is not None:
            found.forbidden.append((len(found), proposal))
        elif proposal.architecture_hash in seen:
            found.again.append((len(found), proposal))
        elif proposal.is_feasible and room is not None and found.feasible >= room:
            found.refused += 1
        else:
            seen.add(proposal.architecture_hash)
            found.fresh.append((len(found), proposal))
    return found


def _known_hashes(connection: Connection, study_id: int, hashes: set[str]) -> dict[str, int]:
    query = select(TRIAL.c.architecture_hash, TRIAL.c.id).where(
        TRIAL.c.study_id == study_id, TRIAL.c.architecture_hash.in_(hashes)
    )
    return {row.architecture_hash: row.id for row in connection.execute(query)}


def _insert_trials(connection: Connection, study: Any, holder: Holder, found: Sorted) -> list[Trial]:
    if not found.fresh:
        return []
    number = study["next_number"] - len(found.fresh)
    ordinal = study["next_ordinal"] - len(found)
    rows = [
        _trial_values(study, ordinal + place, number + offset, proposal)
        for offset, (place, proposal) in enumerate(found.fresh)
    ]
    lease = {
        "worker_id": holder.worker_id,
        "worker": holder.name,
        "lease_expires_at": study["clock"] + holder.lease_s,
        "attempt": 1,
    }
    for row in rows:
        row |= lease if row["state"] == "running" else {}
    statement = insert(TRIAL).returning(TRIAL.c.id, sort_by_parameter_order=True)
    ids = connection.execute(statement, rows).scalars().all()
    return [trial_from({**row, "id": trial_id}) for row, trial_id in zip(rows, ids, strict=True)]  # type: ignore[arg-type]


def _trial_values(study: Any, ordinal: int, number: int, proposal: Proposal) -> dict[str, Any]:
    now = datetime.now(UTC)
    is_feasible = proposal.is_feasible
    return {
        "study_id": study["id"],
        "number": number,
        "ordinal": ordinal,
        "revision": study["revision"],
        "state": "running" if is_feasible else "infeasible",
        "reason": None if is_feasible else broken_limits(proposal.violations),
        "space_version": proposal.space_version,
        "arm": proposal.arm,
        "excluded": None,
        "params": proposal.params,
        "distributions": proposal.distributions,
        "attributes": proposal.attributes,
        "architecture": proposal.architecture,
        "architecture_hash": proposal.architecture_hash,
        "metrics": proposal.costs,
        "violations": proposal.violations,
        "timings": {"proposal_s": proposal.proposal_s},
        "latency": None,
        "seed": proposal.seed,
        "attempt": 0,
        "worker_id": None,
        "worker": None,
        "lease_expires_at": None,
        "report_id": None,
        "versions": {},
        "error": None,
        "artifacts": {},
        "checkpoints": None,
        "created_at": now,
        "started_at": now if is_feasible else None,
        "finished_at": None if is_feasible else now,
    }


def broken_limits(violations: dict[str, float]) -> str:
    """Name the limits that a candidate breaks, and by how much."""
    broken = [f"{name} by {excess_text(excess)}" for name, excess in violations.items() if excess > 0]
    return f"breaks the limit on {', '.join(broken)}"


def _insert_repeats(connection: Connection, study: Any, found: Sorted, known: dict[str, int]) -> list[Repeat]:
    ordinal = study["next_ordinal"] - len(found)
    repeats = [
        Repeat(
            ordinal=ordinal + place,
            trial_id=known[proposal.architecture_hash],
            space_version=proposal.space_version,
            params=proposal.params,
            distributions=proposal.distributions,
            attributes=proposal.attributes,
        )
        for place, proposal in found.again
    ]
    if repeats:
        shared = {"study_id": study["id"], "revision": study["revision"]}
        connection.execute(insert(RepeatRow), [{**shared, **repeat.model_dump()} for repeat in repeats])
        _readmit(connection, study, repeats)
    return repeats


def _readmit(connection: Connection, study: Any, repeats: list[Repeat]) -> None:
    """Let trials count again that the newest space has drawn, if under other parameters than its own.

    What only earlier limits rejected stays out: nothing is known of it but that.
    """
    ids = {repeat.trial_id for repeat in repeats}
    columns = (TRIAL.c.id, TRIAL.c.state, TRIAL.c.metrics, TRIAL.c.latency)
    is_out = TRIAL.c.excluded.is_not(None) & (TRIAL.c.excluded != OUTDATED)
    limits = StudySpec.model_validate(study["spec"]).constraints
    for row in connection.execute(select(*columns).where(TRIAL.c.id.in_(ids), is_out)).all():
        is_outdated = row.state == "infeasible" and keeps_all(row.metrics, limits, row.latency)
        values = {"excluded": OUTDATED if is_outdated else None, "revision": study["revision"]}
        connection.execute(update(TRIAL).where(TRIAL.c.id == row.id).values(values))


def _insert_forbidden(connection: Connection, study: Any, found: Sorted) -> list[Forbidden]:
    ordinal = study["next_ordinal"] - len(found)
    forbidden = [
        Forbidden(
            ordinal=ordinal + place,
            space_version=proposal.space_version,
            params=proposal.params,
            distributions=proposal.distributions,
            attributes=proposal.attributes,
            rule=proposal.forbidden or "",
        )
        for place, proposal in found.forbidden
    ]
    if forbidden:
        shared = {"study_id": study["id"], "revision": study["revision"]}
        connection.execute(insert(ForbiddenRow), [{**shared, **row.model_dump()} for row in forbidden])
    return forbidden


def _keep_attributes(connection: Connection, study_id: int, attributes: dict[str, Any]) -> None:
    if not attributes:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [{"study_id": study_id, "key": key, "value": value} for key, value in attributes.items()]
    connection.execute(dialect.insert(StudyAttributeRow).values(rows).on_conflict_do_nothing())


def _event(trial: Trial) -> tuple[str, dict[str, Any]]:
    data = {"trial": trial.id, "number": trial.number, "state": trial.state}
    return ("trial.started" if trial.state == "running" else "trial.finished"), data
