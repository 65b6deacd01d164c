"""When changes were made, to find those since a moment."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("change_log_time", "change_log", ["at_ms"])
