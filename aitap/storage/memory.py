"""What is known of earlier interceptions: in memory what was seen lately, in the database the rest.

All questions are asked on behalf of one initiator and answered from that initiator's records alone.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import question_marks, rows_of
from aitap.storage.fields import parse_timestamp
from aitap.storage.recent import Recent
from aitap.storage.spans import newest_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = ["SESSION_NODES", "Memory", "Node", "agent_digest", "response_digest"]

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
    session: str | None = None
    """The client's own id of it."""
    whole: str | None = None
    """The digest of all that was said in it, where it is known."""
    agent: str | None = None
    is_subagent: bool = False
    parent_thread: str | None = None
    prompt_of: str | None = None
    """The interception that holds the prompt which this one, a retry, repeats."""
    listed: bool = False
    """Is among its session's nodes."""
    failed: bool = False
    """Was not answered, so that another may have been asked the same."""
    calls: bool = False
    """Issued tool calls, so that it may have started a sub-agent."""
    unnamed: tuple[tuple[str, str], ...] | None = None
    """Its tool calls that the provider gave no id: usage and tool, in order. None where that is not known."""

    @property
    def thread(self) -> str:
        """The interception at the root of this one's thread."""
        return self.root or self.id


_NODE_COLUMNS = "i.id, i.started_at, i.thread_parent_id, i.thread_root_id, i.metadata, i.client_session_id"
_BY_ID = f"SELECT {_NODE_COLUMNS} FROM aibridge_interceptions i WHERE i.id = ? AND i.initiator_id = ?"
_NAMESAKES = 16
"""So many calls of one id are told apart: some models number theirs anew in each conversation (Kimi: ``Bash:0``)."""
_ISSUED = (
    f"SELECT {_NODE_COLUMNS}, t.id "
    "FROM aibridge_tool_usages t JOIN aibridge_interceptions i ON i.id = t.interception_id "
    "WHERE {span}t.provider_tool_call_id = ? AND i.initiator_id = ? "
)
_NEWEST_ISSUED = f"ORDER BY i.started_at DESC, i.id DESC LIMIT {_NAMESAKES}"
_BY_CALL = _ISSUED + _NEWEST_ISSUED
_BY_CALL_OF_SESSION = _ISSUED + "AND i.client_session_id = ? " + _NEWEST_ISSUED
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


def response_digest(response: str) -> str:
    """What stands for a response that told no tokens yet, among the digests of conversations."""
    return blake2b(response.encode("utf-8", "surrogatepass"), digest_size=16, person=b"response").hexdigest()


def agent_digest(agent: str) -> str:
    """The same for a sub-agent."""
    return blake2b(agent.encode("utf-8", "surrogatepass"), digest_size=16, person=b"agent").hexdigest()


