"""Repeats by their trial, which takes them along when it is deleted.

Revision: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_repeats_trial", "repeats", ["trial_id"])


def downgrade() -> None:
    op.drop_index("ix_repeats_trial", "repeats")
