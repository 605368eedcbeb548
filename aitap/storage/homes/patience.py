"""A PostgreSQL server that has gone silent is given up, also where its network still takes what is sent.

The server ends what takes it longer than ``statement_timeout``. One that says nothing for longer than that has stopped,
or what is between us has lost the connection without telling: a firewall its state, a pooler its server. TCP hears
of that only where nobody acknowledges; else a reader would wait for ever, and records would stay in the spool.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Patience"]


class Patience:
    """How long one connection (psycopg's) waits for a word of the server's: ``seconds``; infinite where it is told."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self.seconds = seconds
        self._connection = connection
        self._wait = connection.wait
        connection.wait = self._patiently

    def _patiently(self, generator: Generator[int, int, Any], *arguments: Any, **options: Any) -> Any:
        return self._wait(self._watched(generator), *arguments, **options)

    def _watched(self, generator: Generator[int, int, Any]) -> Generator[int, int, Any]:
        """The same; psycopg asks it ten times a second, with 0 where nothing has come."""
        heard = time.monotonic()
        try:
            wanted = next(generator)
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    heard = now
                elif now - heard > self.seconds:
                    self._give_up()
                wanted = generator.send(ready)
        except StopIteration as end:
            return end.value

    def _give_up(self) -> None:
        from psycopg import OperationalError  # noqa: PLC0415 - an extra

        self._connection.pgconn.finish()
        raise OperationalError(f"the connection is given up: the server said nothing for {self.seconds:g} seconds")
