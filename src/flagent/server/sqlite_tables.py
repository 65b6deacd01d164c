"""The tables of the SQLite export: names and columns of Flagent, which has all of openflagr's and three more.

They are another system's, with plurals, dates and no keys but ids; nothing here is stored in them.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

metadata = sa.MetaData()


def json_text(value: Any) -> str | None:
    """Return the text that a JSON column holds."""
    return None if value is None else msgspec.json.encode(value).decode()


def _table(name: str, *columns: sa.Column[Any], dated: bool = True) -> sa.Table:
    dates = ("created_at", "updated_at", "deleted_at") if dated else ()
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *columns,
        *(sa.Column(date, sa.DateTime) for date in dates),
    )


flags = _table(
    "flags",
    sa.Column("key", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("created_by", sa.Text),
    sa.Column("updated_by", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("snapshot_id", sa.Integer),
    sa.Column("notes", sa.Text),
    sa.Column("data_records_enabled", sa.Boolean),
    sa.Column("entity_type", sa.Text),
    # The three of Flagent that we have nothing for.
    sa.Column("environment_id", sa.Integer),
    sa.Column("project_id", sa.Integer),
    sa.Column("depends_on", sa.Text),
)
segments = _table(
    "segments",
    sa.Column("flag_id", sa.Integer),
    sa.Column("description", sa.Text),
    sa.Column("rank", sa.Integer),
    sa.Column("rollout_percent", sa.Integer),
)
variants = _table(
    "variants", sa.Column("flag_id", sa.Integer), sa.Column("key", sa.Text), sa.Column("attachment", sa.Text)
)
constraints = _table(
    "constraints",
    sa.Column("segment_id", sa.Integer),
    sa.Column("property", sa.Text),
    sa.Column("operator", sa.Text),
    sa.Column("value", sa.Text),
)
distributions = _table(
    "distributions",
    sa.Column("segment_id", sa.Integer),
    sa.Column("variant_id", sa.Integer),
    sa.Column("variant_key", sa.Text),
    sa.Column("percent", sa.Integer),
    sa.Column("bitmap", sa.Text),
)
tags = _table("tags", sa.Column("value", sa.Text))
flags_tags = _table("flags_tags", sa.Column("flag_id", sa.Integer), sa.Column("tag_id", sa.Integer), dated=False)
flag_snapshots = _table(
    "flag_snapshots",
    sa.Column("flag_id", sa.Integer),
    sa.Column("updated_by", sa.Text),
    sa.Column("flag", sa.Text),
)
flag_entity_types = _table("flag_entity_types", sa.Column("key", sa.Text))
users = _table("users", sa.Column("email", sa.Text))
