"""Roles of users, and who read whose records. A frozen copy of what the models of that day add."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, Database, Model, TextField

from aitap.storage.fields import Timestamp, Uuid

__all__ = ["up"]


class Reading(Model):
    id = Uuid(primary_key=True)
    read_at = Timestamp(index=True)
    reader_id = Uuid()
    api_key_id = TextField(null=True)
    address = TextField()
    subject_id = Uuid()
    path = TextField()
    query = TextField()
    records = BigIntegerField()

    class Meta:
        legacy_table_names = False
        table_name = "aitap_audit"
        indexes = ((("subject_id", "read_at"), False),)


def up(_migrator: Any, database: Database) -> None:
    """Make the table and the column."""
    database.execute_sql("ALTER TABLE users ADD COLUMN \"role\" TEXT NOT NULL DEFAULT 'user'")
    with database.bind_ctx([Reading]):
        database.create_tables([Reading], safe=False)
