"""Versions of a study's space, and proposals that its rules forbid.

Revision: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("studies", sa.Column("forbidden", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "forbidden",
        sa.Column("id", BIG, nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("distributions", sa.JSON(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study_id", "ordinal"),
    )
    op.create_index("ix_forbidden_revision", "forbidden", ["study_id", "revision"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_forbidden_revision", table_name="forbidden")
    op.drop_table("forbidden")
    op.drop_column("studies", "forbidden")
