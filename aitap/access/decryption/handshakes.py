"""Tells a client that refuses our certificate from a handshake that failed for any other reason.

How clients say no (observed with OpenSSL, curl, Python and Node): most send a TLS alert about the
certificate (RFC 8446, 6.2), in the handshake or, as Firefox does, in the first record after it. Node and
what is built on it sends nothing: it closes the connection, with TLS 1.3 before its Finished, with TLS 1.2
after it, and without the close_notify by which a client that wanted no more says so. A client that cannot
agree on a version or a cipher, that speaks no TLS or that leaves before it has seen a certificate says
nothing about the certificate.
"""

from __future__ import annotations

import re
import time
import weakref
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy.connection import Client
    from mitmproxy.proxy.context import Context
    from mitmproxy.tls import TlsData

__all__ = ["Handshakes", "refusal"]

_ALERT = re.compile(
    r"alert (unknown ca|bad certificate|unsupported certificate|certificate revoked|certificate expired"
    r"|certificate unknown|access denied)|(bad certificate status response)"
)
"""As OpenSSL words them; their numbers are 48, 42 to 46, 49 and 113."""

_LEFT = "client disconnected during the handshake"
"""As mitmproxy words it where it had begun to answer; before that it is "connection closed early"."""

_SOON = 5.0
"""Seconds after the handshake in which a client that closes has made up its mind about the certificate."""


def refusal(error: str, *, certificate_sent: bool) -> str | None:
    """What a client said of our certificate, in a few words, by the error of its handshake; None if it said nothing."""
    if match := _ALERT.search(error):
        return match[1] or match[2]
    if certificate_sent and _LEFT in error:
        return "closed in the handshake"
    return None


class Handshakes:
    """Watches the handshakes with clients; ``refused`` is called for each that ends because of the certificate."""

    def __init__(self, refused: Callable[[Client, Context, str], None]) -> None:
        self._refused = refused
        self._silent: weakref.WeakKeyDictionary[Client, _Silent] = weakref.WeakKeyDictionary()

    def failed(self, data: TlsData) -> None:
        """A handshake broke off."""
        said = refusal(data.conn.error or "", certificate_sent=data.ssl_conn is not None)
        if said:
            self._refused(data.context.client, data.context, said)

    def established(self, data: TlsData) -> None:
        """A handshake is over; what the client does next may still be a refusal."""
        if data.ssl_conn is not None:
            self._silent[data.context.client] = _Silent(data.context, data.ssl_conn)

    def disconnected(self, client: Client) -> None:
        """A client is gone."""
        silent = self._silent.pop(client, None)
        if silent is not None and (said := silent.verdict()):
            self._refused(client, silent.context, said)


class _Silent:
    """A client that has said nothing since the handshake. Costs nothing any more once it has."""

    def __init__(self, context: Context, connection: SSL.Connection) -> None:
        self.context = context
        self._since = time.monotonic()
        self._spoke = self._polite = False
        self._alert = ""
        self._connection = connection
        self._receive = connection.recv
        # OpenSSL tells of an alert once, to whoever reads next: mitmproxy, which logs it and goes on.
        self._replace(self._watched)

    def _watched(self, *arguments: Any) -> bytes:
        try:
            data = self._receive(*arguments)
        except SSL.WantReadError:
            raise
        except SSL.ZeroReturnError:
            self._polite = True
            raise
        except SSL.Error as error:
            self._alert = self._alert or str(error)
            raise
        self._spoke = True
        self._replace(None)
        return data

    def _replace(self, receive: Callable[..., bytes] | None) -> None:
        if receive is not None:
            self._connection.__dict__["recv"] = receive
        else:
            self._connection.__dict__.pop("recv", None)

    def verdict(self) -> str | None:
        """What the client said of our certificate, now that it is gone."""
        self._replace(None)
        if self._spoke:
            return None
        if said := refusal(self._alert, certificate_sent=True):
            return said
        soon = time.monotonic() - self._since < _SOON
        return "closed right after the handshake" if soon and not self._polite and not self._alert else None
