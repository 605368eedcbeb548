"""Every expected failure as one line: what went wrong, and where it is known, what to do about it."""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

import click

__all__ = ["Failure", "describe"]


class Failure(click.ClickException):
    """A command cannot do what was asked. The message is one line; the status is 1 unless said otherwise."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def describe(error: Exception) -> tuple[str, int] | None:
    """The line and the exit status for ``error``; ``None`` for one that nobody expected: that is a bug."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "aitap"
        return _line(error.format_message()).rstrip(".") + f" (see `{command} --help`)", 2
    if isinstance(error, Failure):
        return _line(error.message), error.status
    if isinstance(error, click.ClickException):
        return _line(error.format_message()), error.exit_code
    if isinstance(error, _loaded("aitap.storage.search", "SearchError")):
        return _line(str(error)), 2
    if isinstance(
        error,
        (
            *_loaded("aitap.storage.database", "StorageError"),
            *_loaded("aitap.storage.queries", "QueryError"),
            *_loaded("aitap.storage.ids", "AmbiguousIdError"),
            *_loaded("aitap.storage.users", "UserError"),
            *_loaded("aitap.storage.groups", "GroupError"),
            *_loaded("aitap.storage.audit", "CursorError"),
            *_loaded("aitap.settings", "SettingsError"),
            *_loaded("aitap.certs.authority", "AuthorityError"),
            *_loaded("aitap.storage.cursors", "CursorMoved"),
            *_loaded("aitap.storage.evidence.keys", "EvidenceKeyError"),
            *_loaded("aitap.storage.evidence.checkpoint", "CheckpointError"),
        ),
    ):
        return _line(str(error)), 1
    if isinstance(error, (*_loaded("peewee", "PeeweeException"), sqlite3.Error)):
        return f"the database fails: {_line(str(error))}; `aitap db check` may tell more", 1
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= letter <= "\udfff" for letter in error.object):
        # What Python makes of an argument's bytes; nothing that is recorded, or named in a database, has such letters.
        return f"{ascii(error.object)[:100]} is no text in UTF-8", 2
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return (f"{error.filename}: {reason}" if error.filename else _line(reason)), 1
    return None


def _loaded(module: str, name: str) -> tuple[type[Exception], ...]:
    """An exception class, if its module was loaded: what was not loaded did not raise it."""
    found: Any = sys.modules.get(module)
    return () if found is None else (getattr(found, name),)


def _line(text: str) -> str:
    # What was typed, or stands in a database, is told: a terminal must not act on it.
    from aitap.export.human import safe

    return safe(" ".join(text.split()))
