"""What is known of earlier interceptions: in memory what was seen lately, in the database the rest.

All questions are asked on behalf of one initiator and answered from that initiator's records alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import question_marks, rows_of
from aitap.storage.fields import parse_timestamp
from aitap.storage.recent import Recent
from aitap.storage.spans import newest_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = ["SESSION_NODES", "Memory", "Node"]

SESSION_NODES = 32
"""How many of a session's newest interceptions are remembered, to find who started a sub-agent."""

_MOST_UNNAMED = 64
_TOOL_NAME = 128
"""Characters of a tool's name that tell whose result an id is, which begins with it."""


class Node(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """What is remembered of an interception."""

    id: str
    initiator: str
    started_at: float
    parent: str | None = None
    root: str | None = None
    agent: str | None = None
    is_subagent: bool = False
    parent_thread: str | None = None
    prompt_of: str | None = None
    """The interception that holds the prompt which this one, a retry, repeats."""
    listed: bool = False
    """Is among its session's nodes."""
    calls: bool = False
    """Issued tool calls, so that it may have started a sub-agent."""
    unnamed: tuple[tuple[str, str], ...] | None = None
    """Its tool calls that the provider gave no id: usage and tool, in order. None where that is not known."""

    @property
    def thread(self) -> str:
        """The interception at the root of this one's thread."""
        return self.root or self.id


_NODE_COLUMNS = "i.id, i.started_at, i.thread_parent_id, i.thread_root_id, i.metadata"
_BY_ID = f"SELECT {_NODE_COLUMNS} FROM aibridge_interceptions i WHERE i.id = ? AND i.initiator_id = ?"
_BY_CALL = (
    f"SELECT {_NODE_COLUMNS}, t.id "
    "FROM aibridge_tool_usages t JOIN aibridge_interceptions i ON i.id = t.interception_id "
    "WHERE {span}t.provider_tool_call_id = ? AND i.initiator_id = ? ORDER BY i.started_at DESC, i.id DESC LIMIT 1"
)
_BY_RESPONSE = (
    f"SELECT {_NODE_COLUMNS} FROM aibridge_token_usages t JOIN aibridge_interceptions i ON i.id = t.interception_id "
    "WHERE {span}t.provider_response_id = ? AND i.initiator_id = ? ORDER BY i.started_at DESC, i.id DESC LIMIT 1"
)
_BY_HISTORY = (
    f"SELECT {_NODE_COLUMNS}, h.digest "
    "FROM aitap_histories h JOIN aibridge_interceptions i ON i.id = h.interception_id "
    "WHERE h.initiator_id = ? AND h.digest IN "
)
_BY_SESSION = (
    f"SELECT {_NODE_COLUMNS}, EXISTS (SELECT 1 FROM aibridge_tool_usages t WHERE t.interception_id = i.id) "
    "FROM aibridge_interceptions i WHERE i.session_id = ? AND i.initiator_id = ? "
    f"ORDER BY i.started_at DESC LIMIT {SESSION_NODES}"
)
_UNNAMED = (
    "SELECT id, tool FROM aibridge_tool_usages WHERE interception_id = ? AND provider_tool_call_id IS NULL ORDER BY id"
)
_INPUTS = "SELECT input FROM aibridge_tool_usages WHERE interception_id = ?"


class Memory:
    """Remembers a number of interceptions that ``limit`` bounds, and finds all."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._nodes: Recent[str, Node] = Recent(limit)
        self._calls: Recent[tuple[str, str], tuple[Node, str]] = Recent(2 * limit)
        self._responses: Recent[tuple[str, str], Node] = Recent(limit)
        self._histories: Recent[tuple[str, str], Node] = Recent(limit)
        self._sessions: Recent[tuple[str, str], list[Node]] = Recent(limit // 20)
        self._tops: Recent[tuple[str, str], str] = Recent(limit)

    def node(self, record: Interception) -> Node:
        """The node of this record, made where it is not known."""
        node = self._nodes.get(record.id)
        if node is None:
            lineage = record.lineage
            node = Node(
                id=record.id,
                initiator=record.initiator_id,
                started_at=record.started_at,
                agent=lineage.agent,
                is_subagent=lineage.is_subagent,
            )
            self._nodes[record.id] = node
        return node

    def learn(self, record: Interception, node: Node) -> None:
        """Remember everything by which later requests may name this one."""
        initiator = record.initiator_id
        tools = record.tool_usages
        if record.ended_at is not None:
            node.unnamed = _held([(u.id, u.tool) for u in tools if u.provider_tool_call_id is None]) if tools else ()
        for usage in tools:
            node.calls = True
            if usage.provider_tool_call_id:
                call = (initiator, usage.provider_tool_call_id)
                known = self._calls.get(call)
                if known is None or known[0].started_at <= node.started_at:
                    self._calls[call] = (node, usage.id)
        for child in record.token_usages or tools or record.user_prompts:
            if child.provider_response_id:
                self._responses[initiator, child.provider_response_id] = node
        if record.lineage.history:
            whole = (initiator, record.lineage.history[-1])
            newest = self._histories.get(whole)
            if newest is None or newest.started_at <= node.started_at:
                self._histories[whole] = node

    def of_id(self, initiator: str, interception: str) -> Node | None:
        """The interception of this id."""
        node = self._nodes.get(interception)
        if node is None and (row := self._one(_BY_ID, interception, initiator)):
            node = self._stored(row, initiator)
        return node if node and node.initiator == initiator else None

    def of_call(self, initiator: str, call: str) -> tuple[Node, str] | None:
        """The newest interception that issued this tool call, and the id of the call's usage."""
        found = self._calls.get((initiator, call))
        if found is None and (row := self._newest("aibridge_tool_usages", _BY_CALL, call, initiator)):
            found = self._calls[initiator, call] = (self._stored(row, initiator), row[-1])
        return found

    def of_response(self, initiator: str, response: str) -> Node | None:
        """The interception that the provider answered under this response id."""
        node = self._responses.get((initiator, response))
        if node is None and (row := self._newest("aibridge_token_usages", _BY_RESPONSE, response, initiator)):
            node = self._responses[initiator, response] = self._stored(row, initiator)
        return node

    def of_history(self, initiator: str, digests: list[str]) -> Node | None:
        """The newest interception whose whole conversation has the first of these digests that is known."""
        for digest in digests:
            if node := self._histories.get((initiator, digest)):
                return node
        if not digests:
            return None
        rows = self._all(_BY_HISTORY + question_marks(len(digests)), initiator, *digests)
        return self._stored(min(rows, key=lambda row: digests.index(row[-1])), initiator) if rows else None

    def of_session(self, initiator: str, session: str, *, stored: bool) -> list[Node]:
        """The session's newest nodes, oldest first, to add to; ``stored`` if the database shall be asked too."""
        nodes = self._sessions.get((initiator, session))
        if nodes is None:
            nodes = self._sessions[initiator, session] = []
            for row in reversed(self._all(_BY_SESSION, session, initiator)) if stored else ():
                node = self._stored(row, initiator)
                node.calls = node.calls or bool(row[-1])
                node.listed = True
                nodes.append(node)
        return nodes

    def inputs(self, node: Node) -> list[str]:
        """The inputs of the tool calls that a stored interception issued."""
        return [text for (text,) in self._all(_INPUTS, node.id)]

    def unnamed(self, node: Node) -> tuple[tuple[str, str], ...]:
        """The tool calls of an interception that have no id of the provider's: usage and tool, in order."""
        if node.unnamed is None:
            found = self._all(_UNNAMED, node.id)
            # None are there as long as its rows are not written.
            node.unnamed = _held(found) if found else None
            return tuple((usage, tool[:_TOOL_NAME]) for usage, tool in found)
        return node.unnamed

    def top_session(self, initiator: str, session: str) -> str:
        """The session at the top, where this id is that of a sub-agent."""
        return self._tops.get((initiator, session)) or session

    def learn_agent(self, initiator: str, agent: str, session: str) -> None:
        """A sub-agent of this id belongs to this session."""
        self._tops[initiator, agent] = session

    def _all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return rows_of(self._database, sql, parameters)

    def _one(self, sql: str, *parameters: Any) -> tuple[Any, ...] | None:
        return next(iter(self._all(sql, *parameters)), None)

    def _newest(self, table: str, sql: str, *parameters: str) -> tuple[Any, ...] | None:
        """What was written lately is what is asked for as a rule."""
        for span in newest_first(self._database, table, "t"):
            if row := self._one(sql.format(span=span), *parameters):
                return row
        return None

    def _stored(self, row: tuple[Any, ...], initiator: str) -> Node:
        """The node of a row that begins with ``_NODE_COLUMNS``."""
        own_id, started_at, parent, root, metadata = row[:5]
        if known := self._nodes.get(own_id):
            return known
        marks = msgspec.json.decode(metadata) if isinstance(metadata, str) else metadata or {}
        node = Node(
            id=own_id,
            initiator=initiator,
            started_at=parse_timestamp(started_at).timestamp(),
            parent=parent,
            root=root,
            agent=marks.get("agent_id") or marks.get("agent"),
            is_subagent="agent" in marks,
            parent_thread=marks.get("parent_thread"),
            prompt_of=marks.get("prompt_of"),
        )
        self._nodes[own_id] = node
        return node


def _held(calls: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...] | None:
    """Calls as a node keeps them; None where they are so many that the database is asked for them instead."""
    return tuple([(usage, tool[:_TOOL_NAME]) for usage, tool in calls]) if len(calls) <= _MOST_UNNAMED else None
