"""What keeps the database from taking records, as the log is told: each word once, with what to do about it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import peewee

from aitap.storage.homes import StorageError, home_of_database

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["Trouble", "in_a_line"]

log = logging.getLogger(__name__)

_MOST_TOLD = 10


class Trouble:
    """The trouble that one writer has with its database; ``kept`` says that records go to a spool meanwhile."""

    def __init__(self, database: Database, *, kept: bool) -> None:
        self.now = ""
        """What it is, in a line; empty where there is none."""
        self._database = database
        self._kept = " (records are kept in the spool)" if kept else ""
        self._told: set[str] = set()

    def is_that(self, error: Exception) -> None:
        """There is some, or another than before."""
        self.now = in_a_line(error)
        if self.now in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(self.now)
        if not isinstance(error, (peewee.PeeweeException, StorageError, OSError)):
            log.error("an error of aitap's own, please report it", exc_info=error)
        # One of ours says what to do already.
        advice = "" if isinstance(error, StorageError) else home_of_database(self._database).advice(self.now)
        told = f"{self.now}: {advice}" if advice and self.now not in advice else advice or self.now
        log.error("cannot write to the database, will try again until it works: %s%s", told, self._kept)

    def is_over(self) -> None:
        """There is none any more."""
        if self.now:
            self.now = ""
            self._told.clear()
            log.error("writing to the database works again")


def in_a_line(error: Exception) -> str:
    """An error without a second line, which may be a statement with what was written."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).partition("\n")[0] or type(error).__name__
