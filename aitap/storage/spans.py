"""Rows found by what their keys have of chance: ids that providers made up, and the ends of our own.

In an SQLite file each row that comes or goes changes a page of every index, and in one of random keys no two of those
pages lie together. So three of its indexes have the span before the key: the first five digits of the row's own id,
which begins with the time, some three days of it. Who asks by the key alone has to ask in every span that there is:
what these functions give stands before the condition of the key. PostgreSQL, where a row that goes changes no index,
has its indexes of the key alone, and for it they give nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["SPAN", "in_every_span", "newest_first"]

SPAN = "CASE WHEN substr({0}id, 15, 1) IN ('7', '8') THEN substr({0}id, 1, 5) ELSE '' END"
"""The span of a row. Ids of another version do not begin with the time: together they are one span.

The indexes are made of this text: SQLite sees that a question is about one of them by its being the same.
"""

_BITS = 28
"""Of the milliseconds since the epoch that ids begin with, those behind the first five digits."""


def in_every_span(database: Database, table: str, alias: str = "") -> str:
    """Begins a condition by which the rows of a table are found, wherever they are: ``... AND``, or nothing.

    ``alias`` is the table's name in the statement, where it has another.
    """
    return _condition(table, alias) if database.param == "?" else ""


def newest_first(database: Database, table: str, alias: str = "") -> list[str]:
    """The same in parts, to be asked one after the other until one is answered: the spans of now, then all before.

    A row that was just written is in the first, and so is what has an id of the future.
    """
    if database.param != "?":
        return [""]
    recent = f"{max((time.time_ns() // 1_000_000 >> _BITS) - 1, 0):05x}"
    return [_condition(table, alias, since=recent), _condition(table, alias, before=recent)]


def _condition(table: str, alias: str, *, since: str = "", before: str = "") -> str:
    own, span = SPAN.format(f"{alias}." if alias else ""), SPAN.format("")
    last = f" WHERE {span} < '{before}'" if before else ""
    first = f" AND {span} >= '{since}'" if since else ""
    # From one to the next by the index itself: as many of its entries are read as there are spans.
    step = f"SELECT {span} FROM {table} WHERE {span} < span{first} ORDER BY {span} DESC LIMIT 1"
    return (
        f"{own} IN (WITH RECURSIVE spans(span) AS (SELECT max({span}) FROM {table}{last} UNION ALL "
        f"SELECT ({step}) FROM spans WHERE span >= '{since}') SELECT span FROM spans WHERE span >= '{since}') AND "
    )
