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
        sa.Column("space_version", sa.Integer(), nullable=False),
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
    op.add_column("studies", sa.Column("space_version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("repeats", sa.Column("space_version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("trials", sa.Column("space_version", sa.Integer(), nullable=True))
    op.add_column("trials", sa.Column("excluded", sa.Text(), nullable=True))
    # What a person enqueued has no parameters and was drawn by no space.
    op.execute("UPDATE trials SET space_version = 1 WHERE CAST(params AS TEXT) <> '{}'")
    spaces = op.create_table(
        "spaces",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study_id", "version"),
    )
    _keep_first_versions(spaces)


def _keep_first_versions(spaces: sa.Table) -> None:
    columns = (
        sa.column("id"),
        sa.column("spec", sa.JSON),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    studies = sa.table("studies", *columns)
    for study in op.get_bind().execute(sa.select(studies)).all():
        values = {
            "study_id": study.id,
            "version": 1,
            "space": study.spec["space"],
            "created_at": study.created_at,
        }
        op.get_bind().execute(sa.insert(spaces).values(values))


def downgrade() -> None:
    op.drop_table("spaces")
    op.drop_column("trials", "excluded")
    op.drop_column("trials", "space_version")
    op.drop_column("repeats", "space_version")
    op.drop_column("studies", "space_version")
    op.drop_index("ix_forbidden_revision", table_name="forbidden")
    op.drop_table("forbidden")
    op.drop_column("studies", "forbidden")
