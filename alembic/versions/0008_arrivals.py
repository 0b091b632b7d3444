"""In which order trials came to rungs.

Revision: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("studies", sa.Column("arrivals", big, nullable=False, server_default="0"))
    op.add_column("epochs", sa.Column("arrival", big, nullable=True))
    # All that is there has come before whoever comes next.
    op.execute("UPDATE epochs SET arrival = 0")


def downgrade() -> None:
    op.drop_column("epochs", "arrival")
    op.drop_column("studies", "arrivals")
