"""A request's head is as long as the setting allows and no longer, whether it is whole or still growing.

mitmproxy gathers a head until its end comes, however long that takes ("FIXME: protect against header size DoS"
in ``Http1Server.read_headers``). HTTP/1 gets 431 (RFC 6585, 5) and the connection is closed. In HTTP/2 the limit is
announced (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113, 6.5.2), and the library ends a connection that exceeds it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from h11._readers import ChunkedReader
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.access.grafts import Grafts

__all__ = ["limit_heads"]

_END = re.compile(rb"\n\r?\n")  # as h11 finds it


def limit_heads(grafts: Grafts, limit: int, refused: Callable[[Any, str], None]) -> None:
    """Hold every connection of clients to this many bytes; ``refused`` is called with the client and a reason."""

    def read_headers(original: Any) -> Any:
        def limited(self: Http1Server, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
            if isinstance(event, events.DataReceived) and len(self.buf) > limit and not _ends_within(self.buf, limit):
                refused(self.context.client, "head")
                yield commands.SendData(self.conn, _answer(431, "Request Header Fields Too Large", limit))
                yield commands.CloseConnection(self.conn)
                self.state = self.done
                return
            before = len(self.buf)
            yield from original(self, event)
            # An empty line before a request is to be overlooked (RFC 9112, 2.2): what follows it may be here already.
            while 0 < len(self.buf) < before and self.state == self.read_headers:
                before = len(self.buf)
                yield from original(self, event)

        return limited

    def read_body(original: Any) -> Any:
        def limited(self: Http1Server, event: events.Event) -> layer.CommandGenerator[None]:
            yield from original(self, event)
            # All data there was is taken by now: what is left is the line before a chunk, or trailers, without end.
            if (
                len(self.buf) > limit
                and self.state == self.read_body
                and isinstance(getattr(self, "body_reader", None), ChunkedReader)
            ):
                refused(self.context.client, "head")
                self.state = self.done
                yield commands.CloseConnection(self.conn)
                yield ReceiveHttp(
                    RequestProtocolError(self.stream_id, "a line of the body has no end", RequestProtocolError.code)
                )

        return limited

    def begin(original: Any) -> Any:
        def limited(self: Http2Server, *arguments: Any, **named: Any) -> None:
            original(self, *arguments, **named)
            # As mitmproxy does with its own: the settings go out with the preface, and hold without the other's word.
            self.h2_conn.local_settings.max_header_list_size = limit
            self.h2_conn.local_settings.acknowledge()
            self.h2_conn.decoder.max_header_list_size = limit

        return limited

    grafts.put(Http1Server, "read_headers", read_headers)
    grafts.put(Http1Server, "read_body", read_body)
    grafts.put(Http2Server, "__init__", begin)


def _ends_within(buffer: Any, limit: int) -> bool:
    return _END.search(bytes(buffer), 0, limit) is not None


def _answer(status: int, reason: str, limit: int) -> bytes:
    text = (
        f"aitap: the head of a request may have {limit} bytes; "
        "whoever runs the proxy can allow more with AITAP_HEADER_LIMIT\n"
    )
    return (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(text)}\r\nconnection: close\r\n\r\n{text}"
    ).encode()
