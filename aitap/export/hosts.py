"""``aitap hosts``: which hosts were seen, by whom and when, and which of them are to be read or to be passed unread."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, get_args

import click

from aitap.export.doing import doer
from aitap.export.human import one_line
from aitap.export.listing import ListingGroup
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, query_filter, query_options_of
from aitap.export.store import database_option, opened
from aitap.record import HostMode
from aitap.storage.administration import acting
from aitap.storage.host_rules import list_rules, reset_hosts, set_hosts
from aitap.storage.hosts import FILTERS, list_hosts
from aitap.storage.search import SearchError

if TYPE_CHECKING:
    from aitap.storage.host_rules import RuleMode

__all__ = ["hosts"]

_PATTERN = re.compile(r"(?:[a-z0-9*_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


@click.group(cls=ListingGroup)
def hosts() -> None:
    """Which hosts were seen, and which of them are to be read or passed unread.

    Without a command it lists, and takes the options of `aitap hosts list`.
    """


@hosts.command("list")
@query_options_of(*FILTERS)
@click.option("--mode", type=click.Choice(get_args(HostMode)), help="Only hosts whose traffic went this way.")
@json_option
def list_(*, mode: HostMode | None, as_json: bool, **query: Any) -> None:
    """List the hosts that were seen: AI hosts of unknown providers first, tunnels last.

    Unknown are hosts that no provider table names, though they speak the language of one: name them in
    aitap.toml under [[provider]]. Of tunnels (mode tunnelled, or observed where it is an AI host) only who, when
    and how much is known. A table on a terminal, a JSON array elsewhere.
    """
    with opened() as database:
        wanted = query_filter(database, "hosts", query)
        for key in ("model", "session_id"):
            if getattr(wanted, key) is not None:
                raise SearchError(key, f"hosts are not told apart by it: use {', '.join(FILTERS)}")
        found = list_hosts(database, wanted, mode)
        rules = list_rules(database)
    if wants_json(asked=as_json):
        write_json(found)
        return
    from aitap.export.tables import host_table

    console = terminal()
    if not found:
        console.print("No hosts found.", style="dim")
    else:
        console.print(host_table(found, console.width, datetime.now(UTC)))
    unread = [rule["pattern"] for rule in rules if rule["mode"] == "observe"]
    for host in found:
        if host["refusals"] and not any(fnmatchcase(host["host"], pattern) for pattern in unread):
            console.print(_refused(host), style="yellow")
    for rule in rules:
        console.print(f"Set by hand: {rule['mode']} {rule['pattern']}", style="dim")


def _refused(host: dict[str, Any]) -> str:
    name = one_line(host["host"])
    why = f" ({one_line(host['error'], 80)})" if host["error"] else ""
    return (
        f"{name}: a client ({one_line(', '.join(host['clients']), 80)}) refused our certificate{why}. Have it trust "
        f"the CA (`aitap doctor` says how); where it pins its own: aitap hosts observe {name}"
    )


def _patterns(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_pattern(value) for value in values)


def _pattern(value: str) -> str:
    try:
        # Names beyond ASCII are on the wire in this form.
        name = value.lower() if value.isascii() else value.encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if not _PATTERN.fullmatch(name):
        raise click.BadParameter(
            f"{value!r} is no host: write its name alone, such as api.example.com or *.example.com"
        )
    return name


_hosts_argument = click.argument("names", metavar="HOST...", nargs=-1, required=True, callback=_patterns)


@hosts.command()
@_hosts_argument
@database_option
def observe(*, names: tuple[str, ...]) -> None:
    """Pass these hosts unread, whatever the setting `decrypt` says.

    For a client that trusts no certificate but its own. HOST is a name or a pattern such as *.example.com. A
    running proxy honours it within seconds, for new connections.
    """
    _set(names, "observe")
    click.echo(f"passed unread from now on: {', '.join(names)}")


@hosts.command()
@_hosts_argument
@database_option
def decrypt(*, names: tuple[str, ...]) -> None:
    """Read these hosts, whatever the setting `decrypt` says.

    HOST is a name or a pattern such as *.example.com. A running proxy honours it within seconds, for new
    connections. Calls are recorded where the provider table knows the host, or its language is known.
    """
    _set(names, "decrypt")
    click.echo(f"decrypted from now on: {', '.join(names)}")


def _set(names: tuple[str, ...], mode: RuleMode) -> None:
    with opened(read_only=False, migrate=True) as database, acting(database, doer()) as act:
        before = {rule["pattern"]: rule["mode"] for rule in list_rules(database)}
        set_hosts(database, names, mode)
        for name in names:
            act.note("host.observe" if mode == "observe" else "host.decrypt", host=name, before=before.get(name))


@hosts.command()
@_hosts_argument
@database_option
def reset(*, names: tuple[str, ...]) -> None:
    """Forget what was said of these hosts: the setting `decrypt` holds again."""
    with opened(read_only=False) as database, acting(database, doer()) as act:
        before = {rule["pattern"]: rule["mode"] for rule in list_rules(database)}
        unknown = reset_hosts(database, names)
        for name in names:
            if name in before:
                act.note("host.reset", host=name, before=before[name])
    for name in names:
        click.echo(f"{name}: {'nothing was set' if name in unknown else 'the setting holds again'}")
