"""Kinds of interceptions, the indexes and counts that lists answer from, and pins.

A frozen copy of what the models of that day add, filled from what is there.
"""

from __future__ import annotations

from typing import Any

from peewee import AutoField, BigIntegerField, CompositeKey, Database, IntegerField, Model, TextField

from aitap.storage.database import rows_of
from aitap.storage.fields import Timestamp, Uuid

__all__ = ["up"]


class Table(Model):
    class Meta:
        legacy_table_names = False


class Interception(Table):
    id = Uuid(primary_key=True)
    started_at = Timestamp()
    kind_id = IntegerField(null=True)

    class Meta:
        table_name = "aibridge_interceptions"


class Session(Table):
    session_id = TextField()
    initiator_id = Uuid()
    started_at = Timestamp()
    last_active_at = Timestamp()

    class Meta:
        table_name = "aitap_sessions"
        primary_key = CompositeKey("session_id", "initiator_id")
        without_rowid = True


class Kind(Table):
    id = AutoField()
    initiator_id = Uuid()
    provider = TextField()
    provider_name = TextField()
    model = TextField()
    client = TextField()
    interceptions = BigIntegerField(default=0)

    class Meta:
        table_name = "aitap_kinds"
        indexes = ((("initiator_id", "provider", "provider_name", "model", "client"), True),)


class KindDay(Table):
    kind_id = IntegerField()
    day = IntegerField()
    interceptions = BigIntegerField(default=0)

    class Meta:
        table_name = "aitap_kind_days"
        primary_key = CompositeKey("kind_id", "day")
        without_rowid = True


class SessionKind(Table):
    session_id = TextField()
    initiator_id = Uuid()
    kind_id = IntegerField()
    interceptions = BigIntegerField(default=0)
    first_at = Timestamp()
    last_at = Timestamp()

    class Meta:
        table_name = "aitap_session_kinds"
        primary_key = CompositeKey("session_id", "initiator_id", "kind_id")
        without_rowid = True
        indexes = ((("kind_id", "last_at", "first_at"), False),)


class PrunedId(Table):
    id = Uuid(primary_key=True)

    class Meta:
        table_name = "aitap_pruned"
        without_rowid = True


USAGE = ("provider", "provider_name", "model", "client", "purpose", "credential_kind")
SUMS = (
    *("interceptions", "errors", "unmetered", "prompts", "tool_calls", "usages", "unpriced", "input_tokens"),
    *("output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "cost_micros"),
)


def totals() -> Any:
    meta = {
        "legacy_table_names": False,
        "table_name": "aitap_daily_totals",
        "primary_key": CompositeKey("day", *USAGE),
        "without_rowid": True,
    }
    columns: dict[str, Any] = {column: TextField() for column in ("day", *USAGE)}
    columns |= {column: BigIntegerField(default=0) for column in SUMS}
    return type("DailyTotal", (Model,), {"__module__": __name__, **columns, "Meta": type("Meta", (), meta)})


TABLES = (Kind, KindDay, SessionKind, PrunedId, totals())
COLUMNS = (
    'ALTER TABLE aibridge_interceptions ADD COLUMN "kind_id" INTEGER',
    'ALTER TABLE aitap_sessions ADD COLUMN "pinned" {boolean} NOT NULL DEFAULT FALSE',
)
DROPPED = (
    *(f"aibridge_interceptions_{columns}" for columns in ("started_at_id", "initiator_id_started_at")),
    *(f"aibridge_interceptions_{columns}" for columns in ("model_started_at", "thread_root_id")),
    "aitap_sessions_last_active_at_session_id",
)
ADDED = (
    (Interception, ("started_at", "kind_id")),
    (Interception, ("kind_id", "started_at")),
)
NEWEST = Session.index(
    Session.last_active_at,
    Session.session_id,
    Session.initiator_id,
    Session.started_at,
    name="aitap_sessions_newest",
)
TOTALS = (
    f"INSERT INTO aitap_daily_totals (day, {', '.join((*USAGE, *SUMS))}) SELECT day, {', '.join(USAGE)}, "
    f"{', '.join(f'sum({name})' for name in SUMS)} FROM aitap_daily_usage GROUP BY day, {', '.join(USAGE)}"
)
FILL = (
    """
    INSERT INTO aitap_kinds (initiator_id, provider, provider_name, model, client, interceptions)
    SELECT i.initiator_id, i.provider, i.provider_name, i.model, coalesce(i.client, ''),
           sum(CASE WHEN i.ended_at IS NULL THEN 0 ELSE 1 END)
    FROM aibridge_interceptions i GROUP BY 1, 2, 3, 4, 5
    """,
    """
    UPDATE aibridge_interceptions SET kind_id = k.id FROM aitap_kinds k
    WHERE k.initiator_id = aibridge_interceptions.initiator_id AND k.provider = aibridge_interceptions.provider
      AND k.provider_name = aibridge_interceptions.provider_name AND k.model = aibridge_interceptions.model
      AND k.client = coalesce(aibridge_interceptions.client, '')
    """,
    """
    INSERT INTO aitap_kind_days (kind_id, day, interceptions)
    SELECT i.kind_id, {day}, count(*) FROM aibridge_interceptions i WHERE i.ended_at IS NOT NULL GROUP BY 1, 2
    """,
    """
    INSERT INTO aitap_session_kinds (session_id, initiator_id, kind_id, interceptions, first_at, last_at)
    SELECT i.session_id, i.initiator_id, i.kind_id, count(*), min(i.started_at), max(i.started_at)
    FROM aibridge_interceptions i WHERE i.ended_at IS NOT NULL GROUP BY 1, 2, 3
    """,
    TOTALS,
)
SQLITE = {"boolean": "INTEGER", "day": "CAST(julianday(substr(i.started_at, 1, 10)) - 2440587.5 AS INTEGER)"}
POSTGRES = {"boolean": "BOOLEAN", "day": "(i.started_at AT TIME ZONE 'UTC')::date - date '1970-01-01'"}


def up(_migrator: Any, database: Database) -> None:
    """Make the tables, columns and indexes, and fill them; indexes that nothing asks any more go."""
    sqlite = database.param == "?"
    if not sqlite:
        # It reads and writes all there is: that may take its time.
        database.execute_sql("SET LOCAL statement_timeout = 0")
    words = SQLITE if sqlite else POSTGRES
    for name in DROPPED:
        database.execute_sql(f"DROP INDEX {name}")
    with database.bind_ctx((Interception, Session, *TABLES)):
        database.create_tables(TABLES, safe=False)
        for statement in (*COLUMNS, *FILL):
            rows_of(database, statement.format(**words))
        for model, columns in ADDED:
            database.execute(model.index(*(getattr(model, name) for name in columns)))
        database.execute(NEWEST)
