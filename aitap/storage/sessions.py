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
    from collections.abc import Iterable, Iterator, Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = ["COLUMNS", "Key", "Share", "Summary", "add_ended", "put", "rebuild", "subtract", "summed_up"]

Key = tuple[str, str]
"""Session id, initiator id."""


class Summary(msgspec.Struct, gc=False):
    """What a session row says; fields are its columns but the key. Moments are stored text, which sorts."""

    client: str | None
    providers: set[str]
    models: set[str]
    started_at: str
    ended_at: str | None
    last_active_at: str
    interceptions: int = 0
    threads: int = 0
    prompts: int = 0
    tool_calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    last_prompt: str | None = None
    unpriced: int = 0
    cost_micros: int = 0

    def merge(self, other: Summary) -> None:
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

    def _merge_activity(self, other: Summary) -> None:
        """Active at the newest prompt; without any prompt, at the earliest start."""
        if other.prompts:
            mine = (self.last_active_at, self.last_prompt or "") if self.prompts else ("", "")
            if (other.last_active_at, other.last_prompt or "") > mine:
                self.last_active_at, self.last_prompt = other.last_active_at, other.last_prompt
        elif not self.prompts:
            self.last_active_at = min(self.last_active_at, other.last_active_at)


COLUMNS = Summary.__struct_fields__
"""Of a row, but for its key and whether it is pinned."""
_READ = f"SELECT session_id, initiator_id, {', '.join(COLUMNS)} FROM aitap_sessions WHERE session_id IN "
_WRITE = (
    f"INSERT INTO aitap_sessions (session_id, initiator_id, {', '.join(COLUMNS)}) "
    f"VALUES {question_marks(len(COLUMNS) + 2)} "
    f"ON CONFLICT (session_id, initiator_id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in COLUMNS)}"
)
_MOVE = "UPDATE aitap_session_kinds SET active_at = ? WHERE session_id = ? AND initiator_id = ?"
"""A session moves in lists: its kinds (:mod:`aitap.storage.kinds`) say so too."""
_DELETE = "DELETE FROM aitap_sessions WHERE session_id = ? AND initiator_id = ?"


def _summary(records: list[Interception]) -> Summary:
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
    return Summary(
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


def _stored(database: Database, session_ids: list[str]) -> Iterable[tuple[Key, Summary]]:
    for some in slices(session_ids, 500):
        rows = rows_of(database, _READ + question_marks(len(some)), some)
        for session_id, initiator_id, client, providers, models, *rest in rows:
            yield (session_id, initiator_id), Summary(client, _names(providers), _names(models), *rest)


def _names(stored: Any) -> set[str]:
    return set(msgspec.json.decode(stored) if isinstance(stored, str) else stored)


def _store(database: Database, sums: dict[Key, Summary], moved: Iterable[Key]) -> None:
    rows = [
        (*key, s.client, json_text(sorted(s.providers)), json_text(sorted(s.models)), *msgspec.structs.astuple(s)[3:])
        for key, s in sums.items()
    ]
    if rows:
        execute_many(database, _WRITE, rows)
    execute_many(database, _MOVE, [(sums[key].last_active_at, *key) for key in moved])


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


_THEIRS = "WHERE i.session_id IN {} AND i.ended_at IS NOT NULL"
_SESSION = "i.session_id, CAST(i.initiator_id AS TEXT)"
_THREADS = "sum(CASE WHEN i.purpose = 'conversation' AND i.thread_root_id IS NULL THEN 1 ELSE 0 END)"
_ERRORS = "sum(CASE WHEN i.outcome = 'failed' THEN 1 ELSE 0 END)"
_CALLS = (
    f"SELECT {_SESSION}, min(i.started_at), max(i.ended_at), count(*), {_THREADS}, {_ERRORS} "
    f"FROM aibridge_interceptions i {_THEIRS} GROUP BY 1, 2"
)
_COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "cost_micros")


def _with(table: str) -> str:
    # A left join is read from the left: SQLite would begin with all children there are.
    return f"FROM aibridge_interceptions i LEFT JOIN {table} c ON c.interception_id = i.id {_THEIRS}"