class Memory:
    """Remembers a number of interceptions that ``limit`` bounds, and finds all."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._nodes: Recent[str, Node] = Recent(limit)
        self._calls: Recent[tuple[str, str], list[tuple[Node, str]]] = Recent(2 * limit)
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
                session=record.client_session_id,
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
            node.failed = record.outcome != "completed"
            node.unnamed = _held([(u.id, u.tool) for u in tools if u.provider_tool_call_id is None]) if tools else ()
        for usage in tools:
            node.calls = True
            if usage.provider_tool_call_id:
                call, issued = (initiator, usage.provider_tool_call_id), [(node, usage.id)]
                namesakes = self._calls.get(call)
                self._calls[call] = issued if namesakes is None else _with_namesakes(issued, namesakes)
        if record.lineage.background:
            self._responses[initiator, record.lineage.background] = node
        for child in record.token_usages or tools or record.user_prompts:
            if child.provider_response_id:
                self._responses[initiator, child.provider_response_id] = node
        if record.lineage.history:
            node.whole = record.lineage.history[-1]
            whole = (initiator, node.whole)
            newest = self._histories.get(whole)
            if newest is None or newest.started_at <= node.started_at:
                self._histories[whole] = node

    def of_id(self, initiator: str, interception: str) -> Node | None:
        """The interception of this id."""
        node = self._nodes.get(interception)
        if node is None and (row := self._one(_BY_ID, interception, initiator)):
            node = self._stored(row, initiator)
        return node if node and node.initiator == initiator else None

    def of_call(
        self,
        initiator: str,
        call: str,
        meant: Callable[[Node], bool] = lambda node: True,  # noqa: ARG005
        session: str | None = None,
    ) -> tuple[Node, str] | None:
        """The interception that issued the tool call of this id, and the id of the call's usage.

        Of several that had the id it is the newest that is ``meant``; where none is, the newest, first of those that
        are stored of this ``session`` of the client's.
        """
        known = self._calls.get((initiator, call)) or []
        found = next((issued for issued in known if meant(issued[0])), None)
        if found is not None:
            return found
        table, own = "aibridge_tool_usages", []
        if session is not None:
            own = self._newest(table, _BY_CALL_OF_SESSION, call, initiator, session)
        rows = own or self._newest(table, _BY_CALL, call, initiator)
        stored = [(self._stored(row, initiator), str(row[-1])) for row in rows]
        if stored:
            known = self._calls[initiator, call] = _with_namesakes(stored, known)
        both = [*stored, *known] if own else known
        return next((issued for issued in both if meant(issued[0])), both[0] if both else None)

    def of_response(self, initiator: str, response: str) -> Node | None:
        """The interception that the provider answered under this response id."""
        node = self._responses.get((initiator, response))
        if node is None:
            # Who asked for one in background was told of no tokens.
            rows = self._newest("aibridge_token_usages", _BY_RESPONSE, response, initiator) or self._all(
                _BY_HISTORY + "(?)", initiator, response_digest(response)
            )
            if rows:
                node = self._responses[initiator, response] = self._stored(rows[0], initiator)
        return node

    def of_history(self, initiator: str, digests: list[str]) -> Node | None:
        """The newest interception whose whole conversation has the first of these digests that is known."""
        known = ((place, self._histories.get((initiator, digest))) for place, digest in enumerate(digests))
        place, node = next(((place, node) for place, node in known if node), (len(digests), None))
        # Of those before it another proxy may know, and of one that was asked the same again.
        if longer := digests[: place + (node is not None and node.failed)]:
            rows = self._all(_BY_HISTORY + question_marks(len(longer)), initiator, *longer)
            if rows:
                row = min(rows, key=lambda row: longer.index(row[-1]))
                stored = self._stored(row, initiator)
                if node is None or row[-1] != node.whole or stored.started_at > node.started_at:
                    node = self._histories[initiator, row[-1]] = stored
        return node

    def of_session(self, initiator: str, session: str, *, stored: bool) -> list[Node]:
        """The session's newest nodes, oldest first, to add to.

        ``stored`` if the database shall be asked too: what went by another proxy, or before this one, is only there.
        """
        nodes = self._sessions.get((initiator, session))
        if nodes is None:
            nodes = self._sessions[initiator, session] = []
        if stored:
            known = {node.id for node in nodes}
            for row in self._all(_BY_SESSION, session, initiator):
                node = self._stored(row, initiator)
                node.calls = node.calls or bool(row[-1])
                node.listed = True
                if node.id not in known:
                    nodes.append(node)
            nodes.sort(key=lambda node: (node.started_at, node.id))
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
        if top := self._tops.get((initiator, session)):
            return top
        if all(node.is_subagent for node in self._sessions.get((initiator, session)) or ()):
            # No main agent is known to speak in it: a sub-agent of a sub-agent's may, which went by another proxy.
            for own_id, *_ in self._all(_BY_HISTORY + "(?)", initiator, agent_digest(session)):
                rows = self._all("SELECT session_id FROM aibridge_interceptions WHERE id = ?", own_id)
                top = self._tops[initiator, session] = str(rows[0][0])
                return top
        return session

    def learn_agent(self, initiator: str, agent: str, session: str) -> None:
        """A sub-agent of this id belongs to this session."""
        self._tops[initiator, agent] = session

    def _all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return rows_of(self._database, sql, parameters)

    def _one(self, sql: str, *parameters: Any) -> tuple[Any, ...] | None:
        return next(iter(self._all(sql, *parameters)), None)

    def _newest(self, table: str, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        """What was written lately is what is asked for as a rule."""
        for span in newest_first(self._database, table, "t"):
            if rows := self._all(sql.format(span=span), *parameters):
                return rows
        return []

    def _stored(self, row: tuple[Any, ...], initiator: str) -> Node:
        """The node of a row that begins with ``_NODE_COLUMNS``."""
        own_id, started_at, parent, root, metadata, session = row[:6]
        if known := self._nodes.get(own_id):
            return known
        marks = msgspec.json.decode(metadata) if isinstance(metadata, str) else metadata or {}
        node = Node(
            id=own_id,
            initiator=initiator,
            started_at=parse_timestamp(started_at).timestamp(),
            parent=parent,
            root=root,
            session=session,
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


def _with_namesakes(found: list[tuple[Node, str]], others: list[tuple[Node, str]]) -> list[tuple[Node, str]]:
    """Calls of one id, the newest first; each interception's once, as ``found`` has it."""
    own = {node.id for node, _ in found}
    both = [*found, *(issued for issued in others if issued[0].id not in own)]
    return sorted(both, key=lambda issued: (issued[0].started_at, issued[0].id), reverse=True)[:_NAMESAKES]
