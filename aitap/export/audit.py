"""``aitap audit list``: who was shown whose records, who changed what, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aitap.export import human
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, limit_options
from aitap.export.store import database_option, opened
from aitap.storage.administration import ACTIONS
from aitap.storage.audit import READ, Readings, list_readings
from aitap.storage.search import parse_moment, resolve_initiator

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

__all__ = ["audit"]


def _moment(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _action(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    kinds = dict.fromkeys(action.partition(".")[0] for action in ACTIONS)
    if value is not None and value not in (READ, *kinds, *ACTIONS):
        raise click.BadParameter(f"write {READ}, {', '.join(kinds)}, or one of {', '.join(ACTIONS)}")
    return value


@click.group()
def audit() -> None:
    """Who was shown whose records, and who changed what."""


@audit.command("list")
@click.option("--reader", metavar="USER", help="Only what this user was shown or did: an id, a username, or me.")
@click.option("--subject", metavar="USER", help="Only records of this user, or what was done to them.")
@click.option(
    "--action", metavar="ACTION", callback=_action, help="Only this: read, key.create, or all of a kind: key."
)
@click.option("--read-after", metavar="TIME", callback=_moment, help="Not before this time, or not older than 24h, 7d.")
@click.option("--read-before", metavar="TIME", callback=_moment, help="Not after this time, or older than 24h, 7d.")
@limit_options
@database_option
@json_option
def list_(
    *,
    reader: str | None,
    subject: str | None,
    action: str | None,
    read_after: datetime | None,
    read_before: datetime | None,
    limit: int,
    after_id: str | None,
    as_json: bool,
) -> None:
    """List who was shown records of others by `aitap serve`, and who changed what, the newest first.

    One line for each answer and each person whose records were in it; one for each change of a user, a key, a group,
    a budget or a rule for hosts, by command or page, and each erasure. Lines go after the time that the setting
    `audit_retention` says. A table on a terminal, a JSON array elsewhere.
    """
    from aitap.access.identity import local_user

    with opened() as database:
        reader_id, subject_id = (
            None if who is None else resolve_initiator(database, who, local_user) for who in (reader, subject)
        )
        wanted = Readings(
            reader_id=reader_id,
            subject_id=subject_id,
            action=action,
            read_after=read_after,
            read_before=read_before,
        )
        found = list_readings(database, wanted, limit=limit, after_id=after_id)
    if wants_json(asked=as_json):
        write_json(found)
        return
    console = terminal()
    if not found:
        console.print("Nobody was shown records of others, or changed anything.", style="dim")
        return
    console.print(_table(found, console.width, datetime.now(UTC)))


def _table(rows: list[dict[str, Any]], width: int, now: datetime) -> Table:
    from rich.table import Table
    from rich.text import Text

    def named(person: dict[str, Any] | None) -> str:
        return human.DASH if person is None else human.one_line(person["username"] or human.short_id(person["id"]))

    columns: list[tuple[str, Callable[[dict[str, Any]], str], int]] = [
        ("WHEN", lambda row: human.day_and_time(row["read_at"], now), 0),
        ("WHO", lambda row: named(row["reader"]), 0),
        ("DID", human.done, 0),
        ("TO", lambda row: named(row["subject"]), 0),
        ("FROM", lambda row: human.one_line(row["address"]) or human.DASH, 90),
        ("KEY", lambda row: human.short_id(row["api_key_id"]), 110),
        ("WITH", human.done_with, 60),
    ]
    shown = [column for column in columns if column[2] <= width]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head, value, _ in shown:
        # What is long is what stands last.
        wide = max(len(head), *(min(len(value(row)), 24) for row in rows)) if head != "WITH" else None
        table.add_column(head, no_wrap=True, overflow="ellipsis", min_width=wide)
    for row in rows:
        table.add_row(*(Text(value(row)) for _, value, _ in shown))
    return table
