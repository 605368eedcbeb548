"""One session a page of threads at a time, so that one of 10,000 interceptions opens as fast as one of ten.

Which interceptions make which thread is told by four columns of each; only those of the page are read whole.
All is of what has ended, as the session's own numbers are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.storage.database import rows_of, slices
from aitap.storage.fields import is_uuid
from aitap.storage.queries import Filter, get_interceptions, list_sessions
from aitap.storage.threads import thread_of

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["CursorError", "find_sessions", "session_token_usages", "thread_page"]

_AT_ONCE = 500
_SESSION_OF = "SELECT session_id, initiator_id FROM aibridge_interceptions WHERE id = ?"
_MEMBERS = (
    "SELECT id, coalesce(thread_root_id, id), purpose FROM aibridge_interceptions "
    "WHERE session_id = ? AND initiator_id = ? AND ended_at IS NOT NULL ORDER BY started_at, id"
)
_USAGES = (
    "SELECT t.input_tokens, t.output_tokens, t.cache_read_input_tokens, t.cache_write_input_tokens, t.metadata "
    "FROM aibridge_interceptions i JOIN aibridge_token_usages t ON t.interception_id = i.id "
    "WHERE i.session_id = ? AND i.initiator_id = ? AND i.ended_at IS NOT NULL"
)


class CursorError(Exception):
    """A cursor that is no thread of this session."""


def find_sessions(database: Database, text: str, initiator_id: str | None = None) -> list[dict[str, Any]]:
    """The sessions with this id, or that of the interception with this id; with ``initiator_id`` only this user's.

    There are several where several users have a session of one id: two of them are given then.
    """
    found = list_sessions(database, Filter(session_id=text, initiator_id=initiator_id), limit=2)
    if not found and is_uuid(text.lower()):
        for session_id, owner in rows_of(database, _SESSION_OF, (text.lower(),)):
            if initiator_id in (None, str(owner)):
                found = list_sessions(database, Filter(session_id=session_id, initiator_id=str(owner)), limit=1)
    return found


def thread_page(
    database: Database,
    session: dict[str, Any],
    *,
    limit: int,
    after_id: str | None = None,
    before_id: str | None = None,
) -> list[dict[str, Any]]:
    """At most ``limit`` threads in the order in which they began, each with its interceptions, oldest first.

    They are the first, or those that follow the thread ``after_id``, or those just before ``before_id``. Sub-agents'
    threads stand among the others (``parent_thread`` tells); calls a client made for itself are left out. Raises
    :class:`CursorError`.
    """
    threads: dict[str, list[str]] = {}
    for own_id, root, purpose in rows_of(database, _MEMBERS, (session["id"], session["initiator"]["id"])):
        if purpose == "conversation":
            threads.setdefault(str(root), []).append(str(own_id))
    roots = list(threads)
    begin, end = 0, limit
    if (cursor := after_id or before_id) is not None:
        if cursor not in threads:
            raise CursorError(cursor)
        position = roots.index(cursor)
        begin, end = (position + 1, position + 1 + limit) if after_id else (max(0, position - limit), position)
    page = roots[begin:end]
    wanted = [own_id for root in page for own_id in threads[root]]
    known = {record["id"]: record for some in slices(wanted, _AT_ONCE) for record in get_interceptions(database, some)}
    # What retention takes meanwhile is not there any more.
    members = {root: [known[own_id] for own_id in threads[root] if own_id in known] for root in page}
    return [thread_of(root, members[root]) for root in page if members[root]]


def session_token_usages(database: Database, session: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Every token usage of the session: its four counters, then its metadata (JSON text, or None)."""
    return rows_of(database, _USAGES, (session["id"], session["initiator"]["id"]))
