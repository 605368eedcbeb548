"""Conversations as chains of messages, each stored once (``capture = full``).

A client sends the whole conversation with every request. Its messages are read into their normal form
(:mod:`aitap.capture.turns`), and each is named by a digest of itself and of its parent's digest. Two
requests of which one extends the other so share all but what is new; where a client changes an early
message, the conversation parts there. The system prompt is a chain of its own, the tools one document,
for they change without the conversation. Where a request names the response before it instead of sending
it, its first message continues that one's answer.

Contents hold what was said and nothing less: a password that someone typed, or that a tool printed, is in
them, unless redaction is on; then a message is redacted before it is named. What authenticates the request or
a server it names (headers, an MCP tool's authorization, a URI's query) never is.

Theory of operation. All this is on the decoding thread. What was read lately is kept by the digest of its
bytes, so that of a long conversation only the new end is decoded; a record always carries the whole chain,
by reference, and storage alone decides what it has already.
"""

from __future__ import annotations

from hashlib import blake2b
from sys import getsizeof
from typing import TYPE_CHECKING, Any

from aitap.capture.facts import Turn
from aitap.capture.texts import note_redacted
from aitap.capture.their_ids import kept_id
from aitap.capture.turns import encode, offered_tools, system_texts
from aitap.capture.wire.jsontext import value_of
from aitap.record import StoredMessage, message_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from aitap.capture.facts import RequestContents, RequestFacts
    from aitap.record import Interception
    from aitap.redaction.redactor import Redactor

__all__ = ["Contents"]

Chain = tuple[StoredMessage, ...]
_OVERHEAD = 400
"""Bytes of memory that a message takes beside its text, roughly."""
_RESPONSES = 4096


class Contents:
    """Makes the contents of records; ``limit`` is how many bytes of messages are kept for reuse."""

    def __init__(self, limit: int = 32 * 1024 * 1024, redactor: Redactor | None = None) -> None:
        self._redactor = redactor
        self._half = limit // 2
        self._size = 0
        self._new: dict[tuple[Any, ...], Chain] = {}
        self._old: dict[tuple[Any, ...], Chain] = {}
        self._responses: dict[tuple[str, str], str] = {}

    def request(self, record: Interception, facts: RequestFacts) -> None:
        """Put into the record what its request says."""
        if facts.contents is None:
            return
        try:
            self._request(record, facts, facts.contents())
        except (ValueError, RecursionError) as error:
            self._unread(record, error)
        self._tell_redacted(record)

    def response(self, record: Interception, answer: list[Turn], response_id: str | None) -> None:
        """Put into the record what was answered."""
        try:
            turns = [turn for turn in answer if turn.parts]
            chain = self._chain(record.request_digest, turns, record.ended_at or 0.0)
        except (ValueError, RecursionError) as error:
            self._unread(record, error)
            return
        if chain:
            record.response_digest = chain[-1].digest
            record.contents = [*record.contents, *chain]
            self._tell_redacted(record)
        if response_id and (newest := record.response_digest or record.request_digest):
            if len(self._responses) >= _RESPONSES:
                del self._responses[next(iter(self._responses))]
            self._responses[record.initiator_id, kept_id(response_id)] = newest

    def _tell_redacted(self, record: Interception) -> None:
        """Say in the record what was removed from all that it refers to."""
        if self._redactor is None:
            return
        sums: dict[str, int] = {}
        for message in record.contents:
            for rule, count in (message.redacted or {}).items():
                sums[rule] = sums.get(rule, 0) + count
        note_redacted(record, "contents", sums)

    @staticmethod
    def _unread(record: Interception, error: Exception) -> None:
        record.metadata["contents_unread"] = str(error)[:200]

    def _request(self, record: Interception, facts: RequestFacts, contents: RequestContents) -> None:
        at = record.started_at
        system = list(self._once(None, contents.system, _system, at))
        found: list[StoredMessage] = []
        newest: str | None = None
        if previous := facts.previous_response_id:
            newest = self._responses.get((record.initiator_id, kept_id(previous)))
            if newest is None:  # it passed before we listened
                found += self._chain(None, [Turn("system", [{"type": "previous_response", "id": previous}])], at)
                newest = found[-1].digest
        for item in contents.messages:
            # Instructions at the front are the system prompt, wherever a dialect puts them.
            if newest is None and (head := self._front(system, item, contents.turns, at)):
                system += head
                continue
            if chain := self._once(newest, item, contents.turns, at):
                found += chain
                newest = chain[-1].digest
        if newest is None:
            return
        tools = self._once(None, contents.tools, _tools, at)
        record.request_digest = newest
        record.system_digest = system[-1].digest if system else None
        record.tools_digest = tools[-1].digest if tools else None
        record.contents = [*system, *tools, *found]

    def _front(
        self, system: list[StoredMessage], item: msgspec.Raw, turns: Callable[[msgspec.Raw], list[Turn]], at: float
    ) -> Chain:
        chain = self._once(system[-1].digest if system else None, item, turns, at)
        return chain if all(message.role == "system" for message in chain) else ()

    def _once(self, parent: str | None, raw: msgspec.Raw, turns: Callable[[Any], list[Turn]], at: float) -> Chain:
        """The messages that these bytes hold, read only if they have not been read lately."""
        if not raw:
            return ()
        key = (parent, turns, blake2b(raw, digest_size=16).digest())
        chain = self._new.get(key)
        if chain is None:
            chain = self._old.get(key)
            if chain is None:
                chain = self._chain(parent, turns(raw), at)
            self._keep(key, chain)
        return chain

    def _chain(self, parent: str | None, turns: list[Turn], at: float) -> Chain:
        messages = []
        for turn in turns:
            parts, redacted = (turn.parts, {}) if self._redactor is None else self._redactor.parts(turn.parts)
            content = encode(parts)
            digest = message_digest(parent, turn.role, content)
            messages.append(StoredMessage(digest, parent, turn.role, content.decode(), at, redacted or None))
            parent = digest
        return tuple(messages)

    def _keep(self, key: tuple[Any, ...], chain: Chain) -> None:
        if self._size > self._half:
            self._old, self._new, self._size = self._new, {}, 0
        self._new[key] = chain
        # A text with one emoji takes four bytes for each character.
        self._size += _OVERHEAD + sum(getsizeof(message.content) + _OVERHEAD for message in chain)


def _system(raw: msgspec.Raw) -> list[Turn]:
    return [Turn("system", parts) for parts in system_texts(value_of(raw))]


def _tools(raw: msgspec.Raw) -> list[Turn]:
    tools = offered_tools(value_of(raw))
    return [Turn("tools", tools)] if tools else []
