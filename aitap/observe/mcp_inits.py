"""A client gets to know an MCP server: its ``initialize`` and ``tools/list``, seen on the wire, as spans.

The reference makes these connections itself; here it is the client that makes them, and the spans have the
reference's names::

    ServerProxyManager.Init
    └─ StreamableHTTPServerProxy.Init               from initialize on
       └─ StreamableHTTPServerProxy.Init.fetchTools  tools/list

The first two end when the tools are known, so they are told then; or after a minute in which nobody asked for
any. Only name and count are read of what a server says. (Model Context Protocol, "Streamable HTTP".)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from aitap.capture.wire.coding import CodingError, decode_all
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of
from aitap.capture.wire.sse import SSEParser
from aitap.observe.spans import Span

if TYPE_CHECKING:
    from aitap.record import Passed
    from aitap.redaction.redactor import Redactor

__all__ = ["McpInits"]

_PATIENCE = 60.0
_MOST = 256
_LIMIT = 4 * 1024 * 1024


class _Begun(NamedTuple):
    passed: Passed
    server: str
    error: str | None


Tree = tuple[list[Span], "Passed"]
"""Spans, the topmost first, and the request that says in which trace they are."""


class McpInits:
    """Puts the exchanges together. Bounded; sans-IO."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self._redactor = redactor
        self._begun: dict[tuple[str, str, str], _Begun] = {}

    def seen(self, passed: Passed) -> list[Tree]:
        """What is complete with this exchange."""
        key = (passed.initiator_id, passed.host + passed.path, passed.session)
        method, result, error = _read(passed)
        if error and self._redactor is not None:
            error = self._redactor.text(error)[0]
        found = []
        if method == "initialize":
            if earlier := self._begun.pop(key, None):
                found.append(_tree(earlier, None))
            # Without its bodies: what was to be known of them is read.
            bare = msgspec.structs.replace(passed, question=b"", answer=b"")
            self._begun[key] = _Begun(bare, as_str(as_dict(result.get("serverInfo")).get("name")) or "", error)
            if len(self._begun) > _MOST:
                found.append(_tree(self._begun.pop(next(iter(self._begun))), None))
        elif method == "tools/list" and (begun := self._begun.pop(key, None)):
            tools = len(as_list(result.get("tools"))) if error is None else None
            found.append(_tree(begun, Span("", passed.started_at, passed.ended_at, None, {"count": tools}, error)))
        return found

    def due(self, now: float) -> list[Tree]:
        """What nobody asked the tools of for a minute; with an infinite ``now``, all that is left."""
        if not self._begun:
            return []
        late = [key for key, begun in self._begun.items() if now - begun.passed.ended_at > _PATIENCE]
        return [_tree(self._begun.pop(key), None) for key in late]


def _tree(begun: _Begun, fetched: Span | None) -> Tree:
    passed = begun.passed
    end = max(passed.ended_at, fetched.end if fetched is not None else 0.0)
    about: dict[str, Any] = {
        "mcp_proxy_name": passed.host,
        "mcp_server_name": begun.server or passed.host,
        "mcp_server_url": f"https://{passed.host}{passed.path}",
        "user_id": passed.initiator_id,
        "aibridge.inferred": True,
    }
    error = begun.error if begun.error is not None else fetched.error if fetched is not None else None
    root = Span("ServerProxyManager.Init", passed.started_at, end, None, {"aibridge.inferred": True}, error)
    init = Span("StreamableHTTPServerProxy.Init", passed.started_at, end, root, about, error)
    spans = [root, init]
    if fetched is not None:
        attributes = {**about, "mcp_tool_count": fetched.attributes["count"]}
        start = max(fetched.start, passed.started_at)
        spans.append(Span("StreamableHTTPServerProxy.Init.fetchTools", start, end, init, attributes, fetched.error))
    return spans, passed


def _read(passed: Passed) -> tuple[str, dict[str, Any], str | None]:
    """Method, result and error of an exchange; no method where it is none of ours."""
    question = as_dict(value_of(passed.question))
    method = as_str(question.get("method")) or ""
    if passed.status is None or passed.status >= 400:
        return method, {}, f"HTTP {passed.status}" if passed.status else "no answer came"
    try:
        answer = decode_all(passed.answer, passed.answer_coding, limit=_LIMIT)
    except CodingError:
        return method, {}, None
    for message in _messages(answer):
        if message.get("id") == question.get("id"):
            if error := as_dict(message.get("error")):
                return method, {}, (as_str(error.get("message")) or "an error")[:256]
            return method, as_dict(message.get("result")), None
    return method, {}, None


def _messages(answer: bytes) -> list[dict[str, Any]]:
    """The JSON-RPC messages of a document or of an event stream."""
    if answer.lstrip()[:1] == b"{":
        return [as_dict(value_of(answer))]
    parser = SSEParser(limit=_LIMIT)
    return [as_dict(value_of(data)) for _, data in [*parser.feed(answer), *parser.finish()]]
