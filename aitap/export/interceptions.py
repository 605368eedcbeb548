"""``aitap interceptions list|show``: single requests to models and what came of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from aitap.export.failures import Failure
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, limit_options, query_filter, query_options
from aitap.export.store import database_option, opened
from aitap.storage.conversation import add_messages
from aitap.storage.queries import get_interception, list_interceptions

__all__ = ["interceptions"]


@click.group()
def interceptions() -> None:
    """Single requests to models and what came of them."""


@interceptions.command("list")
@query_options
@limit_options
@json_option
def list_(*, limit: int, after_id: str | None, as_json: bool, **query: Any) -> None:
    """List interceptions, newest first.

    A table on a terminal, a JSON array elsewhere. The table's IDs are the ends of ids; `show` takes them.
    """
    with opened() as database:
        wanted = query_filter(database, "interceptions", query)
        records = list_interceptions(database, wanted, limit=limit, after_id=after_id)
    if wants_json(asked=as_json):
        write_json(records)
        return
    from aitap.export.tables import interception_table

    console = terminal()
    if not records:
        console.print("No interceptions found.", style="dim")
        return
    console.print(interception_table(records, console.width, datetime.now(UTC)))
    if len(records) == limit:
        console.print(f"More may follow: --after-id {records[-1]['id']}", style="dim")


@interceptions.command()
@click.argument("interception_id", metavar="ID")
@click.option("--full", is_flag=True, help="Do not cut the answer.")
@database_option
@json_option
def show(*, interception_id: str, full: bool, as_json: bool) -> None:
    """Show all that is known of one interception.

    ID is a whole id, or a part of its beginning or end that no other has.
    """
    with opened() as database:
        record = get_interception(database, interception_id)
        if record is not None:
            add_messages(database, record)
    if record is None:
        raise Failure(f"no interception {interception_id!r}")
    if wants_json(asked=as_json):
        write_json(record)
        return
    from aitap.export.interception_view import interception_view

    terminal().print(interception_view(record, full=full))
