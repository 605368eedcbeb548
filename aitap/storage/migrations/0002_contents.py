"""Contents: the conversation itself, each message once. A frozen copy of what the models of that day add."""

from __future__ import annotations

from typing import Any

from peewee import SQL, BigIntegerField, Database, Model, TextField

from aitap.storage.fields import Timestamp, Uuid

__all__ = ["up"]


class Table(Model):
    class Meta:
        legacy_table_names = False


class Interception(Table):
    id = Uuid(primary_key=True)
    started_at = Timestamp()
    request_digest = TextField(null=True)
    response_digest = TextField(null=True)
    system_digest = TextField(null=True)
    tools_digest = TextField(null=True)

    class Meta:
        table_name = "aibridge_interceptions"


class Message(Table):
    digest = TextField(primary_key=True)
    parent_digest = TextField(null=True)
    role = TextField()
    content = TextField()
    bytes = BigIntegerField()
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_messages"


class LooseMessage(Table):
    digest = TextField(primary_key=True)

    class Meta:
        table_name = "aitap_loose_messages"
        without_rowid = True


COLUMNS = ("request_digest", "response_digest", "system_digest", "tools_digest")
HAS_CONTENTS = "request_digest IS NOT NULL OR response_digest IS NOT NULL"

Message.add_index(Message.parent_digest, where=SQL("parent_digest IS NOT NULL"))


def up(_migrator: Any, database: Database) -> None:
    """Add the columns that refer to contents, and the tables that hold them."""
    for column in COLUMNS:
        database.execute_sql(f'ALTER TABLE aibridge_interceptions ADD COLUMN "{column}" TEXT')
    indexes = [
        Interception.index(Interception.started_at, where=SQL(HAS_CONTENTS), name="aibridge_interceptions_contents")
    ]
    indexes += [
        Interception.index(getattr(Interception, column), where=SQL(f"{column} IS NOT NULL")) for column in COLUMNS
    ]
    with database.bind_ctx((Interception, Message, LooseMessage)):
        for index in indexes:
            database.execute(index)
        database.create_tables((Message, LooseMessage), safe=False)
