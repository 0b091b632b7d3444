"""Judging a study's trials anew by other limits."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from nas_service.constraints import enforced, violations
from nas_service.store.models import TrialRow, table
from nas_service.studies import Constraint

TRIAL = table(TrialRow)
# Why a trial that an earlier limit rejected teaches samplers nothing.
OUTDATED = "rejected under earlier limits and never trained; today's allow it"
ROWS_A_STATEMENT = 2000


def judged(
    metrics: Mapping[str, float], constraints: Mapping[str, Constraint], latency: Mapping[str, Any] | None
) -> dict[str, float]:
    """Return how far a trial breaks or keeps limits, by what is known of it.

    A predicted latency has no percentiles: the upper end of its interval stands in.
    """
    limit = constraints.get("latency_ms")
    if limit is not None and latency is not None:
        latency = {f"{limit.at}_ms": latency.get("high_ms", latency.get("median_ms")), **latency}
    return violations(metrics, constraints, latency)


def keeps_all(
    metrics: Mapping[str, float], constraints: Mapping[str, Constraint], latency: Mapping[str, Any] | None
) -> bool:
    """Whether a trial keeps all limits that reject candidates, by what is known of it."""
    found = judged(metrics, constraints, latency)
    return all(found.get(name, 0.0) <= 0 for name in enforced(constraints))


def judge_again(
    connection: Connection, study_id: int, constraints: Mapping[str, Constraint], revision: int
) -> int:
    """Write down how far each trial breaks or keeps other limits; return how many complete ones break one.

    What was rejected stays rejected, for it was never trained. Where it keeps the new limits it is excluded,
    so that no sampler takes it for a bad network.

    Args:
        connection: In a transaction that holds the study's lock.
        study_id: Whose trials.
        constraints: The limits.
        revision: The study's, of this change.
    """
    names = ("id", "state", "metrics", "latency", "violations", "excluded")
    rows = connection.execute(select(*(TRIAL.c[name] for name in names)).where(TRIAL.c.study_id == study_id))
    changes, broken, rejecting = [], 0, enforced(constraints)
    for row in rows:
        found = judged(row.metrics, constraints, row.latency)
        breaks = any(excess > 0 for excess in found.values())
        broken += breaks and row.state == "complete"
        is_rejected = any(found.get(name, 0.0) > 0 for name in rejecting)
        is_outdated = row.state == "infeasible" and not is_rejected
        # A space that excludes a trial has said so already.
        excluded = row.excluded if row.excluded not in (None, OUTDATED) else OUTDATED if is_outdated else None
        kept = row.violations if is_outdated else found
        if (kept, excluded) != (row.violations, row.excluded):
            changes.append({"of": row.id, "how": kept, "why": excluded})
    statement = update(TRIAL).where(TRIAL.c.id == bindparam("of"))
    values = {"violations": bindparam("how"), "excluded": bindparam("why"), "revision": revision}
    for begin in range(0, len(changes), ROWS_A_STATEMENT):
        connection.execute(statement.values(values), changes[begin : begin + ROWS_A_STATEMENT])
    return broken
