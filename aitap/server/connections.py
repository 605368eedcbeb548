"""How connections are read: uvicorn's way, but who is refused while still sending is told why.

A connection that is closed while there is something unread is reset, and takes the answer with it before the client
has read it. So what is refused half-read is answered, the answer's end is told, and what still comes is passed over
for a while.

A request has to be whole within a time, head and body: whoever has no key could else hold all connections that there
may be by saying nothing on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from aitap.server.answers import JSON, packed
from aitap.server.endpoints import ENDPOINTS
from aitap.server.parameters import LONGEST
from aitap.server.problems import Problem

if TYPE_CHECKING:
    import asyncio

__all__ = ["HEAD", "Connection"]

_ENCODED = 12
"""Bytes of one character at most: four of UTF-8, each of which is three in a URL."""
HEAD = (max(len(endpoint.parameters) for endpoint in ENDPOINTS) + 1) * LONGEST * _ENCODED + (64 << 10)
"""Bytes of a request's head: every parameter may be of the longest that is allowed, and the path too."""

_UNREAD = 16 << 20
_SECONDS = 5.0
_SECONDS_TO_ASK = 30.0
"""Within which a request has to be whole."""


class Connection(H11Protocol):
    """One connection."""

    _refused = False
    _passed_over = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody came, and has to ask something."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(_SECONDS_TO_ASK, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """They went."""
        self._asked()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._refused:
            super().data_received(data)
            if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
                self._asked()
            elif self._deadline is None:
                self._deadline = self.loop.call_later(_SECONDS_TO_ASK, self._too_late)
            return
        self._passed_over += len(data)
        if self._passed_over > _UNREAD:
            self.transport.close()

    def _asked(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's words are for its programmers
        """The head cannot be read, or is too long."""
        if self.cycle is not None and not self.cycle.response_complete:
            # In the middle of another answer nothing can be said.
            self.transport.close()
            return
        self._refused = True
        self._unset_keepalive_if_required()
        detail = f"Its head must be HTTP/1.1, of at most {HEAD} bytes."
        body, _ = packed(Problem(400, "The request cannot be read.", detail).body, accepts_gzip=False)
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n"
            "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_SECONDS, self.transport.close)
