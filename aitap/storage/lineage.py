"""Which conversation a request belongs to: thread parent and root, session, retries, sub-agents.

A request continues the interception whose tool call it answers; else the one whose response it names;
else, where the client sends no id at all, the one whose conversation it extends. Whatever the request
names is looked for in memory first and then in the database, among the same initiator's records only.

Promised: records resolved together find each other in any order; a record finds what was written before
it, also by another process; what is not found when a request starts is looked for again when it ends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import execute_many
from aitap.storage.fields import json_text, parse_timestamp, timestamp_text
from aitap.storage.recent import Recent
from aitap.storage.statements import placeholders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

    from aitap.record import Interception

__all__ = ["Threads"]

RETRY_SECONDS = 600.0
HISTORY_CANDIDATES = 64
_SESSION_NODES = 32
_PROMPT_SAMPLE = 200


class Node(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """What is remembered of an interception."""

    id: str
    started_at: float
    parent: str | None = None
    root: str | None = None
    outcome: str = "in_flight"
    agent: str | None = None
    is_subagent: bool = False
    parent_thread: str | None = None
    prompt_of: str | None = None
    retry_of: str | None = None
    twin: Node | None = None
    """The byte-identical request before this one, until it is known whether this is its retry."""
    listed: bool = False
    """Is among its session's nodes."""
    calls: bool = False
    """Issued tool calls, so that it may have started a sub-agent."""

    @property
    def thread(self) -> str:
        """The interception at the root of this one's thread."""
        return self.root or self.id


_NODE_COLUMNS = "i.id, i.started_at, i.thread_parent_id, i.thread_root_id, i.outcome, i.metadata, i.retry_of"
_BY_CALL = (
    f"SELECT {_NODE_COLUMNS}, t.id "
    "FROM aibridge_tool_usages t JOIN aibridge_interceptions i ON i.id = t.interception_id "
    "WHERE t.provider_tool_call_id = ? AND i.initiator_id = ? ORDER BY i.started_at DESC, i.id DESC LIMIT 1"
)
_BY_RESPONSE = (
    f"SELECT {_NODE_COLUMNS} FROM aibridge_token_usages t JOIN aibridge_interceptions i ON i.id = t.interception_id "
    "WHERE t.provider_response_id = ? AND i.initiator_id = ? ORDER BY i.started_at DESC, i.id DESC LIMIT 1"
)
_BY_HISTORY = (
    f"SELECT {_NODE_COLUMNS}, h.digest "
    "FROM aitap_histories h JOIN aibridge_interceptions i ON i.id = h.interception_id "
    "WHERE h.initiator_id = ? AND h.digest IN "
)
_BY_SESSION = (
    f"SELECT {_NODE_COLUMNS}, EXISTS (SELECT 1 FROM aibridge_tool_usages t WHERE t.interception_id = i.id) "
    "FROM aibridge_interceptions i WHERE i.session_id = ? AND i.initiator_id = ? "
    f"ORDER BY i.started_at DESC LIMIT {_SESSION_NODES}"
)
_INPUTS = "SELECT input FROM aibridge_tool_usages WHERE interception_id = ?"

_COMPLETE = (
    "UPDATE aibridge_tool_usages SET result_status = ?, result_at = ?, result_bytes = ? "
    "WHERE id = ? AND result_at IS NULL"
)
_REMEMBER_HISTORY = (
    "INSERT INTO aitap_histories (digest, initiator_id, interception_id, created_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (digest, initiator_id) DO UPDATE SET interception_id = excluded.interception_id, "
    "created_at = excluded.created_at WHERE excluded.created_at >= aitap_histories.created_at"
)
_DROP_PROMPTS = "DELETE FROM aibridge_user_prompts WHERE interception_id = ?"


