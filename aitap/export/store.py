"""The database a command works on: the setting in force, opened and closed with the command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aitap import settings
from aitap.storage.database import open_database

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["database_option", "in_force", "opened"]

Command = TypeVar("Command", bound=Callable[..., Any])


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(dict)["database_url"] = value


def database_option(command: Command) -> Command:
    """The global ``--database-url``, understood after the command's name as well."""
    return click.option(
        "--database-url",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="Where the records are: sqlite:////absolute/path.db or postgresql://...",
    )(command)


def in_force() -> settings.Settings:
    """The settings for this command line. Raises ``SettingsError``."""
    given = click.get_current_context().ensure_object(dict)
    return settings.load({"database_url": given.get("database_url")})


@contextlib.contextmanager
def opened(*, read_only: bool = True, check: bool = True, migrate: bool = False) -> Iterator[Database]:
    """The database, closed when the block ends; with ``check`` only if its schema is this version's.

    With ``migrate`` it is made where there is none, and brought to this version's schema.

    Raises ``StorageError`` and ``SettingsError``.
    """
    database = open_database(in_force().database_url, read_only=read_only, check=check, migrate=migrate)
    try:
        yield database
    finally:
        database.close()
