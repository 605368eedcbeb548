"""Where a database lives: an SQLite file, a PostgreSQL server, a CockroachDB cluster.

A home knows how to get there, how to hold the write lock, and what to advise when something fails. All
that is the same everywhere stays in :mod:`aitap.storage.database`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage.homes.home import AwayError, Home, StorageError
from aitap.storage.homes.postgres import PostgresHome
from aitap.storage.homes.sqlite import SqliteHome

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["AwayError", "Home", "StorageError", "home_of", "home_of_database", "shown"]


def home_of(url: str) -> Home:
    """The home that a URL names. Raises :class:`StorageError` for one that names none."""
    if url.partition("://")[0] in ("postgresql", "postgres", "cockroachdb"):
        return PostgresHome(url)
    return SqliteHome.of_url(url)


def shown(url: str) -> str:
    """The URL as it may be shown: without a password. Raises :class:`StorageError` for one that names no database."""
    home = home_of(url)
    return home.name if isinstance(home, PostgresHome) else url


def home_of_database(database: Database) -> Home:
    """The home of a database; of one that no :class:`Home` opened, the file that it is."""
    home: Home | None = getattr(database, "aitap_home", None)
    return SqliteHome.of_database(database) if home is None else home
