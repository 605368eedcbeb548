"""Session rows, kept by the writer so that no list ever groups interceptions.

A row sums up the ended interceptions of one (session, initiator). Summing does not depend on order: a
batch is summed in memory, merged with the stored rows and written back in the batch's own transaction.
:func:`rebuild` makes the same row from the tables, for the few cases where something is taken away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import execute_many
from aitap.storage.fields import json_text, timestamp_text
from aitap.storage.statements import placeholders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

    from aitap.record import Interception

__all__ = ["add_ended", "rebuild"]

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
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 2))}) "
    f"ON CONFLICT (session_id, initiator_id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in _COLUMNS)}"
)
_DELETE = "DELETE FROM aitap_sessions WHERE session_id = ? AND initiator_id = ?"


def _summary(records: list[Interception]) -> _Summary:
    first = min(records, key=lambda record: (record.started_at, record.client or ""))
    threads = tools = errors = fresh = output = reads = writes = 0
    prompts = []
    for record in records:
        if record.purpose == "conversation":
            threads += record.thread_root_id is None
            prompts += record.user_prompts
        tools += len(record.tool_usages)
        errors += record.outcome == "failed"
        for usage in record.token_usages:
            fresh += usage.input_tokens
            output += usage.output_tokens
            reads += usage.cache_read_input_tokens
            writes += usage.cache_write_input_tokens
    newest = max(prompts, key=lambda prompt: (prompt.created_at, prompt.prompt), default=None)
    return _Summary(
        first.client,
        {record.provider for record in records},
        {record.model for record in records},
        timestamp_text(first.started_at),
        timestamp_text(max(record.ended_at or 0.0 for record in records)),
        timestamp_text(newest.created_at if newest else first.started_at),
        len(records),
        threads,
        len(prompts),
        tools,
        errors,
        fresh,
        output,
        reads,
        writes,
        newest.prompt if newest else None,
    )


def add_ended(database: Database, records: Iterable[Interception]) -> None:
    """Add ended interceptions, not counted before, to their sessions. Call it inside a transaction."""
    groups: dict[Key, list[Interception]] = {}
    for record in records:
        groups.setdefault((record.session_id, record.initiator_id), []).append(record)
    sums = {key: _summary(group) for key, group in groups.items()}
    for key, stored in _stored(database, [session for session, _ in sums]):
        if key in sums:
            sums[key].merge(stored)
    _store(database, sums)


def _stored(database: Database, session_ids: list[str]) -> Iterable[tuple[Key, _Summary]]:
    for start in range(0, len(session_ids), 500):
        some = session_ids[start : start + 500]
        rows = database.execute_sql(f"{_READ} ({', '.join([database.param] * len(some))})", some).fetchall()
        for session_id, initiator_id, client, providers, models, *rest in rows:
            yield (session_id, initiator_id), _Summary(client, _names(providers), _names(models), *rest)


def _names(stored: Any) -> set[str]:
    return set(msgspec.json.decode(stored) if isinstance(stored, str) else stored)


def _store(database: Database, sums: dict[Key, _Summary]) -> None:
    rows = [
        (*key, s.client, json_text(sorted(s.providers)), json_text(sorted(s.models)), *msgspec.structs.astuple(s)[3:])
        for key, s in sums.items()
    ]
    if rows:
        execute_many(database, placeholders(database, _WRITE), rows)


_ONE_SESSION = (
    "FROM aibridge_interceptions i {} WHERE i.session_id = ? AND i.initiator_id = ? AND i.ended_at IS NOT NULL"
)
_INTERCEPTIONS_OF = (
    "SELECT min(i.started_at), max(i.ended_at), count(*), "
    "coalesce(sum(CASE WHEN i.purpose = 'conversation' AND i.thread_root_id IS NULL THEN 1 ELSE 0 END), 0), "
    "coalesce(sum(CASE WHEN i.outcome = 'failed' THEN 1 ELSE 0 END), 0) " + _ONE_SESSION.format("")
)
_TOKENS_OF = (
    "SELECT coalesce(sum(c.input_tokens), 0), coalesce(sum(c.output_tokens), 0), "
    "coalesce(sum(c.cache_read_input_tokens), 0), coalesce(sum(c.cache_write_input_tokens), 0) "
    + _ONE_SESSION.format("JOIN aibridge_token_usages c ON c.interception_id = i.id")
)
_TOOLS_OF = "SELECT count(*) " + _ONE_SESSION.format("JOIN aibridge_tool_usages c ON c.interception_id = i.id")
_PROMPTS_OF = (
    "SELECT count(*), max(c.created_at) "
    + _ONE_SESSION.format("JOIN aibridge_user_prompts c ON c.interception_id = i.id")
    + " AND i.purpose = 'conversation'"
)
_LAST_PROMPT_OF = (
    "SELECT c.prompt "
    + _ONE_SESSION.format("JOIN aibridge_user_prompts c ON c.interception_id = i.id")
    + " AND i.purpose = 'conversation' AND c.created_at = ? ORDER BY c.prompt DESC LIMIT 1"
)
_NAMES_OF = "SELECT DISTINCT i.provider, i.model " + _ONE_SESSION.format("")
_CLIENT_OF = (
    "SELECT i.client " + _ONE_SESSION.format("") + " AND i.started_at = ? ORDER BY coalesce(i.client, '') LIMIT 1"
)


def rebuild(database: Database, keys: Iterable[Key]) -> None:
    """Make these session rows anew from the tables, or remove them where nothing is left of them."""

    def one(sql: str, *parameters: Any) -> Any:
        return database.execute_sql(placeholders(database, sql), parameters).fetchone()

    for key in keys:
        started, ended, interceptions, threads, errors = one(_INTERCEPTIONS_OF, *key)
        if not interceptions:
            database.execute_sql(placeholders(database, _DELETE), key)
            continue
        prompts, prompted = one(_PROMPTS_OF, *key)
        names = database.execute_sql(placeholders(database, _NAMES_OF), key).fetchall()
        fresh, output, reads, writes = one(_TOKENS_OF, *key)
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
        )
        _store(database, {key: summary})
