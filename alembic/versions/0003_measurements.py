"""Measured latencies, requests to named devices, and what workers say of their machines.

Revision: 0003
Revises: 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "measurements",
        sa.Column("id", BIG, nullable=False),
        sa.Column("network_hash", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=63), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("runtime_version", sa.Text(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("architecture", sa.JSON(), nullable=False),
        sa.Column("measurement", sa.JSON(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("network_hash", "device", "runtime", "runtime_version", "machine"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_measurements_device", "measurements", ["device", "id"], unique=False)
    op.create_table(
        "measurement_requests",
        sa.Column("id", BIG, nullable=False),
        sa.Column("device", sa.String(length=63), nullable=False),
        sa.Column("network_hash", sa.String(length=64), nullable=False),
        sa.Column("architecture", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("measurement", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Integer(), nullable=True),
        sa.Column("lease_expires_at", sa.Float(), nullable=True),
        sa.Column("answered_at", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("device", "network_hash"),
        sqlite_autoincrement=True,
    )
    columns = ["device", "state", "id"]
    op.create_index("ix_measurement_requests_state", "measurement_requests", columns, unique=False)
    is_false = sa.false()
    op.add_column(
        "workers", sa.Column("measures_only", sa.Boolean(), nullable=False, server_default=is_false)
    )
    op.add_column("workers", sa.Column("noise", sa.Text(), nullable=True))
    op.add_column("trials", sa.Column("released", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("latency_device", sa.String(length=63), nullable=True))
    _name_devices()


def _name_devices() -> None:
    """Fill in where the studies that are there measure latency."""
    studies = sa.table("studies", sa.column("id"), sa.column("spec", sa.JSON), sa.column("latency_device"))
    for study in op.get_bind().execute(sa.select(studies.c.id, studies.c.spec)).all():
        if _needs_latency(study.spec):
            device = study.spec.get("device", "cpu")
            named = sa.update(studies).where(studies.c.id == study.id).values(latency_device=device)
            op.get_bind().execute(named)


def _needs_latency(spec: dict[str, Any]) -> bool:
    objectives = [objective["metric"] for objective in spec.get("objectives", [])]
    return "latency_ms" in {*objectives, *spec.get("constraints", {})}


def downgrade() -> None:
    op.drop_column("studies", "latency_device")
    op.drop_column("trials", "released")
    op.drop_column("workers", "noise")
    op.drop_column("workers", "measures_only")
    op.drop_index("ix_measurement_requests_state", table_name="measurement_requests")
    op.drop_table("measurement_requests")
    op.drop_index("ix_measurements_device", table_name="measurements")
    op.drop_table("measurements")
