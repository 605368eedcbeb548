"""Making a PostgreSQL database what it was before a test, so that the next can have it.

To make a database and drop it takes the server a third of a second of work; most tests take a fraction of that. A
:class:`State` is what it is to be again: rows that came since are deleted, counters set back. Where anything else
differs - a table, an index, a grant, what ANALYZE found - or somebody is still connected, it is not to be had again.
"""

from __future__ import annotations

import time

import msgspec
import psycopg

__all__ = ["State", "make_as", "state_of"]

_SHAPE = """
    SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
        SELECT (oid, relname, relkind, relnatts, relhastriggers, relacl, reloptions, reltuples)::text AS part
        FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT (attrelid, attnum, attname, atttypid, attnotnull, atthasdef)::text
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT (oid, tgenabled)::text FROM pg_trigger
        UNION ALL SELECT (oid, convalidated)::text FROM pg_constraint
        UNION ALL SELECT (indexrelid, indisvalid)::text FROM pg_index
        UNION ALL SELECT oid::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT (nspname, nspacl)::text FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_t%'
        UNION ALL SELECT (starelid, staattnum)::text FROM pg_statistic WHERE starelid > 16383
        UNION ALL SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
        WHERE datname = current_database()
    ) AS parts
"""
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
_COUNTERS = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"

_GONE_WITHIN = 0.5
"""Seconds in which the server has noticed that a connection was closed, mostly."""


class State(msgspec.Struct, frozen=True):
    """What a database is: the shape of its tables, the rows of those that have any, and its counters."""

    shape: str
    rows: dict[str, str]
    counters: dict[str, int | None]


def state_of(connection: psycopg.Connection) -> State:
    """What it is now."""
    rows = {table: _rows(connection, table) for table in _filled(connection)}
    return State(_one(connection, _SHAPE), rows, dict(connection.execute(_COUNTERS).fetchall()))


def make_as(connection: psycopg.Connection, state: State) -> bool:
    """Whether it is this again, by now."""
    deadline = time.monotonic() + _GONE_WITHIN
    while _one(connection, _OTHERS):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    if _one(connection, _SHAPE) != state.shape:
        return False
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # in any order
        for table in _filled(connection) | set(state.rows):
            before = state.rows.get(table)
            if before is None or _rows(connection, table) != before:
                connection.execute(f'DELETE FROM "{table}"')  # type: ignore[call-overload]
                if before is not None:
                    again = f'INSERT INTO "{table}" SELECT * FROM json_populate_recordset(NULL::"{table}", %s::json)'
                    connection.execute(again, [before])  # type: ignore[call-overload]
        for name, last in dict(connection.execute(_COUNTERS).fetchall()).items():
            if last != state.counters[name]:
                told = [f'"{name}"', state.counters[name] or 1, state.counters[name] is not None]
                connection.execute("SELECT setval(%s::regclass, %s, %s)", told)
    return True


def _filled(connection: psycopg.Connection) -> set[str]:
    tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
    ask = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for name in tables)
    return {name for (name,) in connection.execute(ask).fetchall()} if tables else set()  # type: ignore[call-overload]


def _rows(connection: psycopg.Connection, table: str) -> str:
    ask = f'SELECT json_agg(t ORDER BY t::text)::text FROM "{table}" AS t'
    return _one(connection, ask)


def _one(connection: psycopg.Connection, ask: str) -> str:
    [(value,)] = connection.execute(ask).fetchall()  # type: ignore[call-overload]
    return value  # type: ignore[no-any-return]
