"""How many sessions there are by day, and the indexes by which sessions are found and sorted.

A frozen copy of what the models of that day add, filled from what is there.
"""

from __future__ import annotations

from typing import Any

from peewee import CompositeKey, Database, IntegerField, Model, TextField

from aitap.storage.database import rows_of

__all__ = ["up"]

COLUMNS = ("provider", "provider_name", "model", "client")


class SessionDay(Model):
    asked = IntegerField()
    provider = TextField()
    provider_name = TextField()
    model = TextField()
    client = TextField()
    day = IntegerField()
    began = IntegerField(default=0)
    ended = IntegerField(default=0)

    class Meta:
        legacy_table_names = False
        table_name = "aitap_session_days"
        primary_key = CompositeKey("asked", "provider", "provider_name", "model", "client", "day")
        without_rowid = True


DAY = {
    "sqlite": "CAST(julianday(substr({0}, 1, 10)) - 2440587.5 AS INTEGER)",
    "postgres": "({0} AT TIME ZONE 'UTC')::date - date '1970-01-01'",
}
INDEXES = (
    ("aitap_sessions", ("initiator_id", "last_active_at", "started_at")),
    ("aitap_sessions", ("cost_micros", "session_id", "initiator_id")),
    ("aitap_session_kinds", ("kind_id", "first_at")),
)


def filled(asked: int, day: str) -> str:
    """The rows of one way to ask: each column, or all its values as one."""
    theirs = {name: f"k.{name}" for name in COLUMNS} | {"client": "coalesce(nullif(k.client, ''), 'Unknown')"}
    values = [theirs[name] if asked & 1 << place else "''" for place, name in enumerate(COLUMNS)]
    columns = ", ".join(COLUMNS)
    named = ", ".join(f"{value} AS {name}" for name, value in zip(COLUMNS, values, strict=True))
    return (
        f"INSERT INTO aitap_session_days (asked, {columns}, day, began, ended) "
        f"WITH found AS (SELECT s.session_id, s.initiator_id, {named}, min(s.first_at) AS first_at, "
        "max(s.last_at) AS last_at FROM aitap_session_kinds s JOIN aitap_kinds k ON k.id = s.kind_id "
        f"GROUP BY 1, 2, 3, 4, 5, 6) SELECT {asked}, {columns}, day, sum(began), sum(ended) "
        f"FROM (SELECT {columns}, {day.format('first_at')} AS day, 1 AS began, 0 AS ended FROM found UNION ALL "
        f"SELECT {columns}, {day.format('last_at')}, 0, 1 FROM found) AS days GROUP BY {columns}, day"
    )


def up(_migrator: Any, database: Database) -> None:
    """Make the table, fill it, make the indexes."""
    if database.param != "?":
        # It reads all sessions there are: that may take its time.
        database.execute_sql("SET LOCAL statement_timeout = 0")
    with database.bind_ctx([SessionDay]):
        database.create_tables([SessionDay], safe=False)
    day = DAY["sqlite" if database.param == "?" else "postgres"]
    for asked in range(1 << len(COLUMNS)):
        rows_of(database, filled(asked, day))
    database.execute_sql("DROP INDEX aitap_sessions_initiator_id_last_active_at")
    for table, columns in INDEXES:
        named = ", ".join(f'"{column}"' for column in columns)
        database.execute_sql(f'CREATE INDEX "{table}_{"_".join(columns)}" ON "{table}" ({named})')
