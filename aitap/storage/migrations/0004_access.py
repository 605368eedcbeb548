"""Access: proxy keys, rules for hosts, and what tunnels did. A frozen copy of what the models of that day add."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, Database, Model, TextField

from aitap.storage.fields import Timestamp, Uuid

__all__ = ["up"]


class Table(Model):
    class Meta:
        legacy_table_names = False


class Key(Table):
    id = TextField(primary_key=True)
    user_id = Uuid(index=True)
    name = TextField(default="")
    digest = TextField(unique=True)
    hint = TextField()
    created_at = Timestamp()
    expires_at = Timestamp(null=True)
    revoked_at = Timestamp(null=True)
    last_used_at = Timestamp(null=True)

    class Meta:
        table_name = "aitap_keys"


class HostRule(Table):
    pattern = TextField(primary_key=True)
    mode = TextField()
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_host_modes"


class Change(Table):
    name = TextField(primary_key=True)
    version = BigIntegerField()

    class Meta:
        table_name = "aitap_changes"


class Host(Table):
    host = TextField()
    mode = TextField()
    provider = TextField()
    provider_name = TextField()
    initiator_id = Uuid()
    client = TextField()
    client_address = TextField()
    first_seen = Timestamp()
    last_seen = Timestamp(index=True)
    interceptions = BigIntegerField(default=0)
    connections = BigIntegerField(default=0)
    bytes_sent = BigIntegerField(default=0)
    bytes_received = BigIntegerField(default=0)
    refusals = BigIntegerField(default=0)
    error = TextField(default="")

    class Meta:
        table_name = "aitap_hosts"
        primary_key = CompositeKey(
            "host", "mode", "provider", "provider_name", "initiator_id", "client", "client_address"
        )
        without_rowid = True


TABLES = (Key, HostRule, Change, Host)

# A key cannot be changed in place; the index goes first because its name is taken otherwise.
MAKE_ROOM = ("DROP INDEX aitap_hosts_last_seen", "ALTER TABLE aitap_hosts RENAME TO aitap_hosts_before")
FILL = """
INSERT INTO aitap_hosts (host, mode, provider, provider_name, initiator_id, client, client_address, first_seen,
                         last_seen, interceptions, connections, bytes_sent, bytes_received, refusals, error)
SELECT host, mode, provider, provider_name, initiator_id, client, '', first_seen,
       last_seen, interceptions, 0, 0, 0, 0, ''
FROM aitap_hosts_before
"""


def up(_migrator: Any, database: Database) -> None:
    """Make the new tables, and the table of hosts anew with what it held."""
    database.execute_sql("ALTER TABLE users ADD COLUMN \"source\" TEXT NOT NULL DEFAULT 'local'")
    for statement in MAKE_ROOM:
        database.execute_sql(statement)
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES, safe=False)
    database.execute_sql(FILL)
    database.execute_sql("DROP TABLE aitap_hosts_before")
    database.execute_sql("INSERT INTO aitap_changes (name, version) VALUES ('access', 0), ('contents', 0)")
