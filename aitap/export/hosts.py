"""``aitap hosts``: which AI hosts were seen, by whom and when; those of no known provider first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, query_filter, query_options_of
from aitap.export.store import opened
from aitap.storage.hosts import FILTERS, list_hosts
from aitap.storage.search import SearchError

__all__ = ["hosts"]


@click.command()
@query_options_of(*FILTERS)
@json_option
def hosts(*, as_json: bool, **query: Any) -> None:
    """List the AI hosts that were seen, those of unknown providers first.

    Unknown are hosts that no provider table names, though they speak the language of one: name them in
    aitap.toml under [[provider]]. A table on a terminal, a JSON array elsewhere.
    """
    with opened() as database:
        wanted = query_filter(database, "hosts", query)
        for key in ("model", "session_id"):
            if getattr(wanted, key) is not None:
                raise SearchError(key, f"hosts are not told apart by it: use {', '.join(FILTERS)}")
        found = list_hosts(database, wanted)
    if wants_json(asked=as_json):
        write_json(found)
        return
    from aitap.export.tables import host_table

    console = terminal()
    if not found:
        console.print("No hosts found.", style="dim")
        return
    console.print(host_table(found, console.width, datetime.now(UTC)))
