"""``aitap sessions list|show``: conversations, each with its threads, sub-agents and tool calls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from aitap.export.failures import Failure
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, limit_options, query_filter, query_options, resolved
from aitap.export.store import database_option, opened
from aitap.storage.conversation import add_session_messages
from aitap.storage.queries import get_session, list_sessions

__all__ = ["sessions"]


@click.group()
def sessions() -> None:
    """Conversations: their prompts, calls, tools and tokens."""


@sessions.command("list")
@query_options
@limit_options
@json_option
def list_(*, limit: int, after_id: str | None, as_json: bool, **query: Any) -> None:
    """List sessions, last active first.

    A session is listed where any of its interceptions matches; its numbers are those of the whole session.
    """
    with opened() as database:
        wanted = query_filter(database, "sessions", query)
        records = list_sessions(database, wanted, limit=limit, after_id=after_id)
    if wants_json(asked=as_json):
        write_json(records)
        return
    from aitap.export.tables import session_table

    console = terminal()
    if not records:
        console.print("No sessions found.", style="dim")
        return
    console.print(session_table(records, console.width, datetime.now(UTC)))
    if len(records) == limit:
        console.print(f"More may follow: --after-id {records[-1]['id']}", style="dim")


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.option("--initiator", metavar="USER", help="Whose session, where several users have one of this id.")
@click.option("--full", is_flag=True, help="Cut no text, and show the system prompt too.")
@database_option
@json_option
def show(*, session_id: str, initiator: str | None, full: bool, as_json: bool) -> None:
    """Show one session: each prompt and all that followed from it, word for word where contents were captured.

    ID is a session's id, a part of its beginning or end that no other has, or the id of one of its
    interceptions. Sub-agents stand under the thread that started them, calls the client made for itself
    (titles, summaries) at the end.
    """
    with opened() as database:
        whose = resolved(database, {"initiator": initiator} if initiator else {}).initiator_id
        record = get_session(database, session_id, whose)
        if record is not None:
            add_session_messages(database, record)
    if record is None:
        raise Failure(f"no session {session_id!r}")
    if wants_json(asked=as_json):
        write_json(record)
        return
    from aitap.export.session_view import session_view

    terminal().print(session_view(record, full=full))
