"""Whether the sums that are kept beside interceptions say what the interceptions do: kinds, sessions, days, months.

Sums of kinds and sessions are those of the rows there are. Sums of days outlive their rows, so they may be more than
these, never less; coarser sums are those of the finer, to the last token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage.database import rows_of
from aitap.storage.day_numbers import day_of_column
from aitap.storage.session_days import ASKED, KEY, counted
from aitap.storage.usage_models import COUNTS, KEYS

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["sum_problems"]

_DAY = {
    "sqlite": "substr(started_at, 1, 10)",
    "postgres": "to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}
_FINER = {
    "aitap_monthly_usage": "aitap_daily_usage",
    "aitap_daily_totals": "aitap_daily_usage",
    "aitap_daily_models": "aitap_daily_totals",
    "aitap_monthly_totals": "aitap_daily_totals",
    "aitap_monthly_users": "aitap_monthly_usage",
}
"""Coarser sums, and the finer ones that they are made of."""
_OF_SESSION = "session_id, initiator_id, kind_id"
_MOVED = f"""
    SELECT count(*) FROM aitap_session_kinds k JOIN (
        SELECT {_OF_SESSION}, min(started_at) AS first_at, max(started_at) AS last_at FROM aibridge_interceptions
        WHERE ended_at IS NOT NULL GROUP BY {_OF_SESSION}
    ) i ON i.session_id = k.session_id AND i.initiator_id = k.initiator_id AND i.kind_id = k.kind_id
    WHERE k.first_at <> i.first_at OR k.last_at <> i.last_at
"""
_STALE = """
    SELECT count(*) FROM aitap_session_kinds k
    JOIN aitap_sessions s ON s.session_id = k.session_id AND s.initiator_id = k.initiator_id
    WHERE k.active_at IS NULL OR k.active_at <> s.last_active_at
"""


def sum_problems(database: Database) -> list[str]:
    """What differs, a line for each table; nothing where all agree. Reads every interception, without its texts."""
    home = "sqlite" if database.param == "?" else "postgres"
    found: list[str] = []

    def told(table: str, what: str, count: int) -> None:
        if count:
            found.append(f"{table} has {count} rows {what}")

    for table, key, of_row in (
        ("aitap_kinds", "id", "kind_id"),
        ("aitap_kind_days", "kind_id, day", f"kind_id, {day_of_column(database, 'started_at')}"),
        ("aitap_session_kinds", _OF_SESSION, _OF_SESSION),
        ("aitap_sessions", "session_id, initiator_id", "session_id, initiator_id"),
    ):
        told(table, "that do not count what interceptions there are", _count(database, _counted(table, key, of_row)))
    told("aitap_session_kinds", "with other times than their interceptions", _count(database, _MOVED))
    told("aitap_session_kinds", "with another time than their session", _count(database, _STALE))
    miscounted = sum(_count(database, _miscounted(database, asked)) for asked in ASKED)
    told("aitap_session_days", "that do not count what sessions there are", miscounted)
    for table, finer in _FINER.items():
        told(table, f"that are not the sum of {finer}", _count(database, _summed(table, finer)))
    told("aitap_daily_usage", "(days) that count less than there is", _count(database, _short(_DAY[home])))
    return found


def _count(database: Database, sql: str) -> int:
    return int(rows_of(database, sql)[0][0] or 0)


def _counted(table: str, key: str, of_row: str) -> str:
    """How many keys have another count in a table than among the interceptions that have ended."""
    places = ", ".join(map(str, range(1, key.count(",") + 2)))
    return f"""
        SELECT count(*) FROM (
            SELECT {key}, sum(n) AS n FROM (
                SELECT {key}, interceptions AS n FROM {table}
                UNION ALL
                SELECT {of_row}, -count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL GROUP BY {places}
            ) AS both_of_them GROUP BY {places} HAVING sum(n) <> 0
        ) AS differing
    """


def _miscounted(database: Database, asked: int) -> str:
    """How many rows there are, of one way to ask, that have other counts than the sessions."""
    key = ", ".join(KEY)
    return f"""
        SELECT count(*) FROM (
            SELECT {key} FROM (
                SELECT {key}, began, ended FROM aitap_session_days WHERE asked = {asked}
                UNION ALL
                SELECT {key}, -began, -ended FROM ({counted(database, asked)}) AS counted
            ) AS both_of_them GROUP BY {key} HAVING sum(began) <> 0 OR sum(ended) <> 0
        ) AS differing
    """


def _summed(table: str, finer: str) -> str:
    """How many keys of a table have other sums than those of the finer one."""
    key = KEYS[table]
    own = ", ".join(key)
    theirs = ", ".join("substr(day, 1, 7)" if name == "month" and "day" in KEYS[finer] else name for name in key)
    places = ", ".join(str(place + 1) for place in range(len(key)))
    return f"""
        SELECT count(*) FROM (
            SELECT {own} FROM (
                SELECT {own}, {", ".join(COUNTS)} FROM {table}
                UNION ALL
                SELECT {theirs}, {", ".join(f"-{name}" for name in COUNTS)} FROM {finer}
            ) AS both_of_them GROUP BY {places} HAVING {" OR ".join(f"sum({name}) <> 0" for name in COUNTS)}
        ) AS differing
    """


def _short(day: str) -> str:
    """How many days count fewer interceptions than there are of them."""
    return f"""
        SELECT count(*) FROM (
            SELECT day, sum(n) AS n FROM (
                SELECT day, interceptions AS n FROM aitap_daily_usage
                UNION ALL
                SELECT {day}, -count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL GROUP BY 1
            ) AS both_of_them GROUP BY day HAVING sum(n) < 0
        ) AS differing
    """
