"""Questions run in threads with connections of their own, for so long and no longer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import peewee
import pytest
from peewee import Database

from aitap.server.workers import TooLongError, Workers
from aitap.storage.database import open_database, rows_of
from tests import postgres

Make = Callable[..., Workers]


@pytest.fixture
def make(url: str) -> Iterator[Make]:
    open_database(url, migrate=True).close()
    made: list[Workers] = []

    def workers(**options: Any) -> Workers:
        reading = open_database(url, read_only=True)
        reading.close()
        made.append(Workers(reading, open_database(url), **options))
        return made[-1]

    yield workers
    for one in made:
        one.close()
        one.writing.close()


SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


def _slow(database: Database, _: Database) -> Any:
    return rows_of(database, SLOW["sqlite" if database.param == "?" else "postgresql"])


def _one(database: Database, _: Database) -> Any:
    return rows_of(database, "SELECT 1")


def test_a_question_that_takes_too_long_is_given_up_and_its_thread_is_free(make: Make) -> None:
    workers = make(threads=1, seconds=0.3)

    async def ask() -> None:
        for _ in range(2):
            with pytest.raises(TooLongError):
                await workers.run(_slow)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                assert await workers.run(_one) == [(1,)]
                return
            except TooLongError:
                continue
        pytest.fail("the thread is not free again")

    asyncio.run(ask())


def _is_closed(connection: Any) -> bool:
    if not hasattr(connection, "interrupt"):
        return bool(connection.closed)
    try:
        connection.interrupt()  # the one thing that other threads may do with a connection of SQLite's
    except sqlite3.ProgrammingError:
        return True
    return False


def test_threads_have_connections_of_their_own_and_all_are_closed(make: Make) -> None:
    workers = make(threads=3)
    together = threading.Barrier(3)
    connections: list[Any] = []

    def ask(database: Database, _: Database) -> None:
        together.wait(60)
        connections.append(database.connection())

    async def three() -> None:
        await asyncio.gather(*(workers.run(ask) for _ in range(3)))

    asyncio.run(three())
    assert len({id(connection) for connection in connections}) == 3
    workers.close()
    assert all(_is_closed(connection) for connection in connections)


def test_what_is_read_cannot_be_written(make: Make) -> None:
    workers = make()
    with pytest.raises(peewee.PeeweeException, match=r"(?i)read-?only"):
        asyncio.run(workers.run(lambda reading, _: rows_of(reading, "DELETE FROM users")))
    asyncio.run(workers.run(lambda _, writing: rows_of(writing, "DELETE FROM users")))


def test_a_connection_that_was_cut_is_made_anew(make: Make, url: str) -> None:
    if not url.startswith("postgresql"):
        pytest.skip("a file has nobody to cut it")
    workers = make(threads=1)
    [(process,)] = asyncio.run(workers.run(lambda reading, _: rows_of(reading, "SELECT pg_backend_pid()")))
    postgres.administer(f"SELECT pg_terminate_backend({process})")
    with pytest.raises(peewee.PeeweeException):
        asyncio.run(workers.run(_one))
    assert asyncio.run(workers.run(_one)) == [(1,)]
