"""The database a command works on: the setting in force, opened and closed with the command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aitap import settings
from aitap.certs.authority import DEFAULT_CONFDIR
from aitap.storage.database import open_database

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["database_option", "evidence_key", "in_force", "keep_evidence", "opened"]

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


def in_force(told: Mapping[str, str] | None = None) -> settings.Settings:
    """The settings for this command line, and what was ``told`` beside it, by name. Raises ``SettingsError``."""
    given = click.get_current_context().ensure_object(dict)
    return settings.load({"database_url": given.get("database_url"), **(told or {})})


def evidence_key(found: settings.Settings, confdir: Path = DEFAULT_CONFDIR) -> Path:
    """The file of the key that signs tamper evidence on this machine."""
    from aitap.storage.evidence.keys import KEY

    return Path(found.tamper_evidence_key or confdir / KEY).expanduser()


def keep_evidence(database: Database, found: settings.Settings, confdir: Path = DEFAULT_CONFDIR) -> None:
    """What this command changes is chained, where the setting says so, or as soon as what is there is chained.

    Raises ``EvidenceKeyError``.
    """
    from aitap.storage.evidence import chain
    from aitap.storage.evidence.keys import signing_key

    path = evidence_key(found, confdir)
    if found.tamper_evidence or chain.has_evidence(database):
        chain.keep_evidence(database, signing_key(path))
    else:
        chain.keep_evidence_once_there(database, lambda: signing_key(path))


@contextlib.contextmanager
def opened(
    *, read_only: bool = True, check: bool = True, migrate: bool = False, chained: bool = True
) -> Iterator[Database]:
    """The database, closed when the block ends; with ``check`` only if its schema is this version's.

    With ``migrate`` it is made where there is none, and brought to this version's schema. Who writes nothing that is
    ``chained`` needs no key for it.

    Raises ``StorageError`` and ``SettingsError``.
    """
    found = in_force()
    database = open_database(found.database_url, read_only=read_only, check=check, migrate=migrate)
    try:
        if check and chained and not read_only:
            keep_evidence(database, found)
        yield database
    finally:
        database.close()
