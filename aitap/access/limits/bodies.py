"""A request's body is as long as the setting allows, and whoever is refused is not listened to any longer.

mitmproxy takes in the whole of a body before it sends an answer that was set on the head: here it goes out at once.
What the client still sends is thrown away for a while, since a connection that is closed in the face of a sender
takes the answer with it (RFC 9112, 9.6).
"""

from __future__ import annotations

import time
import types
from typing import TYPE_CHECKING, Any

from mitmproxy import flow as flows
from mitmproxy.proxy.commands import RequestWakeup
from mitmproxy.proxy.events import Wakeup
from mitmproxy.proxy.layers.http import DropStream, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseEndOfMessage,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHeadersHook

from aitap.access.answers import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy.http import HTTPFlow, Response
    from mitmproxy.proxy import events, layer

    from aitap.access.grafts import Grafts

__all__ = ["limit_bodies"]

PATIENCE = 30.0
"""Seconds that a refused client may go on sending (as nginx's ``lingering_time``)."""

PAUSE = 2.0
"""Seconds without a byte after which such a client is taken to have read its answer."""


def limit_bodies(grafts: Grafts, limit: int, refuse: Callable[[HTTPFlow], Response]) -> None:
    """Hold bodies to this many bytes (0: any); ``refuse`` sets and gives the answer to one that is longer."""

    def wait_for_request_headers(original: Any) -> Any:
        def answered(self: HttpStream, event: RequestHeaders) -> layer.CommandGenerator[None]:
            yield from original(self, event)
            # Without a body the answer goes out by itself.
            waits = not event.end_stream and self.client_state == self.state_consume_request_body
            if waits and (response := _at_once(self.flow)) is not None:
                yield from _answer(self, response)

        return answered

    def consume_request_body(original: Any) -> Any:
        def limited(self: HttpStream, event: events.Event) -> layer.CommandGenerator[None]:
            if limit and isinstance(event, RequestData) and len(self.request_body_buf) + len(event.data) > limit:
                yield from _answer(self, self.flow.response or refuse(self.flow))
                return
            yield from original(self, event)

        return limited

    def stream_request_body(original: Any) -> Any:
        def limited(self: HttpStream, event: events.Event) -> layer.CommandGenerator[None]:
            if isinstance(event, RequestData):
                sent = getattr(self, "aitap_sent", 0) + len(event.data)
                self.aitap_sent = sent  # type: ignore[attr-defined]
                if sent > limit:
                    error = RequestProtocolError(self.stream_id, "the body is too long", RequestProtocolError.code)
                    yield SendHttp(error, self.context.server)
                    yield from _answer(self, refuse(self.flow))
                    return
            yield from original(self, event)

        return limited

    grafts.put(HttpStream, "state_wait_for_request_headers", wait_for_request_headers)
    if limit:
        grafts.put(HttpStream, "state_consume_request_body", consume_request_body)
        grafts.put(HttpStream, "state_stream_request_body", stream_request_body)


def _at_once(flow: HTTPFlow) -> Response | None:
    response = flow.response
    if response is not None and (AT_ONCE in flow.metadata or response.status_code == 407):
        return response
    return None


def _answer(stream: HttpStream, response: Response) -> layer.CommandGenerator[None]:
    """Send the response that is set, with the hooks that belong to it, and take nothing more of the request."""
    flow = stream.flow
    stream._handle_event = types.MethodType(_discard, stream)
    stream.aitap_rest = _Rest()  # type: ignore[attr-defined]
    stream.request_body_buf.clear()  # type: ignore[no-untyped-call]
    flow.request.data.content = b""
    flow.request.timestamp_end = response.timestamp_start = time.time()
    yield HttpRequestHook(flow)
    yield HttpResponseHeadersHook(flow)
    if (yield from stream.check_killed(True)):  # noqa: FBT003 - mitmproxy's
        return
    yield from stream.send_response()
    flow.live = False
    yield SendHttp(ResponseEndOfMessage(stream.stream_id), stream.context.client)
    yield RequestWakeup(PAUSE)


class _Rest:
    """What a refused client still sends."""

    def __init__(self) -> None:
        self.until = time.monotonic() + PATIENCE
        self.came = False
        """Whether anything did since the last look."""
        self.over = False


def _discard(stream: HttpStream, event: events.Event) -> layer.CommandGenerator[None]:
    rest: _Rest = stream.aitap_rest  # type: ignore[attr-defined]
    if rest.over:
        return
    if isinstance(event, (RequestEndOfMessage, RequestProtocolError)):
        rest.over = True
        yield DropStream(stream.stream_id)
    elif isinstance(event, RequestData):
        rest.came = True
    elif isinstance(event, Wakeup):
        if rest.came and time.monotonic() < rest.until:
            rest.came = False
            yield RequestWakeup(PAUSE)
            return
        rest.over = True
        # mitmproxy's own way to close the connection of HTTP/1, or to reset the stream of HTTP/2.
        earlier, stream.flow.error = stream.flow.error, flows.Error(flows.Error.KILLED_MESSAGE)
        yield from stream.check_killed(False)  # noqa: FBT003
        stream.flow.error = earlier
        yield DropStream(stream.stream_id)
