"""Whether a database is sound: the file itself, rows that belong together, sums and contents that are what they say."""

from __future__ import annotations

from peewee import Database, SqliteDatabase, fn

from aitap.storage.conversation import content_problems
from aitap.storage.database import rows_of
from aitap.storage.models import Interception
from aitap.storage.rows import CHILDREN
from aitap.storage.sum_checks import sum_problems

__all__ = ["problems"]

_MOST = 20
_STRAY_KEYS = "SELECT count(*) FROM aitap_keys k WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = k.user_id)"


def problems(database: Database) -> list[str]:
    """What is wrong, one line each, at most 20 of one kind; nothing for a sound database. Reads all of it."""
    found: list[str] = []
    if isinstance(database, SqliteDatabase):
        found += [
            f"the file is damaged: {row[0]}"
            for row in database.execute_sql(f"PRAGMA integrity_check({_MOST})")
            if row[0] != "ok"
        ]
    if found:
        # Queries on a damaged file say nothing that could be relied on.
        return found
    for shape in CHILDREN.values():
        child = shape.model
        owner = Interception.select(1).where(Interception.id == child.interception_id)
        query = child.select(fn.COUNT(child.id)).where(~fn.EXISTS(owner))
        if lost := int(database.execute(query).fetchone()[0]):
            found.append(f"{child._meta.table_name} has {lost} rows without their interception")
    if lost := int(rows_of(database, _STRAY_KEYS)[0][0]):
        found.append(f"aitap_keys has {lost} rows without their user")
    return found + sum_problems(database) + content_problems(database)
