"""What the first bytes of a connection are: TLS with a name in it, HTTP, something else, or too few to say."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.layers.tls import parse_client_hello

__all__ = ["Opening", "opening"]

_HANDSHAKE = 0x16
_CLIENT_HELLO = b"\x01"
_METHOD = re.compile(rb"[A-Za-z]{1,20}(?P<end> |\Z)")
_LONGEST_HELLO = 64 * 1024
"""Far above any ClientHello in use; who sends more has something else in mind."""


class Opening(NamedTuple):
    """How a client begins."""

    kind: Literal["tls", "http", "other"]
    sni: str = ""
    """Lower-case name in the ClientHello, empty without one."""


def opening(data: bytes) -> Opening | None:
    """What this is the start of; None as long as more is needed to say.

    A ClientHello may come in any number of segments and TLS records (RFC 8446, 5.1). One that cannot be
    read is ``other``: whom it is meant for will know what to answer.
    """
    if not data:
        return Opening("other")  # the server speaks first
    if data[0] == _HANDSHAKE:
        return _hello(data)
    if match := _METHOD.match(data):
        return Opening("http") if match["end"] else None
    return Opening("other")


def _hello(data: bytes) -> Opening | None:
    if len(data) < 3:
        return None
    if not starts_like_tls_record(data) or data[5:6] not in (b"", _CLIENT_HELLO):
        return Opening("other")
    try:
        hello = parse_client_hello(data)
        if hello is not None:
            return Opening("tls", (hello.sni or "").lower())
    except Exception:  # noqa: BLE001 - the parser is made for well-formed input, and this is a stranger's
        return Opening("other")
    return None if len(data) < _LONGEST_HELLO else Opening("other")
