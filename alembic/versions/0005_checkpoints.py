"""States from which an interrupted trial is trained on, and workers that are about to end.

Revision: 0005
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("checkpoints", sa.JSON(none_as_null=True), nullable=True))
    op.add_column(
        "trials", sa.Column("furthest_checkpoint", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "workers", sa.Column("is_draining", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("workers", "is_draining")
    op.drop_column("trials", "furthest_checkpoint")
    op.drop_column("trials", "checkpoints")
