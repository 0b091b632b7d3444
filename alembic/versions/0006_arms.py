"""Who chose a trial's architecture, and budgets in epochs.

Revision: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("arm", sa.String(16), nullable=False, server_default="search"))
    # Until now nobody but a person made a trial that no version of the space had drawn.
    op.execute("UPDATE trials SET arm = 'enqueued' WHERE space_version IS NULL")
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("studies", sa.Column("budget_epochs", sa.Integer(), nullable=True))
    op.add_column("studies", sa.Column("epochs_spent", big, nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("epochs_a_trial", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for name in ("epochs_a_trial", "epochs_spent", "budget_epochs"):
        op.drop_column("studies", name)
    op.drop_column("trials", "arm")
