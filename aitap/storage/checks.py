"""Whether a database is sound: the file itself, rows that belong together, sums and contents that are what they say."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import peewee
from peewee import Database, SqliteDatabase

from aitap.storage.conversation import content_problems
from aitap.storage.database import rows_of
from aitap.storage.findings import Problem, miscounted
from aitap.storage.homes import home_of_database
from aitap.storage.queries import snapshot
from aitap.storage.repair.rows import CHILDREN, lost_messages, orphans
from aitap.storage.sum_checks import sum_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["findings", "looks", "problems"]

_MOST = 20
_STRAY_KEYS = "SELECT count(*) FROM aitap_keys k WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = k.user_id)"
_OF_AN_INDEX = ("missing from index", "wrong # of entries in index", "non-unique entry in index")


def problems(database: Database) -> list[str]:
    """What is wrong, one line each; nothing for a sound database. See :func:`findings`."""
    return list(map(str, findings(database)))


def findings(database: Database) -> Iterator[Problem]:
    """What is wrong, as it is found, with what to do; at most 20 of one kind. Reads all of it, beside writers."""
    return chain.from_iterable(looks(database))


def looks(database: Database) -> Iterator[list[Problem]]:
    """The same in steps, each a look at something else."""
    damage = _damage(database) if isinstance(database, SqliteDatabase) else []
    yield damage
    if damage:
        # Queries on a damaged file say nothing that could be relied on.
        return
    for table in CHILDREN:
        found = orphans(database, table)
        yield [miscounted(table, "without their interception", len(found), "removes them")] if found else []
    yield _keys(database)
    yield from sum_problems(database)
    with snapshot(database):
        home_of_database(database).take_time(database)
        wrong = content_problems(database)
    yield wrong
    # Only then: what a changed message no longer refers to may be what is missed of it.
    if not wrong and (lost := lost_messages(database)):
        yield [miscounted("aitap_messages", "that nothing refers to", len(lost), "removes them")]


def _keys(database: Database) -> list[Problem]:
    [(stray,)] = rows_of(database, _STRAY_KEYS)
    if not stray:
        return []
    # They are no use to anybody: aitap itself removes a user with the keys, or neither.
    return [
        Problem(
            f"aitap_keys has {stray} rows without their user",
            "nobody gets in with them; add the user again, whose keys they then are, or `aitap erase --user ID`",
        )
    ]


def _damage(database: SqliteDatabase) -> list[Problem]:
    try:
        told = [row[0] for row in database.execute_sql(f"PRAGMA integrity_check({_MOST})") if row[0] != "ok"]
    except peewee.DatabaseError as error:
        told = [str(error)]
    name = home_of_database(database).name
    if told and all(any(words in line for words in _OF_AN_INDEX) for line in told):
        advice = f"stop the proxies and run `sqlite3 {name} REINDEX`, which makes indexes anew"
    else:
        advice = f"stop the proxies, then restore a backup, or save what can be read: `sqlite3 {name} .recover`"
    return [Problem(f"the file is damaged: {line}", advice) for line in told]
