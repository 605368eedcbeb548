"""Requests that are no call of a model: to AI hosts, and a client's first words to MCP servers.

They are told of when they are over, by method, host, path and status, for metrics and traces. Bodies are only
looked at where traces are on and headers and body say that a client asks an MCP server who it is or which tools
it has; such answers are short. Does nothing unless metrics or traces are on, and cannot stand in the way of a
request.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any

from aitap.capture.called import called
from aitap.record import Passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy import http

    from aitap.access.peers import Peers
    from aitap.access.startup import Startup
    from aitap.capture.relay import Relay
    from aitap.capture.routes import Router

__all__ = ["Passing"]

logger = logging.getLogger(__name__)

_MARK = "aitap.passing"
_LONGEST_PATH = 2048
_LONGEST_QUESTION = 64 * 1024
_LONGEST_ANSWER = 1024 * 1024
_QUESTIONS = (b'"initialize"', b'"tools/list"')


class _Begun:
    """A request on its way."""

    __slots__ = ("answer", "host", "mcp", "path", "provider", "question", "size")

    def __init__(self, provider: str, host: str, path: str, *, mcp: bool) -> None:
        self.provider = provider
        self.host = host
        self.path = path
        self.mcp = mcp
        self.question = b""
        self.answer: list[bytes] = []
        self.size = 0

    def tap(self, data: bytes) -> bytes:
        """Keep a piece of the answer on its way."""
        self.size += len(data)
        if self.size <= _LONGEST_ANSWER:
            self.answer.append(data)
        return data


def _harmless(hook: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(hook)
    def guarded(self: Passing, flow: http.HTTPFlow) -> None:
        if self.relay is None:
            return
        try:
            hook(self, flow)
        except Exception:
            self.faults += 1
            if self.faults == 1:
                logger.exception("aitap: a request could not be counted; the traffic is not affected")

    return guarded


class Passing:
    """A mitmproxy addon, started with the recorder (see :mod:`aitap.access.startup`)."""

    def __init__(self, peers: Peers) -> None:
        self.faults = 0
        self.relay: Relay | None = None
        self._peers = peers
        self._router: Router | None = None
        self._traced = False

    @property
    def idle(self) -> bool:
        """Whether nobody asks for what this part could tell."""
        return self.relay is None

    def start(self, startup: Startup) -> None:
        """Begin, where somebody asks for it."""
        settings = startup.settings
        self._traced = settings.trace_enable
        if self._traced or settings.metrics_otlp or settings.metrics_listen is not None:
            self._router, self.relay = startup.router, startup.relay

    def stop(self) -> None:
        """What is still open is not told."""
        self.relay = self._router = None

    @_harmless
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Is it one of those? Other scripts may change that later."""
        router = self._router
        # A call of a model is none of these; others have asked that before, so the answer is there.
        if router is None or flow.response is not None or called(router, flow) is not None:
            return
        data = flow.request.data
        host, port = data.host.lower(), data.port
        provider = router.knows(host, port)
        if provider is None and flow.client_conn.sni:
            host = flow.client_conn.sni.lower()
            provider = router.knows(host, port)
        mcp = self._traced and data.method == b"POST" and _speaks_mcp(flow.request.headers)
        if provider is None and not mcp:
            return
        path = data.path.decode("utf-8", "replace").partition("?")[0][:_LONGEST_PATH]
        flow.metadata[_MARK] = _Begun(provider[1] if provider is not None else "", host, path, mcp=mcp)

    @_harmless
    def request(self, flow: http.HTTPFlow) -> None:
        """Whether it asks an MCP server who it is or which tools it has, its body says."""
        begun: _Begun | None = flow.metadata.get(_MARK)
        if begun is None or not begun.mcp:
            return
        body = flow.request.data.content or b""
        if len(body) <= _LONGEST_QUESTION and any(word in body for word in _QUESTIONS):
            begun.question = body
        elif not begun.provider:
            del flow.metadata[_MARK]

    @_harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """An answer to that is streamed, like any other, and looked at as it passes."""
        begun: _Begun | None = flow.metadata.get(_MARK)
        if begun is not None and begun.question and flow.response is not None and flow.response.stream is False:
            flow.response.stream = begun.tap

    @_harmless
    def response(self, flow: http.HTTPFlow) -> None:
        """It was answered."""
        self._tell(flow, flow.response)

    @_harmless
    def error(self, flow: http.HTTPFlow) -> None:
        """It was not."""
        self._tell(flow, None)

    def _tell(self, flow: http.HTTPFlow, response: http.Response | None) -> None:
        begun: _Begun | None = flow.metadata.pop(_MARK, None)
        if begun is None or self.relay is None:
            return
        headers = flow.request.headers
        asked: dict[str, Any] = {}
        if begun.question and response is not None:
            asked = {
                "question": begun.question,
                "answer": b"".join(begun.answer),
                "answer_coding": response.headers.get("content-encoding", ""),
                "session": (headers.get("mcp-session-id") or response.headers.get("mcp-session-id", ""))[:256],
            }
        self.relay.passed(
            Passed(
                provider=begun.provider,
                method=flow.request.method[:32],
                host=begun.host,
                path=begun.path,
                status=response.status_code if response is not None else None,
                started_at=flow.request.timestamp_start,
                ended_at=time.time(),
                initiator_id=self._peers.speaker(flow.client_conn).user_id,
                traceparent=headers.get("traceparent", "")[:512],
                tracestate=headers.get("tracestate", "")[:512],
                **asked,
            )
        )


def _speaks_mcp(headers: http.Headers) -> bool:
    """What the Streamable HTTP transport demands of a client's POST."""
    accept = kind = b""
    # The bare fields: mitmproxy's view of them decodes each one, and this runs for every request.
    for name, value in headers.fields:
        if len(name) == 6 and name.lower() == b"accept":
            accept = b"%s,%s" % (accept, value)
        elif len(name) == 12 and name.lower() == b"content-type":
            kind = value
    return b"text/event-stream" in accept and b"application/json" in accept and kind.startswith(b"application/json")
