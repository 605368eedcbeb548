"""Threads that ask the database, each with a connection of its own, for so long and no longer.

A question that takes too long is interrupted in the database itself, so that its thread is free again: SQLite
stops at the next step of its machine, PostgreSQL is asked to cancel. A connection that failed is not used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import peewee

from aitap.storage.database import passes

if TYPE_CHECKING:
    from collections.abc import Callable

    from peewee import Database

__all__ = ["TooLongError", "Workers"]

T = TypeVar("T")

THREADS = 8
SECONDS = 30.0


class TooLongError(Exception):
    """A question was given up."""


class _Job:
    """One question: which connection it uses while it runs, so that it can be interrupted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Any = None
        self._given_up = False

    def begin(self, connection: Any) -> None:
        with self._lock:
            if self._given_up:
                raise TooLongError
            self._connection = connection

    def end(self) -> None:
        with self._lock:
            self._connection = None

    def give_up(self) -> None:
        # Under the lock: the connection must not be another question's by now.
        with self._lock:
            self._given_up = True
            if self._connection is not None:
                stop = getattr(self._connection, "interrupt", None) or self._connection.cancel
                with contextlib.suppress(Exception):
                    stop()


class Workers:
    """A pool of threads on one database that is read, and one (of the same URL) that takes writes."""

    def __init__(
        self, reading: Database, writing: Database, *, threads: int = THREADS, seconds: float = SECONDS
    ) -> None:
        self.reading = reading
        self.writing = writing
        self._threads = threads
        self._seconds = seconds
        self._closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="aitap server")

    async def run(self, ask: Callable[[Database, Database], T]) -> T:
        """What ``ask`` gives, called with both databases in one of the threads.

        Raises what it raises, and :class:`TooLongError`.
        """
        job = _Job()
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._do, job, ask)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._seconds)
        except TimeoutError:
            job.give_up()
            future.add_done_callback(_seen)
            raise TooLongError from None

    def close(self) -> None:
        """Wait for what still runs, then close every thread's connections. Closing twice does nothing more."""
        if self._closed:
            return
        self._closed = True
        together = threading.Barrier(self._threads)

        def last() -> None:
            together.wait()
            self._drop()

        for _ in range(self._threads):
            self._pool.submit(last)
        self._pool.shutdown()

    def _do(self, job: _Job, ask: Callable[[Database, Database], T]) -> T:
        try:
            job.begin(self.reading.connection())
            try:
                return ask(self.reading, self.writing)
            finally:
                job.end()
        except peewee.PeeweeException as error:
            if passes(error):
                self._drop()
            raise

    def _drop(self) -> None:
        for database in (self.reading, self.writing):
            with contextlib.suppress(peewee.PeeweeException):
                database.close()


def _seen(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more: whatever it raised is no news."""
    if not future.cancelled():
        future.exception()
