"""mitmproxy script of the variant to compare with: every response is streamed, nothing else is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitmproxy import http

__all__ = ["responseheaders"]


def responseheaders(flow: http.HTTPFlow) -> None:
    """Relay the body as it comes."""
    assert flow.response
    flow.response.stream = True
