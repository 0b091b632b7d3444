"""Roles and ends of tokens, whose worker is whose, browser sessions, and the audit log.

Revision: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
LIVING = sa.text("revoked_at IS NULL")


def upgrade() -> None:
    op.add_column("tokens", sa.Column("name", sa.String(length=100), nullable=False, server_default=""))
    op.add_column("tokens", sa.Column("expires_at", MOMENT, nullable=True))
    op.add_column("tokens", sa.Column("last_used_at", MOMENT, nullable=True))
    # Every token so far was made at a server's first start and opened everything.
    op.execute("UPDATE tokens SET role = 'admin', name = 'first-start-' || substr(sha256, 1, 8)")
    op.create_index(
        "ix_tokens_living_name",
        "tokens",
        ["name"],
        unique=True,
        sqlite_where=LIVING,
        postgresql_where=LIVING,
    )
    # Written out: SQLite adds a column with a reference, but no constraint, to a table that is there.
    op.execute("ALTER TABLE workers ADD COLUMN token_id INTEGER REFERENCES tokens (id)")
    op.create_table(
        "sessions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
    )
    op.create_table(
        "audit",
        sa.Column("id", BIG, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("audit")
    op.drop_table("sessions")
    op.drop_column("workers", "token_id")
    # To the program before, every token that was not revoked opens everything, for ever.
    op.execute(
        "UPDATE tokens SET revoked_at = CURRENT_TIMESTAMP "
        "WHERE revoked_at IS NULL AND (role <> 'admin' OR expires_at IS NOT NULL)"
    )
    op.execute("UPDATE tokens SET role = 'all' WHERE role = 'admin'")
    op.drop_index("ix_tokens_living_name", table_name="tokens")
    op.drop_column("tokens", "last_used_at")
    op.drop_column("tokens", "expires_at")
    op.drop_column("tokens", "name")
