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
    # All that is there has come before whoever comes next.
    if op.get_bind().dialect.name == "postgresql":
        # Without a row being written, however many there are.
        op.add_column("epochs", sa.Column("arrival", big, nullable=True, server_default="0"))
        op.alter_column("epochs", "arrival", server_default=None)
    else:
        op.add_column("epochs", sa.Column("arrival", big, nullable=True))
        op.execute("UPDATE epochs SET arrival = 0")


def downgrade() -> None:
    op.drop_column("epochs", "arrival")
    op.drop_column("studies", "arrivals")