class Threads:
    """Resolves records, batch by batch; remembers a bounded number of them.

    ``resolve`` comes before the rows of a batch are written, ``write`` after it, in the same transaction.
    Both may be repeated with the same batch.
    """

    def __init__(self, database: Database, limit: int = 20_000) -> None:
        self._database = database
        self._nodes: Recent[str, Node] = Recent(limit)
        self._calls: Recent[tuple[str, str], tuple[Node, str]] = Recent(2 * limit)
        self._responses: Recent[tuple[str, str], Node] = Recent(limit)
        self._histories: Recent[tuple[str, str], Node] = Recent(limit)
        self._bodies: Recent[tuple[str, str], Node] = Recent(limit)
        self._sessions: Recent[tuple[str, str], list[Node]] = Recent(limit // 20)
        self._tops: Recent[tuple[str, str], str] = Recent(limit)
        self._batch: dict[str, Interception] = {}
        self._completed: list[tuple[Any, ...]] = []
        self._extended: list[tuple[Any, ...]] = []
        self._unprompted: list[tuple[str]] = []

    def resolve(self, records: Iterable[Interception]) -> None:
        """Fill in thread, session, retry and sub-agent of each record."""
        self._completed, self._extended, self._unprompted = [], [], []
        # A request starts after what it continues has started, so in order of start each finds its parent resolved.
        ordered = sorted(records, key=lambda record: (record.started_at, record.id))
        self._batch = {record.id: record for record in ordered}
        for record in ordered:
            node = self._nodes.get(record.id) or self._new_node(record)
            self._resolve(record, node)
            self._remember(record, node)

    def write(self) -> None:
        """Write what the last ``resolve`` found out beside the records themselves."""
        for sql, rows in (
            (_COMPLETE, self._completed),
            (_REMEMBER_HISTORY, self._extended),
            (_DROP_PROMPTS, self._unprompted),
        ):
            if rows:
                execute_many(self._database, placeholders(self._database, sql), rows)

    def _new_node(self, record: Interception) -> Node:
        lineage = record.lineage
        node = Node(id=record.id, started_at=record.started_at, agent=lineage.agent, is_subagent=lineage.is_subagent)
        self._nodes[record.id] = node
        if lineage.body_digest:
            key = (record.initiator_id, lineage.body_digest)
            before = self._bodies.get(key)
            if before is None or before.started_at <= node.started_at:
                node.twin = before
                self._bodies[key] = node
        return node

    def _remember(self, record: Interception, node: Node) -> None:
        """Everything by which later requests may name this one."""
        initiator = record.initiator_id
        node.outcome = record.outcome
        for usage in record.tool_usages:
            node.calls = True
            if usage.provider_tool_call_id:
                call = (initiator, usage.provider_tool_call_id)
                known = self._calls.get(call)
                if known is None or known[0].started_at <= node.started_at:
                    self._calls[call] = (node, usage.id)
        for child in record.token_usages or record.tool_usages or record.user_prompts:
            if child.provider_response_id:
                self._responses[initiator, child.provider_response_id] = node
        if record.lineage.history:
            whole = (initiator, record.lineage.history[-1])
            newest = self._histories.get(whole)
            if newest is None or newest.started_at <= node.started_at:
                self._histories[whole] = node
            self._extended.append((whole[1], initiator, node.id, timestamp_text(node.started_at)))

    def _resolve(self, record: Interception, node: Node) -> None:
        lineage = record.lineage
        # Always, even where the parent is known: a batch that is tried again must complete the same tool calls.
        found = self._answered(record) if lineage.tool_results else None
        if node.parent is None and (found or lineage.previous_response_id or lineage.history):
            found = found or self._named(record)
            # A request cannot continue what started after it; ids that clients make up do come again.
            if found and found.id != node.id and found.started_at <= node.started_at:
                self._link(node, found)
        if node.twin:
            self._resolve_retry(node, ended=record.ended_at is not None)
        if node.retry_of:
            self._mark_retry(record, node)
        record.thread_parent_id, record.thread_root_id = node.parent, node.root
        session = record.client_session_id
        if session and lineage.is_subagent:
            session = self._tops.get((record.initiator_id, session)) or session
        record.session_id = session or node.thread
        if session:
            nodes = self._session_nodes(record)
            if lineage.is_subagent:
                self._mark_subagent(record, node, nodes)
            if not node.listed:
                node.listed = True
                nodes.append(node)
                if len(nodes) > 2 * _SESSION_NODES:
                    del nodes[:-_SESSION_NODES]

    def _link(self, node: Node, found: Node) -> None:
        if not node.is_subagent:
            node.parent, node.root = found.id, found.thread
        elif found.is_subagent and found.agent == node.agent:
            node.parent, node.root, node.parent_thread = found.id, found.thread, found.parent_thread
        else:
            # A sub-agent that was handed its parent's conversation begins a thread of its own.
            node.parent_thread = found.thread

    # -- what a request continues

    def _named(self, record: Interception) -> Node | None:
        """What this one continues by its own word: a response id, or the conversation that it sends again."""
        named = record.lineage.previous_response_id
        found = self._by_response(record.initiator_id, named) if named else None
        return found or self._by_history(record)

    def _answered(self, record: Interception) -> Node | None:
        """The newest interception whose tool calls this one answers; completes those calls."""
        newest: Node | None = None
        for result in record.lineage.tool_results:
            key = (record.initiator_id, result.call_id)
            found = self._calls.get(key)
            if found is None and (row := self._one(_BY_CALL, result.call_id, record.initiator_id)):
                found = self._calls[key] = (self._stored_node(row), row[-1])
            if found is None:
                continue
            self._completed.append((result.status, timestamp_text(record.started_at), result.size, found[1]))
            if newest is None or found[0].started_at > newest.started_at:
                newest = found[0]
        return newest

    def _by_response(self, initiator: str, response: str) -> Node | None:
        node = self._responses.get((initiator, response))
        if node is None and (row := self._one(_BY_RESPONSE, response, initiator)):
            node = self._responses[initiator, response] = self._stored_node(row)
        return node

    def _by_history(self, record: Interception) -> Node | None:
        prefixes = record.lineage.history[-HISTORY_CANDIDATES - 1 : -1][::-1]
        for digest in prefixes:
            if node := self._histories.get((record.initiator_id, digest)):
                return node
        if not prefixes:
            return None
        rows = self._all(f"{_BY_HISTORY} ({', '.join('?' * len(prefixes))})", record.initiator_id, *prefixes)
        return self._stored_node(min(rows, key=lambda row: prefixes.index(row[-1]))) if rows else None

    # -- retries

    def _resolve_retry(self, node: Node, *, ended: bool) -> None:
        """Whether the identical request before failed; while that is open it cannot be told."""
        twin = node.twin
        if twin is None or (twin.outcome == "in_flight" and not ended):
            return
        node.twin = None
        if twin.outcome in ("completed", "in_flight") or node.started_at - twin.started_at > RETRY_SECONDS:
            return
        node.retry_of = twin.id
        node.prompt_of = twin.prompt_of or twin.id
        if node.parent is None:
            node.parent, node.root, node.parent_thread = twin.parent, twin.thread, twin.parent_thread

    def _mark_retry(self, record: Interception, node: Node) -> None:
        record.retry_of = node.retry_of
        if record.user_prompts:
            record.metadata = {**record.metadata, "prompt_of": node.prompt_of}
            record.user_prompts = []
        # They may have been written when the request started, before it was known to be a retry.
        self._unprompted.append((record.id,))

    # -- sub-agents

    def _session_nodes(self, record: Interception) -> list[Node]:
        key = (record.initiator_id, record.session_id)
        nodes = self._sessions.get(key)
        if nodes is None:
            nodes = self._sessions[key] = []
            if record.lineage.is_subagent:
                for row in reversed(self._all(_BY_SESSION, record.session_id, record.initiator_id)):
                    node = self._stored_node(row)
                    node.calls = node.calls or bool(row[-1])
                    node.listed = True
                    nodes.append(node)
        return nodes

    def _mark_subagent(self, record: Interception, node: Node, nodes: list[Node]) -> None:
        lineage = record.lineage
        if node.parent_thread is None and (starter := self._starter(record, node, nodes)):
            node.parent_thread = starter.thread
        marks = {
            "agent": lineage.agent_name or lineage.agent,
            "agent_id": lineage.agent if lineage.agent_name else None,
            "parent_thread": node.parent_thread,
        }
        record.metadata = {**record.metadata, **{name: value for name, value in marks.items() if value}}
        if lineage.agent:
            self._tops[record.initiator_id, lineage.agent] = record.session_id

    def _starter(self, record: Interception, node: Node, nodes: list[Node]) -> Node | None:
        """The interception whose answer started this sub-agent."""
        others = [
            other
            for other in reversed(nodes)
            if other.started_at <= node.started_at
            and other.thread != node.thread
            and not (other.is_subagent and other.agent == node.agent)
        ]
        if named := record.lineage.parent_agent:
            for other in others:
                if other.agent == named or (named == record.client_session_id and not other.is_subagent):
                    return other
        callers = [other for other in others if other.calls]
        if record.user_prompts and len({caller.thread for caller in callers}) > 1:
            prompt = record.user_prompts[0].prompt[:_PROMPT_SAMPLE]
            samples = {json_text(prompt)[1:-1], json.dumps(prompt)[1:-1]}
            for caller in callers:
                if any(sample in text for text in self._inputs(caller) for sample in samples):
                    return caller
        return callers[0] if callers else None

    def _inputs(self, node: Node) -> list[str]:
        record = self._batch.get(node.id)
        if record and record.tool_usages:
            return [usage.input for usage in record.tool_usages]
        return [text for (text,) in self._all(_INPUTS, node.id)]

    # -- the database

    def _all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return list(self._database.execute_sql(placeholders(self._database, sql), parameters))

    def _one(self, sql: str, *parameters: Any) -> tuple[Any, ...] | None:
        return next(iter(self._all(sql, *parameters)), None)

    def _stored_node(self, row: tuple[Any, ...]) -> Node:
        """The node of a row that begins with ``_NODE_COLUMNS``."""
        own_id, started_at, parent, root, outcome, metadata, retry_of = row[:7]
        if known := self._nodes.get(own_id):
            return known
        marks = msgspec.json.decode(metadata) if isinstance(metadata, str) else metadata or {}
        node = Node(
            id=own_id,
            started_at=parse_timestamp(started_at).timestamp(),
            parent=parent,
            root=root,
            outcome=outcome,
            agent=marks.get("agent_id") or marks.get("agent"),
            is_subagent="agent" in marks,
            parent_thread=marks.get("parent_thread"),
            prompt_of=marks.get("prompt_of"),
            retry_of=retry_of,
        )
        self._nodes[own_id] = node
        return node
