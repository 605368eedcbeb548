"""``aitap reconcile``: what is recorded against clients' own logs, or against an invoice."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aitap.export.failures import Failure
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.progress import progress_bar
from aitap.export.query_options import json_option
from aitap.export.store import database_option, opened

if TYPE_CHECKING:
    from aitap.reconcile.session_logs import LogReader

__all__ = ["reconcile"]


def _time(_: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    from aitap.storage.search import parse_moment

    if value is None:
        return None
    try:
        moment = parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None
    return moment.timestamp() if moment else None


def _columns(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if wrong := next(
        (value for value, (_, mark, name) in zip(values, pairs, strict=True) if not mark or not name), None
    ):
        raise click.BadParameter(f"{wrong!r}: write what it is and the column's name, such as output='Output tokens'")
    return {what.strip(): name.strip() for what, _, name in pairs}


@click.command()
@click.option(
    "--since", metavar="TIME", callback=_time, default="30d", show_default=True, help="Logs: not before this."
)
@click.option("--until", metavar="TIME", callback=_time, help="Logs: not after this time.")
@click.option("--user", metavar="USER", help="Only this user's records; else those of whoever made the logged calls.")
@click.option("--claude-dir", type=click.Path(path_type=Path), help="Claude Code's folder, if not ~/.claude.")
@click.option("--codex-dir", type=click.Path(path_type=Path), help="Codex's folder, if not ~/.codex.")
@click.option("--invoice", type=click.Path(path_type=Path), help="A CSV of usage or cost from a provider's console.")
@click.option(
    "--column",
    "columns",
    metavar="WHAT=NAME",
    multiple=True,
    callback=_columns,
    help="Of an invoice of another form: which column is date, model, calls, input (without what the cache had) or "
    "all_input, output, cache_read, cache_write, cost. Several columns for one with +.",
)
@click.option(
    "--provider", metavar="PROVIDER", help="Whose invoice it is, where its form does not tell: anthropic, ..."
)
@click.option("--subscriptions", is_flag=True, help="Invoice: count calls by subscription, too.")
@click.option(
    "--tolerance",
    show_default=True,
    metavar="PERCENT",
    type=click.FloatRange(0, 100),
    default=0.0,
    help="Invoice: so much is no difference.",
)
@click.option("--strict", is_flag=True, help="Status 1 also where all differences are explained.")
@database_option
@json_option
def reconcile(
    *,
    since: float | None,
    until: float | None,
    user: str | None,
    claude_dir: Path | None,
    codex_dir: Path | None,
    invoice: Path | None,
    columns: dict[str, str],
    provider: str | None,
    subscriptions: bool,
    tolerance: float,
    strict: bool,
    as_json: bool,
) -> int:
    """Compare what is recorded with what others say was used.

    Without --invoice: with the session logs that Claude Code and Codex keep on this machine, call by call, and every
    difference explained. With --invoice: with a provider's usage or cost export, by day and model. The exit status is
    0 where both sides agree (but for what is explained: a client's own calls, retries, streams that were cut), else 1.
    """
    if invoice is not None:
        return _invoice(
            invoice, columns, provider, subscriptions=subscriptions, tolerance=tolerance / 100, as_json=as_json
        )
    if columns or provider:
        raise click.UsageError("--column and --provider go with --invoice")
    span = (since or 0.0, time.time() if until is None else until)
    folders = {"Claude Code": claude_dir, "Codex": codex_dir}
    return _logs(folders, span, user, strict=strict, as_json=as_json)


def _logs(
    given: dict[str, Path | None], span: tuple[float, float], user: str | None, *, strict: bool, as_json: bool
) -> int:
    from aitap.access.identity import local_user
    from aitap.reconcile.matching import reconcile_logs
    from aitap.reconcile.session_logs import CLIENTS, LogReader, log_files
    from aitap.storage.search import resolve_initiator

    readers: list[LogReader] = []
    files = {client: log_files(client, _folder(client, folder), span[0]) for client, folder in given.items()}
    if not any(files.values()):
        folders = ", ".join(str(_folder(client, folder)) for client, folder in given.items())
        raise Failure(f"no session log since then in {folders}: say --since, --claude-dir or --codex-dir", status=2)
    total = sum(path.stat().st_size for paths in files.values() for path in paths)
    with progress_bar("session logs", total=total, of_bytes=True) as bar:
        for client, paths in files.items():
            reader = LogReader(client)
            for path in paths:
                reader.read(path)
                bar.advance(path.stat().st_size)
            if paths:
                readers.append(reader)
    clients = [client for client in CLIENTS if files[client]]
    with opened() as database:
        whose = [resolve_initiator(database, user, local_user)] if user is not None else []
        found = reconcile_logs(database, [call for reader in readers for call in reader.calls], clients, span, whose)
    status = int(found.differ(strict=strict))
    from aitap.export.reconcile_view import logs_json, logs_view

    count = sum(map(len, files.values()))
    if wants_json(asked=as_json):
        write_json(logs_json(found, span, count, readers))
        return status
    console = terminal()
    console.print(logs_view(found, count, readers, console.width))
    return status


def _folder(client: str, given: Path | None) -> Path:
    from aitap.reconcile.session_logs import CLIENTS

    if given is not None:
        return given.expanduser()
    source = CLIENTS[client]
    return Path(os.environ.get(source.variable) or Path.home() / source.folder).expanduser()


def _invoice(
    path: Path, columns: dict[str, str], provider: str | None, *, subscriptions: bool, tolerance: float, as_json: bool
) -> int:
    from aitap.reconcile.invoice import InvoiceError, compare_invoice, mapped_form, read_invoice

    try:
        form = mapped_form(columns, provider or "") if columns else None
        with path.open(encoding="utf-8-sig", newline="") as file:
            read = read_invoice(file, form)
    except (InvoiceError, UnicodeDecodeError) as error:
        words = "is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise Failure(f"{path.name} {words}", status=2) from None
    whose = provider or read.form.provider
    if not whose:
        raise Failure("say whose invoice it is: --provider anthropic, openai, google, ...", status=2)
    with opened() as database:
        lines, left_out = compare_invoice(database, read, whose, subscriptions=subscriptions, tolerance=tolerance)
    from aitap.export.reconcile_view import invoice_json, invoice_view

    status = int(any(line.difference for line in lines))
    if wants_json(asked=as_json):
        write_json(invoice_json(read, whose, lines, left_out))
        return status
    console = terminal()
    console.print(invoice_view(read, whose, lines, left_out))
    return status
