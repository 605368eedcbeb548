"""``aitap groups add|list|remove|join|leave``: users who are spoken of together, for budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aitap.export.doing import doer
from aitap.export.failures import Failure
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option
from aitap.export.store import database_option, opened
from aitap.export.users import user_called
from aitap.storage import groups as stored
from aitap.storage.administration import acting

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["group_called", "groups"]


def group_called(database: Database, name: str) -> dict[str, Any]:
    """The group of this name. Raises ``Failure``."""
    found = stored.find_group(database, name)
    if found is None:
        raise Failure(f"there is no group {name!r}: `aitap groups add NAME` makes one, `aitap groups list` shows all")
    return found


@click.group()
def groups() -> None:
    """Groups of users, for budgets."""


@groups.command()
@click.argument("name")
@database_option
@json_option
def add(*, name: str, as_json: bool) -> None:
    """Make a group."""
    with opened(read_only=False, migrate=True) as database, acting(database, doer()) as act:
        found = stored.add_group(database, name)
        act.note("group.add", group=found["name"])
    if wants_json(asked=as_json):
        write_json(found)
        return
    click.echo(f"added {name}; next: aitap groups join {name} USER...")


@groups.command("list")
@database_option
@json_option
def list_(*, as_json: bool) -> None:
    """List all groups and who is in them. A table on a terminal, a JSON array elsewhere."""
    with opened() as database:
        found = stored.list_groups(database)
    if wants_json(asked=as_json):
        write_json(found)
        return
    from aitap.export.budget_view import group_table

    console = terminal()
    if not found:
        console.print("No groups found.", style="dim")
        return
    console.print(group_table(found))


@groups.command()
@click.argument("name")
@database_option
def remove(*, name: str) -> None:
    """Remove a group with its budgets. Its users, and what was recorded of them, stay."""
    with opened(read_only=False) as database:
        found = group_called(database, name)
        with acting(database, doer()) as act:
            budgets = stored.remove_group(database, found["id"])
            act.note("group.remove", group=found["name"], budgets=budgets)
    its = f" and {_counted(budgets, 'budget')}" if budgets else ""
    click.echo(f"removed {found['name']}{its}")


@groups.command()
@click.argument("name")
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@database_option
def join(*, name: str, users: tuple[str, ...]) -> None:
    """Put users into a group. USER is a username, an id, or me."""
    with opened(read_only=False, migrate=True) as database:
        found = group_called(database, name)
        ids = [user_called(database, who)["id"] for who in users]
        with acting(database, doer()) as act:
            joined = [own_id for own_id in ids if stored.join(database, found["id"], [own_id])]
            for own_id in joined:
                act.note("group.join", own_id, group=found["name"])
    new = len(joined)
    already = f"; {len(users) - new} were in it before" if new < len(users) else ""
    click.echo(f"{_counted(new, 'user')} joined {found['name']}{already}")


@groups.command()
@click.argument("name")
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@database_option
def leave(*, name: str, users: tuple[str, ...]) -> None:
    """Take users out of a group. USER is a username, an id, or me."""
    with opened(read_only=False) as database:
        found = group_called(database, name)
        ids = [user_called(database, who)["id"] for who in users]
        with acting(database, doer()) as act:
            left = [own_id for own_id in ids if stored.leave(database, found["id"], [own_id])]
            for own_id in left:
                act.note("group.leave", own_id, group=found["name"])
    gone = len(left)
    absent = f"; {len(users) - gone} were not in it" if gone < len(users) else ""
    click.echo(f"{_counted(gone, 'user')} left {found['name']}{absent}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
