"""Which stored states an unfinished trial can be trained on from."""

from typing import Any

from sqlalchemy import Connection, select, update

from nas_service.ledger.protocol import LeaseLost, LedgerRefused
from nas_service.store.models import ArtifactRow, TrialRow, table
from nas_service.trials import Checkpoint, Lease

TRIAL, ARTIFACT = table(TrialRow), table(ArtifactRow)
# The newest, and one behind it in case it is damaged.
KEPT = 2


def remember(connection: Connection, lease: Lease, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in front of a trial's others, of which those that it replaces are forgotten.

    An attempt that stores one farther than any before makes good for those before: only workers lost
    from then on count towards those that a trial fails after.

    Raises:
        LeaseLost: Another attempt owns the trial, or it has ended.
        LedgerRefused: The file was never stored.
    """
    if connection.execute(select(ARTIFACT).where(ARTIFACT.c.sha256 == checkpoint.sha256)).first() is None:
        raise LedgerRefused(f"the artifact {checkpoint.sha256[:12]} is not stored")
    is_held = (TRIAL.c.worker_id == lease.worker_id) & (TRIAL.c.state == "running")
    mine = (TRIAL.c.id == lease.trial_id) & (TRIAL.c.attempt == lease.attempt) & is_held
    # Locked, so that no other attempt begins between reading and writing.
    query = select(TRIAL.c.checkpoints, TRIAL.c.furthest_checkpoint).where(mine)
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise LeaseLost(
            f"trial {lease.trial_id} belongs to a later attempt than {lease.attempt}, or has ended"
        )
    earlier = [kept for kept in row.checkpoints or () if kept["epoch"] < checkpoint.epoch]
    values: dict[str, Any] = {"checkpoints": [checkpoint.model_dump(), *earlier][:KEPT]}
    if checkpoint.epoch > row.furthest_checkpoint:
        values |= {"furthest_checkpoint": checkpoint.epoch, "released": lease.attempt - 1}
    connection.execute(update(TRIAL).where(mine).values(values))


def is_wanted(connection: Connection, sha256: str) -> bool:
    """Whether a file is a checkpoint of a trial that still runs: what else is stored is not for workers."""
    running = select(TRIAL.c.checkpoints).where(TRIAL.c.state == "running", TRIAL.c.checkpoints.is_not(None))
    return any(
        kept["sha256"] == sha256 for checkpoints in connection.scalars(running) for kept in checkpoints or ()
    )
