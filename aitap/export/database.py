"""``aitap db migrate|status|check|replay``: the schema, the soundness of the database, and what waits for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from peewee import Database, SqliteDatabase

from aitap.export.doing import doer
from aitap.export.failures import Failure
from aitap.export.human import size
from aitap.export.output import wants_json, write_json
from aitap.export.progress import progress_bar, watched
from aitap.export.query_options import json_option
from aitap.export.replay import replay
from aitap.export.store import database_option, in_force, opened
from aitap.storage.checks import looks
from aitap.storage.database import StorageError, migration_status, open_database
from aitap.storage.homes import shown
from aitap.storage.spool.folders import Left, left_behind

if TYPE_CHECKING:
    from aitap.storage.findings import Problem

__all__ = ["db"]


@click.group()
def db() -> None:
    """The database: its schema and whether it is sound."""


db.add_command(replay)


@db.command()
@click.option("--no-backup", is_flag=True, help="Make no copy of an SQLite database before it changes.")
@database_option
def migrate(*, no_backup: bool) -> None:
    """Bring the schema to this version; makes the database where there is none.

    An SQLite database that has an older schema is copied first, to a file beside it, and a line says to which.
    """
    begun = datetime.now(UTC)
    database = open_database(in_force().database_url, migrate=True, back_up=not no_backup)
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
    """Show where the database is, which migrations it has seen, and what waits for it in spools on this machine."""
    settings = in_force()
    url = shown(settings.database_url)
    spools = left_behind(settings.spool, settings.database_url)
    try:
        with opened(check=False) as database:
            migrations = migration_status(database)
            stored = _bytes(database)
    except StorageError:
        for left in spools:
            _tell_spool(left, err=True)
        raise
    if wants_json(asked=as_json):
        write_json(
            {
                "database_url": url,
                "bytes": stored,
                "migrations": [{"name": name, "applied_at": at and at.isoformat()} for name, at in migrations],
                "spools": [{"folder": str(left.folder), "bytes": left.bytes, "running": left.live} for left in spools],
            }
        )
        return
    click.echo(f"{url}{'' if stored is None else f' ({stored:,} bytes)'}")
    for name, at in migrations:
        click.echo(
            f"  {name}  {f'applied {at.astimezone():%Y-%m-%d %H:%M}' if at else 'pending: run `aitap db migrate`'}"
        )
    for left in spools:
        _tell_spool(left)


def _tell_spool(left: Left, *, err: bool = False) -> None:
    of = "a running proxy" if left.live else "a proxy that runs no more: the next one stores it, or `aitap db replay`"
    click.echo(f"  spool {left.folder}: {size(left.bytes)} of {of}", err=err)


def _bytes(database: Database) -> int | None:
    if not isinstance(database, SqliteDatabase):
        return None
    pages, size = (int(database.execute_sql(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    return pages * size


@db.command()
@click.option("--repair", is_flag=True, help="Make right what can be made right from the interceptions that are there.")
@database_option
def check(*, repair: bool) -> None:
    """Check that the database is sound: the file, rows without those they belong to, sums, contents.

    Each line says what is wrong and what to do. With --repair whatever follows from the interceptions is made anew,
    children and contents that belong to nothing are removed, and what is wrong then is told. Both are safe beside
    running proxies: a repair works in short steps, may be cut off and begun again, and is on record (audit).
    """
    with opened(read_only=not repair) as database:
        found: list[Problem] = []
        with progress_bar("checking") as bar:
            for problems in looks(database):
                found += problems
                bar.advance(1)
        if repair and any(problem.table for problem in found):
            found = _repair(database, found)
    if found:
        for problem in found[:-1]:
            click.echo(f"aitap: {problem}", err=True)
        raise Failure(str(found[-1]))
    click.echo("ok")


def _repair(database: Database, found: list[Problem]) -> list[Problem]:
    """Repair what was found, tell it, and give what is still wrong."""
    from aitap.storage.repair.repair import Repaired
    from aitap.storage.repair.repair import repair as steps

    done = Repaired()
    total = sum(problem.rows for problem in found)
    for done in watched(steps(database, found, doer()), "rows", total, lambda state: sum(state.rows.values())):  # noqa: B007
        pass
    for table, count in done.rows.items():
        click.echo(f"repaired {table}: {count:,} row{'' if count == 1 else 's'}")
    return done.left
