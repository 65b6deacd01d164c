"""The tables, for the statements of this package; `migrations` makes and changes them.

`change_log` is the history and the truth; `flag`, `tag` and `entity_type` are what replaying it
gives, kept so that a start does not replay; `log_head` is the newest revision. Flags and event data
are JSON documents in text columns, encoded as in the full view: nothing inside a flag is ever
searched in SQL, and text is the one form that is byte for byte the same on every engine.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

log_head = sa.Table(
    "log_head",
    metadata,
    sa.Column("epoch", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    # The largest id of each kind that was ever given out; see core.ids.
    sa.Column("flag_id", sa.Integer, nullable=False),
    sa.Column("segment_id", sa.Integer, nullable=False),
    sa.Column("constraint_id", sa.Integer, nullable=False),
    sa.Column("distribution_id", sa.Integer, nullable=False),
    sa.Column("variant_id", sa.Integer, nullable=False),
    sa.Column("tag_id", sa.Integer, nullable=False),
)

change_log = sa.Table(
    "change_log",
    metadata,
    # On SQLite it is the number of the row, which only an INTEGER can be; that has 64 bits there.
    sa.Column("revision", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("flag_id", sa.Integer, nullable=False),
    sa.Column("flag_key", sa.Text, nullable=False),
    sa.Column("previous_key", sa.Text),
    sa.Column("data", sa.Text, nullable=False),
    # 16 hex digits: 64 bits without a sign fit no integer column.
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("flag", sa.Text),
)
_gone = sa.text("flag IS NULL OR previous_key IS NOT NULL")
sa.Index("change_log_flag", change_log.c.flag_id, change_log.c.revision)
sa.Index("change_log_time", change_log.c.at_ms)
sa.Index("change_log_gone", change_log.c.revision, sqlite_where=_gone, postgresql_where=_gone)

flag = sa.Table(
    "flag",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

tag = sa.Table(
    "tag",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Text, nullable=False, unique=True),
)

entity_type = sa.Table("entity_type", metadata, sa.Column("key", sa.Text, primary_key=True))

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # SHA-256 of the secret, as hex; the secret itself is nowhere.
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("last_used_at", sa.BigInteger),
)
