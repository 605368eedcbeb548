"""``aitap db migrate|status|check``: the schema and the soundness of the database."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from peewee import Database, SqliteDatabase

from aitap.export.failures import Failure
from aitap.export.output import wants_json, write_json
from aitap.export.query_options import json_option
from aitap.export.store import database_option, in_force, opened
from aitap.storage.checks import problems
from aitap.storage.database import migration_status, open_database
from aitap.storage.homes import shown

__all__ = ["db"]


@click.group()
def db() -> None:
    """The database: its schema and whether it is sound."""


@db.command()
@database_option
def migrate() -> None:
    """Bring the schema to this version; makes the database where there is none.

    An SQLite database that has an older schema is copied first.
    """
    begun = datetime.now(UTC)
    database = open_database(in_force().database_url, migrate=True)
    try:
        applied = [name for name, at in migration_status(database) if at is not None and at >= begun]
    finally:
        database.close()
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("up to date")


@db.command()
@database_option
@json_option
def status(*, as_json: bool) -> None:
    """Show where the database is, and which migrations it has seen."""
    url = shown(in_force().database_url)
    with opened(check=False) as database:
        migrations = migration_status(database)
        size = _bytes(database)
    if wants_json(asked=as_json):
        write_json(
            {
                "database_url": url,
                "bytes": size,
                "migrations": [{"name": name, "applied_at": at and at.isoformat()} for name, at in migrations],
            }
        )
        return
    click.echo(f"{url}{'' if size is None else f' ({size:,} bytes)'}")
    for name, at in migrations:
        click.echo(
            f"  {name}  {f'applied {at.astimezone():%Y-%m-%d %H:%M}' if at else 'pending: run `aitap db migrate`'}"
        )


def _bytes(database: Database) -> int | None:
    if not isinstance(database, SqliteDatabase):
        return None
    pages, size = (int(database.execute_sql(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    return pages * size


@db.command()
@database_option
def check() -> None:
    """Check that the database is sound: file, schema, no rows without their interception, contents unchanged."""
    with opened() as database:
        found = problems(database)
    if found:
        for problem in found[:-1]:
            click.echo(f"aitap: {problem}", err=True)
        raise Failure(found[-1])
    click.echo("ok")
