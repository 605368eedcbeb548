"""Which conversation a request belongs to: thread parent and root, session, retries, sub-agents.

A request continues the interception whose tool call it answers; else the one whose response it names;
else, where the client sends no id at all, the one whose conversation it extends. A retry stands beside
the request that it repeats.

Promised: records resolved together find each other in any order; a record finds what was written before
it, also by another process; what is not found when a request starts is looked for again when it ends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aitap.storage.database import execute_many
from aitap.storage.fields import json_text, timestamp_text
from aitap.storage.memory import SESSION_NODES, Memory, Node, agent_digest, response_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peewee import Database

    from aitap.record import Interception

__all__ = ["HISTORY_CANDIDATES", "REMEMBER", "Threads"]

HISTORY_CANDIDATES = 64
_PROMPT_SAMPLE = 200

_COMPLETE = (
    "UPDATE aibridge_tool_usages SET result_status = ?, result_at = ?, result_bytes = ? "
    "WHERE id = ? AND result_at IS NULL"
)
REMEMBER = (
    "INSERT INTO aitap_histories (digest, initiator_id, interception_id, created_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (digest, initiator_id) DO UPDATE SET interception_id = excluded.interception_id, "
    "created_at = excluded.created_at WHERE excluded.created_at >= aitap_histories.created_at"
)
"""Have an interception found by a digest, for one user, from some moment on."""


class Threads:
    """Resolves records, batch by batch.

    ``resolve`` comes before the rows of a batch are written, ``write`` after it, in the same transaction.
    Both may be repeated with the same batch. Memory is bounded by ``limit`` interceptions, each of some 700
    bytes; what is older is asked of the database.
    """

    def __init__(self, database: Database, limit: int = 10_000) -> None:
        self._database = database
        self._memory = Memory(database, limit)
        self._batch: dict[str, Interception] = {}
        self._completed: list[tuple[Any, ...]] = []
        self._extended: list[tuple[Any, ...]] = []

    def resolve(self, records: Iterable[Interception]) -> None:
        """Fill in thread, session, retry and sub-agent of each record."""
        self._completed, self._extended = [], []
        # A request starts after what it continues has started, so in order of start each finds its parent resolved.
        ordered = sorted(records, key=lambda record: (record.started_at, record.id))
        self._batch = {record.id: record for record in ordered}
        for record in ordered:
            node = self._memory.node(record)
            self._resolve(record, node)
            self._memory.learn(record, node)
            lineage = record.lineage
            if lineage.history:
                self._remember(lineage.history[-1], record)
            if lineage.background and record.id != lineage.answer_id:
                self._remember(response_digest(lineage.background), record)

    def write(self) -> None:
        """Write what the last ``resolve`` found out beside the records themselves."""
        for sql, rows in (
            (_COMPLETE, self._completed),
            (REMEMBER, self._extended),
        ):
            if rows:
                execute_many(self._database, sql, rows)

    @property
    def completed(self) -> list[str]:
        """The tool usages whose results came with the last ``resolve``."""
        return [usage for *_, usage in self._completed]

    def _remember(self, digest: str, record: Interception) -> None:
        """Have it found by this digest, also by other processes."""
        self._extended.append((digest, record.initiator_id, record.id, timestamp_text(record.started_at)))

    def _resolve(self, record: Interception, node: Node) -> None:
        lineage = record.lineage
        # Always, even where the parent is known: a batch that is tried again must complete the same tool calls.
        found = self._answered(record, node) if lineage.tool_results else None
        unanswered = bool(lineage.tool_results) and found is None
        if found is None and (unanswered or node.parent is None):
            found = self._named(record) or (self._caller(record, node) if unanswered else None)
        # A request cannot continue what started after it; ids that clients make up do come again.
        if found and found.id != node.id and found.started_at <= node.started_at:
            if node.parent is None:
                self._link(node, found)
            if unanswered:
                self._complete_unnamed(record, found)
        if record.retry_of and (retried := self._memory.of_id(record.initiator_id, record.retry_of)):
            self._repeat(record, node, retried)
        record.thread_parent_id, record.thread_root_id = node.parent, node.root
        session = record.client_session_id
        if session is None:
            record.session_id = node.thread
            return
        if lineage.is_subagent:
            session = self._memory.top_session(record.initiator_id, session)
        record.session_id = session
        if lineage.is_subagent:
            self._mark_subagent(record, node)
        nodes = self._memory.of_session(record.initiator_id, session, stored=False)
        if not node.listed:
            node.listed = True
            nodes.append(node)
            if len(nodes) > 2 * SESSION_NODES:
                del nodes[:-SESSION_NODES]

    # -- what a request continues

    def _answered(self, record: Interception, node: Node) -> Node | None:
        """The newest interception whose tool calls this one answers; completes those calls."""
        newest: Node | None = None
        meant = self._meant(record, node)
        for result in record.lineage.tool_results:
            if found := self._memory.of_call(record.initiator_id, result.call_id, meant, record.client_session_id):
                node, usage = found
                self._completed.append((result.status, timestamp_text(record.started_at), result.size, usage))
                if newest is None or node.started_at > newest.started_at:
                    newest = node
        return newest

    def _meant(self, record: Interception, node: Node) -> Callable[[Node], bool]:
        """Whose calls this one answers, where several have issued some of the same ids: those of its conversation."""
        session = record.client_session_id
        if session is None:
            return lambda other: self._goes_on(record, other)
        agent = node.agent if node.is_subagent else None
        return lambda other: (
            other.session == session
            and (other.agent if other.is_subagent else None) == agent
            and other.started_at <= node.started_at
        )

    def _goes_on(self, record: Interception, other: Node) -> bool:
        """Whether, by all that its client tells, this one goes on with what the other said."""
        if other.whole is not None and record.lineage.history:
            return other.whole in record.lineage.history[-HISTORY_CANDIDATES - 1 : -1]
        named = self._named(record)
        return named is None or other.id == named.id

    def _caller(self, record: Interception, node: Node) -> Node | None:
        """Of clients that make up the ids of calls themselves: the newest of the session that issued any."""
        if record.client_session_id is None:
            return None
        for other in reversed(self._memory.of_session(record.initiator_id, record.client_session_id, stored=True)):
            if other.calls and other.id != node.id and other.agent == node.agent and other.started_at < node.started_at:
                return other
        return None

    def _complete_unnamed(self, record: Interception, found: Node) -> None:
        """Results of calls without ids answer them by the tool's name (made-up ids begin with it), else in order."""
        open_calls = list(self._memory.unnamed(found))
        for result in record.lineage.tool_results:
            if not open_calls:
                return
            call = next((call for call in open_calls if result.call_id.startswith(call[1])), open_calls[0])
            open_calls.remove(call)
            self._completed.append((result.status, timestamp_text(record.started_at), result.size, call[0]))

    def _named(self, record: Interception) -> Node | None:
        """What this one continues by its own word: a response id, or the conversation that it sends again."""
        named = record.lineage.previous_response_id
        found = self._memory.of_response(record.initiator_id, named) if named else None
        return found or self._memory.of_history(
            record.initiator_id, record.lineage.history[-HISTORY_CANDIDATES - 1 : -1][::-1]
        )

    def _link(self, node: Node, found: Node) -> None:
        if not node.is_subagent:
            node.parent, node.root = found.id, found.thread
        elif found.is_subagent and found.agent == node.agent:
            node.parent, node.root, node.parent_thread = found.id, found.thread, found.parent_thread
        else:
            # A sub-agent that was handed its parent's conversation begins a thread of its own.
            node.parent_thread = found.thread

    def _repeat(self, record: Interception, node: Node, retried: Node) -> None:
        """A retry stands where the request stood that it repeats, and its prompt is the first one's."""
        if node.parent is None:
            node.parent, node.root, node.parent_thread = retried.parent, retried.thread, retried.parent_thread
        node.prompt_of = retried.prompt_of or record.metadata.get("prompt_of")
        if node.prompt_of:
            record.metadata = {**record.metadata, "prompt_of": node.prompt_of}

    # -- sub-agents

    def _mark_subagent(self, record: Interception, node: Node) -> None:
        lineage = record.lineage
        if node.parent_thread is None:
            nodes = self._memory.of_session(record.initiator_id, record.session_id, stored=True)
            if starter := self._starter(record, node, nodes):
                node.parent_thread = starter.thread
        marks = {
            "agent": lineage.agent_name or lineage.agent,
            "agent_id": lineage.agent if lineage.agent_name else None,
            "parent_thread": node.parent_thread,
        }
        record.metadata = {**record.metadata, **{name: value for name, value in marks.items() if value}}
        if lineage.agent:
            self._memory.learn_agent(record.initiator_id, lineage.agent, record.session_id)
            if node.parent is None:
                self._remember(agent_digest(lineage.agent), record)

    def _starter(self, record: Interception, node: Node, nodes: list[Node]) -> Node | None:
        """The interception whose answer started this sub-agent."""
        others = [
            other
            for other in reversed(nodes)
            if other.started_at <= node.started_at
            and other.thread != node.thread
            and not (other.is_subagent and other.agent == node.agent)
        ]
        own: list[Node] = []
        if named := record.lineage.parent_agent:
            main = named == record.client_session_id
            own = [other for other in others if other.agent == named or (main and not other.is_subagent)]
        callers = [other for other in own or others if other.calls]
        if record.user_prompts and len({caller.thread for caller in callers}) > 1:
            prompt = record.user_prompts[0].prompt[:_PROMPT_SAMPLE]
            samples = {json_text(prompt)[1:-1], json.dumps(prompt)[1:-1]}
            for caller in callers:
                if any(sample in text for text in self._inputs(caller) for sample in samples):
                    return caller
        return callers[0] if callers else own[0] if own else None

    def _inputs(self, node: Node) -> list[str]:
        record = self._batch.get(node.id)
        if record and record.tool_usages:
            return [usage.input for usage in record.tool_usages]
        return self._memory.inputs(node)
