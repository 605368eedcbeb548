"""Which trace a record is in, and which span stands for it: W3C Trace Context, and ids that follow from the record.

A ``traceparent`` of the client's makes its span the parent. Trace and span id of a record are otherwise a
digest of its own id, so that its start, its end, its log lines and its spans name the same ones without
having to know of each other.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from aitap.record import new_id

if TYPE_CHECKING:
    from aitap.record import Interception, Passed

__all__ = ["TraceContext", "context_of", "ids_of", "passed_context"]

# W3C Trace Context, 3.2: a version to come may add fields; of version 00 there are four.
_TRACEPARENT = re.compile(
    r"\s*(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\s*"
)


class TraceContext(NamedTuple):
    """The trace of a record and the span that stands for all of it."""

    trace_id: int
    span_id: int
    parent_id: int | None = None
    """The client's span."""
    sampled: bool = True
    """What the client decided, where it sent a ``traceparent``."""
    tracestate: str = ""


def context_of(record: Interception) -> TraceContext:
    """The same for the same record, also of another process. A ``traceparent`` that cannot be read does not count."""
    return _context(record.id, record.wire.traceparent, record.wire.tracestate)


def passed_context(passed: Passed) -> TraceContext:
    """The same for a request that is no interception, and has no id."""
    return _context(new_id(), passed.traceparent, passed.tracestate)


def _context(own_id: str, traceparent: str, tracestate: str) -> TraceContext:
    digest = blake2b(own_id.encode(), digest_size=24, person=b"aitap-trace").digest()
    span_id = int.from_bytes(digest[16:]) or 1
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or (match[1] == "00" and match[5]):
        return TraceContext(int.from_bytes(digest[:16]) or 1, span_id)
    return TraceContext(int(match[2], 16), span_id, int(match[3], 16), bool(int(match[4], 16) & 1), tracestate)


def ids_of(record: Interception) -> tuple[str, str]:
    """Trace and span id of the record as log lines give them: in hex."""
    context = context_of(record)
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
