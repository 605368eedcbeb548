"""What one kind of database must know that is different from the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["Home", "StorageError"]


class StorageError(Exception):
    """The database cannot be used. ``args[0]`` is one line that says what to do."""


class Home(Protocol):
    """What is different from one kind of database to the next."""

    name: str
    """For messages: the file, or the address without its password."""

    def prepare(self, *, create: bool) -> None:
        """See to it that there is something to connect to. Raises :class:`StorageError`."""
        ...

    def connect(self, *, read_only: bool) -> Database:
        """A database with its first connection open. Raises Peewee's errors and :class:`StorageError`."""
        ...

    def lock(self, database: Database) -> None:
        """Hold the write lock until the transaction ends; in the transaction."""
        ...

    def back_up(self, database: Database, pending: str) -> None:
        """Keep what is there before the migration ``pending`` changes it. Raises :class:`StorageError`."""
        ...

    def advice(self, reason: str) -> str:
        """What to do about an error of the database."""
        ...
