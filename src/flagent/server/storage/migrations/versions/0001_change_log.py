"""The change log, its head, and the state that follows from it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_head",
        sa.Column("epoch", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("flag_id", sa.Integer, nullable=False),
        sa.Column("segment_id", sa.Integer, nullable=False),
        sa.Column("constraint_id", sa.Integer, nullable=False),
        sa.Column("distribution_id", sa.Integer, nullable=False),
        sa.Column("variant_id", sa.Integer, nullable=False),
        sa.Column("tag_id", sa.Integer, nullable=False),
    )
    op.create_table(
        "change_log",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("flag_id", sa.Integer, nullable=False),
        sa.Column("flag_key", sa.Text, nullable=False),
        sa.Column("previous_key", sa.Text),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("flag", sa.Text),
    )
    # The history of a flag.
    op.create_index("change_log_flag", "change_log", ["flag_id", "revision"])
    # Tombstones: they are few, and a start must not read the whole log to find them.
    gone = sa.text("flag IS NULL OR previous_key IS NOT NULL")
    op.create_index("change_log_gone", "change_log", ["revision"], sqlite_where=gone, postgresql_where=gone)
    op.create_table(
        "flag",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "tag",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Text, nullable=False, unique=True),
    )
    op.create_table("entity_type", sa.Column("key", sa.Text, primary_key=True))
