"""``aitap keys create|list|revoke``: proxy keys, which say whose traffic it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from aitap.export import human
from aitap.export.doing import doer
from aitap.export.failures import Failure
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.proxy_options import proxy_option
from aitap.export.query_options import json_option
from aitap.export.store import database_option, opened
from aitap.export.users import user_called
from aitap.setting_values import duration
from aitap.storage.administration import acting
from aitap.storage.keys import KEY_PREFIX, create_key, end_key, find_key, list_keys

if TYPE_CHECKING:
    from aitap.certs.proxy_address import ProxyAddress

__all__ = ["keys"]

_LONGEST_NAME = 128


def _future(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Epoch seconds of ``90d`` from now or of a moment in RFC 3339."""
    if value is None:
        return None
    try:
        at = time.time() + duration(value)
    except ValueError:
        at = _moment(value)
    if at <= time.time():
        raise click.BadParameter("that is not in the future; leave it out for a key that does not expire")
    if at >= datetime.max.replace(tzinfo=UTC).timestamp():
        raise click.BadParameter("that is too far away; leave it out for a key that does not expire")
    return at


def _moment(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(f"{value!r} is neither an age like 90d nor a time like 2027-01-31T09:00:00Z")
    return moment.timestamp()


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.isprintable() or len(value) > _LONGEST_NAME:
        raise click.BadParameter(f"write a printable name of at most {_LONGEST_NAME} characters")
    return value


@click.group()
def keys() -> None:
    """Proxy keys: they say whose traffic it is, and let it in where `auth` asks for them."""


@keys.command()
@click.option("--user", "who", required=True, metavar="USER", help="Whose key it is: a username, an id, or me.")
@click.option("--name", default="", callback=_name, metavar="NAME", help="What to know it by, such as laptop.")
@click.option("--expires", callback=_future, metavar="AGE", help="When it ends: 90d from now, or a time (RFC 3339).")
@click.option("--create-user", is_flag=True, help="Add the user where there is none of this name.")
@proxy_option
@database_option
@json_option
def create(
    *, who: str, name: str, expires: float | None, create_user: bool, proxy: ProxyAddress, as_json: bool
) -> None:
    """Make a proxy key and show it, this once: what is stored is a hash.

    A running proxy takes it within seconds. In a pipe the key comes as JSON, with the value for HTTPS_PROXY.
    """
    with opened(read_only=False, migrate=True) as database:
        user = _owner(user_called(database, who, create=create_user))
        with acting(database, doer()) as act:
            key, row = create_key(database, user["id"], name=name, expires_at=expires)
            act.note("key.create", user["id"], key=row["id"], expires_at=row["expires_at"])
    url = msgspec.structs.replace(proxy, username=user["username"], password=key).url
    if wants_json(asked=as_json):
        write_json({**row, "key": key, "https_proxy": url})
        return
    until = human.full_time(row["expires_at"]) if expires else "never"
    for label, value in (("key", key), ("user", human.safe(user["username"])), ("id", row["id"]), ("expires", until)):
        click.echo(f"{click.style(f'{label:<8}', dim=True)} {value}")
    click.echo(f"\nexport HTTPS_PROXY={url}\n\nKeep it now: it cannot be shown again.")


def _owner(user: dict[str, Any]) -> dict[str, Any]:
    if user["deleted"]:
        name = user["username"]
        raise Failure(f"user {name!r} was removed: `aitap users add {name}` or --create-user brings them back")
    return user


@keys.command("list")
@click.option("--user", "who", metavar="USER", help="Only those of this user: a username, an id, or me.")
@database_option
@json_option
def list_(*, who: str | None, as_json: bool) -> None:
    """List keys, the newest first; those that were revoked or have expired stay listed.

    A table on a terminal, a JSON array elsewhere. The table's IDs are the ends of ids; `revoke` takes them.
    """
    from aitap.access.identity import local_user
    from aitap.storage.search import resolve_initiator

    with opened() as database:
        found = list_keys(database, None if who is None else resolve_initiator(database, who, local_user))
    if wants_json(asked=as_json):
        write_json(found)
        return
    from aitap.export.tables import key_table

    console = terminal()
    if not found:
        console.print("No keys found.", style="dim")
        return
    console.print(key_table(found, console.width, datetime.now(UTC)))


@keys.command()
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--in", "at", callback=_future, metavar="AGE", help="Let them expire then (24h, or a time), not now.")
@database_option
def revoke(*, key_ids: tuple[str, ...], at: float | None) -> None:
    """Revoke keys. A running proxy honours it within seconds.

    ID is a whole id, or a part of its beginning or end that no other has; never the key itself. With --in, the
    old key goes on long enough to hand out a new one.
    """
    with opened(read_only=False) as database:
        found = [_known(find_key(database, text), text) for text in key_ids]
        with acting(database, doer()) as act:
            done = [end_key(database, key["id"], at) for key in found]
            for key in (key for key, was_live in zip(found, done, strict=True) if was_live):
                if at is None:
                    act.note("key.revoke", key["user_id"], key=key["id"])
                else:
                    act.note("key.expire", key["user_id"], key=key["id"], expires_at=_rfc3339(at))
    for key, was_live in zip(found, done, strict=True):
        what = "was revoked before" if not was_live else "revoked" if at is None else "will expire"
        name = f" ({human.one_line(key['name'])})" if key["name"] else ""
        click.echo(f"{human.short_id(key['id'])}{name} of {human.one_line(key['user']['username'] or '?')} {what}")


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat("T", "microseconds")


def _known(key: dict[str, Any] | None, text: str) -> dict[str, Any]:
    if key is None:
        # A key pasted here by mistake must not be repeated.
        problem = "that is a key, not its id" if text.startswith(KEY_PREFIX) else f"no key has the id {text!r}"
        raise Failure(f"{problem}: `aitap keys list` shows the ids")
    return key
