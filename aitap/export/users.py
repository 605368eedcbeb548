"""``aitap users add|list|role|remove``: the people and machines whose traffic is recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aitap.export.doing import doer
from aitap.export.failures import Failure
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option
from aitap.export.store import database_option, opened
from aitap.storage.administration import acting

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.users import Role

__all__ = ["user_called", "users"]


def user_called(database: Database, who: str, *, create: bool = False) -> dict[str, Any]:
    """The user of this id or username, or ``me``; with ``create`` made where there is none, or brought back.

    Raises ``Failure`` and ``UserError``.
    """
    from aitap.access.identity import local_user, user_id
    from aitap.storage.users import add_user, ensure_user, find_user

    if who == "me":
        own_id, who = local_user()
        ensure_user(database, own_id, who)
        found = find_user(database, own_id)
    else:
        found = find_user(database, who)
    if create and (found is None or found["deleted"]):
        name = who if found is None else found["username"]
        own_id = user_id(name) if found is None else found["id"]
        with acting(database, doer()) as act:
            add_user(database, own_id, name)
            act.note("user.add" if found is None else "user.restore", own_id)
        found = find_user(database, name)
    if found is None:
        raise Failure(f"there is no user {who!r}: `aitap users add {who}` adds one, `aitap users list` shows all")
    return found


@click.group()
def users() -> None:
    """The people and machines whose traffic is recorded."""


ROLES = click.Choice(["user", "auditor", "admin"])


@users.command()
@click.argument("username")
@click.option("--name", default="", metavar="NAME", help="The name to show, such as 'Alice Example'.")
@click.option("--email", metavar="ADDRESS", help="An address to show.")
@click.option("--role", type=ROLES, help="Whose records they may see in `aitap serve`: see `aitap users role --help`.")
@database_option
@json_option
def add(*, username: str, name: str, email: str | None, role: Role | None, as_json: bool) -> None:
    """Add a user, or bring back one who was removed.

    The next step is a proxy key: `aitap keys create --user USERNAME`. Users of a Coder deployment, of an htpasswd
    file or of the [[address]] table need not be added.
    """
    from aitap.access.identity import user_id
    from aitap.storage.users import add_user, find_user

    with opened(read_only=False, migrate=True) as database:
        known = find_user(database, username)
        own_id = user_id(username) if known is None else known["id"]
        with acting(database, doer()) as act:
            new = add_user(database, own_id, username, name=name, email=email, role=role)
            act.note("user.add" if new else "user.restore", own_id, **({"role": role} if role else {}))
        found = find_user(database, own_id)
    if wants_json(asked=as_json):
        write_json(found)
        return
    click.echo(f"{'added' if new else 'brought back'} {username}; next: aitap keys create --user {username}")


@users.command("list")
@database_option
@json_option
def list_(*, as_json: bool) -> None:
    """List all users, with the number of their live keys.

    Those who were removed stay listed: records name them. A table on a terminal, a JSON array elsewhere.
    """
    from aitap.storage.users import list_users

    with opened() as database:
        found = list_users(database)
    if wants_json(asked=as_json):
        write_json(found)
        return
    from aitap.export.tables import user_table

    console = terminal()
    if not found:
        console.print("No users found.", style="dim")
        return
    console.print(user_table(found, console.width, datetime.now(UTC)))


@users.command("role")
@click.argument("who", metavar="USER")
@click.argument("role", metavar="ROLE", type=ROLES)
@database_option
def role_(*, who: str, role: Role) -> None:
    """Say whose records a user may see in `aitap serve`, which honours it within seconds.

    USER is a username, an id, or me. ROLE is user (their own), auditor (everybody's; each such reading is kept in the
    table aitap_audit), or admin (the same, and may change users and keys).
    """
    from aitap.storage.users import set_role

    with opened(read_only=False, migrate=True) as database:
        found = user_called(database, who)
        with acting(database, doer()) as act:
            before = set_role(database, found["id"], role)
            act.note("user.role", found["id"], role=role, before=before)
    click.echo(f"{found['username']} is {'an' if role[0] == 'a' else 'a'} {role}")


@users.command()
@click.argument("user")
@database_option
def remove(*, user: str) -> None:
    """Let a user in no more: all keys are revoked, and nothing else lets them in either.

    USER is a username or an id. A running proxy honours it within seconds. What was recorded stays, and so does
    the name.
    """
    from aitap.storage.users import remove_user

    with opened(read_only=False) as database:
        found = user_called(database, user)
        if found["deleted"]:
            click.echo(f"{found['username']} was removed before")
            return
        with acting(database, doer()) as act:
            keys = remove_user(database, found["id"])
            act.note("user.remove", found["id"], keys=keys)
    click.echo(f"removed {found['username']}; {keys} key{'' if keys == 1 else 's'} revoked")
