"""Which language a WebSocket speaks, by the dialect of its route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.capture.live_socket import LiveSocket
from aitap.capture.realtime_socket import RealtimeSocket
from aitap.capture.response_socket import Socket

if TYPE_CHECKING:
    from aitap.capture.web_socket import WebSocket

__all__ = ["socket_type"]

_TYPES: dict[str, type[WebSocket]] = {"google.live": LiveSocket, "openai.realtime": RealtimeSocket}


def socket_type(api: str) -> type[WebSocket]:
    """The kind of socket for a route's dialect; that of the Responses API where the dialect has none of its own."""
    return _TYPES.get(api, Socket)
