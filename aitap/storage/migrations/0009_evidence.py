"""Tamper evidence, and exports that go on where they stopped. A frozen copy of what the models of that day add."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, BlobField, Database, Model, TextField

from aitap.storage.fields import Timestamp

__all__ = ["up"]


class Table(Model):
    class Meta:
        legacy_table_names = False


class EvidenceBlock(Table):
    turn = BigIntegerField(primary_key=True)
    previous = BlobField()
    at = Timestamp()
    key = TextField()
    records = BlobField(null=True)
    messages = BlobField(null=True)
    readings = BlobField(null=True)
    removed = BlobField(null=True)
    hash = BlobField()
    signature = BlobField()

    class Meta:
        table_name = "aitap_evidence"


class Ending(Table):
    number = BigIntegerField(primary_key=True)
    ids = BlobField()

    class Meta:
        table_name = "aitap_endings"


class ExportCursor(Table):
    name = TextField(primary_key=True)
    number = BigIntegerField()
    query = TextField()
    exported_at = Timestamp()
    records = BigIntegerField(default=0)

    class Meta:
        table_name = "aitap_exports"
        without_rowid = True


TABLES = (EvidenceBlock, Ending, ExportCursor)


def up(_migrator: Any, database: Database) -> None:
    """Make the tables, and the counter of endings."""
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES, safe=False)
    database.execute_sql("INSERT INTO aitap_changes (name, version) VALUES ('endings', 0)")
