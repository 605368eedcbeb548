"""What the gate takes out of a flow, and what it puts in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.access.authentication.credentials import take_header

if TYPE_CHECKING:
    from mitmproxy import http

__all__ = ["answer", "has_body", "is_refused", "strip"]

_REFUSED = "aitap_refused"


def strip(flow: http.HTTPFlow) -> list[bytes]:
    """Take the credentials out, so that nobody further on has them; their values."""
    headers = flow.request.data.headers
    headers.fields, values = take_header(headers.fields)
    if flow.metadata:
        flow.metadata.pop("proxyauth", None)  # mitmproxy's own check leaves user and password there
    return values


def has_body(request: http.Request) -> bool:
    """Whether its head says that a body follows."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def answer(flow: http.HTTPFlow, response: http.Response) -> None:
    """Refuse it with this."""
    flow.response = response
    # mitmproxy would answer 100 Continue before it, and cannot stream what has an answer.
    flow.request.headers.pop("expect", None)
    flow.request.stream = False
    flow.metadata[_REFUSED] = True


def is_refused(flow: http.HTTPFlow) -> bool:
    """Whether it was refused."""
    return _REFUSED in flow.metadata
