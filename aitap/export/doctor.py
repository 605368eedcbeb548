"""``aitap doctor``: what is wrong between a client and its records, and what to do about it."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aitap.certs.fetched import signs_elsewhere
from aitap.certs.proxy_address import ProxyAddress, parse
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.proxy_options import DEFAULT_PROXY, ca_option, confdir_option, key_file_option, with_key
from aitap.export.query_options import json_option
from aitap.export.store import database_option

if TYPE_CHECKING:
    from pathlib import Path

    from aitap.checkup.finding import Finding

__all__ = ["doctor"]

_RESOLVER_SECONDS = 2.0

_ORDER = ("ok", "warning", "problem")
_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "bold red")}


def _client(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    from aitap.certs.clients import find

    try:
        return None if value is None else find(value).name
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _named(proxy: str | None) -> tuple[ProxyAddress, str]:
    """The proxy to look at, and who named it. A variable that cannot be read is left to the checks."""
    if proxy is not None:
        try:
            return parse(proxy), "--proxy"
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--proxy") from None
    for name in ("AITAP_PROXY", "HTTPS_PROXY", "https_proxy"):
        if value := os.environ.get(name):
            try:
                return parse(value), name
            except ValueError:
                continue
    return parse(DEFAULT_PROXY), "the default"


def _here(address: ProxyAddress) -> bool:
    """Whether the proxy is on this machine; a resolver that hangs is not waited for."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(address.here()), daemon=True)
    thread.start()
    thread.join(_RESOLVER_SECONDS)
    return any(answers)


@click.command()
@click.option(
    "--proxy", metavar="URL", help=f"The proxy; else AITAP_PROXY, else HTTPS_PROXY of this shell, else {DEFAULT_PROXY}."
)
@key_file_option
@ca_option
@confdir_option
@database_option
@click.option("--client", metavar="NAME", callback=_client, help="Look at this client alone, and tell its traps.")
@click.option("--offline", is_flag=True, help="Do not connect to the proxy.")
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    proxy: str | None,
    key_file: Path | None,
    ca: Path | None,
    confdir: Path,
    client: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Find what is wrong, and say what to do.

    Looks at the proxy, the CA, the variables of this shell, the settings, the database, the clients installed and
    running. Changes nothing and sends no request. Exits with 1 when there is a problem.
    """
    from aitap.checkup.checkup import GROUPS, examine
    from aitap.checkup.situation import Situation

    address, origin = _named(proxy)
    address = with_key(address, key_file)
    situation = Situation(
        proxy=address,
        proxy_from=origin,
        here=ca is None and not (address.on_loopback and signs_elsewhere(address)) and _here(address),
        confdir=confdir.expanduser().absolute(),
        ca_file=ca,
        environ=dict(os.environ),
        now=datetime.now(UTC),
        database_url=ctx.ensure_object(dict).get("database_url"),
        client=client,
    )
    groups = {name: group for name, group in GROUPS.items() if not (offline and name == "proxy")}
    found = examine(situation, groups)
    worst = max((_ORDER.index(one.status) for many in found.values() for one in many), default=0)
    if wants_json(asked=as_json):
        write_json(
            {
                "status": _ORDER[worst],
                "proxy": str(address),
                "findings": [one for many in found.values() for one in many],
            }
        )
    else:
        _show(found)
    ctx.exit(1 if _ORDER[worst] == "problem" else 0)


def _show(found: dict[str, list[Finding]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from aitap.export.human import one_line

    console = terminal()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for name, findings in found.items():
        for number, one in enumerate(findings):
            mark, style = _MARKS[one.status]
            told = Text(one_line(one.what))
            if one.fix is not None:
                told.append(f"\n\u2192 {one_line(one.fix)}", style="cyan")
            table.add_row(name if number == 0 else "", Text(mark, style=style), told)
    console.print(table)
    counts: dict[str, Any] = {
        status: sum(one.status == status for many in found.values() for one in many) for status in _ORDER
    }
    console.print()
    console.print(
        Text(
            f"{counts['problem']} {'problem' if counts['problem'] == 1 else 'problems'}, "
            f"{counts['warning']} {'warning' if counts['warning'] == 1 else 'warnings'}",
            style="bold red" if counts["problem"] else "yellow" if counts["warning"] else "bold green",
        )
    )
