"""``aitap sessions list|show|pin|unpin``: conversations, each with its threads, sub-agents and tool calls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from aitap.export.failures import Failure
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, limit_options, query_filter, query_options, resolved
from aitap.export.store import database_option, opened
from aitap.storage.conversation import add_session_messages
from aitap.storage.pins import pin
from aitap.storage.queries import find_session, get_session, list_sessions

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


@sessions.command("pin")
@click.argument("session_id", metavar="ID")
@click.option("--initiator", metavar="USER", help="Whose session, where several users have one of this id.")
@database_option
def pin_(*, session_id: str, initiator: str | None) -> None:
    """Keep one session for good: retention and `aitap prune` leave it alone until it is unpinned.

    ID is as for `aitap sessions show`.
    """
    _pin(session_id, initiator, pinned=True)


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.option("--initiator", metavar="USER", help="Whose session, where several users have one of this id.")
@database_option
def unpin(*, session_id: str, initiator: str | None) -> None:
    """Let one session go again when its time has come, which may be at once."""
    _pin(session_id, initiator, pinned=False)


def _pin(session_id: str, initiator: str | None, *, pinned: bool) -> None:
    with opened(read_only=False) as database:
        whose = resolved(database, {"initiator": initiator} if initiator else {}).initiator_id
        record = find_session(database, session_id, whose)
        if record is None:
            raise Failure(f"no session {session_id!r}")
        changed = pin(database, record["id"], record["initiator"]["id"], pinned=pinned)
    state = "pinned" if pinned else "not pinned"
    calls = record["interceptions"]
    count = f"{calls} interception{'' if calls == 1 else 's'}"
    click.echo(f"session {record['id']} ({count}) is {state}{'' if changed else ' already'}")
