"""Why a flow of mitmproxy's broke off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitmproxy import http

__all__ = ["gone_by_client"]


def gone_by_client(broken: http.HTTPFlow, message: str) -> bool:
    """Whether the client went first. mitmproxy tells only by its words and by the state of the connections."""
    if message.startswith("Client disconnected"):
        return True
    if message.startswith("stream reset by client"):
        # It says so of a provider's reset, too. Where one side alone speaks HTTP/2 it was that side; where both
        # do, clients reset with CANCEL when they have enough, and servers with anything else when they fail.
        if broken.client_conn.alpn != b"h2" or broken.server_conn.alpn != b"h2":
            return broken.client_conn.alpn == b"h2"
        return "(CANCEL)" in message or "(NO_ERROR)" in message
    if message == "peer closed connection":
        # It is said of either side's HTTP/2, just when that side has become unreadable.
        return broken.client_conn.alpn == b"h2" and not broken.client_conn.connected
    if "by client" in message:
        return True
    return broken.client_conn.timestamp_end is not None and "server" not in message.lower()
