"""An index of the sessions that did not end on the day on which they began, by how far they went on.

A frozen copy of what the models of that day say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["up"]

SQLITE = "substr(ended_at, 1, {0}) <> substr(started_at, 1, {0})"
POSTGRES = "date_trunc('{0}', ended_at AT TIME ZONE 'UTC') <> date_trunc('{0}', started_at AT TIME ZONE 'UTC')"


def up(_migrator: Any, database: Database) -> None:
    """Make it."""
    in_file = database.param == "?"
    units = (4, 7, 10) if in_file else ("year", "month", "day")
    year, month, day = ((SQLITE if in_file else POSTGRES).format(unit) for unit in units)
    far = f"CASE WHEN {year} THEN 3 WHEN {month} THEN 2 WHEN {day} THEN 1 END"
    database.execute_sql(
        f"CREATE INDEX aitap_sessions_far ON aitap_sessions (({far}), ended_at, last_active_at, session_id, "
        f"initiator_id, started_at) WHERE {far} IS NOT NULL"
    )
