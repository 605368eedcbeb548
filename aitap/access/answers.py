"""What the proxy itself answers where it refuses: one line that says what to do, and one in the log.

A refusal is decided on a request's head, and its answer does not wait for the body
(:mod:`aitap.access.limits.bodies` sees to that): :func:`refuse` says so in the flow.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING

from mitmproxy import http

from aitap.access.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AT_ONCE", "Refusals", "error_body", "refuse"]

logger = logging.getLogger(__name__)

AT_ONCE = "aitap_at_once"
"""In ``flow.metadata``: the response that is set goes out now, and what is left of the request is thrown away."""

_CLIENTS = 1024


def refuse(
    flow: http.HTTPFlow, status: int, body: str | bytes, headers: Mapping[str, str] | None = None
) -> http.Response:
    """Answer, in plain text unless the headers say otherwise, and close, without waiting for the request's body."""
    fields = {"content-type": "text/plain; charset=utf-8", "connection": "close", **(headers or {})}
    response = flow.response = http.Response.make(status, body if isinstance(body, bytes) else f"{body}\n", fields)
    flow.metadata[AT_ONCE] = True
    # The answer is final: nobody is to be told to go on.
    flow.request.headers.pop("expect", None)
    return response


def error_body(kind: str, text: str) -> bytes:
    """An error that clients of every provider know how to show: the fields of Anthropic, OpenAI and Google in one."""
    return json.dumps({"type": "error", "error": {"type": kind, "code": kind, "message": text, "param": None}}).encode()


class Refusals:
    """Counts refusals by their reason, and tells of them once a second for each client."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._quiet = Quiet(1.0, _CLIENTS)

    def note(self, reason: str, client: str, text: str) -> None:
        """One more; ``text`` names no secret, and what a stranger wrote in it cannot break the log's lines."""
        self.counts[reason] += 1
        if self._quiet.may_speak(client):
            logger.warning(
                "aitap: refused %s: %s", client or "a client", "".join(c if c.isprintable() else "?" for c in text)
            )
