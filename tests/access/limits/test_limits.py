"""What a request's head says of its body, and whose connections count."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from mitmproxy.test import taddons, tflow

from aitap.access.limits.limits import Limits, _length
from aitap.access.peers import Peers


@pytest.mark.parametrize(
    ("fields", "version", "length"),
    [
        ((), b"HTTP/1.1", 0),
        ((), b"HTTP/2.0", None),
        (((b"Content-Length", b"12"),), b"HTTP/1.1", 12),
        (((b"content-length", b"12"),), b"HTTP/2.0", 12),
        (((b"Content-Length", b"-1"),), b"HTTP/1.1", None),
        (((b"Content-Length", b"9" * 20),), b"HTTP/1.1", None),
        (((b"Transfer-Encoding", b"chunked"),), b"HTTP/1.1", None),
        (((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3")), b"HTTP/1.1", 3),
    ],
)
def test_the_head_says_how_long_the_body_is(
    fields: tuple[tuple[bytes, bytes], ...], version: bytes, length: int | None
) -> None:
    request = tflow.tflow().request
    request.data.headers.fields = fields
    request.data.http_version = version
    assert _length(request) == length


def test_a_connection_that_ended_while_it_was_looked_at_does_not_count_for_ever() -> None:
    """A tunnel whose key is looked up elsewhere comes to be counted after its client has gone away."""
    limits = Limits(Peers())
    with taddons.context():
        settings = SimpleNamespace(body_limit=0, header_limit=0, connection_limit=1)
        limits.start(SimpleNamespace(settings=settings, router=None))  # type: ignore[arg-type]
        gone, there = tflow.tclient_conn(), tflow.tclient_conn()
        gone.timestamp_end, there.timestamp_end = time.time(), None
        limits.client_disconnected(gone)
        assert limits.crowded(gone) is None
        assert limits.crowded(there) is None
        limits.stop()
