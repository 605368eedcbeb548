"""Session rows, kept by the writer so that no list ever groups interceptions.

A row sums up the ended interceptions of one (session, initiator). Summing does not depend on order: a
batch is summed in memory, merged with the stored rows and written back in the batch's own transaction.
What goes is taken out by :func:`subtract`. :func:`rebuild` makes a row anew from the tables, for the few cases
where an end was not what it seemed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import execute_many, question_marks, rows_of, slices
from aitap.storage.fields import json_text, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

    from aitap.record import Interception

__all__ = ["Key", "Share", "add_ended", "rebuild", "subtract"]

Key = tuple[str, str]
"""Session id, initiator id."""


class _Summary(msgspec.Struct, gc=False):
    """What a session row says; fields are its columns but the key. Moments are stored text, which sorts."""

    client: str | None
    providers: set[str]
    models: set[str]
    started_at: str
    ended_at: str | None
    last_active_at: str
    interceptions: int
    threads: int
    prompts: int
    tool_calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    last_prompt: str | None
    unpriced: int
    cost_micros: int

    def merge(self, other: _Summary) -> None:
        """Take in what ``other`` says of further interceptions."""
        if (other.started_at, other.client or "") < (self.started_at, self.client or ""):
            self.client = other.client
        self._merge_activity(other)
        self.started_at = min(self.started_at, other.started_at)
        if other.ended_at and (self.ended_at is None or other.ended_at > self.ended_at):
            self.ended_at = other.ended_at
        self.providers |= other.providers
        self.models |= other.models
        self.interceptions += other.interceptions
        self.threads += other.threads
        self.prompts += other.prompts
        self.tool_calls += other.tool_calls
        self.errors += other.errors
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cache_read_input_tokens += other.cache_read_input_tokens
        self.cache_write_input_tokens += other.cache_write_input_tokens
        self.unpriced += other.unpriced
        self.cost_micros += other.cost_micros

    def _merge_activity(self, other: _Summary) -> None:
        """Active at the newest prompt; without any prompt, at the earliest start."""
        if other.prompts:
            mine = (self.last_active_at, self.last_prompt or "") if self.prompts else ("", "")
            if (other.last_active_at, other.last_prompt or "") > mine:
                self.last_active_at, self.last_prompt = other.last_active_at, other.last_prompt
        elif not self.prompts:
            self.last_active_at = min(self.last_active_at, other.last_active_at)


_COLUMNS = _Summary.__struct_fields__
_READ = f"SELECT session_id, initiator_id, {', '.join(_COLUMNS)} FROM aitap_sessions WHERE session_id IN "
_WRITE = (
    f"INSERT INTO aitap_sessions (session_id, initiator_id, {', '.join(_COLUMNS)}) "
    f"VALUES {question_marks(len(_COLUMNS) + 2)} "
    f"ON CONFLICT (session_id, initiator_id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in _COLUMNS)}"
)
_MOVE = "UPDATE aitap_session_kinds SET active_at = ? WHERE session_id = ? AND initiator_id = ?"
"""A session moves in lists: its kinds (:mod:`aitap.storage.kinds`) say so too."""
_DELETE = "DELETE FROM aitap_sessions WHERE session_id = ? AND initiator_id = ?"


def _summary(records: list[Interception]) -> _Summary:
    first, newest, ended_at = records[0], None, 0.0
    threads = prompts = tools = errors = fresh = output = reads = writes = unpriced = cost = 0
    for record in records:
        if record.started_at <= first.started_at and (
            record.started_at < first.started_at or (record.client or "") < (first.client or "")
        ):
            first = record
        ended_at = max(ended_at, record.ended_at or 0.0)
        tools += len(record.tool_usages)
        errors += record.outcome == "failed"
        for usage in record.token_usages:
            fresh += usage.input_tokens
            output += usage.output_tokens
            reads += usage.cache_read_input_tokens
            writes += usage.cache_write_input_tokens
            if usage.cost_micros is None:
                unpriced += 1
            else:
                cost += usage.cost_micros
        if record.purpose == "conversation":
            threads += record.thread_root_id is None
            for prompt in record.user_prompts if "agent" not in record.metadata else ():
                prompts += 1
                if newest is None or (prompt.created_at, prompt.prompt) > (newest.created_at, newest.prompt):
                    newest = prompt
    return _Summary(
        first.client,
        {record.provider for record in records},
        {record.model for record in records},
        timestamp_text(first.started_at),
        timestamp_text(ended_at),
        timestamp_text(newest.created_at if newest else first.started_at),
        len(records),
        threads,
        prompts,
        tools,
        errors,
        fresh,
        output,
        reads,
        writes,
        newest.prompt if newest else None,
        unpriced,
        cost,
    )


def add_ended(database: Database, records: Iterable[Interception]) -> None:
    """Add ended interceptions, not counted before, to their sessions. Call it inside a transaction."""
    groups: dict[Key, list[Interception]] = {}
    for record in records:
        groups.setdefault((record.session_id, record.initiator_id), []).append(record)
    sums = {key: _summary(group) for key, group in groups.items()}
    moved: list[Key] = []
    for key, stored in _stored(database, [session for session, _ in sums]):
        if key in sums:
            sums[key].merge(stored)
            if sums[key].last_active_at != stored.last_active_at:
                moved.append(key)
    _store(database, sums, moved)


def _stored(database: Database, session_ids: list[str]) -> Iterable[tuple[Key, _Summary]]:
    for some in slices(session_ids, 500):
        rows = rows_of(database, _READ + question_marks(len(some)), some)
        for session_id, initiator_id, client, providers, models, *rest in rows:
            yield (session_id, initiator_id), _Summary(client, _names(providers), _names(models), *rest)


def _names(stored: Any) -> set[str]:
    return set(msgspec.json.decode(stored) if isinstance(stored, str) else stored)


def _store(database: Database, sums: dict[Key, _Summary], moved: Iterable[Key]) -> None:
    rows = [
        (*key, s.client, json_text(sorted(s.providers)), json_text(sorted(s.models)), *msgspec.structs.astuple(s)[3:])
        for key, s in sums.items()
    ]
    if rows:
        execute_many(database, _WRITE, rows)
    execute_many(database, _MOVE, [(sums[key].last_active_at, *key) for key in moved])


_THREADS = "coalesce(sum(CASE WHEN i.purpose = 'conversation' AND i.thread_root_id IS NULL THEN 1 ELSE 0 END), 0)"
_ERRORS = "coalesce(sum(CASE WHEN i.outcome = 'failed' THEN 1 ELSE 0 END), 0)"
_COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
_UNPRICED = "coalesce(sum(CASE WHEN c.cost_micros IS NULL THEN 1 ELSE 0 END), 0)"
_TOKENS = ", ".join((*(f"coalesce(sum(c.{name}), 0)" for name in (*_COUNTERS, "cost_micros")), _UNPRICED))

# A person typed it: neither the client for itself, nor a model for its sub-agent.
_TYPED = "i.purpose = 'conversation' AND (i.metadata IS NULL OR json_extract(i.metadata, '$.agent') IS NULL)"


class Share(msgspec.Struct, gc=False):
    """What some interceptions of a session come to; fields are columns."""

    interceptions: int = 0
    threads: int = 0
    prompts: int = 0
    tool_calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    unpriced: int = 0
    cost_micros: int = 0


_REST = (
    "FROM aibridge_interceptions i WHERE i.session_id = aitap_sessions.session_id "
    "AND i.initiator_id = aitap_sessions.initiator_id AND i.ended_at IS NOT NULL"
)
_DELETE_EMPTY = f"{_DELETE} AND NOT EXISTS (SELECT 1 {_REST})"
_SUBTRACT = (
    f"UPDATE aitap_sessions SET {', '.join(f'{name} = {name} - ?' for name in Share.__struct_fields__)}, "
    f"client = (SELECT i.client {_REST} ORDER BY i.started_at, coalesce(i.client, '') LIMIT 1), "
    f"started_at = (SELECT i.started_at {_REST} ORDER BY i.started_at LIMIT 1) "
    "WHERE session_id = ? AND initiator_id = ?"
)
_QUIET = (
    "UPDATE aitap_sessions SET last_prompt = NULL, last_active_at = started_at "
    "WHERE session_id = ? AND initiator_id = ? AND prompts = 0 "
    "AND (last_prompt IS NOT NULL OR last_active_at <> started_at)"
)
_ACTIVE = (
    "(SELECT s.last_active_at FROM aitap_sessions s WHERE s.session_id = aitap_session_kinds.session_id "
    "AND s.initiator_id = aitap_session_kinds.initiator_id)"
)
_MOVE_QUIET = (
    f"UPDATE aitap_session_kinds SET active_at = {_ACTIVE} "
    f"WHERE session_id = ? AND initiator_id = ? AND active_at <> {_ACTIVE}"
)


def subtract(database: Database, shares: dict[Key, Share]) -> None:
    """Take ended interceptions, the oldest of their sessions, out of them; they are deleted already.

    Work does not grow with the sessions. For that price a session goes on naming a provider or model
    that only its older part used.
    """
    execute_many(database, _DELETE_EMPTY, list(shares))
    execute_many(database, _SUBTRACT, [(*msgspec.structs.astuple(share), *key) for key, share in shares.items()])
    for sql in (_QUIET, _MOVE_QUIET):
        execute_many(database, sql, list(shares))


_ONE_SESSION = (
    "FROM aibridge_interceptions i {} WHERE i.session_id = ? AND i.initiator_id = ? AND i.ended_at IS NOT NULL"
)
_INTERCEPTIONS_OF = (
    f"SELECT min(i.started_at), max(i.ended_at), count(*), {_THREADS}, {_ERRORS} " + _ONE_SESSION.format("")
)
_TOKENS_OF = f"SELECT {_TOKENS} " + _ONE_SESSION.format("JOIN aibridge_token_usages c ON c.interception_id = i.id")
_TOOLS_OF = "SELECT count(*) " + _ONE_SESSION.format("JOIN aibridge_tool_usages c ON c.interception_id = i.id")
_PROMPTS_OF = (
    "SELECT count(*), max(c.created_at) "
    + _ONE_SESSION.format("JOIN aibridge_user_prompts c ON c.interception_id = i.id")
    + f" AND {_TYPED}"
)
_LAST_PROMPT_OF = (
    "SELECT c.prompt "
    + _ONE_SESSION.format("JOIN aibridge_user_prompts c ON c.interception_id = i.id")
    + f" AND {_TYPED} AND c.created_at = ? ORDER BY c.prompt DESC LIMIT 1"
)
_NAMES_OF = "SELECT DISTINCT i.provider, i.model " + _ONE_SESSION.format("")
_CLIENT_OF = (
    "SELECT i.client " + _ONE_SESSION.format("") + " AND i.started_at = ? ORDER BY coalesce(i.client, '') LIMIT 1"
)


def rebuild(database: Database, keys: Iterable[Key]) -> None:
    """Make these session rows anew from the tables, or remove them where nothing is left of them."""

    def one(sql: str, *parameters: Any) -> Any:
        return next(iter(rows_of(database, sql, parameters)))

    for key in keys:
        started, ended, interceptions, threads, errors = one(_INTERCEPTIONS_OF, *key)
        if not interceptions:
            rows_of(database, _DELETE, key)
            continue
        prompts, prompted = one(_PROMPTS_OF, *key)
        names = rows_of(database, _NAMES_OF, key)
        fresh, output, reads, writes, cost, unpriced = one(_TOKENS_OF, *key)
        summary = _Summary(
            one(_CLIENT_OF, *key, started)[0],
            {provider for provider, _ in names},
            {model for _, model in names},
            started,
            ended,
            prompted or started,
            interceptions,
            threads,
            prompts,
            one(_TOOLS_OF, *key)[0],
            errors,
            fresh,
            output,
            reads,
            writes,
            one(_LAST_PROMPT_OF, *key, prompted)[0] if prompts else None,
            unpriced,
            cost,
        )
        _store(database, {key: summary}, [key])
