"""What one kind of database must know that is different from the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["AwayError", "Home", "StorageError"]


class StorageError(Exception):
    """The database cannot be used. ``args[0]`` is one line that says what to do."""


class AwayError(StorageError):
    """The database cannot be used now; it may come back by itself."""


class Home(Protocol):
    """What is different from one kind of database to the next."""

    name: str
    """For messages: the file, or the address without its password."""

    def prepare(self, *, create: bool) -> None:
        """See to it that there is something to connect to. Raises :class:`StorageError`."""
        ...

    def database(self, *, read_only: bool) -> Database:
        """A database without a connection yet."""
        ...

    def open(self, database: Database) -> None:
        """Open the first connection of a :meth:`database`. Raises Peewee's errors."""
        ...

    def connect(self, *, read_only: bool) -> Database:
        """A database with its first connection open. Raises Peewee's errors and :class:`StorageError`."""
        ...

    def lock(self, database: Database) -> None:
        """Hold the write lock until the transaction ends; in the transaction."""
        ...

    def make_sure(self, database: Database) -> None:
        """The connection still leads to the database of that name. Raises Peewee's ``OperationalError`` if not."""
        ...

    def begin_alone(self, database: Database, work: str) -> bool:
        """Whether this connection may do what only one of all may do at a time: until :meth:`end_alone` or its end."""
        ...

    def end_alone(self, database: Database, work: str) -> None:
        """Let others do that work."""
        ...

    def take_time(self, database: Database) -> None:
        """What is done until the transaction ends may take as long as it takes; in the transaction."""
        ...

    def back_up(self, pending: str) -> str:
        """Keep what is there before the migration ``pending`` changes it; in the transaction that will.

        Gives the name of the copy; nothing where none was made. Raises :class:`StorageError`.
        """
        ...

    def give_back(self, database: Database, most: int) -> int:
        """Give some of the room that is not used any more back to the system; how many pages, at most so many."""
        ...

    def overwrite_deleted(self, database: Database) -> str:
        """Give the room of deleted rows back, and leave nothing of them behind; outside of transactions.

        Returns what could not be done and what to do about it, in a line; empty where all was.
        """
        ...

    def advice(self, reason: str) -> str:
        """What to do about an error of the database."""
        ...

    def may_come_back(self, reason: str) -> bool:
        """Whether an error is one that may be over soon, without anybody changing a setting."""
        ...
