"""Hosts: which host was seen, by whom and when. A frozen copy of the model of that day, filled from what is there."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, Database, Model, TextField

from aitap.storage.fields import Timestamp, Uuid

__all__ = ["up"]


class Host(Model):
    host = TextField()
    mode = TextField()
    provider = TextField()
    provider_name = TextField()
    initiator_id = Uuid()
    client = TextField()
    first_seen = Timestamp()
    last_seen = Timestamp(index=True)
    interceptions = BigIntegerField(default=0)

    class Meta:
        legacy_table_names = False
        table_name = "aitap_hosts"
        primary_key = CompositeKey("host", "mode", "provider", "provider_name", "initiator_id", "client")
        without_rowid = True


FILL = """
INSERT INTO aitap_hosts (host, mode, provider, provider_name, initiator_id, client, first_seen, last_seen,
                         interceptions)
SELECT host, 'decrypted', provider, provider_name, initiator_id, coalesce(client, ''), min(started_at),
       max(started_at), count(*)
FROM aibridge_interceptions WHERE ended_at IS NOT NULL
GROUP BY host, provider, provider_name, initiator_id, coalesce(client, '')
"""


def up(_migrator: Any, database: Database) -> None:
    """Make the table and count what was recorded before it was there."""
    with database.bind_ctx((Host,)):
        database.create_tables((Host,), safe=False)
    database.execute_sql(FILL)
