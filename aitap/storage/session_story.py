"""One session in pieces: its threads first, and of each the steps that are looked at.

A session may have ten thousand interceptions, so nothing here reads more of them than it was asked for: the outline
takes a few columns of each, the sums come from the database, and only the steps of one page are read whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import question_marks, rows_of, slices
from aitap.storage.queries import get_interceptions
from aitap.storage.rows import TOKEN_COUNTERS, wire_time
from aitap.storage.text_matching import like_condition, like_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = ["Outline", "Thread", "find_steps", "outline", "steps", "thread_sums"]

_AT_ONCE = 500
_MEMBERS = (
    "SELECT id, coalesce(thread_root_id, id), purpose, started_at, ended_at, outcome, "
    "json_extract(metadata, '$.parent_thread'), json_extract(metadata, '$.agent') FROM aibridge_interceptions "
    "WHERE session_id = ? AND initiator_id = ? ORDER BY started_at, id"
)
_ROOT = "CAST(coalesce(i.thread_root_id, i.id) AS TEXT)"
_OF_SESSION = (
    "FROM aibridge_interceptions i CROSS JOIN {table} c WHERE c.interception_id = i.id AND i.session_id = ? "
    "AND i.initiator_id = ? AND i.purpose = 'conversation'"
)
_TOKENS = (
    f"SELECT {_ROOT}, {', '.join(f'sum(c.{name})' for name in TOKEN_COUNTERS)}, sum(c.cost_micros), "
    "sum(CASE WHEN c.cost_micros IS NULL THEN 1 ELSE 0 END) "
    f"{_OF_SESSION.format(table='aibridge_token_usages')} GROUP BY {_ROOT}"
)
_TOOLS = f"SELECT {_ROOT}, count(*) {_OF_SESSION.format(table='aibridge_tool_usages')} GROUP BY {_ROOT}"
_PROMPTS = "SELECT interception_id, prompt FROM aibridge_user_prompts WHERE interception_id IN "
_FOUND = (
    "SELECT i.started_at, i.id FROM aibridge_interceptions i CROSS JOIN {table} c WHERE c.interception_id = i.id "
    "AND i.session_id = ? AND i.initiator_id = ? AND {condition}"
)
_TEXTS = (
    ("aibridge_user_prompts", "c.prompt"),
    ("aibridge_tool_usages", "c.tool || ' ' || c.input"),
    ("aibridge_model_thoughts", "c.content"),
)


class Thread(msgspec.Struct):
    """A prompt and what followed from it, as far as an outline tells."""

    root: str
    parent: str | None
    """The thread that started this one, where it is a sub-agent's."""
    agent: str | None
    members: list[str]
    """Ids of its interceptions, oldest first."""
    starts: list[str]
    """When each of them began."""
    ended_at: str | None
    """None while one of them goes on."""
    errors: int
    subagents: list[Thread] = msgspec.field(default_factory=list)
    """Those that it started, in the order in which they began."""

    @property
    def started_at(self) -> str:
        """When the first of them began."""
        return self.starts[0]


class Outline(msgspec.Struct):
    """What a session is made of."""

    threads: dict[str, Thread]
    """All, by root."""
    top: list[Thread]
    """Those that nobody started but the person, in the order in which they began."""
    auxiliary: list[str]
    """Ids of the calls that the client made for itself, oldest first."""


def outline(database: Database, session: dict[str, Any]) -> Outline:
    """The threads of a session (as :func:`aitap.storage.queries.list_sessions` gives it), what is in flight too."""
    found = Outline({}, [], [])
    for own_id, root, purpose, started_at, ended_at, outcome, parent, agent in rows_of(
        database, _MEMBERS, (session["id"], session["initiator"]["id"])
    ):
        if purpose != "conversation":
            found.auxiliary.append(str(own_id))
            continue
        thread = found.threads.get(str(root))
        ended = ended_at and wire_time(ended_at)
        if thread is None:
            thread = found.threads[str(root)] = Thread(str(root), parent, agent, [], [], ended, 0)
        thread.members.append(str(own_id))
        thread.starts.append(wire_time(started_at))
        thread.errors += outcome == "failed"
        if thread.ended_at is not None:
            thread.ended_at = ended and max(thread.ended_at, ended)
    for thread in found.threads.values():
        parent_thread = found.threads.get(thread.parent or "")
        if parent_thread is None or _leads_back(found.threads, parent_thread, thread):
            found.top.append(thread)
        else:
            parent_thread.subagents.append(thread)
    return found


def _leads_back(threads: dict[str, Thread], start: Thread, wanted: Thread) -> bool:
    """Whether ``wanted`` is above ``start`` already: bad data must not lose threads in a ring."""
    seen = set()
    at: Thread | None = start
    while at is not None and at.root not in seen:
        if at is wanted:
            return True
        seen.add(at.root)
        at = threads.get(at.parent or "")
    return at is not None


def thread_sums(database: Database, session: dict[str, Any], threads: Sequence[Thread]) -> dict[str, dict[str, Any]]:
    """By root, what each of these threads came to: ``prompt``, ``tokens``, ``cost_micros``, ``unpriced``, ``tools``.

    Tokens and cost are None where nothing told them.
    """
    key = session["id"], session["initiator"]["id"]
    tokens = {row[0]: row[1:] for row in rows_of(database, _TOKENS, key)}
    tools = dict(rows_of(database, _TOOLS, key))
    # Nearly always the first of them has the prompt.
    prompts = _prompts(database, [own_id for thread in threads for own_id in thread.members[:8]])
    found = {}
    for thread in threads:
        *counters, cost, unpriced = tokens.get(thread.root, (*(None for _ in TOKEN_COUNTERS), None, 0))
        found[thread.root] = {
            "prompt": next((prompts[own_id] for own_id in thread.members[:8] if own_id in prompts), None),
            "tokens": dict(zip(TOKEN_COUNTERS, (_number(value) for value in counters), strict=True)),
            "cost_micros": _number(cost),
            "unpriced": unpriced,
            "tools": tools.get(thread.root, 0),
        }
    return found


def _number(value: Any) -> int | None:
    # PostgreSQL sums into decimals.
    return None if value is None else int(value)


def _prompts(database: Database, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in slices(ids, _AT_ONCE):
        for own_id, prompt in rows_of(database, _PROMPTS + question_marks(len(some)), some):
            found.setdefault(str(own_id), prompt)
    return found


def steps(database: Database, ids: Sequence[str]) -> list[dict[str, Any]]:
    """These interceptions, whole, in the order of the ids; what retention took meanwhile is left out."""
    known = {record["id"]: record for some in slices(ids, _AT_ONCE) for record in get_interceptions(database, some)}
    return [known[own_id] for own_id in ids if own_id in known]


def find_steps(
    database: Database, session: dict[str, Any], words: Sequence[str], *, limit: int, after_id: str | None = None
) -> list[str]:
    """Ids of the session's interceptions in which a prompt, tool call or thought has all words; oldest first.

    Those after ``after_id``, at most ``limit``.
    """
    key = session["id"], session["initiator"]["id"]
    places: set[tuple[str, str]] = set()
    for table, text in _TEXTS:
        sql = _FOUND.format(table=table, condition=like_condition(database, text, len(words)))
        places.update((at, str(own_id)) for at, own_id in rows_of(database, sql, (*key, *like_values(words))))
    ordered = [own_id for _, own_id in sorted(places)]
    begin = ordered.index(after_id) + 1 if after_id in ordered else 0
    return ordered[begin : begin + limit]
