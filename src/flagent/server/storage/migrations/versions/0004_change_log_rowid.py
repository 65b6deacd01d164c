"""On SQLite, revisions as the numbers of rows: no index of their own has to be written with each change."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEXES = ("change_log_flag", "change_log_gone", "change_log_time")


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name in _INDEXES:
        op.drop_index(name, "change_log")
    op.rename_table("change_log", "change_log_before")
    # Only an INTEGER is the number of the row; it has 64 bits as well.
    op.create_table(
        "change_log",
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
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
    op.execute("INSERT INTO change_log SELECT * FROM change_log_before ORDER BY revision")
    op.drop_table("change_log_before")
    gone = sa.text("flag IS NULL OR previous_key IS NOT NULL")
    op.create_index("change_log_flag", "change_log", ["flag_id", "revision"])
    op.create_index("change_log_gone", "change_log", ["revision"], sqlite_where=gone)
    op.create_index("change_log_time", "change_log", ["at_ms"])