_TOKENS = (
    f"SELECT {_SESSION}, {', '.join(f'sum(c.{name})' for name in _COUNTERS)}, "
    "sum(CASE WHEN c.id IS NOT NULL AND c.cost_micros IS NULL THEN 1 ELSE 0 END) "
    f"{_with('aibridge_token_usages')} GROUP BY 1, 2"
)
_TOOLS = f"SELECT {_SESSION}, count(c.id) {_with('aibridge_tool_usages')} GROUP BY 1, 2"
# A person typed it: neither the client for itself, nor a model for its sub-agent.
_PROMPTS = (
    f"SELECT {_SESSION} AS initiator, c.created_at, c.prompt {_with('aibridge_user_prompts')} AND c.id IS NOT NULL "
    "AND i.purpose = 'conversation' AND (i.metadata IS NULL OR json_extract(i.metadata, '$.agent') IS NULL)"
)
_LAST_PROMPTS = (
    "SELECT session_id, initiator, number, created_at, prompt FROM (SELECT p.*, "
    "count(*) OVER (PARTITION BY session_id, initiator) AS number, "
    "rank() OVER (PARTITION BY session_id, initiator ORDER BY created_at DESC) AS place "
    f"FROM ({_PROMPTS}) AS p) AS ranked WHERE place = 1"
)
_NAMES = f"SELECT DISTINCT {_SESSION}, i.provider, i.model FROM aibridge_interceptions i {_THEIRS}"
_FIRST = (
    "SELECT session_id, initiator, client FROM (SELECT i.session_id, CAST(i.initiator_id AS TEXT) AS initiator, "
    "i.client, rank() OVER (PARTITION BY i.session_id, i.initiator_id ORDER BY i.started_at) AS place "
    f"FROM aibridge_interceptions i {_THEIRS}) AS ranked WHERE place = 1"
)


def summed_up(database: Database, keys: Iterable[Key]) -> dict[Key, Summary]:
    """What these sessions come to, read from the tables; without those of which nothing is left."""
    wanted = set(keys)
    found: dict[Key, Summary] = {}
    for some in slices(sorted({session_id for session_id, _ in wanted}), 500):
        those = question_marks(len(some))

        def asked(sql: str, some: Sequence[str] = some, those: str = those) -> Iterator[tuple[Key, list[Any]]]:
            for session_id, initiator, *rest in rows_of(database, sql.format(those), some):
                if (session_id, initiator) in wanted:
                    yield (session_id, initiator), rest

        for key, (started, ended, *counts) in asked(_CALLS):
            calls, threads, errors = map(int, counts)
            found[key] = Summary(
                client=None,
                providers=set(),
                models=set(),
                started_at=started,
                ended_at=ended,
                last_active_at=started,
                interceptions=calls,
                threads=threads,
                errors=errors,
            )
        for key, sums in asked(_TOKENS):
            for name, value in zip((*_COUNTERS, "unpriced"), sums, strict=True):
                setattr(found[key], name, int(value or 0))
        for key, (count,) in asked(_TOOLS):
            found[key].tool_calls = int(count)
        # What comes first of several at one moment, is as in Python, whatever order of texts a database has.
        for key, (count, at, prompt) in asked(_LAST_PROMPTS):
            found[key].prompts, found[key].last_active_at = int(count), at
            found[key].last_prompt = max(prompt, found[key].last_prompt or "")
        for key, (provider, model) in asked(_NAMES):
            found[key].providers.add(provider)
            found[key].models.add(model)
        first: dict[Key, list[str | None]] = {}
        for key, (client,) in asked(_FIRST):
            first.setdefault(key, []).append(client)
        for key, clients in first.items():
            found[key].client = min(clients, key=lambda client: client or "")
    return found


def rebuild(database: Database, keys: Iterable[Key]) -> None:
    """Make these session rows anew from the tables, or remove them where nothing is left of them."""
    wanted = list(keys)
    put(database, wanted, summed_up(database, wanted))


def put(database: Database, keys: Sequence[Key], sums: dict[Key, Summary]) -> None:
    """Have these rows say what was found of them, or remove those of which nothing is left. In a transaction."""
    execute_many(database, _DELETE_EMPTY, [key for key in keys if key not in sums])
    _store(database, {key: sums[key] for key in keys if key in sums}, [key for key in keys if key in sums])
